//! All foreign changes to an installation's resources: for tests of repair, and for simulators.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{
        Ec2Write, EndpointChange, EndpointState, Environment, FunctionConfiguration, FunctionState, IamWrite,
        LambdaWrite, LogsWrite, Package, Peer, PolicyDocument, Protocol, Region, Rule, SecurityGroup, Setting,
        VpcEndpoint, Write,
    },
    identity::{InstallationId, TAG_OWNER},
};
use serde_json::json;

use super::{
    by_hand::{ByHand, Tagged},
    setup::another_boundary,
    step::Action,
    world::{FunctionRecord, LogGroupRecord, RegionState, RoleRecord, World},
};

/// One change, with its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drift {
    /// The kind of change, equal for every resource.
    pub name: &'static str,
    pub action: Action,
}

/// All possible foreign changes now to an installation's resources in the account. AWS may refuse some of them.
pub fn drifts(world: &World, installation: &InstallationId) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for (region, state) in &world.regions {
        let mut add = |name, action| drifts.push(Drift { name, action });
        for group in state.groups.values().filter(|group| installation.owns(&group.tags)) {
            of_group(region, group, &mut add);
        }
        let is_ours =
            |endpoint: &&VpcEndpoint| installation.owns(&endpoint.tags) && endpoint.state == EndpointState::Available;
        for endpoint in state.endpoints.values().filter(is_ours) {
            of_endpoint(region, state, endpoint, &mut add);
        }
        for function in state.functions.values().filter(|record| installation.owns(&record.detail.tags)) {
            of_function(region, function, &mut add);
        }
        for group in state.log_groups.values().filter(|record| installation.owns(&record.tags)) {
            of_log_group(region, group, &mut add);
        }
    }
    // IAM has no region: any will do.
    if let Some(region) = world.regions.keys().next() {
        for role in world.roles.values().filter(|record| installation.owns(&record.role.tags)) {
            of_role(region, role, &mut |name, action| drifts.push(Drift { name, action }));
        }
    }
    drifts
}

type Add<'a> = &'a mut dyn FnMut(&'static str, Action);

fn of_group(region: &Region, group: &SecurityGroup, add: Add<'_>) {
    let mut write = |name, write| add(name, Action::Write(region.clone(), write));
    let id = || group.id.clone();
    for rule in &group.ingress {
        write(
            "ingress rule deleted",
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: id(), rules: [rule.clone()].into() }),
        );
    }
    for rule in &group.egress {
        write(
            "egress rule deleted",
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: id(), rules: [rule.clone()].into() }),
        );
    }
    let everywhere = Peer::Ipv4("0.0.0.0/0".into());
    let all = Rule { protocol: Protocol::All, ports: None, peer: everywhere.clone() };
    if !group.egress.contains(&all) {
        write("egress opened", Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: id(), rules: [all].into() }));
    }
    let https = Rule::tcp(443, everywhere);
    if !group.ingress.contains(&https) {
        write(
            "ingress opened",
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: id(), rules: [https].into() }),
        );
    }
    add("group deleted", Action::ByHand(region.clone(), ByHand::DeleteGroup(id())));
    add("group's tags removed", untagged(region, Tagged::Group(id())));
    if group.tags.contains_key(TAG_OWNER) {
        let removed = ByHand::RemoveTags { from: Tagged::Group(id()), keys: Some([TAG_OWNER.to_owned()].into()) };
        add("owner mark removed", Action::ByHand(region.clone(), removed));
    }
}

fn of_endpoint(region: &Region, state: &RegionState, endpoint: &VpcEndpoint, add: Add<'_>) {
    let id = || endpoint.id.clone();
    let mut modify = |name, change| {
        add(name, Action::Write(region.clone(), Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id(), change })));
    };
    modify("endpoint policy opened", EndpointChange { policy: Some(full_access()), ..EndpointChange::default() });
    if let Some(default) = state.default_group(&endpoint.vpc) {
        let change = EndpointChange {
            add_security_groups: [default].into(),
            remove_security_groups: endpoint.security_groups.clone(),
            ..EndpointChange::default()
        };
        modify("endpoint's groups swapped", change);
    }
    let private_dns = Some(!endpoint.private_dns);
    modify("private DNS switched", EndpointChange { private_dns, ..EndpointChange::default() });
    if endpoint.subnets.len() > 1 {
        let remove_subnets = endpoint.subnets.iter().take(1).cloned().collect();
        modify("endpoint's subnet removed", EndpointChange { remove_subnets, ..EndpointChange::default() });
    }
    add("endpoint deleted", Action::Write(region.clone(), Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: id() })));
    add("endpoint vanished", Action::ByHand(region.clone(), ByHand::ForgetEndpoint(id())));
    add("endpoint's tags removed", untagged(region, Tagged::Endpoint(id())));
}

