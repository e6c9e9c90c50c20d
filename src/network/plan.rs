//! What to do about a network next. Later stages wait for earlier ones: groups have exactly their rules before an
//! endpoint carries them, so nothing is ever open for a moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Desired, Observed, Service,
    handed_over_roles::can_be_deleted,
    interfaces::waiting_for_release,
    ownership::owner_tag,
    placement::{Placement, place},
};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        AddressFamilies, Ec2Write, EndpointChange, EndpointState, NewVpcEndpoint, Peer, PolicyDocument, Rule,
        SecurityGroup, SecurityGroupId, Tags, VpcEndpoint, VpcEndpointId, Write,
    },
    engine::EndpointHistory,
    governance::Governance,
    identity::{
        ENDPOINTS_GROUP, FUNCTIONS_GROUP, HandOver, TAG_COMPONENT, TAG_NAME, TAG_PRIVATE_DNS, TAG_SERVICE, missing_tags,
    },
    plan::{Plan, Source, listed},
};

/// The port of HTTPS.
const HTTPS: u16 = 443;

impl EndpointHistory {
    /// Takes note of the endpoints that are there, and of those that are being deleted, or were.
    pub fn observe(&mut self, observed: &Observed) {
        let Some(group) = observed.group(ENDPOINTS_GROUP).map(|group| &group.id) else { return };
        if self.group.as_ref() != Some(group) {
            self.group = Some(group.clone());
            self.used_tokens.clear();
            self.current.clear();
            self.last_deleted.clear();
        }
        for service in Service::ALL {
            if let Some(kept) = observed.endpoints_of(*service).first() {
                self.current.insert(*service, kept.id.clone());
            }
            if let Some(ended) = observed.last_deleted(*service, group) {
                self.end(*service, &ended.id);
            }
        }
    }

    /// AWS took the order to delete an endpoint.
    pub fn deleted(&mut self, endpoint: &VpcEndpointId) {
        let of: Vec<Service> = self.current.iter().filter(|(_, kept)| *kept == endpoint).map(|(of, _)| *of).collect();
        for service in of {
            self.end(service, endpoint);
        }
    }

    fn end(&mut self, service: Service, endpoint: &VpcEndpointId) {
        if self.last_deleted.get(&service) != Some(endpoint) {
            self.last_deleted.insert(service, endpoint.clone());
            self.used_tokens.remove(&service);
        }
    }
}

/// Decides about a network that is demanded. A refusal of its placement, or facts that cannot be read, end what would be created
/// or grow by them, and nothing else: what is there is kept exact, and what somebody else added goes.
pub fn plan(desired: &Desired, observed: &Observed, hints: &EndpointHistory) -> Plan {
    let mut plan = Plan::default();
    let placements = placements(desired, observed, &mut plan);
    let growth = if placements.len() == Service::ALL.len() { Creation::Allowed } else { Creation::Stopped };
    let groups = security_groups(desired, observed, growth, &mut plan);
    if let Some(error) = observed.unread.of(Source::Endpoints) {
        plan.unread(ConditionType::EndpointsReady, Some(error));
    } else {
        let legs: Vec<Leg> = Service::ALL
            .iter()
            .map(|service| endpoint(desired, observed, hints, (*service, placements.get(service)), &groups, &mut plan))
            .collect();
        // The one that says most: blocked before waiting before met.
        plan.legs.extend(legs.into_iter().max_by_key(|leg| leg.state));
        // Which groups an endpoint should carry, and which models it should let through, is not known for sure.
        plan.unread(ConditionType::EndpointsReady, observed.unread.of(Source::SecurityGroups));
        plan.unread(ConditionType::EndpointsReady, observed.unread.of(Source::Roles));
    }
    handed_over_roles(observed, &desired.governance, &mut plan);
    plan.tag_last();
    plan
}

/// Whether anything may be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    /// The VPC can carry the path.
    Allowed,
    /// It cannot, or nobody can tell.
    Stopped,
}

/// Where the endpoint of each service goes; those whose placement is refused, or cannot be decided, are left out.
fn placements(desired: &Desired, observed: &Observed, plan: &mut Plan) -> BTreeMap<Service, Placement> {
    let kind = ConditionType::VpcReady;
    let mut placements = BTreeMap::new();
    if let Some(error) = observed.unread.of(Source::Topology) {
        plan.unread(kind, Some(error));
        return placements;
    }
    let mut refused = None;
    for service in Service::ALL {
        match place(desired, observed, *service) {
            Ok(placement) => drop(placements.insert(*service, placement)),
            Err(refusal) => drop(refused.get_or_insert(refusal)),
        }
    }
    plan.legs.push(match refused {
        Some(refusal) => Leg::blocked(kind, refusal.reason, refusal.message),
        None => Leg::met(kind, format!("VPC {} can carry the private path.", desired.identity.vpc)),
    });
    // Who demands the network is not known for sure, nor then where it is to be.
    if observed.unread.lacks(Source::Roles) {
        placements.clear();
    }
    placements
}

