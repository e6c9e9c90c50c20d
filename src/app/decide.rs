//! Decisions about apps, from the objects, the observation of AWS, and the memory. Pure, synchronous, total; the controller
//! reads, writes and reports.

use std::{collections::BTreeSet, sync::Arc};

use kube::ResourceExt as _;

use super::{Desired, Observed, observe::observe, plan};
use crate::{
    api::{
        PrivateGenAIApp,
        app::{App, FunctionStatus},
        condition::{ConditionType, Leg, Reason, find},
        network::NetworkKey,
    },
    aws::{AwsError, IamWrite, Impact, LambdaWrite, Snapshot, Write, Written, pacing::Urgency},
    engine::{Freshness, Knowledge, Memory, PassSubject, Reaction, Replaceable, Settings, Unseen},
    identity::{AppIdentity, is_retained},
    index::Index,
    network::{VpcOwnership, ownership::ForeignMark},
    plan::{Plan, Source, Step, stands_on},
};

/// The reason why the operator neither changes nor releases an app whose status records another installation.
pub fn not_ours(object: &PrivateGenAIApp, settings: &Settings) -> Option<Leg> {
    let who = format!("PrivateGenAIApp {}/{}", object.namespace().unwrap_or_default(), object.name_any());
    object.recorded_owner(&settings.installation).leg(&who, &settings.installation)
}

/// The condition of an app on which the operator acts.
pub fn accepted_leg(app: &App) -> Leg {
    Leg::met(ConditionType::Accepted, format!("The app may use VPC {}.", app.network.vpc))
}

/// The last pass found a function of the app's name without the tags of this installation. The next pass reads the function
/// again.
pub fn is_in_doubt(object: &PrivateGenAIApp) -> bool {
    object.status.as_ref().is_some_and(|status| {
        find(&status.conditions, ConditionType::FunctionReady)
            .is_some_and(|leg| leg.reason == Reason::NameTaken.as_str())
    })
}

/// The principal that the function runs as, and the principal that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The unique id of the role that the function was given; `None` where the operator does not know the id.
    pub given: Option<String>,
    /// The unique id of the role in the last observation.
    pub found: Option<String>,
}

impl Principal {
    /// The principal that the status records.
    pub fn of(recorded: Option<&FunctionStatus>) -> Self {
        Self { given: recorded.and_then(|function| function.execution_role_id.clone()), found: None }
    }
}

/// A pass over an app that is not being deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppPass {
    /// The uid of the object.
    pub uid: String,
    /// The desired resources.
    pub desired: Arc<Desired>,
    /// The function as the status records it.
    pub recorded: Option<FunctionStatus>,
    /// The app is suspended: the pass writes nothing.
    pub suspended: bool,
    /// The pass reads the function by its name, also where the table shows no change.
    pub read_detail: bool,
    /// The principal of the function.
    pub principal: Principal,
}

impl PassSubject for AppPass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.uid.clone()
    }

    /// An app is new until its status records a function.
    fn urgency(&self) -> Urgency {
        if self.recorded.is_some() { Urgency::Existing } else { Urgency::New }
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        let (recorded, given) = (self.recorded.as_ref(), self.principal.given.clone());
        observe(snapshot, &self.desired, recorded, given, self.read_detail, fresh, known.index().settings()).await
    }

    fn decide(&mut self, observed: &Observed, _: &Index, memory: &mut Memory) -> Plan {
        let identity = &self.desired.identity;
        // An app that is not being deleted has no retained role.
        memory.seen(&Unseen::RetainedRole(identity.clone()));
        note_role(identity, observed, memory);
        self.principal.found = observed.role.as_ref().map(|role| role.id.clone());
        let mut plan = plan(&self.desired, observed);
        // The owner of the VPC decides only whether the pass writes.
        if let Some(error) = observed.unread.of(Source::SecurityGroups) {
            plan.drop_steps(error);
            return plan;
        }
        match &observed.ownership {
            VpcOwnership::Ours => {}
            VpcOwnership::Unmarked => wait_for_ownership(identity, observed, &mut plan),
            VpcOwnership::AnotherCluster(foreign) => return another_cluster(foreign),
        }
        if self.suspended {
            plan.suspend();
        }
        if plan.legs.iter().any(|leg| leg.reason == Reason::FunctionFailed)
            && !plan.steps.is_empty()
            && !memory.may_replace(Replaceable::Function(identity.clone()))
        {
            plan.postpone_replacement(ConditionType::FunctionReady);
        }
        plan
    }

    fn learn(&mut self, write: &Write, result: Result<&Written, &AwsError>, memory: &mut Memory) -> Reaction {
        learn(&self.desired.identity, write, result, &mut self.principal, memory);
        Reaction::Continue
    }
}