fn of_function(region: &Region, record: &FunctionRecord, add: Add<'_>) {
    let listing = &record.detail.listing;
    let name = || listing.name.clone();
    let now = &listing.configuration;
    let mut configure = |what, configuration| {
        let write = Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
            name: name(),
            configuration,
            reset: BTreeSet::new(),
        });
        add(what, Action::Write(region.clone(), write));
    };
    let detached = FunctionConfiguration { subnets: [].into(), security_groups: [].into(), ..now.clone() };
    configure("function detached", detached);
    let mut variables = now.environment.variables().clone();
    variables.insert("ADDED_BY_HAND".into(), "1".into());
    configure("environment changed", FunctionConfiguration { environment: Environment::new(variables), ..now.clone() });
    configure("configuration changed", FunctionConfiguration { memory_mib: now.memory_mib + 1, ..now.clone() });
    for setting in Setting::ALL.iter().filter(|setting| !listing.altered.contains(setting)) {
        let alter = ByHand::AlterFunction { function: name(), setting: *setting };
        add("function setting changed", Action::ByHand(region.clone(), alter));
    }
    let package = Package::new(b"somebody else's code".to_vec());
    let code =
        Write::Lambda(LambdaWrite::UpdateFunctionCode { name: name(), package, architecture: listing.architecture });
    add("code replaced", Action::Write(region.clone(), code));
    add("function deleted", Action::Write(region.clone(), Write::Lambda(LambdaWrite::DeleteFunction { name: name() })));
    add("function's tags removed", untagged(region, Tagged::Function(name())));
    let idle = ByHand::SetFunctionState {
        function: name(),
        state: FunctionState::Inactive,
        reason: Some("Idle: The function is inactive.".into()),
    };
    add("function idle", Action::ByHand(region.clone(), idle));
}

fn of_log_group(region: &Region, record: &LogGroupRecord, add: Add<'_>) {
    let name = || record.group.name.clone();
    add("log group deleted", Action::Write(region.clone(), Write::Logs(LogsWrite::DeleteLogGroup { name: name() })));
    let days = if record.group.retention_days == Some(1) { 3 } else { 1 };
    add(
        "retention changed",
        Action::Write(region.clone(), Write::Logs(LogsWrite::PutRetentionPolicy { name: name(), days })),
    );
    add("retention removed", Action::ByHand(region.clone(), ByHand::DeleteRetentionPolicy(name())));
    add("log group's tags removed", untagged(region, Tagged::LogGroup(name())));
}

fn of_role(region: &Region, record: &RoleRecord, add: Add<'_>) {
    let role = || record.role.name.clone();
    let mut write = |name, write| add(name, Action::Write(region.clone(), write));
    let allow_all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let document = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [allow_all]}));
    let put = |policy: &str| {
        Write::Iam(IamWrite::PutRolePolicy { role: role(), policy: policy.into(), document: document.clone() })
    };
    for policy in record.role.inline_policies.keys() {
        write("role policy deleted", Write::Iam(IamWrite::DeleteRolePolicy { role: role(), policy: policy.clone() }));
        write("role policy opened", put(policy));
    }
    write("foreign inline policy added", put("by-hand"));
    let model = format!("arn:{}:bedrock:{region}::foundation-model/anthropic.claude-2", region.partition());
    let deny = json!({"Sid": "CallModels", "Effect": "Deny", "Action": "bedrock:InvokeModel", "Resource": [model]});
    let document = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [deny]}));
    write(
        "foreign denial added",
        Write::Iam(IamWrite::PutRolePolicy { role: role(), policy: "no-claude".into(), document }),
    );
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}});
    let trust_policy = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [trust]}));
    write("trust policy changed", Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: role(), trust_policy }));
    let policy_arn = format!("arn:{}:iam::aws:policy/AdministratorAccess", region.partition());
    let attach = ByHand::AttachRolePolicy { role: role(), policy_arn };
    add("foreign policy attached", Action::ByHand(region.clone(), attach));
    // Without a boundary of its own, the operator leaves a foreign boundary in place.
    if record.role.permissions_boundary.is_some() {
        let swap = Write::Iam(IamWrite::PutRolePermissionsBoundary { role: role(), boundary: another_boundary() });
        add("permissions boundary swapped", Action::Write(region.clone(), swap));
        add("permissions boundary removed", Action::ByHand(region.clone(), ByHand::DeleteRoleBoundary(role())));
    }
    add("role deleted", Action::ByHand(region.clone(), ByHand::DeleteRole(role())));
    add("role replaced", Action::ByHand(region.clone(), ByHand::ReplaceRole(role())));
    add("role's tags removed", untagged(region, Tagged::Role(role())));
}

fn untagged(region: &Region, from: Tagged) -> Action {
    Action::ByHand(region.clone(), ByHand::RemoveTags { from, keys: None })
}

/// The policy that AWS gives an endpoint by default.
fn full_access() -> PolicyDocument {
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
    PolicyDocument::new(&json!({"Version": "2008-10-17", "Statement": [statement]}))
}
