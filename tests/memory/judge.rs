//! The writes that the operator must never make. The simulation judges each write, the model check each transition: nothing of
//! anybody else changes, no access is opened, and there is never more than one endpoint.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{
        Ec2Write, EndpointState, FunctionConfiguration, IamWrite, LambdaWrite, Peer, PolicyDocument, Protocol, Region,
        RoleName, Rule, SecurityGroup, SecurityGroupId, Tags, VpcEndpointId, VpcId, Write, Written,
    },
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, InstallationId, OwnerMark, TAG_INSTALLATION, TAG_SERVICE},
};
use serde_json::Value;

use super::aws::{
    World,
    world::{Holder, RegionState},
};

/// The region of all tests.
pub fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

/// The installation whose operator is judged.
pub fn installation() -> InstallationId {
    "test".parse().expect("an installation id")
}

/// The cluster whose operator is judged.
pub fn owner() -> OwnerMark {
    "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("an owner mark")
}

/// The deeds of others that matter for a judgement of the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Judge {
    /// Groups that somebody else opened.
    pub opened: BTreeSet<SecurityGroupId>,
    /// Endpoints that somebody else made.
    pub copies: BTreeSet<VpcEndpointId>,
}

/// Our endpoints that are not being deleted, of each VPC and service.
pub fn live_endpoints(state: &RegionState) -> Vec<(VpcId, String, VpcEndpointId)> {
    let ours = state.endpoints.values().filter(|endpoint| installation().owns(&endpoint.tags));
    let live = ours.filter(|endpoint| !endpoint.state.is_ending() && !matches!(endpoint.state, EndpointState::Failed));
    live.map(|endpoint| {
        (endpoint.vpc.clone(), endpoint.tags.get(TAG_SERVICE).cloned().unwrap_or_default(), endpoint.id.clone())
    })
    .collect()
}

fn group_of<'a>(state: &'a RegionState, vpc: &VpcId, component: &str) -> Option<&'a SecurityGroup> {
    let ours = installation();
    let name = ours.group_name(component);
    state.groups.values().find(|group| group.vpc == *vpc && group.name == name && ours.owns(&group.tags))
}

impl Judge {
    /// Judges a write that AWS carried out, by the account before and after it.
    ///
    /// # Errors
    /// The violation.
    pub fn judge(&self, write: &Write, before: &World, written: &Written, after: &World) -> Result<(), String> {
        if let Write::Iam(IamWrite::DeleteRole { role }) = write {
            return needed_by_no_interface(before, role);
        }
        if let Some(boundary) = write.permissions_boundary()
            && before.demanded_boundary.as_ref() != Some(boundary)
        {
            return Err("a permissions boundary that nobody asked for".into());
        }
        let (before, after) = (&before.regions[&region()], &after.regions[&region()]);
        match write {
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group, rules }) => rightful(after, group, rules, true),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, rules }) => rightful(after, group, rules, false),
            Write::Ec2(Ec2Write::CreateVpcEndpoint(new)) => {
                let Written::VpcEndpoint(id, _) = written else { return Err("no endpoint".into()) };
                let live: Vec<_> = live_endpoints(after)
                    .into_iter()
                    .filter(|(vpc, _, endpoint)| *vpc == new.vpc && !self.copies.contains(endpoint))
                    .collect();
                if live.len() > 1 {
                    return Err(format!("more than one endpoint: {live:?}"));
                }
                // An answer about an existing endpoint changes nothing.
                if before.endpoints.contains_key(id) {
                    return Ok(());
                }
                self.carries(before, &new.vpc, &new.security_groups, ENDPOINTS_GROUP)?;
                narrow(&new.policy)
            }
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint, change }) => {
                let Some(found) = before.endpoints.get(endpoint) else { return Err("no such endpoint".into()) };
                if !change.add_security_groups.is_empty() {
                    self.carries(before, &found.vpc, &change.add_security_groups, ENDPOINTS_GROUP)?;
                }
                change.policy.as_ref().map_or(Ok(()), narrow)
            }
            Write::Lambda(LambdaWrite::CreateFunction(new)) => self.attached(before, &new.configuration),
            // A retained function stays unchanged: its present groups open nothing.
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name, configuration, .. })
                if before.functions.get(name).is_some_and(|function| {
                    function.detail.listing.configuration.security_groups == configuration.security_groups
                }) =>
            {
                Ok(())
            }
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { configuration, .. }) => {
                self.attached(before, configuration)
            }
            Write::Iam(IamWrite::PutRolePolicy { document, .. }) if document.as_str().contains(r#""Action":"*""#) => {
                Err("a role may do everything".into())
            }
            _ => Ok(()),
        }
    }

    fn attached(&self, state: &RegionState, configuration: &FunctionConfiguration) -> Result<(), String> {
        let vpc =
            configuration.subnets.first().and_then(|subnet| state.subnets.get(subnet)).map(|subnet| subnet.vpc.clone());
        let vpc = vpc.ok_or("a function outside of a VPC")?;
        self.carries(state, &vpc, &configuration.security_groups, FUNCTIONS_GROUP)
    }

    /// The resource carries this one group of ours, which allows no more than it should.
    fn carries(
        &self,
        state: &RegionState,
        vpc: &VpcId,
        groups: &BTreeSet<SecurityGroupId>,
        component: &str,
    ) -> Result<(), String> {
        let group = group_of(state, vpc, component).ok_or_else(|| format!("{vpc} has no group for {component}"))?;
        if *groups != BTreeSet::from([group.id.clone()]) {
            return Err(format!("other groups than {}", group.id));
        }
        let open = group.egress.iter().any(|rule| rule.protocol == Protocol::All);
        if open && !self.opened.contains(&group.id) {
            return Err(format!("{} still lets everything out", group.id));
        }
        Ok(())
    }
}