/// What Lambda left behind goes, and roles of apps that are gone go with the last interface that Lambda may need them for.
fn handed_over_roles(observed: &Observed, governance: &Governance, plan: &mut Plan) {
    let (kind, interfaces) = (ConditionType::SecurityGroupsReady, &observed.function_interfaces);
    for interface in &observed.left_interfaces {
        plan.step(kind, Write::Ec2(Ec2Write::DeleteNetworkInterface { interface: interface.clone() }));
    }
    let unread = observed.unread.of(Source::Interfaces);
    if !observed.handed_over_roles.is_empty() {
        plan.unread(kind, unread);
        plan.unread(kind, observed.unread.of(Source::Functions));
    }
    for role in &observed.handed_over_roles {
        let is_over = HandOver::from_tags(&role.tags)
            .is_some_and(|kept| can_be_deleted(role, &kept, interfaces, observed.other_functions));
        if is_over && unread.is_none() {
            plan.delete_role(kind, role, governance);
        } else {
            plan.restrict_to_interfaces(kind, role, governance);
        }
    }
}

/// Decides about a network that nobody demands: endpoints go first, then the groups. Nothing left is no steps, no legs. What
/// can go goes although something else cannot be read; a look that is not complete never shows that nothing is left.
pub fn teardown(observed: &Observed, governance: &Governance) -> Plan {
    let mut plan = Plan::default();
    for (source, kind) in [
        (Source::Topology, ConditionType::VpcReady),
        (Source::Endpoints, ConditionType::EndpointsReady),
        (Source::Roles, ConditionType::EndpointsReady),
        (Source::SecurityGroups, ConditionType::SecurityGroupsReady),
        (Source::Interfaces, ConditionType::SecurityGroupsReady),
        (Source::Functions, ConditionType::SecurityGroupsReady),
    ] {
        plan.unread(kind, observed.unread.of(source));
    }
    let mut going = Vec::new();
    for endpoint in &observed.endpoints {
        match endpoint.state {
            EndpointState::Deleted => {}
            EndpointState::Deleting => going.push(endpoint.id.to_string()),
            _ => {
                going.push(endpoint.id.to_string());
                let endpoint = endpoint.id.clone();
                plan.step(ConditionType::EndpointsReady, Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint }));
            }
        }
    }
    if !going.is_empty() {
        plan.legs.push(Leg::progressing(
            ConditionType::EndpointsReady,
            Reason::Deleting,
            format!("Endpoint {} is being deleted; AWS takes some minutes.", going.join(", ")),
        ));
        return plan;
    }
    let leg = ConditionType::SecurityGroupsReady;
    handed_over_roles(observed, governance, &mut plan);
    if !observed.function_interfaces.is_empty() {
        plan.legs.push(waiting_for_release(&observed.function_interfaces));
        return plan;
    }
    // An endpoint, or a function, may still carry them.
    if observed.unread.lacks(Source::Endpoints) || observed.unread.lacks(Source::Interfaces) {
        return plan;
    }
    // Each of the two refers to the other, and a group that is referred to cannot be deleted.
    for group in &observed.security_groups {
        reconcile_rules(group, &BTreeSet::new(), &BTreeSet::new(), &mut plan);
    }
    for group in &observed.security_groups {
        plan.step(leg, Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group.id.clone() }));
    }
    if !plan.steps.is_empty() {
        let ids: Vec<&str> = observed.security_groups.iter().map(|group| group.id.as_str()).collect();
        plan.legs.push(Leg::progressing(
            leg,
            Reason::Deleting,
            format!("The security groups {} and what else remains are being deleted.", ids.join(", ")),
        ));
    }
    plan
}

/// How the two groups of a network are found.
enum Groups {
    /// Both are there, with exactly their rules: an endpoint may be created.
    Exact(SecurityGroupId),
    /// The endpoints' group is there. It, or the functions' group, is not yet as it should be.
    Uneven(SecurityGroupId),
    /// The endpoints' group is not there, or nobody can tell.
    Missing,
}

impl Groups {
    /// The endpoints' group.
    fn of_endpoints(&self) -> Option<&SecurityGroupId> {
        match self {
            Self::Exact(group) | Self::Uneven(group) => Some(group),
            Self::Missing => None,
        }
    }
}

