//! Decides about an app that is being deleted, and about the place of one that is gone. Pure but for the reads that a pass asks for.

use std::collections::{BTreeMap, BTreeSet};

use kube::{Resource as _, ResourceExt as _};

use super::super::{
    AppDeletion, Observed, RetainedApp,
    decide::{Principal, another_cluster, identity, learn, note_role},
    observe::{observe_remains, observe_retained},
    retain, teardown,
};
use crate::{
    api::{
        AppName, DeletionPolicy, PrivateGenAIApp,
        condition::{ConditionType, Leg, Reason},
    },
    aws::{AwsError, Caller, Role, RoleName, Snapshot, Write, Written},
    engine::{Freshness, Guarded, Knowledge, Memory, PassSubject, Reaction, Settings, Unseen},
    identity::{AppIdentity, NetworkIdentity, is_retained},
    index::Index,
    network::VpcOwnership,
    plan::Plan,
    policy::app_of_role,
};

/// Why the resources of an app are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemovalCause {
    /// Its object is being deleted.
    Deleted,
    /// Its object is gone, and a late write may have created something again.
    LateWrite,
}

/// A pass that removes the resources of an app in one of its places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemovalPass {
    /// The app in this place.
    pub identity: AppIdentity,
    /// The network of the place.
    pub network: NetworkIdentity,
    /// Why the resources are removed.
    pub cause: RemovalCause,
}

impl RemovalPass {
    /// A pass over the app in this place.
    pub fn new(identity: &AppIdentity, caller: &Caller, cause: RemovalCause) -> Self {
        let network = NetworkIdentity {
            installation: identity.installation.clone(),
            account: caller.account.clone(),
            region: identity.region.clone(),
            vpc: identity.vpc.clone(),
        };
        Self { identity: identity.clone(), network, cause }
    }
}

impl PassSubject for RemovalPass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.identity.role_name().to_string()
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        observe_remains(snapshot, &self.identity, &self.network, fresh, known.index().settings()).await
    }

    fn decide(&mut self, observed: &Observed, index: &Index, memory: &mut Memory) -> Plan {
        note_role(&self.identity, observed, memory);
        match self.cause {
            RemovalCause::LateWrite if is_taken_up(&self.identity, index, memory) => return Plan::default(),
            RemovalCause::Deleted | RemovalCause::LateWrite => {}
        }
        if let VpcOwnership::AnotherCluster(foreign) = &observed.ownership {
            return another_cluster(foreign);
        }
        let mut plan = teardown(&self.identity, observed, &index.settings().governance);
        if plan.is_nothing() && memory.may_be_invisible(&Unseen::Role(self.identity.clone())) {
            plan.legs.push(not_listed_yet(&self.identity));
        }
        plan
    }
}

/// A pass that leaves the resources of an app in one of its places, and marks them as retained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetentionPass {
    /// What is retained.
    pub app: RetainedApp,
    /// The principal of the function.
    pub principal: Principal,
}

impl RetentionPass {
    /// A pass over the app in this place.
    pub fn new(identity: &AppIdentity, deletion: &AppDeletion, caller: &Caller, settings: &Settings) -> Self {
        let Settings { implicit_networks, governance, .. } = settings;
        let app = deletion.retention(identity, caller, &implicit_networks.allow, governance);
        Self { app, principal: deletion.principal(identity) }
    }
}

impl PassSubject for RetentionPass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.app.identity.role_name().to_string()
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        let given = self.principal.given.clone();
        observe_retained(snapshot, &self.app.identity, given, fresh, known.index().settings()).await
    }

    fn decide(&mut self, observed: &Observed, _: &Index, memory: &mut Memory) -> Plan {
        let identity = &self.app.identity;
        note_role(identity, observed, memory);
        self.principal.found = observed.role.as_ref().map(|role| role.id.clone());
        if let VpcOwnership::AnotherCluster(foreign) = &observed.ownership {
            return another_cluster(foreign);
        }
        if memory.may_be_invisible(&Unseen::RetainedRole(identity.clone())) {
            return Plan::default();
        }
        if observed.role.is_none() && memory.may_be_invisible(&Unseen::Role(identity.clone())) {
            return Plan { legs: vec![not_listed_yet(identity)], ..Plan::default() };
        }
        retain(&self.app, observed)
    }

    fn learn(&mut self, write: &Write, result: Result<&Written, &AwsError>, memory: &mut Memory) -> Reaction {
        learn(&self.app.identity, write, result, &mut self.principal, memory);
        Reaction::Continue
    }
}

/// A pass over one place of an app that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeletionPass {
    /// Its resources are removed.
    Remove(RemovalPass),
    /// Its resources stay.
    Retain(RetentionPass),
}