/// Lambda releases the interfaces of a function with the role of that function.
fn needed_by_no_interface(world: &World, role: &RoleName) -> Result<(), String> {
    let Some(arn) = world.roles.get(role).map(|record| &record.role.arn) else { return Ok(()) };
    let needs = |holder: &Holder| matches!(holder, Holder::Lambda { role_arn, orphaned: false, .. } if role_arn == arn);
    let mut interfaces = world.regions.values().flat_map(|state| state.interfaces.values());
    match interfaces.find(|interface| needs(&interface.holder)) {
        Some(interface) => Err(format!("Lambda needs this role for {}", interface.fact.id)),
        None => Ok(()),
    }
}

fn narrow(policy: &PolicyDocument) -> Result<(), String> {
    let policy: Value = serde_json::from_str(policy.as_str()).map_err(|error| error.to_string())?;
    let statements = policy["Statement"].as_array().ok_or("a policy without statements")?;
    let everything =
        |value: &Value| value == "*" || value.as_array().is_some_and(|all| all.iter().any(|one| one == "*"));
    let open = |statement: &&Value| {
        statement["Effect"] == "Allow" && (everything(&statement["Action"]) || everything(&statement["Resource"]))
    };
    statements.iter().find(open).map_or(Ok(()), |open| Err(format!("a policy for everything: {open}")))
}

/// The rules are those that a path needs.
fn rightful(state: &RegionState, id: &SecurityGroupId, rules: &BTreeSet<Rule>, ingress: bool) -> Result<(), String> {
    let group = state.groups.get(id).ok_or("no such group")?;
    let (own, other) = if ingress { (ENDPOINTS_GROUP, FUNCTIONS_GROUP) } else { (FUNCTIONS_GROUP, ENDPOINTS_GROUP) };
    let is = |component| group_of(state, &group.vpc, component);
    if is(own).map(|group| &group.id) != Some(id) {
        return Err(format!("a rule on {}", group.name));
    }
    let other = is(other).ok_or("a rule that names no group of ours")?;
    let wanted = BTreeSet::from([Rule::tcp(443, Peer::Group(other.id.clone()))]);
    if *rules == wanted { Ok(()) } else { Err("another rule than the path needs".into()) }
}

/// All resources of the account without our tag, unchanged.
pub fn not_ours(world: &World) -> Vec<String> {
    let ours = installation();
    let theirs = |tags: &Tags| tags.get(TAG_INSTALLATION).is_some_and(|id| *id != ours.to_string());
    let mut found = Vec::new();
    for state in world.regions.values() {
        found.extend(state.groups.values().filter(|group| theirs(&group.tags)).map(|group| format!("{group:?}")));
        found.extend(
            state.endpoints.values().filter(|endpoint| theirs(&endpoint.tags)).map(|endpoint| format!("{endpoint:?}")),
        );
        found.extend(
            state
                .log_groups
                .values()
                .filter(|log_group| theirs(&log_group.tags))
                .map(|log_group| format!("{log_group:?}")),
        );
        found.extend(
            state
                .functions
                .values()
                .filter(|function| theirs(&function.detail.tags))
                .map(|function| format!("{function:?}")),
        );
        found.extend(state.vpcs.values().map(|vpc| format!("{vpc:?}")));
        found.extend(state.subnets.iter().map(|subnet| format!("{subnet:?}")));
        let lambda = |holder: &Holder| match holder {
            Holder::Lambda { role_arn, .. } => role_arn.contains("somebody-else"),
            Holder::Endpoint(id) => state.endpoints.get(id).is_some_and(|endpoint| theirs(&endpoint.tags)),
            Holder::Instance { .. } => true,
        };
        found.extend(
            state
                .interfaces
                .values()
                .filter(|interface| lambda(&interface.holder))
                .map(|interface| format!("{interface:?}")),
        );
    }
    found.extend(world.roles.values().filter(|role| theirs(&role.role.tags)).map(|role| format!("{role:?}")));
    found
}
