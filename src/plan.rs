//! What a controller decided: the next writes, and how each leg of the path stands.

mod denied;
mod order;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason, find},
    aws::{AwsError, Class, Ec2Write, Failure, IamWrite, LambdaWrite, Quota, Role, Write},
    governance::Governance,
    identity::TAG_INSTALLATION,
    policy::{POLICY_NAME, handed_over_policy, trust_policy},
};

pub use order::{gives_way, makes_room, stands_on};

/// What a look reads from AWS, each by itself: what cannot be read holds up nothing that does not stand on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// VPCs, subnets, route tables, and the endpoint services on offer.
    Topology,
    /// Endpoints and their interfaces.
    Endpoints,
    /// Security groups.
    SecurityGroups,
    /// Roles with their policies.
    Roles,
    /// Interfaces of functions.
    Interfaces,
    /// Functions.
    Functions,
    /// Log groups and their tags.
    LogGroups,
}

/// What a look could not read, and why. The facts about it are empty then: nothing is ever concluded from that.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unread {
    why: BTreeMap<Source, AwsError>,
    /// What was read.
    read: BTreeSet<Source>,
}

impl Unread {
    /// Takes an answer apart: the facts, or `None` where they could not be read, which is remembered.
    ///
    /// # Errors
    /// When AWS does not take the credentials, throttles the operator, or allows it nothing, whichever service is asked: nothing
    /// else is asked for then.
    pub fn take<T>(&mut self, source: Source, answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
        match answer {
            Ok(facts) => {
                self.read.insert(source);
                Ok(Some(facts))
            }
            Err(error) if matches!(error.failure, Failure::Credentials | Failure::Throttled) => Err(error),
            Err(error) => {
                let first = self.why.values().find(|before| {
                    let denied = [&error, before].iter().all(|it| it.failure == Failure::AccessDenied);
                    denied && before.service != error.service
                });
                if let Some(first) = first.filter(|_| self.read.is_empty()) {
                    return Err(first.clone());
                }
                self.why.entry(source).or_insert(error);
                Ok(None)
            }
        }
    }

    /// Why something could not be read; `None` where it was.
    pub fn of(&self, source: Source) -> Option<&AwsError> {
        self.why.get(&source)
    }

    /// Whether something was read.
    pub fn lacks(&self, source: Source) -> bool {
        self.why.contains_key(&source)
    }

    /// Everything was read.
    pub fn is_complete(&self) -> bool {
        self.why.is_empty()
    }

    /// Why the look is not complete, the first of the causes; `None` where it is.
    pub fn first(&self) -> Option<&AwsError> {
        self.why.values().next()
    }
}

/// How long what the status says holds, where AWS cannot be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedObservations {
    /// So few looks in a row were missed that it holds.
    Few,
    /// Nothing is claimed any more.
    Many,
}

impl MissedObservations {
    /// For three looks, what was recorded holds. `before` is how many were missed in a row before this one.
    pub fn after(before: u32) -> Self {
        if before < 3 { Self::Few } else { Self::Many }
    }
}

/// Items for a message, the first ten of them.
pub fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 10;
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let shown = items.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// One write, and the leg that it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The leg that shows when the write fails.
    pub leg: ConditionType,
    /// The write.
    pub write: Write,
}

/// A decision. Pure: the same desired and observed state give the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// Writes that can be made now, in this order. What depends on their answers comes in the next plan.
    pub steps: Vec<Step>,
    /// How the legs stand before the steps.
    pub legs: Vec<Leg>,
    /// The legs whose facts could not be read, and why.
    pub unread: BTreeMap<ConditionType, AwsError>,
}

