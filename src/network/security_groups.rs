//! The two security groups of a network: the functions' group and the endpoints' group, each with exactly its rules.

use std::collections::BTreeSet;

use super::{
    Desired, Observed, handed_over_roles, interfaces::waiting_for_release, ownership::owner_tag, restore_tags,
};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{Ec2Write, Peer, Rule, SecurityGroup, SecurityGroupId, Tags},
    governance::Governance,
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, TAG_COMPONENT, TAG_NAME},
    plan::{Creation, Plan, Remains, Source},
};

const LEG: ConditionType = ConditionType::SecurityGroupsReady;

/// The port of HTTPS.
const HTTPS: u16 = 443;

/// Plans both groups. Missing groups are created where the VPC can carry the path. An endpoint is created only on two exact groups.
///
/// Where the peer of a group is missing, it may exist and have lost its tags: a rule of the path's own form stays until the peer is
/// found, and every other rule is revoked.
pub(super) fn plan(desired: &Desired, observed: &Observed, creation: Creation, plan: &mut Plan) -> Creation {
    if let Some(error) = observed.unread.of(Source::SecurityGroups) {
        plan.unread(LEG, Some(error));
        return Creation::Stopped;
    }
    let vpc = &desired.identity.vpc;
    let (functions, endpoints) = (observed.group(FUNCTIONS_GROUP), observed.group(ENDPOINTS_GROUP));
    let before = plan.steps.len();
    for (component, found) in [(FUNCTIONS_GROUP, functions), (ENDPOINTS_GROUP, endpoints)] {
        match (found, creation) {
            (Some(group), _) => {
                restore_tags(LEG, group.id.as_str(), &group_tags(desired, component), &group.tags, plan);
            }
            (None, Creation::Allowed) => plan.step(LEG, create(desired, component)),
            (None, Creation::Stopped) => {}
        }
    }
    if let Some(functions) = functions {
        reconcile_rules(functions, &BTreeSet::new(), &rules_to(endpoints, &functions.egress), plan);
    }
    if let Some(endpoints) = endpoints {
        reconcile_rules(endpoints, &rules_to(functions, &endpoints.ingress), &BTreeSet::new(), plan);
    }
    let (Some(functions), Some(endpoints)) = (functions, endpoints) else {
        plan.legs.push(match creation {
            Creation::Allowed => Leg::progressing(
                LEG,
                Reason::Applying,
                format!("The security groups are being created in VPC {vpc}."),
            ),
            Creation::Stopped => Leg::progressing(
                LEG,
                Reason::WaitingForNetwork,
                format!(
                    "The missing security groups are created once it is known that VPC {vpc} can carry the private path; the \
                     condition VpcReady says what is missing."
                ),
            ),
        });
        return Creation::Stopped;
    };
    if plan.steps.len() > before {
        let message = format!("Security groups {} and {} are being updated.", functions.id, endpoints.id);
        plan.legs.push(Leg::progressing(LEG, Reason::Applying, message));
        return Creation::Stopped;
    }
    let message = format!(
        "Security groups {} (functions) and {} (endpoints) have exactly their rules.",
        functions.id, endpoints.id
    );
    plan.legs.push(Leg::met(LEG, message));
    Creation::Allowed
}

/// Plans the end of both groups, after what carries them: the endpoints, and the interfaces of functions.
pub(super) fn tear_down(observed: &Observed, governance: &Governance, above: Remains, plan: &mut Plan) -> Remains {
    for source in [Source::SecurityGroups, Source::Interfaces, Source::Functions] {
        plan.unread(LEG, observed.unread.of(source));
    }
    if above == Remains::Something {
        return Remains::Something;
    }
    handed_over_roles::plan(observed, governance, plan);
    if !observed.function_interfaces.is_empty() {
        plan.legs.push(waiting_for_release(&observed.function_interfaces));
        return Remains::Something;
    }
    if observed.unread.lacks(Source::Endpoints) || observed.unread.lacks(Source::Interfaces) {
        return Remains::Something;
    }
    // Each group refers to the other, and AWS deletes no group that another one refers to.
    for group in &observed.security_groups {
        reconcile_rules(group, &BTreeSet::new(), &BTreeSet::new(), plan);
    }
    for group in &observed.security_groups {
        plan.step(LEG, Ec2Write::DeleteSecurityGroup { group: group.id.clone() });
    }
    if !plan.steps.is_empty() {
        let ids: Vec<&str> = observed.security_groups.iter().map(|group| group.id.as_str()).collect();
        plan.legs.push(Leg::progressing(
            LEG,
            Reason::Deleting,
            format!("The security groups {} and the last roles of the network are being deleted.", ids.join(", ")),
        ));
    }
    Remains::Nothing
}

/// The desired rules towards a peer; where the peer is missing, the rules of that form that exist.
fn rules_to(peer: Option<&SecurityGroup>, found: &BTreeSet<Rule>) -> BTreeSet<Rule> {
    let https = |peer: &SecurityGroupId| Rule::tcp(HTTPS, Peer::Group(peer.clone()));
    if let Some(peer) = peer {
        return [https(&peer.id)].into();
    }
    let is_https = |rule: &&Rule| matches!(&rule.peer, Peer::Group(peer) if **rule == https(peer));
    found.iter().filter(is_https).cloned().collect()
}

fn create(desired: &Desired, component: &str) -> Ec2Write {
    let identity = &desired.identity;
    Ec2Write::CreateSecurityGroup {
        vpc: identity.vpc.clone(),
        name: identity.group_name(component),
        description: format!("private-genai-operator: {component} of the private path to Amazon Bedrock"),
        // The call that creates the group also marks it: no other cluster ever sees the group without the mark.
        tags: group_tags(desired, component).into_iter().chain(owner_tag(&desired.owner)).collect(),
    }
}

/// The tags of a group, without the owner mark: another cluster's mark is never overwritten.
fn group_tags(Desired { identity, governance, .. }: &Desired, component: &str) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_COMPONENT.to_owned(), component.to_owned());
    tags.insert(TAG_NAME.to_owned(), identity.group_name(component));
    tags
}

/// Grants the missing rules, then revokes the foreign ones: the rightful traffic never stops.
fn reconcile_rules(group: &SecurityGroup, ingress: &BTreeSet<Rule>, egress: &BTreeSet<Rule>, plan: &mut Plan) {
    let minus = |left: &BTreeSet<Rule>, right: &BTreeSet<Rule>| -> Option<BTreeSet<Rule>> {
        let rules: BTreeSet<Rule> = left.difference(right).cloned().collect();
        (!rules.is_empty()).then_some(rules)
    };
    let id = || group.id.clone();
    if let Some(rules) = minus(ingress, &group.ingress) {
        plan.step(LEG, Ec2Write::AuthorizeSecurityGroupIngress { group: id(), rules });
    }
    if let Some(rules) = minus(egress, &group.egress) {
        plan.step(LEG, Ec2Write::AuthorizeSecurityGroupEgress { group: id(), rules });
    }
    if let Some(rules) = minus(&group.ingress, ingress) {
        plan.step(LEG, Ec2Write::RevokeSecurityGroupIngress { group: id(), rules });
    }
    if let Some(rules) = minus(&group.egress, egress) {
        plan.step(LEG, Ec2Write::RevokeSecurityGroupEgress { group: id(), rules });
    }
}

#[cfg(test)]
mod tests;
