//! Decides about apps: by the objects that there are, what AWS showed, and what is remembered. Pure, synchronous, total; the
//! controller around it looks, writes and tells.

use std::collections::{BTreeMap, BTreeSet};

use kube::{Resource as _, ResourceExt as _};

use super::{
    AppDeletion, Desired, Observed, RetainedApp,
    network_view::{NetworkView, name_conflict, not_allowed, unreadable, waiting},
    plan, retain, teardown,
};
use crate::{
    api::{
        AppName, PrivateGenAIApp,
        app::{App, AppNetworkStatus, FunctionStatus},
        condition::{ConditionType, Leg, Reason, find},
        network::NetworkKey,
    },
    aws::{AwsError, IamWrite, LambdaWrite, LogsWrite, Role, RoleName, Write, Written},
    engine::{Guarded, Memory, Replaceable, Settings, Unseen},
    governance::Governance,
    identity::{AppIdentity, is_retained},
    index::{Admission, Index, implicit_name},
    network::{VpcOwnership, ownership::ForeignMark},
    plan::{Plan, Source, Step, stands_on},
    policy::app_of_role,
};

/// What an app stands on, by the objects that there are.
pub enum NetworkBinding {
    /// It is not acted on, for this reason.
    Refused(Leg),
    /// No network stands for its VPC.
    Unbound {
        /// The app.
        app: App,
        /// How it stands.
        leg: Leg,
        /// The network of this name is to be created for it.
        bring: Option<String>,
    },
    /// It is on a network.
    Bound {
        /// The app.
        app: App,
        /// The network.
        network: AppNetworkStatus,
        /// What it sees of it.
        view: NetworkView,
    },
}

/// What an app that should be there stands on.
pub fn network_binding(object: &PrivateGenAIApp, index: &Index) -> NetworkBinding {
    if let Some(leg) = not_ours(object, index.settings()) {
        return NetworkBinding::Refused(leg);
    }
    let app = match Admission::of(object, index.settings()) {
        Admission::Accepted(app) => app,
        Admission::Refused(_, refusal) => return NetworkBinding::Refused(not_allowed(&refusal)),
        Admission::Unreadable(problem) => {
            let told = format!("{problem}.");
            return NetworkBinding::Refused(Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, told));
        }
    };
    let Some(network) = index.accepted(&app.network) else {
        let name = implicit_name(&app.network);
        let found = index.network(&name).map(|network| network.decoded().is_some());
        let (leg, bring) = match found {
            Some(true) => (name_conflict(&name, &app.network), None),
            Some(false) => (unreadable(&name), None),
            None => (waiting(format!("PrivateGenAINetwork {name} is being created.")), Some(name)),
        };
        return NetworkBinding::Unbound { app, leg, bring };
    };
    let view = NetworkView::new(network, &app, &index.settings().installation);
    let network = AppNetworkStatus {
        name: network.name_any(),
        vpc_id: app.network.vpc.to_string(),
        region: app.network.region.to_string(),
    };
    NetworkBinding::Bound { app, network, view }
}

/// Why nothing is done for an app by what its status says of whose it is, and why it is not let go.
pub fn not_ours(object: &PrivateGenAIApp, settings: &Settings) -> Option<Leg> {
    let who = format!("PrivateGenAIApp {}/{}", object.namespace().unwrap_or_default(), object.name_any());
    object.recorded(&settings.installation).leg(&who, &settings.installation)
}

/// The operator acts on the app.
pub fn accepted_leg(app: &App) -> Leg {
    Leg::met(ConditionType::Accepted, format!("The app may use VPC {}.", app.network.vpc))
}

/// A function that was found without its tags stays in doubt until it is looked at again.
pub fn is_in_doubt(object: &PrivateGenAIApp) -> bool {
    object.status.as_ref().is_some_and(|status| {
        find(&status.conditions, ConditionType::FunctionReady)
            .is_some_and(|leg| leg.reason == Reason::NameTaken.as_str())
    })
}

/// Which principal the function runs as, and which one is to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The unique id of the role that the function was given, as far as it is known.
    pub given: Option<String>,
    /// The unique id of the role as it was last seen.
    pub found: Option<String>,
}

