//! The order of writes: which write of a plan waits for another one, and which makes room for a write that a quota refused. A
//! failed write ends only the writes that stand on it.

use crate::{
    aws::{Ec2Write, IamWrite, LambdaWrite, LogsWrite, Peer, Tagging, Write},
    identity::{TAG_HANDED_OVER, is_retained},
};

/// The write can be made only after the earlier write of the same plan is done.
///
/// # Guarantees
/// A write that takes something away waits only for removals that AWS requires: foreign access is closed even if every other
/// write fails.
pub fn stands_on(write: &Write, earlier: &Write) -> bool {
    write.describe().is_of_what_is_created_by(&earlier.describe())
        || match write {
            Write::Ec2(write) => matches!(earlier, Write::Ec2(earlier) if ec2_stands_on(write, earlier)),
            Write::Iam(write) => role_stands_on(write, earlier),
            // The tags of an app's role name the network of the app's other resources, so the role is created first.
            Write::Logs(LogsWrite::CreateLogGroup { .. }) => matches!(earlier, Write::Iam(IamWrite::CreateRole { .. })),
            Write::Lambda(write) => function_stands_on(write, earlier),
            Write::Logs(_) => false,
        }
}

fn ec2_stands_on(write: &Ec2Write, earlier: &Ec2Write) -> bool {
    use Ec2Write::{
        AuthorizeSecurityGroupEgress, AuthorizeSecurityGroupIngress, CreateSecurityGroup, CreateVpcEndpoint,
        DeleteSecurityGroup, ModifyVpcEndpoint, RevokeSecurityGroupEgress, RevokeSecurityGroupIngress,
    };
    match (write, earlier) {
        // An endpoint gets a group only after the rules of AWS and of others were removed from the group.
        (
            ModifyVpcEndpoint { change, .. },
            RevokeSecurityGroupIngress { group, .. } | RevokeSecurityGroupEgress { group, .. },
        ) => change.add_security_groups.contains(group),
        // An endpoint always has a group: its last foreign group is removed by the write that adds ours.
        (ModifyVpcEndpoint { change, .. }, ModifyVpcEndpoint { change: first, .. }) => {
            !change.add_security_groups.is_empty() && !first.remove_security_groups.is_empty()
        }
        (
            CreateVpcEndpoint(new),
            AuthorizeSecurityGroupIngress { group, .. }
            | AuthorizeSecurityGroupEgress { group, .. }
            | RevokeSecurityGroupIngress { group, .. }
            | RevokeSecurityGroupEgress { group, .. },
        ) => new.security_groups.contains(group),
        // EC2 refuses to delete a group that a rule of another group names.
        (
            DeleteSecurityGroup { group },
            RevokeSecurityGroupIngress { rules, .. } | RevokeSecurityGroupEgress { rules, .. },
        ) => rules.iter().any(|rule| rule.peer == Peer::Group(group.clone())),
        // Of two clusters with one installation id, the cluster that creates the first group also creates the second.
        (CreateSecurityGroup { vpc, .. }, CreateSecurityGroup { vpc: first, .. }) => vpc == first,
        _ => false,
    }
}

fn role_stands_on(write: &IamWrite, earlier: &Write) -> bool {
    match (write, earlier) {
        // The operator may write policies only to a role under the boundary.
        (
            IamWrite::PutRolePolicy { role, .. },
            Write::Iam(IamWrite::PutRolePermissionsBoundary { role: bound, .. }),
        ) => role == bound,
        // IAM refuses to delete a role that has a policy.
        (
            IamWrite::DeleteRole { role },
            Write::Iam(IamWrite::DeleteRolePolicy { role: of, .. } | IamWrite::DetachRolePolicy { role: of, .. }),
        ) => role == of,
        // The tags of a role record that every other resource of the app has its tags; the tags of a handed-over role record that
        // all other steps are done.
        (IamWrite::TagRole { tags, .. }, earlier) => match earlier.tagging() {
            Tagging::Other => true,
            Tagging::Role => false,
            Tagging::None => tags.contains_key(TAG_HANDED_OVER) || is_retained(tags),
        },
        _ => false,
    }
}

fn function_stands_on(write: &LambdaWrite, earlier: &Write) -> bool {
    match (write, earlier) {
        // A function never runs with a role that has excess permissions, and never without its log group.
        (
            LambdaWrite::CreateFunction(_),
            Write::Logs(LogsWrite::CreateLogGroup { .. } | LogsWrite::PutRetentionPolicy { .. }),
        ) => true,
        (
            LambdaWrite::CreateFunction(new),
            Write::Iam(
                IamWrite::CreateRole { name: role, .. }
                | IamWrite::PutRolePermissionsBoundary { role, .. }
                | IamWrite::UpdateAssumeRolePolicy { role, .. }
                | IamWrite::PutRolePolicy { role, .. }
                | IamWrite::DeleteRolePolicy { role, .. }
                | IamWrite::DetachRolePolicy { role, .. },
            ),
        ) => role.as_str() == new.name.as_str(),
        // The role and the function of an app have one name.
        (
            LambdaWrite::UpdateFunctionConfiguration { name, .. },
            Write::Iam(IamWrite::CreateRole { name: role, .. }),
        ) => role.as_str() == name.as_str(),
        _ => false,
    }
}

/// The write makes room for a write that a quota refused.
pub fn makes_room(done: &Write, refused: &Write) -> bool {
    match (done, refused) {
        (
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group, .. }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: full, .. }),
        )
        | (
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group, .. }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: full, .. }),
        ) => group == full,
        (
            Write::Iam(IamWrite::DeleteRolePolicy { role, .. }),
            Write::Iam(IamWrite::PutRolePolicy { role: full, .. }),
        ) => role == full,
        (
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint, change }),
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: full, .. }),
        ) => endpoint == full && !change.remove_security_groups.is_empty(),
        (Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. }), Write::Ec2(Ec2Write::CreateVpcEndpoint(_))) => true,
        _ => false,
    }
}