impl Plan {
    /// Nothing is to be done, and nothing is waited for: by this an object is let go. A look that is not complete never says so.
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty() && self.legs.is_empty() && self.unread.is_empty()
    }

    /// Facts behind a leg could not be read. Of several causes the one that somebody must see to is told.
    pub fn unread(&mut self, kind: ConditionType, error: Option<&AwsError>) {
        let Some(error) = error else { return };
        let somebody = |error: &AwsError| error.failure.class() == Class::UserMustAct;
        if self.unread.get(&kind).is_none_or(|told| !somebody(told) && somebody(error)) {
            self.unread.insert(kind, error.clone());
        }
    }

    /// The legs in their order, also those whose facts could not be read: what the status says of them holds while few looks
    /// were missed, then nothing is claimed of them. A leg that needs somebody to act stays as it is.
    pub fn legs_to_show(&self, resource: &str, recorded: &[Condition], missed: MissedObservations) -> Vec<Leg> {
        let mut legs = self.legs.clone();
        let mut told: Vec<&AwsError> = Vec::new();
        for (kind, error) in &self.unread {
            if legs.iter().any(|leg| leg.kind == *kind && leg.state == LegState::Blocked) {
                continue;
            }
            legs.retain(|leg| leg.kind != *kind);
            let held = find(recorded, *kind).filter(|leg| leg.status == "True" && missed == MissedObservations::Few);
            legs.push(match (held, error.failure.class()) {
                (Some(leg), _) => Leg::met(*kind, leg.message.clone()),
                (None, Class::UserMustAct) if !told.contains(&error) => {
                    told.push(error);
                    explain_failure(*kind, resource, error)
                }
                (None, Class::UserMustAct | Class::Wait | Class::Retry) => {
                    let message = explain_failure(*kind, resource, error).message;
                    Leg::unknown(*kind, Reason::ObservationFailed, message)
                }
            });
        }
        legs.sort_by_key(|leg| leg.kind);
        legs
    }

    /// Adds a write for a leg.
    pub fn step(&mut self, leg: ConditionType, write: Write) {
        self.steps.push(Step { leg, write });
    }

    /// Nothing may be written, for something could not be read on which every write stands: of the legs that the writes are for
    /// nothing is known, and the others are what they are.
    pub fn drop_steps(&mut self, error: &AwsError) {
        let kinds: BTreeSet<ConditionType> = self.steps.drain(..).map(|step| step.leg).collect();
        for kind in kinds {
            self.unread(kind, Some(error));
        }
    }

    /// Puts the writes that only tag behind all others: what AWS refuses of tags, by a policy of the organisation or because there
    /// are fifty, keeps nothing from being private. The role's come last, for they tell that everything else has its own.
    pub fn tag_last(&mut self) {
        self.steps.sort_by_key(|step| step.write.tagging());
    }

    /// Something is not as it should be for a cause that lies in AWS, where a fresh look may find it gone. What is in use
    /// was looked at afresh already: nobody keeps the list of interfaces. What is suspended waits for its object. What could not
    /// be read was asked for just now.
    pub fn needs_fresh_look(&self) -> bool {
        let settled = [Reason::WaitingForNetwork, Reason::DependencyNotReady, Reason::ResourceInUse, Reason::Suspended];
        self.legs.iter().any(|leg| {
            leg.state != LegState::Met && !settled.contains(&leg.reason) && !self.unread.contains_key(&leg.kind)
        })
    }

    /// Makes none of the writes: the legs that they are for say what would be done. A function that sleeps is not waited
    /// for: nothing wakes it.
    pub fn suspend(&mut self) {
        let mut pending: BTreeMap<ConditionType, Vec<String>> = BTreeMap::new();
        for Step { leg, write } in self.steps.drain(..) {
            let (service, operation) = write.operation();
            pending.entry(leg).or_default().push(format!("{service}:{operation} {}", write.resource()));
        }
        for (kind, writes) in pending {
            let message = format!("The app is suspended. To be done: {}. Set spec.suspend to false.", listed(writes));
            self.legs.retain(|leg| leg.kind != kind);
            self.legs.push(Leg::blocked(kind, Reason::Suspended, message));
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.reason == Reason::FunctionInactive) {
            let message = "The app is suspended: its function sleeps and is not woken. Set spec.suspend to false.";
            *leg = Leg::blocked(leg.kind, Reason::Suspended, message);
        }
    }

    /// Replacing what failed is not tried again yet: the leg says that somebody should look at the cause. What else the leg is
    /// about goes on.
    pub fn postpone_replacement(&mut self, kind: ConditionType) {
        let replaces = |write: &Write| {
            matches!(
                write,
                Write::Lambda(LambdaWrite::DeleteFunction { .. }) | Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. })
            )
        };
        self.steps.retain(|step| step.leg != kind || !replaces(&step.write));
        for leg in self.legs.iter_mut().filter(|leg| leg.kind == kind) {
            leg.state = LegState::Blocked;
            leg.message.push_str(" It failed before: correct the cause; it is tried again every five minutes.");
        }
    }

    /// Puts a role under the permissions boundary, where it is not: before anything else is written to it, for the operator may
    /// write the policies of no other role.
    pub fn set_permissions_boundary(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        if let Some(write) = governance.bound(role) {
            self.step(leg, write);
        }
    }

    /// Deletes a role with what hangs on it.
    pub fn delete_role(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        if !(role.inline_policies.is_empty() && role.attached_policies.is_empty()) {
            self.set_permissions_boundary(leg, role, governance);
        }
        for policy in role.inline_policies.keys() {
            self.step(leg, Write::Iam(IamWrite::DeleteRolePolicy { role: role.name.clone(), policy: policy.clone() }));
        }
        self.detach_all_policies(leg, role);
        self.step(leg, Write::Iam(IamWrite::DeleteRole { role: role.name.clone() }));
    }

    /// Leaves a role with no more than Lambda needs to release interfaces: while the role is kept for that, and when it is handed over.
    pub fn restrict_to_interfaces(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        self.set_permissions_boundary(leg, role, governance);
        let (name, document) = (role.name.clone(), handed_over_policy());
        for policy in role.inline_policies.keys().filter(|policy| *policy != POLICY_NAME) {
            self.step(leg, Write::Iam(IamWrite::DeleteRolePolicy { role: name.clone(), policy: policy.clone() }));
        }
        self.detach_all_policies(leg, role);
        // Whoever changed this meanwhile kept Lambda from assuming the role.
        let trust_policy = trust_policy();
        if role.trust_policy != trust_policy {
            self.step(leg, Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: name.clone(), trust_policy }));
        }
        if role.inline_policies.get(POLICY_NAME) != Some(&document) {
            self.step(
                leg,
                Write::Iam(IamWrite::PutRolePolicy { role: name, policy: POLICY_NAME.to_owned(), document }),
            );
        }
    }

    /// Takes every managed policy off a role.
    pub fn detach_all_policies(&mut self, leg: ConditionType, role: &Role) {
        for policy_arn in &role.attached_policies {
            self.step(
                leg,
                Write::Iam(IamWrite::DetachRolePolicy { role: role.name.clone(), policy_arn: policy_arn.clone() }),
            );
        }
    }

    /// Lets a failed call show on its leg. A leg that needs somebody to act stays as it is.
    pub fn show_failure(&mut self, kind: ConditionType, write: &Write, error: &AwsError) {
        let mut told = explain_failure(kind, &write.resource(), error);
        let may_lack_the_boundary = error.denial().is_some_and(|denial| denied::is_up_to_the_role(&denial));
        if may_lack_the_boundary && let Some(boundary) = write.permissions_boundary() {
            let message = &mut told.message;
            *message = format!(
                "{message} It gives the role the permissions boundary {boundary}: the policy of the operator's role must be the one that \
                 iam-policy prints with --permissions-boundary-arn {boundary}."
            );
        }
        self.set_leg(told);
    }

    /// Puts a leg in the place of the one of its kind. A leg that needs somebody to act stays as it is.
    pub fn set_leg(&mut self, told: Leg) {
        match self.legs.iter_mut().find(|leg| leg.kind == told.kind) {
            Some(leg) if leg.state == LegState::Blocked => {}
            Some(leg) => *leg = told,
            None => self.legs.push(told),
        }
    }

    /// The same, where the leg of its kind has this reason.
    pub fn set_leg_instead_of(&mut self, reason: Reason, told: Leg) {
        if self.legs.iter().any(|leg| leg.kind == told.kind && leg.reason == reason) {
            self.set_leg(told);
        }
    }
}

