//! IAM roles: strict about names, sizes and order, and seen late by others.

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::aws::{IamWrite, PolicyArn, PolicyDocument, Region, Role, RoleName, Tags, Written};

use super::{
    policy::{self, Kind, Verdict},
    step::{Answer, refuse, refuse_with},
    tags,
    world::{Reader, RoleRecord, Transition, World},
};

/// IAM quotas: "Role trust policy length", and the aggregate size of a role's inline policies, both without white space. Managed
/// policies per role: 10.
const TRUST_POLICY_CHARACTERS: usize = 2_048;
const INLINE_POLICY_CHARACTERS: usize = 10_240;
const ATTACHED_POLICIES: usize = 10;

/// The AWS managed policy that the console attaches to functions in a VPC; it allows the interface actions.
const VPC_ACCESS_POLICY: &str = ":iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole";

/// Carries out a change.
pub(super) fn carry_out(world: &mut World, region: &Region, write: &IamWrite) -> Answer {
    match write {
        IamWrite::CreateRole { name, path, trust_policy, description, permissions_boundary, tags } => {
            let boundary = permissions_boundary.as_ref();
            create_role(world, region, (path, name), trust_policy, description, boundary, tags)
        }
        IamWrite::PutRolePermissionsBoundary { role, boundary } => put_boundary(world, role, boundary),
        IamWrite::UpdateAssumeRolePolicy { role, trust_policy } => update_trust_policy(world, role, trust_policy),
        IamWrite::PutRolePolicy { role, policy, document } => put_role_policy(world, role, policy, document),
        IamWrite::DeleteRolePolicy { role, policy } => delete_role_policy(world, role, policy),
        IamWrite::DetachRolePolicy { role, policy_arn } => detach_role_policy(world, role, policy_arn),
        IamWrite::TagRole { role, tags } => tag_role(world, role, tags),
        IamWrite::UntagRole { role, keys } => untag_role(world, role, keys),
        IamWrite::DeleteRole { role } => delete_role(world, role),
    }
}

pub(super) fn create_role(
    world: &mut World,
    region: &Region,
    (path, name): (&str, &RoleName),
    trust_policy: &PolicyDocument,
    description: &str,
    boundary: Option<&PolicyArn>,
    tags: &Tags,
) -> Answer {
    // CreateRole: "a string of either a forward slash (/) by itself or a string that must begin and end with forward
    // slashes", at most 512 characters.
    let printable = |text: &str| text.chars().all(|c| ('\u{21}'..='\u{7e}').contains(&c));
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > 512 || !printable(path) {
        return refuse("ValidationError", format!("The specified value for path is invalid: {path}"));
    }
    if description.chars().count() > 1_000 {
        return refuse("ValidationError", "The description is longer than 1000 characters");
    }
    check_trust_policy(trust_policy)?;
    tags::check(tags, "InvalidInput")?;
    // "Names are not distinguished by case", and are unique across all paths.
    if world.roles.keys().any(|other| other.as_str().eq_ignore_ascii_case(name.as_str())) {
        return refuse_with(409, "EntityAlreadyExists", format!("Role with name {name} already exists."));
    }
    let permissions_boundary = boundary.map(|arn| attachable(world, arn)).transpose()?;
    let arn = format!("arn:{}:iam::{}:role{path}{name}", region.partition(), world.account);
    let role = Role {
        name: name.clone(),
        id: String::new(),
        arn,
        trust_policy: trust_policy.clone(),
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        permissions_boundary,
        tags: tags.clone(),
    };
    check_demanded(world, &role, "CreateRole")?;
    let record = new_principal(world, &role);
    write(world, name, Some(record));
    Ok(Written::Done)
}

/// A copy of this role as a new principal.
pub(super) fn new_principal(world: &mut World, role: &Role) -> RoleRecord {
    let principal = world.count(format!("role {}", role.name));
    RoleRecord { role: Role { id: format!("AROA-{}-{principal}", role.name), ..role.clone() }, principal }
}

