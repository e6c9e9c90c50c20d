//! The admission of apps, decided here alone.

use kube::ResourceExt as _;

use crate::{
    api::{InvalidSpec, PrivateGenAIApp, app::App},
    guard::Refusal,
    settings::Settings,
};

/// The decision about an app's admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// This version of the operator cannot use the app's spec.
    Unreadable(InvalidSpec),
    /// The operator's configuration does not allow it. Nothing is done for it. What it has from before stays as it is,
    /// until it is allowed again or deleted; but models that are not allowed get through no endpoint.
    Refused(App, Refusal),
    /// The app is accepted.
    Accepted(App),
}

impl Admission {
    /// Decides about an app. The app's network does not matter.
    pub fn of(object: &PrivateGenAIApp, settings: &Settings) -> Self {
        let app = match App::new(&object.spec, &settings.region) {
            Ok(app) => app,
            Err(problem) => return Self::Unreadable(problem),
        };
        if !settings.regions.allows(&app.network.region) {
            let refusal = Refusal::Region(app.network.region.clone());
            return Self::Refused(app, refusal);
        }
        let namespace = object.namespace().unwrap_or_default();
        match settings.implicit_networks.refusal(&app.network.vpc, &namespace, &app.models) {
            Some(refusal) => Self::Refused(app, refusal),
            None => Self::Accepted(app),
        }
    }

    /// The app, if accepted.
    pub fn accepted(self) -> Option<App> {
        match self {
            Self::Accepted(app) => Some(app),
            Self::Unreadable(_) | Self::Refused(..) => None,
        }
    }
}