/// Both groups, with exactly their rules. Where the peer of a group is not found, it may be there and have lost its tags: a rule
/// of the path's own form is left until the peer is found, and nothing else.
fn security_groups(desired: &Desired, observed: &Observed, growth: Creation, plan: &mut Plan) -> Groups {
    let (leg, identity) = (ConditionType::SecurityGroupsReady, &desired.identity);
    if let Some(error) = observed.unread.of(Source::SecurityGroups) {
        plan.unread(leg, Some(error));
        return Groups::Missing;
    }
    let (functions, endpoints) = (observed.group(FUNCTIONS_GROUP), observed.group(ENDPOINTS_GROUP));
    let before = plan.steps.len();
    let https = |peer: &SecurityGroupId| Rule::tcp(HTTPS, Peer::Group(peer.clone()));
    let wanted = |peer: Option<&SecurityGroup>, found: &BTreeSet<Rule>| -> BTreeSet<Rule> {
        match peer {
            Some(peer) => [https(&peer.id)].into(),
            None => found
                .iter()
                .filter(|rule| matches!(&rule.peer, Peer::Group(peer) if **rule == https(peer)))
                .cloned()
                .collect(),
        }
    };
    for (component, found) in [(FUNCTIONS_GROUP, functions), (ENDPOINTS_GROUP, endpoints)] {
        match (found, growth) {
            (Some(group), _) => {
                restore_tags(leg, group.id.as_str(), &group_tags(desired, component), &group.tags, plan);
            }
            (None, Creation::Allowed) => plan.step(leg, create_group(desired, component)),
            (None, Creation::Stopped) => {}
        }
    }
    if let Some(functions) = functions {
        reconcile_rules(functions, &BTreeSet::new(), &wanted(endpoints, &functions.egress), plan);
    }
    if let Some(endpoints) = endpoints {
        reconcile_rules(endpoints, &wanted(functions, &endpoints.ingress), &BTreeSet::new(), plan);
    }
    let (Some(functions), Some(endpoints)) = (functions, endpoints) else {
        plan.legs.push(match growth {
            Creation::Allowed => Leg::progressing(
                leg,
                Reason::Applying,
                format!("The security groups are being created in VPC {}.", identity.vpc),
            ),
            Creation::Stopped => Leg::progressing(
                leg,
                Reason::WaitingForNetwork,
                format!(
                    "The security groups that are missing are created once it is known that VPC {} can carry the \
                     private path.",
                    identity.vpc
                ),
            ),
        });
        return endpoints.map_or(Groups::Missing, |group| Groups::Uneven(group.id.clone()));
    };
    let is_exact = plan.steps.len() == before;
    plan.legs.push(if is_exact {
        Leg::met(
            leg,
            format!(
                "Security groups {} (functions) and {} (endpoints) have exactly their rules.",
                functions.id, endpoints.id
            ),
        )
    } else {
        Leg::progressing(
            leg,
            Reason::Applying,
            format!("Security groups {} and {} are being put right.", functions.id, endpoints.id),
        )
    });
    let group = endpoints.id.clone();
    if is_exact { Groups::Exact(group) } else { Groups::Uneven(group) }
}

fn create_group(desired: &Desired, component: &str) -> Write {
    let identity = &desired.identity;
    Write::Ec2(Ec2Write::CreateSecurityGroup {
        vpc: identity.vpc.clone(),
        name: identity.group_name(component),
        description: format!("private-genai-operator: {component} of the private path to Amazon Bedrock"),
        // In the call that creates the group: no other cluster ever sees it without the mark.
        tags: group_tags(desired, component).into_iter().chain(owner_tag(&desired.owner)).collect(),
    })
}

/// What both groups carry, the owner mark apart: that is never put back over another one.
fn group_tags(Desired { identity, governance, .. }: &Desired, component: &str) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_COMPONENT.to_owned(), component.to_owned());
    tags.insert(TAG_NAME.to_owned(), identity.group_name(component));
    tags
}

/// Puts back tags that somebody removed or changed. What lost the installation's tag too is not seen here.
fn restore_tags(leg: ConditionType, resource: &str, wanted: &Tags, found: &Tags, plan: &mut Plan) {
    let tags = missing_tags(wanted, found);
    if !tags.is_empty() {
        plan.step(leg, Write::Ec2(Ec2Write::CreateTags { resource: resource.to_owned(), tags }));
    }
}