impl Principal {
    /// What is on record.
    pub fn of(recorded: Option<&FunctionStatus>) -> Self {
        Self { given: recorded.and_then(|function| function.execution_role_id.clone()), found: None }
    }
}

/// A pass begins for an app that should be there: nothing of it is retained any more.
pub fn begins(desired: &Desired, memory: &mut Memory) {
    memory.seen(&Unseen::RetainedRole(desired.identity.clone()));
}

/// Decides about an app that should be there.
pub fn decide(
    desired: &Desired,
    observed: &Observed,
    suspended: bool,
    principal: &mut Principal,
    memory: &mut Memory,
) -> Plan {
    if observed.role.is_some() {
        memory.seen(&Unseen::Role(desired.identity.clone()));
    }
    principal.found = observed.role.as_ref().map(|role| role.id.clone());
    let mut plan = plan(desired, observed);
    // Whose the VPC is decides whether anything is written, and nothing else.
    if let Some(error) = observed.unread.of(Source::SecurityGroups) {
        plan.drop_steps(error);
        return plan;
    }
    match &observed.ownership {
        VpcOwnership::Ours => {}
        VpcOwnership::Unmarked => wait_for_claim(&desired.identity, observed, &mut plan),
        VpcOwnership::AnotherCluster(foreign) => return another_cluster(foreign),
    }
    if suspended {
        plan.suspend();
    }
    if plan.legs.iter().any(|leg| leg.reason == Reason::FunctionFailed)
        && !plan.steps.is_empty()
        && !memory.may_replace(Replaceable::Function(desired.identity.clone()))
    {
        plan.postpone_replacement(ConditionType::FunctionReady);
    }
    plan
}

/// The VPC is another cluster's.
fn another_cluster(foreign: &ForeignMark) -> Plan {
    Plan { legs: vec![foreign.leg()], ..Plan::default() }
}

/// The groups do not say yet that the VPC is this cluster's: another one with the same installation id may be about to build, and
/// role, function and log group have the same names in both. Nothing is created before. What this cluster made, as the status
/// recorded, is kept exact all the same.
fn wait_for_claim(identity: &AppIdentity, observed: &Observed, plan: &mut Plan) {
    let creates = |step: &Step| {
        matches!(
            step.write,
            Write::Iam(IamWrite::CreateRole { .. })
                | Write::Logs(LogsWrite::CreateLogGroup { .. })
                | Write::Lambda(LambdaWrite::CreateFunction(_))
        )
    };
    let is_recorded = observed.given_role_id.is_some();
    let first: Vec<Step> = plan.steps.iter().filter(|step| !is_recorded || creates(step)).cloned().collect();
    let waits =
        |step: &Step| first.contains(step) || first.iter().any(|earlier| stands_on(&step.write, &earlier.write));
    let kinds: BTreeSet<ConditionType> = plan.steps.iter().filter(|step| waits(step)).map(|step| step.leg).collect();
    plan.steps.retain(|step| !waits(step));
    for kind in kinds {
        plan.legs.retain(|leg| leg.kind != kind);
        let message = format!(
            "It goes on once both security groups of VPC {} are there and carry this cluster's owner mark.",
            identity.vpc
        );
        plan.legs.push(Leg::progressing(kind, Reason::WaitingForNetwork, message));
    }
}

/// Remembers what only answers tell.
pub fn learn(
    identity: &AppIdentity,
    write: &Write,
    result: Result<&Written, &AwsError>,
    principal: &mut Principal,
    memory: &mut Memory,
) {
    match (write, result) {
        (Write::Iam(IamWrite::CreateRole { .. }), Ok(_)) => memory.created(Unseen::Role(identity.clone())),
        (Write::Iam(IamWrite::TagRole { tags, .. }), Ok(_)) if is_retained(tags) => {
            memory.created(Unseen::RetainedRole(identity.clone()));
        }
        (Write::Lambda(LambdaWrite::CreateFunction(_) | LambdaWrite::UpdateFunctionConfiguration { .. }), Ok(_)) => {
            principal.given.clone_from(&principal.found);
        }
        _ => {}
    }
}