/// AWS would refuse the write for now, because AWS still works on the same resource after the other write. The write is made once
/// AWS has finished.
pub fn gives_way(write: &Write, done: &Write) -> bool {
    match (write, done) {
        (
            Write::Lambda(LambdaWrite::UpdateFunctionCode { name, .. }),
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name: busy, .. }),
        ) => name == busy,
        (
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint, .. }),
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: busy, change }),
        ) => endpoint == busy && change.private_dns.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        aws::{EndpointChange, PolicyDocument, RoleName, Rule, SecurityGroupId, Tags},
        identity::{TAG_INSTALLATION, TAG_RETAINED},
    };

    fn group(id: &str) -> SecurityGroupId {
        id.parse().expect("a group")
    }

    fn role() -> RoleName {
        "pgai-a".parse().expect("a role")
    }

    fn rules(peer: &str) -> BTreeSet<Rule> {
        [Rule::tcp(443, Peer::Group(group(peer)))].into()
    }

    fn tag(key: &str) -> Write {
        Write::Iam(IamWrite::TagRole { role: role(), tags: [(key.to_owned(), "x".to_owned())].into() })
    }

    fn delete_policy() -> Write {
        Write::Iam(IamWrite::DeleteRolePolicy { role: role(), policy: "p".to_owned() })
    }

    fn detach() -> Write {
        Write::Iam(IamWrite::DetachRolePolicy { role: role(), policy_arn: "arn".to_owned() })
    }

    fn put_policy() -> Write {
        Write::Iam(IamWrite::PutRolePolicy {
            role: role(),
            policy: "p".to_owned(),
            document: PolicyDocument::from_wire("{}"),
        })
    }

    fn bound() -> Write {
        let boundary = "arn:aws:iam::123456789012:policy/b".parse().expect("an ARN");
        Write::Iam(IamWrite::PutRolePermissionsBoundary { role: role(), boundary })
    }

    #[test]
    fn what_takes_away_stands_on_nothing_that_may_fail_beside_it() {
        let modify = |change| {
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: "vpce-00000001".parse().expect("an id"), change })
        };
        let policy = EndpointChange { policy: Some(PolicyDocument::from_wire("{}")), ..EndpointChange::default() };
        let narrow = [
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress {
                group: group("sg-00000001"),
                rules: rules("sg-00000002"),
            }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress {
                group: group("sg-00000001"),
                rules: rules("sg-00000002"),
            }),
            modify(policy),
            delete_policy(),
            detach(),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy {
                role: role(),
                trust_policy: PolicyDocument::from_wire("{}"),
            }),
        ];
        let beside = [
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress {
                group: group("sg-00000001"),
                rules: rules("sg-00000002"),
            }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress {
                group: group("sg-00000001"),
                rules: rules("sg-00000002"),
            }),
            put_policy(),
            bound(),
            tag(TAG_INSTALLATION),
            Write::Ec2(Ec2Write::CreateTags { resource: "sg-00000001".to_owned(), tags: Tags::new() }),
        ];
        for write in &narrow {
            for other in narrow.iter().chain(&beside).filter(|other| *other != write) {
                assert!(!stands_on(write, other), "{write:?} waits for {other:?}");
            }
        }
    }

    #[test]
    fn a_role_is_deleted_after_its_policies_and_handed_over_after_everything_else() {
        let delete = Write::Iam(IamWrite::DeleteRole { role: role() });
        for policy in [delete_policy(), detach()] {
            assert!(stands_on(&delete, &policy));
            assert!(stands_on(&tag(TAG_HANDED_OVER), &policy) && stands_on(&tag(TAG_RETAINED), &policy));
            assert!(!stands_on(&tag(TAG_INSTALLATION), &policy));
        }
        assert!(!stands_on(&delete, &bound()));
        let other = Write::Logs(LogsWrite::TagResource { arn: "arn".to_owned(), tags: Tags::new() });
        assert!(stands_on(&tag(TAG_INSTALLATION), &other), "the role's tags tell that everything else has its own");
        assert!(stands_on(&put_policy(), &bound()) && !stands_on(&delete_policy(), &bound()));
    }

    #[test]
    fn a_group_goes_after_rules_that_name_it_and_is_attached_after_its_own_are_exact() {
        let delete = Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group("sg-00000002") });
        let revoke = |id: &str, peer: &str| {
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group(id), rules: rules(peer) })
        };
        assert!(stands_on(&delete, &revoke("sg-00000001", "sg-00000002")));
        assert!(!stands_on(&delete, &revoke("sg-00000002", "sg-00000001")));
        let change = EndpointChange { add_security_groups: [group("sg-00000001")].into(), ..EndpointChange::default() };
        let carry =
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: "vpce-00000001".parse().expect("an id"), change });
        assert!(stands_on(&carry, &revoke("sg-00000001", "sg-00000002")));
        assert!(!stands_on(&carry, &revoke("sg-00000002", "sg-00000001")));
    }

    #[test]
    fn room_is_made_by_what_goes_from_the_same_resource() {
        let of = |id: &str| {
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group(id), rules: rules("sg-00000009") })
        };
        let revoke = Write::Ec2(Ec2Write::RevokeSecurityGroupIngress {
            group: group("sg-00000001"),
            rules: rules("sg-00000002"),
        });
        assert!(makes_room(&revoke, &of("sg-00000001")));
        assert!(!makes_room(&revoke, &of("sg-00000002")));
        assert!(makes_room(&delete_policy(), &put_policy()));
        assert!(!makes_room(&detach(), &put_policy()), "managed policies do not count");
    }
}
