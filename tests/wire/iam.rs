//! IAM and STS, in the Query protocol.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use private_genai_operator::aws::{AwsError, IamWrite, PolicyDocument, Role, RoleName};

use super::{
    Reply, Wire,
    request::Call,
    unreadable,
    xml::{Xml, query_answer},
};
use crate::memory::aws::pages;

/// IAM's lists: 100 by themselves, and at most 1,000.
const PAGE: (usize, usize) = (100, 1_000);

/// A moment at which everything was created: the operator reads none.
const CREATED: &str = "2024-01-01T00:00:00Z";

pub(super) fn answer(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let role = || call.required::<RoleName>("RoleName");
    let text = |name: &str| call.query(name).unwrap_or_default().to_owned();
    let document = |name: &str| PolicyDocument::from_wire(&text(name));
    let write = match call.operation {
        "GetAccountAuthorizationDetails" => return Ok(details(wire, call)),
        "ListRoles" => return Ok(listings(wire, call)),
        "GetRole" | "GetRolePolicy" | "ListRolePolicies" | "ListAttachedRolePolicies" => return one(wire, call),
        "CreateRole" => IamWrite::CreateRole {
            name: role()?,
            path: text("Path"),
            trust_policy: document("AssumeRolePolicyDocument"),
            description: text("Description"),
            permissions_boundary: call
                .query("PermissionsBoundary")
                .map(|arn| call.parsed(arn, "PermissionsBoundary"))
                .transpose()?,
            tags: call.tag_list("Tags.member"),
        },
        "PutRolePermissionsBoundary" => {
            IamWrite::PutRolePermissionsBoundary { role: role()?, boundary: call.required("PermissionsBoundary")? }
        }
        "UpdateAssumeRolePolicy" => {
            IamWrite::UpdateAssumeRolePolicy { role: role()?, trust_policy: document("PolicyDocument") }
        }
        "PutRolePolicy" => {
            IamWrite::PutRolePolicy { role: role()?, policy: text("PolicyName"), document: document("PolicyDocument") }
        }
        "DeleteRolePolicy" => IamWrite::DeleteRolePolicy { role: role()?, policy: text("PolicyName") },
        "DetachRolePolicy" => IamWrite::DetachRolePolicy { role: role()?, policy_arn: text("PolicyArn") },
        "TagRole" => IamWrite::TagRole { role: role()?, tags: call.tag_list("Tags.member") },
        "UntagRole" => IamWrite::UntagRole { role: role()?, keys: call.ids("TagKeys.member")? },
        "DeleteRole" => IamWrite::DeleteRole { role: role()? },
        _ => return Err(unreadable(call, "the operation")),
    };
    let created = matches!(write, IamWrite::CreateRole { .. }).then(role).transpose()?;
    wire.write(&call.region, write)?;
    let role = created.and_then(|name| wire.aws.look(|world| world.roles.get(&name).map(|record| record.role.clone())));
    Ok(Reply::new(query_answer(call.operation, |xml| {
        if let Some(role) = &role {
            xml.element("Role", |xml| head(xml, role));
        }
    })))
}

pub(super) fn caller_identity(wire: &Wire, call: &Call) -> Reply {
    let account = wire.aws.look(|world| world.account.to_string());
    let partition = call.region.partition();
    Reply::new(query_answer(call.operation, |xml| {
        xml.text("Arn", format!("arn:{partition}:sts::{account}:assumed-role/operator/bench"));
        xml.text("UserId", "AROABENCH:bench").text("Account", &account);
    }))
}

/// The roles of a page, and the marker of the next one.
fn page(wire: &Wire, call: &Call, within: &str) -> (Vec<Role>, Option<String>) {
    let most = call.page_size("MaxItems", PAGE.0, PAGE.1);
    let (roles, more) = wire.aws.look(|world| pages::roles(world, within, call.query("Marker"), most));
    let marker = roles.last().filter(|_| more).map(|role| role.name.to_string());
    (roles, marker)
}

fn truncated(xml: &mut Xml, marker: Option<String>) {
    xml.text("IsTruncated", marker.is_some()).maybe("Marker", marker);
}

fn details(wire: &Wire, call: &Call) -> Reply {
    let (roles, marker) = page(wire, call, "");
    Reply::new(query_answer(call.operation, |xml| {
        xml.list("RoleDetailList", "member", &roles, |xml, role| {
            head(xml, role);
            xml.list("RolePolicyList", "member", &role.inline_policies, |xml, (name, document)| {
                xml.text("PolicyName", name).text("PolicyDocument", encoded(document));
            });
            attached(xml, "AttachedManagedPolicies", role);
            more(xml, role);
        });
        truncated(xml, marker);
    }))
}

fn listings(wire: &Wire, call: &Call) -> Reply {
    let path = call.query("PathPrefix").unwrap_or("/");
    let (roles, marker) = page(wire, call, &format!(":role{path}"));
    Reply::new(query_answer(call.operation, |xml| {
        xml.list("Roles", "member", &roles, head);
        truncated(xml, marker);
    }))
}

/// The reads of one role.
fn one(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let missing = |message: String| {
        let code = Some("NoSuchEntity".to_owned());
        Err(AwsError { code, message, ..unreadable(call, "the role") })
    };
    let name: RoleName = call.required("RoleName")?;
    let Some(role) = wire.aws.look(|world| pages::role(world, &name).cloned()) else {
        return missing(format!("The role with name {name} cannot be found."));
    };
    let policy = call.query("PolicyName").unwrap_or_default();
    let found = role.inline_policies.get(policy);
    if call.operation == "GetRolePolicy" && found.is_none() {
        return missing(format!("The role policy with name {policy} cannot be found."));
    }
    Ok(Reply::new(query_answer(call.operation, |xml| match call.operation {
        "GetRole" => {
            xml.element("Role", |xml| {
                head(xml, &role);
                more(xml, &role);
            });
        }
        "GetRolePolicy" => {
            xml.text("RoleName", &name).text("PolicyName", policy).maybe("PolicyDocument", found.map(encoded));
        }
        "ListRolePolicies" => {
            xml.texts("PolicyNames", "member", role.inline_policies.keys());
            truncated(xml, None);
        }
        _ => {
            attached(xml, "AttachedPolicies", &role);
            truncated(xml, None);
        }
    })))
}

/// What every answer shows of a role.
fn head(xml: &mut Xml, role: &Role) {
    let path = role.arn.split_once(":role").map_or("/", |(_, path)| path.trim_end_matches(role.name.as_str()));
    xml.text("Path", path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", &role.arn)
        .text("CreateDate", CREATED)
        .text("AssumeRolePolicyDocument", encoded(&role.trust_policy));
}

/// What lists of roles leave out.
fn more(xml: &mut Xml, role: &Role) {
    if let Some(boundary) = &role.permissions_boundary {
        xml.element("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "PermissionsBoundaryPolicy").text("PermissionsBoundaryArn", boundary);
        });
    }
    xml.list("Tags", "member", &role.tags, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
}

fn attached(xml: &mut Xml, name: &str, role: &Role) {
    xml.list(name, "member", &role.attached_policies, |xml, arn| {
        xml.text("PolicyName", arn.rsplit('/').next().unwrap_or(arn)).text("PolicyArn", arn);
    });
}

/// IAM returns documents URL-encoded by RFC 3986.
fn encoded(document: &PolicyDocument) -> String {
    utf8_percent_encode(document.as_str(), NON_ALPHANUMERIC).to_string()
}