/// Decides about an app that is to go with its resources. `is_back`: an object of its name is there again, from when on
/// nothing is removed.
pub fn decide_removal(
    identity: &AppIdentity,
    observed: &Observed,
    is_back: bool,
    governance: &Governance,
    memory: &mut Memory,
) -> Plan {
    let role = Unseen::Role(identity.clone());
    if observed.role.is_some() {
        memory.seen(&role);
    }
    if is_back {
        return Plan::default();
    }
    if let VpcOwnership::AnotherCluster(foreign) = &observed.ownership {
        return another_cluster(foreign);
    }
    let mut plan = teardown(identity, observed, governance);
    if plan.is_nothing() && memory.may_be_invisible(&role) {
        plan.legs.push(not_listed_yet(identity));
    }
    plan
}

/// Decides about an app that is to go and leave its resources.
pub fn decide_retention(
    retention: &RetainedApp,
    observed: &Observed,
    principal: &mut Principal,
    memory: &mut Memory,
) -> Plan {
    let identity = &retention.identity;
    let unseen = Unseen::Role(identity.clone());
    if observed.role.is_some() {
        memory.seen(&unseen);
    }
    principal.found = observed.role.as_ref().map(|role| role.id.clone());
    if let VpcOwnership::AnotherCluster(foreign) = &observed.ownership {
        return another_cluster(foreign);
    }
    if memory.may_be_invisible(&Unseen::RetainedRole(identity.clone())) {
        return Plan::default();
    }
    if observed.role.is_none() && memory.may_be_invisible(&unseen) {
        return Plan { legs: vec![not_listed_yet(identity)], ..Plan::default() };
    }
    retain(retention, observed)
}

fn not_listed_yet(identity: &AppIdentity) -> Leg {
    Leg::progressing(
        ConditionType::ExecutionRoleReady,
        Reason::RolePropagating,
        format!("Role {} was created just now and is not listed yet; it is looked for again.", identity.role_name()),
    )
}

/// An object of an app's name is there, whatever its state.
pub fn is_back(identity: &AppIdentity, index: &Index) -> bool {
    index.app(&AppName::from(identity)).is_some()
}

/// Right after a restart nobody remembers what was created just before it. An app of less than a minute on which no role
/// was recorded may have one that IAM does not list yet. Times are in seconds.
pub fn is_young_and_unseen(object: &Guarded<PrivateGenAIApp>, now: i64) -> bool {
    const IAM_LISTS_WITHIN_SECONDS: i64 = 60;
    let recorded = object.0.as_ref().ok().and_then(|app| app.status.as_ref()?.execution_role.as_ref()).is_some();
    let created = object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    // To a clock that is an hour behind the API server's, an app would be young for an hour.
    !recorded && (now - created).abs() < IAM_LISTS_WITHIN_SECONDS
}

/// What an app is told while it is so young.
pub fn too_young() -> Leg {
    let message = "The app is so young that AWS may not list what was created for it; it is looked for again.";
    Leg::progressing(ConditionType::ExecutionRoleReady, Reason::RolePropagating, message)
}

/// Where an app's resources are: where it says, and where the tags of roles say that it was.
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

/// Which app an object is, on a network.
pub fn identity(object: &impl kube::ResourceExt, key: &NetworkKey, settings: &Settings) -> AppIdentity {
    AppIdentity {
        installation: settings.installation.clone(),
        region: key.region.clone(),
        vpc: key.vpc.clone(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use kube::core::{ObjectMeta, error_boundary::InvalidObject};

    use super::*;

    #[test]
    fn an_app_is_young_for_a_minute_also_where_clocks_differ_by_seconds_and_not_for_an_hour_where_they_differ_by_that()
    {
        let created = 1_700_000_000;
        let creation_timestamp = Some(Time(Timestamp::from_second(created).expect("a time")));
        let metadata = ObjectMeta { creation_timestamp, ..ObjectMeta::default() };
        let object = kube::core::DeserializeGuard(Err(InvalidObject { error: "unreadable".to_owned(), metadata }));
        for (later, young) in [(0, true), (59, true), (60, false), (3_600, false), (-5, true), (-3_600, false)] {
            assert_eq!(is_young_and_unseen(&object, created + later), young, "{later} s after it was created");
        }
    }
}