/// AWS could not be looked at: nothing is claimed any more about these legs. The first says why.
pub fn unobserved(kinds: &[ConditionType], resource: &str, error: &AwsError) -> Vec<Leg> {
    let told = explain_failure(ConditionType::Ready, resource, error);
    kinds
        .iter()
        .enumerate()
        .map(|(index, kind)| match error.failure.class() {
            Class::UserMustAct if index == 0 => Leg { kind: *kind, ..told.clone() },
            Class::Wait | Class::Retry if index == 0 => {
                Leg::unknown(*kind, Reason::ObservationFailed, told.message.clone())
            }
            Class::UserMustAct | Class::Wait | Class::Retry => {
                let message = format!("AWS cannot be looked at, as {} says.", kinds[0].as_str());
                Leg::unknown(*kind, Reason::ObservationFailed, message)
            }
        })
        .collect()
}

/// Turns a failed call into a leg: the reason, and a sentence that names the resource and the remedy.
pub fn explain_failure(kind: ConditionType, resource: &str, error: &AwsError) -> Leg {
    let (reason, remedy) = match error.failure {
        Failure::Throttled => (Reason::Throttled, "It is tried again, less often each time.".to_owned()),
        Failure::Unavailable | Failure::Malformed => {
            (Reason::AwsUnavailable, "It is tried again, less often each time.".to_owned())
        }
        Failure::NotFound => (Reason::Applying, "AWS does not know it yet; it is looked for again.".to_owned()),
        Failure::AlreadyExists => {
            (Reason::Applying, "It is there already and does not show yet: it is looked for again for a minute.".to_owned())
        }
        Failure::NameTaken => (
            Reason::NameTaken,
            format!(
                "A resource of this name is there and is not this installation's: delete it, or tag it {TAG_INSTALLATION}= with the \
                 installation's id if it is; it is tried again."
            ),
        ),
        Failure::TokenMismatch => (
            Reason::EndpointPending,
            "An earlier call created an endpoint here: it is looked for by its tags for a minute, and is created anew if it \
             does not show until then."
                .to_owned(),
        ),
        Failure::InUse => (Reason::ResourceInUse, "It is tried again until nothing uses it any more.".to_owned()),
        Failure::NotYet => (Reason::Applying, "AWS is still at work on it: it is tried again.".to_owned()),
        Failure::RoleNotUsable => {
            (Reason::RolePropagating, "A new role takes AWS some seconds: it is tried again.".to_owned())
        }
        Failure::PrivateDnsConflict => {
            (Reason::AwsRefused, "Another endpoint or hosted zone holds the service's name in this VPC.".to_owned())
        }
        Failure::BoundaryMissing => (
            Reason::AwsRefused,
            "Create the managed policy that AWS's message names, or let --permissions-boundary-arn (permissionsBoundaryArn of \
             the chart) name another one; it is tried again."
                .to_owned(),
        ),
        Failure::AccessDenied => {
            (Reason::AccessDenied, error.denial().map(|denial| denied::remedy(&denial)).unwrap_or_default())
        }
        Failure::KeyUnusable => (
            Reason::EnvironmentUnreadable,
            "Lambda cannot decrypt the function's environment: enable the KMS key, or let it be used, as AWS's message says; or delete \
             the function, and it is created again with Lambda's own key."
                .to_owned(),
        ),
        Failure::Credentials => (
            Reason::CredentialsInvalid,
            "Give the operator valid AWS credentials (IRSA or EKS Pod Identity); it is tried again.".to_owned(),
        ),
        Failure::QuotaReached => {
            let remedy = match error.quota() {
                Some(Quota::FunctionMemory) => {
                    "Set spec.function.memoryMiB to no more than AWS's message names, or have AWS Support raise what the account may give a \
                     function; it is tried again."
                }
                Some(Quota::Other) | None => {
                    "Raise the quota in Service Quotas, or remove what is not needed (of tags, AWS takes fifty); it is tried again."
                }
            };
            (Reason::QuotaReached, remedy.to_owned())
        }
        Failure::Invalid => (Reason::AwsRefused, "Correct what AWS's message names; it is tried again.".to_owned()),
    };
    let message = format!("{resource}: {error}. {remedy}");
    match error.failure.class() {
        Class::Wait | Class::Retry => Leg::progressing(kind, reason, message),
        Class::UserMustAct => Leg::blocked(kind, reason, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{LogsWrite, RoleName};

    fn failed(failure: Failure) -> AwsError {
        AwsError {
            service: "ec2",
            operation: "CreateVpcEndpoint",
            failure,
            code: Some("SomeCode".to_owned()),
            message: "AWS's words".to_owned(),
            request_id: Some("4f7-9a".to_owned()),
        }
    }

    #[test]
    fn every_failure_is_told_with_its_reason_its_resource_and_what_happens_or_is_to_be_done_next() {
        use Failure as F;
        use LegState::{Blocked, Progressing};
        use Reason as R;
        for (failure, standing, reason, remedy) in [
            (F::Throttled, Progressing, R::Throttled, "tried again"),
            (F::Unavailable, Progressing, R::AwsUnavailable, "tried again"),
            (F::Malformed, Progressing, R::AwsUnavailable, "tried again"),
            (F::NotFound, Progressing, R::Applying, "looked for again"),
            (F::AlreadyExists, Progressing, R::Applying, "looked for again for a minute"),
            (F::NameTaken, Blocked, R::NameTaken, "delete it, or tag it privategenai.dev/installation="),
            (F::TokenMismatch, Progressing, R::EndpointPending, "looked for by its tags"),
            (F::InUse, Progressing, R::ResourceInUse, "until nothing uses it"),
            (F::NotYet, Progressing, R::Applying, "still at work on it"),
            (F::RoleNotUsable, Progressing, R::RolePropagating, "A new role takes AWS some seconds"),
            (F::PrivateDnsConflict, Blocked, R::AwsRefused, "holds the service's name"),
            (F::BoundaryMissing, Blocked, R::AwsRefused, "Create the managed policy"),
            (F::AccessDenied, Blocked, R::AccessDenied, "Allow the operator's role ec2:CreateVpcEndpoint"),
            (F::KeyUnusable, Blocked, R::EnvironmentUnreadable, "enable the KMS key"),
            (F::Credentials, Blocked, R::CredentialsInvalid, "valid AWS credentials"),
            (F::QuotaReached, Blocked, R::QuotaReached, "Raise the quota"),
            (F::Invalid, Blocked, R::AwsRefused, "Correct what AWS's message names"),
        ] {
            let leg = explain_failure(ConditionType::EndpointsReady, "vpce-00000001", &failed(failure));
            assert_eq!((leg.kind, leg.state, leg.reason), (ConditionType::EndpointsReady, standing, reason));
            assert!(
                leg.message.starts_with(
                    "vpce-00000001: ec2:CreateVpcEndpoint failed: SomeCode: AWS's words (request id 4f7-9a). "
                ),
                "{}",
                leg.message
            );
            assert!(leg.message.contains(remedy), "{failure:?}: {}", leg.message);
            let has_bound = reason.wait().is_some();
            assert!(standing == Blocked || has_bound, "{failure:?} waits for ever");
        }
    }

    #[test]
    fn a_suspended_plan_writes_nothing_and_names_what_it_would_have_written() {
        let (role, log_group) = ("pgai-x".parse().expect("a role"), "/aws/lambda/pgai-x".parse().expect("a group"));
        let steps = vec![
            Step { leg: ConditionType::ExecutionRoleReady, write: Write::Iam(IamWrite::DeleteRole { role }) },
            Step {
                leg: ConditionType::FunctionReady,
                write: Write::Logs(LogsWrite::DeleteLogGroup { name: log_group }),
            },
        ];
        let network = Leg::met(ConditionType::NetworkReady, "fine");
        let before = Leg::progressing(ConditionType::ExecutionRoleReady, Reason::Applying, "soon");
        let mut plan = Plan { steps, legs: vec![network.clone(), before], ..Plan::default() };
        plan.suspend();
        assert_eq!(plan.steps, []);
        let told: Vec<_> = plan.legs.iter().map(|leg| (leg.kind, leg.state, leg.reason)).collect();
        let (blocked, suspended) = (LegState::Blocked, Reason::Suspended);
        assert_eq!(
            told,
            [
                (ConditionType::NetworkReady, LegState::Met, Reason::Ready),
                (ConditionType::ExecutionRoleReady, blocked, suspended),
                (ConditionType::FunctionReady, blocked, suspended),
            ]
        );
        assert!(plan.legs[1].message.contains("iam:DeleteRole pgai-x"), "{}", plan.legs[1].message);
        let mut at_rest = Plan { legs: vec![network], ..Plan::default() };
        let same = at_rest.clone();
        at_rest.suspend();
        assert_eq!(at_rest, same);
    }

    #[test]
    fn a_function_with_more_memory_than_the_account_may_give_is_told_so_and_not_to_look_into_service_quotas() {
        let message = "Value '5120' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 3008";
        let error = AwsError { message: message.to_owned(), ..failed(Failure::QuotaReached) };
        let told = explain_failure(ConditionType::FunctionReady, "pgai-x", &error).message;
        assert!(told.contains("3008") && told.contains("spec.function.memoryMiB"), "{told}");
        assert!(!told.contains("Service Quotas"), "{told}");
    }

    #[test]
    fn where_aws_cannot_be_looked_at_one_leg_says_why_and_the_others_name_that_one() {
        let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
        for failure in [Failure::Credentials, Failure::Unavailable] {
            let [first, second] = &unobserved(&kinds, "bot", &failed(failure))[..] else { panic!("two legs") };
            assert!(first.message.contains("AWS's words"), "{first:?}");
            assert!(
                second.message.contains("ExecutionRoleReady") && !second.message.contains("AWS's words"),
                "{second:?}"
            );
        }
    }

    #[test]
    fn a_message_names_ten_and_counts_the_rest() {
        assert_eq!(listed(["a", "b"]), "a, b");
        assert_eq!(listed(0..12), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }

    #[test]
    fn a_failed_call_shows_on_its_leg_unless_that_asks_somebody_to_act_already() {
        let kind = ConditionType::EndpointsReady;
        let told = explain_failure(kind, "vpce-00000001", &failed(Failure::Throttled));
        let asks = Leg::blocked(kind, Reason::PolicyTooLong, "act");
        let other = Leg::met(ConditionType::VpcReady, "fine");
        for (before, after) in [
            (vec![], vec![told.clone()]),
            (vec![Leg::met(kind, "fine")], vec![told.clone()]),
            (vec![Leg::progressing(kind, Reason::Applying, "soon")], vec![told.clone()]),
            (vec![asks.clone()], vec![asks]),
            (vec![other.clone()], vec![other, told]),
        ] {
            let mut plan = Plan { legs: before, ..Plan::default() };
            let write = Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: "vpce-00000001".parse().expect("an id") });
            plan.show_failure(kind, &write, &failed(Failure::Throttled));
            assert_eq!(plan.legs, after);
        }
    }

    #[test]
    fn a_refusal_of_a_write_that_gives_a_boundary_names_it_and_what_the_operator_s_policy_must_be() {
        let kind = ConditionType::ExecutionRoleReady;
        let arn = "arn:aws:iam::123456789012:policy/b";
        let role: RoleName = "pgai-x".parse().expect("a role");
        let put = Write::Iam(IamWrite::PutRolePermissionsBoundary {
            role: role.clone(),
            boundary: arn.parse().expect("an ARN"),
        });
        let message = |write: &Write, failure| {
            let mut plan = Plan::default();
            plan.show_failure(kind, write, &failed(failure));
            assert_eq!(plan.legs[0].state, LegState::Blocked);
            plan.legs.remove(0).message
        };
        let told = message(&put, Failure::AccessDenied);
        assert!(told.contains(&format!("iam-policy prints with --permissions-boundary-arn {arn}.")), "{told}");
        let other = message(&Write::Iam(IamWrite::DeleteRole { role }), Failure::AccessDenied);
        assert!(!other.contains("It gives the role"), "{other}");
    }

    #[test]
    fn a_fresh_look_is_worth_it_for_whatever_is_not_met_but_the_network() {
        let unsettled = |leg: Leg| Plan { legs: vec![leg], ..Plan::default() }.needs_fresh_look();
        let kind = ConditionType::FunctionReady;
        assert!(!unsettled(Leg::met(kind, "")));
        assert!(
            !unsettled(Leg::progressing(kind, Reason::WaitingForNetwork, "")),
            "the network's status wakes the app"
        );
        assert!(unsettled(Leg::progressing(kind, Reason::FunctionPending, "")));
        assert!(unsettled(Leg::blocked(kind, Reason::NameTaken, "")));
        assert!(!unsettled(Leg::blocked(kind, Reason::Suspended, "")), "its object wakes it");
    }

    #[test]
    fn what_cannot_be_read_holds_for_a_few_looks_and_then_nothing_is_claimed_of_it_but_of_the_rest() {
        use crate::api::condition::fold;
        use k8s_openapi::jiff::Timestamp;
        let kinds = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady];
        let recorded = fold(&kinds.map(|kind| Leg::met(kind, "as it was")), &[], None, Timestamp::UNIX_EPOCH);
        let mut plan = Plan { legs: vec![Leg::met(ConditionType::SecurityGroupsReady, "exact")], ..Plan::default() };
        plan.unread(ConditionType::VpcReady, Some(&failed(Failure::Unavailable)));
        plan.unread(ConditionType::EndpointsReady, None);
        let stands = |missed, recorded: &[Condition]| -> Vec<_> {
            plan.legs_to_show("vpc", recorded, missed)
                .iter()
                .map(|leg| (leg.kind, leg.state, leg.message.len()))
                .collect()
        };
        let groups = (ConditionType::SecurityGroupsReady, LegState::Met, 5);
        assert_eq!(stands(MissedObservations::Few, &recorded), [(ConditionType::VpcReady, LegState::Met, 9), groups]);
        for unclaimed in [stands(MissedObservations::Many, &recorded), stands(MissedObservations::Few, &[])] {
            assert_eq!((unclaimed[0].1, unclaimed[1]), (LegState::Unknown, groups));
        }
        assert_eq!(
            (MissedObservations::after(2), MissedObservations::after(3)),
            (MissedObservations::Few, MissedObservations::Many)
        );
    }

    #[test]
    fn of_what_could_not_be_read_what_somebody_must_see_to_is_told_once_with_its_reason() {
        let (denied, unwell) = (failed(Failure::AccessDenied), failed(Failure::Unavailable));
        let mut plan = Plan::default();
        for error in [&unwell, &denied, &unwell] {
            plan.unread(ConditionType::VpcReady, Some(error));
        }
        plan.unread(ConditionType::EndpointsReady, Some(&denied));
        let told = plan.legs_to_show("vpc", &[], MissedObservations::Many);
        let stands: Vec<_> = told.iter().map(|leg| (leg.state, leg.reason)).collect();
        let unknown = (LegState::Unknown, Reason::ObservationFailed);
        assert_eq!(stands, [(LegState::Blocked, Reason::AccessDenied), unknown]);
        assert!(told.iter().all(|leg| leg.message.contains("Allow the operator's role")), "{told:?}");
    }

    #[test]
    fn a_look_ends_where_aws_allows_nothing_and_else_what_is_not_read_is_remembered() {
        let mut unread = Unread::default();
        for failure in [Failure::Credentials, Failure::Throttled] {
            assert!(unread.take::<()>(Source::Roles, Err(failed(failure))).is_err());
        }
        assert!(unread.is_complete());
        assert_eq!(unread.take(Source::Roles, Ok(7)).expect("no matter of credentials"), Some(7));
        let denied = failed(Failure::AccessDenied);
        assert_eq!(unread.take::<()>(Source::Topology, Err(denied.clone())).expect("no matter of credentials"), None);
        assert_eq!((unread.of(Source::Topology), unread.lacks(Source::Roles)), (Some(&denied), false));
        let elsewhere = AwsError { service: "iam", ..denied.clone() };
        let ends =
            |unread: &mut Unread, error: &AwsError| unread.take::<()>(Source::Roles, Err(error.clone())).is_err();
        assert!(!ends(&mut unread, &elsewhere), "something was read");
        let mut nothing = Unread::default();
        assert!(!ends(&mut nothing, &denied) && !ends(&mut nothing, &denied) && ends(&mut nothing, &elsewhere));
    }

    #[test]
    fn what_fails_again_and_again_is_not_replaced_for_now_and_what_else_its_leg_is_about_goes_on() {
        let kind = ConditionType::FunctionReady;
        let mut plan =
            Plan { legs: vec![Leg::progressing(kind, Reason::FunctionFailed, "failed.")], ..Plan::default() };
        let name = "/aws/lambda/pgai-x".parse().expect("a log group");
        let retention = Write::Logs(LogsWrite::PutRetentionPolicy { name, days: 30 });
        plan.step(kind, Write::Lambda(LambdaWrite::DeleteFunction { name: "pgai-x".parse().expect("a function") }));
        plan.step(kind, retention.clone());
        plan.postpone_replacement(kind);
        assert_eq!(plan.steps, [Step { leg: kind, write: retention }]);
        assert_eq!(plan.legs[0].state, LegState::Blocked);
    }
}
