//! The desired state of an app, by its spec and the offer of its network.

use std::collections::BTreeSet;

use super::{AttachmentSource, DesiredFunction, DesiredRole, NetworkOffer};
use crate::{
    api::app::{App, LogRetention},
    aws::{Caller, Tags},
    identity::AppIdentity,
    plan::Creation,
    policy::ModelId,
    settings::Settings,
};

/// The desired resources of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Desired {
    /// Which app.
    pub identity: AppIdentity,
    /// The tags of all its resources.
    pub tags: Tags,
    /// The execution role.
    pub role: DesiredRole,
    /// How long the log group keeps its log.
    pub log_retention: LogRetention,
    /// The function.
    pub function: DesiredFunction,
    /// Whether missing resources are created.
    pub creation: Creation,
}

impl Desired {
    /// Decides the desired state.
    pub fn new(app: &App, identity: AppIdentity, caller: &Caller, settings: &Settings, offer: &NetworkOffer) -> Self {
        let Settings { governance, handler, .. } = settings;
        let models: BTreeSet<ModelId> = app.models.iter().cloned().collect();
        Self {
            tags: governance.tagged(identity.tags()),
            role: DesiredRole::new(&identity, caller, &models, governance),
            log_retention: app.function.log_retention,
            function: DesiredFunction::new(app, &identity, caller, handler, offer),
            creation: match offer {
                NetworkOffer::Ready(_) | NetworkOffer::Preparing(_) => Creation::Allowed,
                NetworkOffer::Unavailable(_) => Creation::Stopped,
            },
            identity,
        }
    }

    /// The part of the desired state that does not depend on the momentary offer of the network. Drift is a difference from it.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let function = DesiredFunction { attachment: AttachmentSource::Network, ..self.function.clone() };
        Self { function, creation: Creation::Allowed, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixtures::{caller, identity, path, settings, smallest};

    #[test]
    fn a_role_and_a_log_group_need_no_path_and_a_function_does() {
        let on = |offer: NetworkOffer| Desired::new(&smallest(), identity(), &caller(), &settings(), &offer);
        let (rising, ready) = (on(NetworkOffer::Preparing(None)), on(NetworkOffer::Ready(path())));
        assert_eq!((rising.creation, rising.function.attachment), (Creation::Allowed, AttachmentSource::Unknown));
        assert_eq!(Desired { function: rising.function.clone(), ..ready }, rising);
        assert_eq!(on(NetworkOffer::Unavailable(None)).creation, Creation::Stopped);
    }
}