/// The plan for a VPC that another cluster owns.
pub(super) fn another_cluster(foreign: &ForeignMark) -> Plan {
    Plan { legs: vec![foreign.leg()], ..Plan::default() }
}

/// Drops steps that must wait until the security groups carry this cluster's owner mark. Another cluster with the same
/// installation id may be about to build, and role, function and log group have the same names in both. An app without
/// recorded resources waits with all steps; an app with recorded resources waits only with creations and the steps that
/// stand on them.
fn wait_for_ownership(identity: &AppIdentity, observed: &Observed, plan: &mut Plan) {
    let creates = |step: &Step| step.write.describe().impact == Impact::Creates;
    let is_recorded = observed.given_role_id.is_some();
    let first: Vec<Step> = plan.steps.iter().filter(|step| !is_recorded || creates(step)).cloned().collect();
    let waits =
        |step: &Step| first.contains(step) || first.iter().any(|earlier| stands_on(&step.write, &earlier.write));
    let kinds: BTreeSet<ConditionType> = plan.steps.iter().filter(|step| waits(step)).map(|step| step.leg).collect();
    plan.steps.retain(|step| !waits(step));
    for kind in kinds {
        plan.legs.retain(|leg| leg.kind != kind);
        let message = format!(
            "App {} waits for VPC {}: its resources are created and changed once both security groups of the VPC exist and carry this \
             cluster's owner mark (condition SecurityGroupsReady of its network).",
            identity.app(),
            identity.vpc
        );
        plan.legs.push(Leg::progressing(kind, Reason::WaitingForNetwork, message));
    }
}

/// A role that AWS shows is no longer one that AWS may not show yet.
pub(super) fn note_role(identity: &AppIdentity, observed: &Observed, memory: &mut Memory) {
    if observed.role.is_some() {
        memory.seen(&Unseen::Role(identity.clone()));
    }
}

/// Remembers from AWS's answer to a write: a new role that AWS may not show yet, and the role that the function was given.
pub(super) fn learn(
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

/// The identity of an object's app on a network.
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
    use super::*;
    use crate::{
        app::fixtures::{at_rest, identity, operations, put_policy},
        aws::{Ec2Write, LogsWrite, Tags},
    };

    #[test]
    fn a_creating_write_of_any_service_waits_while_the_vpc_has_no_owner_mark() {
        let group = Ec2Write::CreateSecurityGroup {
            vpc: identity().vpc,
            name: "group".to_owned(),
            description: String::new(),
            tags: Tags::new(),
        };
        let log_group = LogsWrite::CreateLogGroup { name: identity().log_group_name(), tags: Tags::new() };
        let mut plan = Plan::default();
        plan.step(ConditionType::SecurityGroupsReady, group);
        plan.step(ConditionType::FunctionReady, log_group);
        plan.step(ConditionType::ExecutionRoleReady, put_policy());
        let recorded = Observed { given_role_id: Some("AROAEXAMPLE".to_owned()), ..at_rest() };
        wait_for_ownership(&identity(), &recorded, &mut plan);
        assert_eq!(operations(&plan), ["PutRolePolicy"], "what this cluster made is kept exact");
        let kinds: BTreeSet<ConditionType> = plan.legs.iter().map(|leg| leg.kind).collect();
        assert_eq!(kinds, [ConditionType::FunctionReady, ConditionType::SecurityGroupsReady].into());
    }
}