/// Rules as set differences, granted before others are revoked, so that the rightful traffic never stops.
fn reconcile_rules(group: &SecurityGroup, ingress: &BTreeSet<Rule>, egress: &BTreeSet<Rule>, plan: &mut Plan) {
    let leg = ConditionType::SecurityGroupsReady;
    let minus = |left: &BTreeSet<Rule>, right: &BTreeSet<Rule>| -> Option<BTreeSet<Rule>> {
        let rules: BTreeSet<Rule> = left.difference(right).cloned().collect();
        (!rules.is_empty()).then_some(rules)
    };
    let id = || group.id.clone();
    if let Some(rules) = minus(ingress, &group.ingress) {
        plan.step(leg, Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: id(), rules }));
    }
    if let Some(rules) = minus(egress, &group.egress) {
        plan.step(leg, Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: id(), rules }));
    }
    if let Some(rules) = minus(&group.ingress, ingress) {
        plan.step(leg, Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: id(), rules }));
    }
    if let Some(rules) = minus(&group.egress, egress) {
        plan.step(leg, Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: id(), rules }));
    }
}

/// The endpoint of one service. Without a placement it is neither created nor moved.
fn endpoint(
    desired: &Desired,
    observed: &Observed,
    hints: &EndpointHistory,
    (service, placement): (Service, Option<&Placement>),
    groups: &Groups,
    plan: &mut Plan,
) -> Leg {
    let kind = ConditionType::EndpointsReady;
    let ours = observed.endpoints_of(service);
    let Some((endpoint, surplus)) = ours.split_first() else {
        return new_endpoint(desired, observed, hints, (service, placement), groups, plan);
    };
    for endpoint in surplus {
        plan.step(kind, Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.id.clone() }));
    }
    let id = &endpoint.id;
    match &endpoint.state {
        EndpointState::Available => {}
        EndpointState::Failed | EndpointState::Rejected | EndpointState::Expired => {
            let told = format!(
                "Endpoint {id} is {}{}",
                endpoint.state.as_str(),
                endpoint.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
            );
            if placement.is_none() {
                let message = format!(
                    "{told}; it is deleted and created again once it is known that VPC {} can carry the private path.",
                    desired.identity.vpc
                );
                return Leg::progressing(kind, Reason::WaitingForNetwork, message);
            }
            plan.step(kind, Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: id.clone() }));
            return Leg::progressing(kind, Reason::EndpointFailed, format!("{told}; it is deleted and created again."));
        }
        state => {
            return Leg::progressing(
                kind,
                Reason::EndpointPending,
                format!("Endpoint {id} is {}; AWS takes some minutes.", state.as_str()),
            );
        }
    }
    let before = plan.steps.len();
    // Where the choice about private DNS was lost with its tag, what there is becomes the choice: it never flips by itself.
    let private_dns = chosen_private_dns(endpoint).unwrap_or(endpoint.private_dns);
    let tags = endpoint_tags(desired, service, private_dns);
    restore_tags(kind, id.as_str(), &tags, &endpoint.tags, plan);
    for change in changes(endpoint, placement, groups.of_endpoints(), desired.endpoint_policy(service)) {
        plan.step(kind, Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id.clone(), change }));
    }
    if plan.steps.len() == before {
        Leg::met(kind, format!("Endpoint {id} is available.{}", who_waits(desired)))
    } else {
        Leg::progressing(kind, Reason::Applying, format!("Endpoint {id} is being changed to what it should be."))
    }
}

/// Whose models the policy of the endpoint has no room for, as a further sentence. Each of these apps says it in full.
fn who_waits(desired: &Desired) -> String {
    if desired.waiting_apps.is_empty() {
        return String::new();
    }
    format!(
        " Its policy has no room for all models of {}: their conditions say what to do.",
        listed(&desired.waiting_apps)
    )
}

