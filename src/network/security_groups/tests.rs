use super::*;
use crate::{
    api::condition::LegState,
    aws::Write,
    identity::Marked,
    network::fixtures::{
        at_rest, bare, decided, default_egress, endpoints_leg, group_id, https, identity, leg, new_group, operations,
        refuse, settings, vpc_id, writes,
    },
};

fn endpoints() -> SecurityGroupId {
    group_id(ENDPOINTS_GROUP)
}

fn functions() -> SecurityGroupId {
    group_id(FUNCTIONS_GROUP)
}

#[test]
fn a_network_that_has_nothing_first_gets_its_two_groups() {
    let plan = decided(&bare());
    assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::WaitingForNetwork));
    let groups: Vec<(String, Option<String>)> = writes(plan)
        .into_iter()
        .map(|write| match write {
            Write::Ec2(Ec2Write::CreateSecurityGroup { vpc, name, tags, .. }) => {
                assert_eq!(vpc, vpc_id());
                assert!(identity().owns(&tags), "tagged from the first moment on");
                assert_eq!(settings().owner.on(&tags), Marked::Ours, "and marked as this cluster's");
                (name, tags.get(TAG_COMPONENT).cloned())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("private-genai-functions-prod".to_owned(), Some(FUNCTIONS_GROUP.to_owned())),
            ("private-genai-endpoints-prod".to_owned(), Some(ENDPOINTS_GROUP.to_owned())),
        ]
    );
}

#[test]
fn a_group_that_is_there_is_not_created_again() {
    for (there, missing) in [(FUNCTIONS_GROUP, ENDPOINTS_GROUP), (ENDPOINTS_GROUP, FUNCTIONS_GROUP)] {
        let writes = writes(decided(&Observed { security_groups: vec![new_group(there)], ..bare() }));
        let [
            Write::Ec2(Ec2Write::CreateSecurityGroup { name, .. }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group, rules }),
        ] = &writes[..]
        else {
            panic!("{writes:?}");
        };
        assert_eq!(*name, identity().group_name(missing));
        assert_eq!((group, rules), (&group_id(there), &default_egress()), "nothing gets through meanwhile");
    }
}

#[test]
fn new_groups_get_their_rule_and_lose_aws_s_default_before_anything_carries_them() {
    let groups = vec![new_group(FUNCTIONS_GROUP), new_group(ENDPOINTS_GROUP)];
    let plan = decided(&Observed { security_groups: groups, ..bare() });
    assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::WaitingForNetwork));
    assert_eq!(leg(&plan, ConditionType::SecurityGroupsReady).state, LegState::Progressing);
    assert_eq!(
        writes(plan),
        [
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: functions(), rules: https(ENDPOINTS_GROUP) }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: functions(), rules: default_egress() }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: endpoints(), rules: https(FUNCTIONS_GROUP) }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: endpoints(), rules: default_egress() }),
        ]
    );
}

#[test]
fn a_group_whose_peer_lost_its_tags_keeps_the_rule_of_the_path_and_no_other() {
    for component in [FUNCTIONS_GROUP, ENDPOINTS_GROUP] {
        let mut observed = at_rest();
        observed.security_groups.retain(|group| group.id == group_id(component));
        refuse(&mut observed);
        assert_eq!(decided(&observed).steps, [], "{component}");
        observed.security_groups[0].egress.extend(default_egress());
        assert_eq!(operations(&decided(&observed)), ["RevokeSecurityGroupEgress"], "{component}");
    }
}

#[test]
fn drift_of_rules_is_put_right_by_differences_granting_before_revoking() {
    let mut observed = at_rest();
    observed.security_groups[0].egress = default_egress();
    observed.security_groups[1].ingress.extend(https(ENDPOINTS_GROUP));
    let plan = decided(&observed);
    assert_eq!(endpoints_leg(&plan), (LegState::Met, Reason::Ready), "the endpoint itself is as it should be");
    assert_eq!(
        writes(plan),
        [
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: functions(), rules: https(ENDPOINTS_GROUP) }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: functions(), rules: default_egress() }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: endpoints(), rules: https(ENDPOINTS_GROUP) }),
        ]
    );
}