impl DeletionPass {
    /// The pass that the deletion policy asks for.
    pub fn new(identity: &AppIdentity, deletion: &AppDeletion, caller: &Caller, settings: &Settings) -> Self {
        match deletion.policy {
            DeletionPolicy::Delete => Self::Remove(RemovalPass::new(identity, caller, RemovalCause::Deleted)),
            DeletionPolicy::Retain => Self::Retain(RetentionPass::new(identity, deletion, caller, settings)),
        }
    }

    /// The place.
    pub fn identity(&self) -> &AppIdentity {
        match self {
            Self::Remove(pass) => &pass.identity,
            Self::Retain(pass) => &pass.app.identity,
        }
    }

    /// The role that the function was given, where the pass knows it.
    pub fn given_role_id(self) -> Option<String> {
        match self {
            Self::Remove(_) => None,
            Self::Retain(pass) => pass.principal.given,
        }
    }
}

impl PassSubject for DeletionPass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.identity().role_name().to_string()
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        match self {
            Self::Remove(pass) => pass.observe(snapshot, fresh, known).await,
            Self::Retain(pass) => pass.observe(snapshot, fresh, known).await,
        }
    }

    fn decide(&mut self, observed: &Observed, index: &Index, memory: &mut Memory) -> Plan {
        match self {
            Self::Remove(pass) => pass.decide(observed, index, memory),
            Self::Retain(pass) => pass.decide(observed, index, memory),
        }
    }

    fn learn(&mut self, write: &Write, result: Result<&Written, &AwsError>, memory: &mut Memory) -> Reaction {
        match self {
            Self::Remove(pass) => pass.learn(write, result, memory),
            Self::Retain(pass) => pass.learn(write, result, memory),
        }
    }
}

fn not_listed_yet(identity: &AppIdentity) -> Leg {
    Leg::progressing(
        ConditionType::ExecutionRoleReady,
        Reason::RolePropagating,
        format!(
            "Role {} was created just now, and AWS does not list it yet; the role is looked for again.",
            identity.role_name()
        ),
    )
}

/// Another object of the same name owns the place of an app that is gone: the object exists, or existed meanwhile and retained its
/// resources.
pub fn is_taken_up(identity: &AppIdentity, index: &Index, memory: &mut Memory) -> bool {
    index.app(&AppName::from(identity)).is_some() || memory.may_be_invisible(&Unseen::RetainedRole(identity.clone()))
}

/// A restart loses the memory of creations just before it. An app younger than a minute without a recorded role may have a
/// role that IAM does not list yet. Times are in seconds.
pub fn is_young_and_unseen(object: &Guarded<PrivateGenAIApp>, now: i64) -> bool {
    const IAM_LISTS_WITHIN_SECONDS: i64 = 60;
    let recorded = object.0.as_ref().ok().and_then(|app| app.status.as_ref()?.execution_role.as_ref()).is_some();
    let created = object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    // To a clock that is an hour behind the API server's, an app would be young for an hour.
    !recorded && (now - created).abs() < IAM_LISTS_WITHIN_SECONDS
}

/// The condition of such a young app.
pub fn too_young() -> Leg {
    let message =
        "The app is less than a minute old, and AWS may not list its resources yet; they are looked for again.";
    Leg::progressing(ConditionType::ExecutionRoleReady, Reason::RolePropagating, message)
}

/// The places of an app's resources: the network that the object names, and those that the tags of roles name.
pub fn places(
    object: &Guarded<PrivateGenAIApp>,
    departing: &AppDeletion,
    roles: &BTreeMap<RoleName, Role>,
    settings: &Settings,
) -> BTreeSet<AppIdentity> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let mut identities = BTreeSet::new();
    identities.extend(departing.network.as_ref().map(|key| identity(object, key, settings)));
    identities.extend(
        roles
            .values()
            // What an earlier app of the name was to leave in another VPC is not this one's to take along.
            .filter(|role| !is_retained(&role.tags))
            .filter_map(|role| app_of_role(&settings.installation, role))
            .filter(|identity| identity.namespace == namespace && identity.name == name),
    );
    identities
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use kube::core::{ObjectMeta, error_boundary::InvalidObject};

    use super::*;

    #[test]
    fn an_app_is_young_for_a_minute_whatever_the_clocks_differ_by() {
        let created = 1_700_000_000;
        let creation_timestamp = Some(Time(Timestamp::from_second(created).expect("a time")));
        let metadata = ObjectMeta { creation_timestamp, ..ObjectMeta::default() };
        let object = kube::core::DeserializeGuard(Err(InvalidObject { error: "unreadable".to_owned(), metadata }));
        for (later, young) in [(0, true), (59, true), (60, false), (3_600, false), (-5, true), (-3_600, false)] {
            assert_eq!(is_young_and_unseen(&object, created + later), young, "{later} s after it was created");
        }
    }
}