/// The endpoint of a service that has none.
fn new_endpoint(
    desired: &Desired,
    observed: &Observed,
    hints: &EndpointHistory,
    (service, placement): (Service, Option<&Placement>),
    groups: &Groups,
    plan: &mut Plan,
) -> Leg {
    let kind = ConditionType::EndpointsReady;
    let lost = groups.of_endpoints().and_then(|group| Some((observed.untagged_endpoint(service, group)?, group)));
    if let Some((lost, group)) = lost {
        return Leg::blocked(
            kind,
            Reason::NameTaken,
            format!(
                "Endpoint {} carries this network's security group {group} but not this installation's tag: {}, or \
                 delete it.",
                lost.id,
                desired.identity.installation.how_to_tag()
            ),
        );
    }
    let Some(placement) = placement else {
        let vpc = &desired.identity.vpc;
        let message = format!("The endpoint is created once it is known that VPC {vpc} can carry the private path.");
        return Leg::progressing(kind, Reason::WaitingForNetwork, message);
    };
    let private_dns = placement.private_dns_is_safe && !hints.private_dns_conflict.contains(&service);
    // Creating one now would fail, and creating it without private DNS would change what functions are told.
    if let Some(going) = observed.deleting_with_private_dns(service).filter(|_| private_dns) {
        return Leg::progressing(
            kind,
            Reason::EndpointPending,
            format!(
                "The {} endpoint is being created: the earlier endpoint {} is still being deleted, and holds the service's \
                 name until it is gone. AWS takes some minutes.",
                service.as_str(),
                going.id
            ),
        );
    }
    let Groups::Exact(group) = groups else {
        let message = "The endpoint is created once the security groups have their rules.";
        return Leg::progressing(kind, Reason::WaitingForNetwork, message);
    };
    let ended = observed.last_deleted(service, group).map(|ended| &ended.id).or(hints.last_deleted.get(&service));
    let after = hints.used_tokens.get(&service).map(String::as_str).or(ended.map(VpcEndpointId::as_str));
    plan.step(
        kind,
        Write::Ec2(Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
            vpc: desired.identity.vpc.clone(),
            service_name: service.endpoint_service(&desired.identity.region),
            subnets: placement.subnets.clone(),
            security_groups: [group.clone()].into(),
            private_dns,
            policy: desired.endpoint_policy(service),
            client_token: desired.identity.endpoint_token(service.as_str(), group, after),
            tags: endpoint_tags(desired, service, private_dns),
        })),
    );
    Leg::progressing(kind, Reason::Applying, format!("The {} endpoint is being created.", service.as_str()))
}

/// VPC quotas: "Security groups per network interface", unless somebody had it raised.
const GROUPS_PER_INTERFACE: usize = 5;

/// What differs between an endpoint and what it should be, one call for each, so that what AWS refuses of one holds up no
/// other: first what it lets through, last what AWS takes its time for.
fn changes(
    endpoint: &VpcEndpoint,
    placement: Option<&Placement>,
    group: Option<&SecurityGroupId>,
    policy: PolicyDocument,
) -> Vec<EndpointChange> {
    let none = EndpointChange::default;
    let policy = (endpoint.policy.as_ref() != Some(&policy)).then_some(policy);
    let mut changes = vec![EndpointChange { policy, ..none() }];
    if let Some(group) = group {
        let ours = BTreeSet::from([group.clone()]);
        let add: BTreeSet<_> = ours.difference(&endpoint.security_groups).cloned().collect();
        let mut foreign: BTreeSet<_> = endpoint.security_groups.difference(&ours).cloned().collect();
        // There is no room for ours, and an endpoint is never without a group: one of the others makes room in the end.
        if !add.is_empty() && foreign.len() >= GROUPS_PER_INTERFACE {
            let last = foreign.pop_last();
            changes.push(EndpointChange { remove_security_groups: foreign, ..none() });
            foreign = last.into_iter().collect();
        }
        changes.push(EndpointChange { add_security_groups: add, remove_security_groups: foreign, ..none() });
    }
    let private_dns = chosen_private_dns(endpoint).filter(|chosen| *chosen != endpoint.private_dns);
    changes.push(EndpointChange { private_dns, ..none() });
    let address_families = (endpoint.address_families != AddressFamilies::Ipv4).then_some(AddressFamilies::Ipv4);
    changes.push(EndpointChange { address_families, ..none() });
    if let Some(placement) = placement {
        changes.push(EndpointChange {
            add_subnets: placement.subnets.difference(&endpoint.subnets).cloned().collect(),
            remove_subnets: endpoint.subnets.difference(&placement.subnets).cloned().collect(),
            ..none()
        });
    }
    changes.retain(|change| *change != none());
    changes
}

/// What was chosen about private DNS when the endpoint was created, as its tag says.
fn chosen_private_dns(endpoint: &VpcEndpoint) -> Option<bool> {
    endpoint.tags.get(TAG_PRIVATE_DNS).and_then(|value| value.parse().ok())
}

fn endpoint_tags(Desired { identity, governance, .. }: &Desired, service: Service, private_dns: bool) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_SERVICE.to_owned(), service.as_str().to_owned());
    tags.insert(TAG_PRIVATE_DNS.to_owned(), private_dns.to_string());
    tags.insert(TAG_NAME.to_owned(), format!("private-genai-{}-{}", service.as_str(), identity.installation));
    tags
}

#[cfg(test)]
mod tests;