/// `iam:PermissionsBoundary` is the boundary in the call to create a role, and else the one that the role has.
fn check_demanded(world: &World, role: &Role, operation: &str) -> Answer<()> {
    let demanded = world.demanded_boundary.as_ref().filter(|_| role.arn.contains(":role/private-genai/"));
    if demanded.is_none_or(|boundary| role.permissions_boundary.as_deref() == Some(boundary.as_str())) {
        return Ok(());
    }
    let message = format!("The caller is not authorized to perform: iam:{operation} on resource: role {}", role.name);
    refuse_with(403, "AccessDenied", message)
}

/// The managed policy of that ARN, if it exists. AWS's words are those of published refusals.
fn attachable(world: &World, arn: &PolicyArn) -> Answer<String> {
    if world.managed_policies.contains_key(arn.as_str()) {
        return Ok(arn.to_string());
    }
    refuse_with(404, "NoSuchEntity", format!("Scope ARN: {arn} does not exist or is not attachable."))
}

pub(super) fn put_boundary(world: &mut World, name: &RoleName, boundary: &PolicyArn) -> Answer {
    let mut record = found(world, name)?;
    record.role.permissions_boundary = Some(attachable(world, boundary)?);
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn delete_boundary(world: &mut World, name: &RoleName) -> Answer {
    let mut record = found(world, name)?;
    record.role.permissions_boundary = None;
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn update_trust_policy(world: &mut World, name: &RoleName, trust_policy: &PolicyDocument) -> Answer {
    let mut record = found(world, name)?;
    check_trust_policy(trust_policy)?;
    record.role.trust_policy = trust_policy.clone();
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn tag_role(world: &mut World, name: &RoleName, tags: &Tags) -> Answer {
    let mut record = found(world, name)?;
    if let Some((key, value)) = tags.iter().find(|(key, value)| key.len() > 128 || value.len() > 256) {
        return refuse("ValidationError", format!("The tag {key}={value} is longer than 128 or 256 characters"));
    }
    record.role.tags.extend(tags.clone());
    // IAM quotas: "Tags that can be attached to a role".
    if record.role.tags.len() > 50 {
        return refuse_with(409, "LimitExceeded", "Cannot exceed quota for TagsPerRole: 50");
    }
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn untag_role(world: &mut World, name: &RoleName, keys: &BTreeSet<String>) -> Answer {
    let mut record = found(world, name)?;
    record.role.tags.retain(|key, _| !keys.contains(key));
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn put_role_policy(world: &mut World, name: &RoleName, policy: &str, document: &PolicyDocument) -> Answer {
    let mut record = found(world, name)?;
    check_demanded(world, &record.role, "PutRolePolicy")?;
    if !(1..=128).contains(&policy.len()) || !policy.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c))
    {
        return refuse("ValidationError", format!("The specified value for policyName is invalid: {policy}"));
    }
    if !policy::is_well_formed(document, Kind::Identity) {
        return refuse("MalformedPolicyDocument", "Syntax errors in policy.");
    }
    record.role.inline_policies.insert(policy.to_owned(), document.clone());
    let size: usize = record.role.inline_policies.values().map(characters).sum();
    if size > INLINE_POLICY_CHARACTERS {
        return refuse_with(
            409,
            "LimitExceeded",
            format!("Maximum policy size of {INLINE_POLICY_CHARACTERS} bytes exceeded for role {name}"),
        );
    }
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn delete_role_policy(world: &mut World, name: &RoleName, policy: &str) -> Answer {
    let mut record = found(world, name)?;
    check_demanded(world, &record.role, "DeleteRolePolicy")?;
    if record.role.inline_policies.remove(policy).is_none() {
        return refuse_with(404, "NoSuchEntity", format!("The role policy with name {policy} cannot be found."));
    }
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn attach_role_policy(world: &mut World, name: &RoleName, policy_arn: &str) -> Answer {
    let mut record = found(world, name)?;
    record.role.attached_policies.insert(policy_arn.to_owned());
    if record.role.attached_policies.len() > ATTACHED_POLICIES {
        return refuse_with(
            409,
            "LimitExceeded",
            format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES}"),
        );
    }
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn detach_role_policy(world: &mut World, name: &RoleName, policy_arn: &str) -> Answer {
    let mut record = found(world, name)?;
    check_demanded(world, &record.role, "DetachRolePolicy")?;
    if !record.role.attached_policies.remove(policy_arn) {
        return refuse_with(404, "NoSuchEntity", format!("Policy {policy_arn} was not found."));
    }
    write(world, name, Some(record));
    Ok(Written::Done)
}

pub(super) fn delete_role(world: &mut World, name: &RoleName) -> Answer {
    let record = found(world, name)?;
    if !record.role.attached_policies.is_empty() {
        return refuse_with(409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    }
    if !record.role.inline_policies.is_empty() {
        return refuse_with(409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    }
    write(world, name, None);
    Ok(Written::Done)
}

/// Changes a role; readers of a copy that lags behind keep seeing the earlier state.
pub(super) fn write(world: &mut World, name: &RoleName, after: Option<RoleRecord>) {
    let before = world.roles.get(name).cloned();
    for (reader, delay) in [(Reader::Iam, world.delays.role_visible), (Reader::Lambda, world.delays.role_usable)] {
        world.believed.entry((reader, name.clone())).or_insert_with(|| before.clone());
        world.schedule(Transition::RoleKnown(reader, name.clone()), delay);
    }
    match after {
        Some(record) => world.roles.insert(name.clone(), record),
        None => world.roles.remove(name),
    };
}

/// The role, as far as IAM's writing side is concerned.
pub(super) fn found(world: &World, name: &RoleName) -> Answer<RoleRecord> {
    match world.roles.get(name) {
        Some(record) => Ok(record.clone()),
        None => refuse_with(404, "NoSuchEntity", format!("The role with name {name} cannot be found.")),
    }
}

/// The roles as a reader sees them.
pub(super) fn roles_seen_by(world: &World, reader: Reader) -> Vec<&RoleRecord> {
    let as_believed = world.believed.iter().filter(|((r, _), _)| *r == reader).filter_map(|(_, role)| role.as_ref());
    let as_is = world.roles.iter().filter(|(name, _)| !world.believed.contains_key(&(reader, (*name).clone())));
    let mut roles: Vec<_> = as_believed.chain(as_is.map(|(_, role)| role)).collect();
    roles.sort();
    roles
}

/// The role that Lambda assumes under this ARN.
pub(super) fn lambda_can_assume(world: &World, role_arn: &str) -> Answer<RoleRecord> {
    roles_seen_by(world, Reader::Lambda)
        .into_iter()
        .find(|record| record.role.arn == role_arn && policy::trusts_lambda(&record.role.trust_policy))
        .cloned()
        .map_or_else(
            || {
                refuse(
                    "InvalidParameterValueException",
                    "The role defined for the function cannot be assumed by Lambda.",
                )
            },
            Ok,
        )
}

/// The policies of the role, all together, allow the action, and its permissions boundary does too: one that is gone allows
/// nothing.
pub(super) fn allows(world: &World, role: &Role, action: &str) -> bool {
    let boundary = role.permissions_boundary.as_ref().map(|arn| world.managed_policies.get(arn));
    if boundary
        .is_some_and(|boundary| boundary.is_none_or(|document| policy::allows(document, action) != Verdict::Allowed))
    {
        return false;
    }
    let verdicts: Vec<_> = role.inline_policies.values().map(|document| policy::allows(document, action)).collect();
    let attached =
        role.attached_policies.iter().any(|arn| arn.ends_with(VPC_ACCESS_POLICY)) && action.starts_with("ec2:");
    !verdicts.contains(&Verdict::Denied) && (attached || verdicts.contains(&Verdict::Allowed))
}

fn check_trust_policy(document: &PolicyDocument) -> Answer<()> {
    if !policy::is_well_formed(document, Kind::Trust) {
        return refuse("MalformedPolicyDocument", "Syntax errors in policy.");
    }
    if characters(document) > TRUST_POLICY_CHARACTERS {
        return refuse_with(409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048");
    }
    Ok(())
}

fn characters(document: &PolicyDocument) -> usize {
    document.as_str().chars().filter(|c| !c.is_whitespace()).count()
}
