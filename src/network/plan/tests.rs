use super::*;
use crate::{
    api::condition::LegState,
    aws::{AwsError, Failure, IamWrite, NetworkInterface, Role, RouteTarget, Tenancy},
    identity::{Marked, TAG_HANDED_OVER},
    network::{
        Demand, OtherFunctions,
        fixtures::{
            RUNTIME, at_rest, bare, default_egress, demand, demand_of, desired, desired_by, endpoint, endpoint_id,
            endpoint_in, exact_groups, group_id, https, identity, interface, main_table, new_group, settings,
            subnet_ids, vpc_id, with_endpoints,
        },
    },
    plan::{Step, Unread},
    policy::{ModelId, POLICY_NAME, handed_over_policy, trust_policy},
};

fn decided(observed: &Observed) -> Plan {
    plan(&desired(), observed, &EndpointHistory::default())
}

fn writes(plan: Plan) -> Vec<Write> {
    plan.steps.into_iter().map(|step| step.write).collect()
}

fn leg(plan: &Plan, kind: ConditionType) -> &Leg {
    plan.legs.iter().find(|leg| leg.kind == kind).expect("the leg")
}

fn endpoints_leg(plan: &Plan) -> (LegState, Reason) {
    let leg = leg(plan, ConditionType::EndpointsReady);
    (leg.state, leg.reason)
}

/// The endpoint that the plan creates, and nothing else.
fn created(plan: Plan) -> NewVpcEndpoint {
    match writes(plan).as_slice() {
        [Write::Ec2(Ec2Write::CreateVpcEndpoint(new))] => new.clone(),
        other => panic!("one endpoint is created, but: {other:?}"),
    }
}

fn functions() -> SecurityGroupId {
    group_id(FUNCTIONS_GROUP)
}

fn endpoints() -> SecurityGroupId {
    group_id(ENDPOINTS_GROUP)
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
fn the_endpoint_comes_once_the_groups_have_exactly_their_rules_and_leaves_nothing_to_aws_s_defaults() {
    let new = created(decided(&with_endpoints(vec![])));
    assert!(identity().owns(&new.tags));
    assert_eq!(new.tags.get(TAG_SERVICE).map(String::as_str), Some("bedrock-runtime"));
    assert_eq!(new.tags.get(TAG_PRIVATE_DNS).map(String::as_str), Some("true"), "the choice is written down");
    assert_eq!(
        new,
        NewVpcEndpoint {
            vpc: vpc_id(),
            service_name: "com.amazonaws.us-east-1.bedrock-runtime".to_owned(),
            subnets: subnet_ids(&[0xa1, 0xb1]),
            security_groups: [endpoints()].into(),
            private_dns: true,
            policy: desired().endpoint_policy(RUNTIME),
            client_token: identity().endpoint_token("bedrock-runtime", &endpoints(), None),
            tags: new.tags.clone(),
        }
    );
}

#[test]
fn an_endpoint_that_aws_is_still_at_work_on_is_waited_for_and_shown() {
    for state in ["pending", "pendingAcceptance", "partial", "hibernating"] {
        let mut pending = endpoint_in(1, EndpointState::from_wire(state));
        pending.policy = None;
        let plan = decided(&with_endpoints(vec![pending]));
        assert_eq!(plan.steps, [], "{state}");
        assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::EndpointPending));
        let message = &leg(&plan, ConditionType::EndpointsReady).message;
        assert!(message.contains("vpce-00000001") && message.contains(state), "{message}");
    }
}

#[test]
fn a_network_at_rest_has_every_leg_met_and_nothing_to_do() {
    let plan = decided(&at_rest());
    assert_eq!(plan.steps, []);
    let kinds: Vec<ConditionType> = plan.legs.iter().map(|leg| leg.kind).collect();
    assert_eq!(kinds, [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady]);
    assert!(plan.legs.iter().all(|leg| leg.state == LegState::Met), "{:?}", plan.legs);
}

/// Somebody opens whatever can be opened, takes a subnet off the endpoint, and deletes the functions' group where `both` is not
/// asked for.
fn opened(groups: &[&str]) -> Observed {
    let mut observed = at_rest();
    observed.security_groups.retain(|group| groups.iter().any(|component| group.id == group_id(component)));
    for group in &mut observed.security_groups {
        group.egress.extend(default_egress());
        group.ingress.extend(default_egress());
    }
    let endpoint = &mut observed.endpoints[0];
    endpoint.policy = Some(PolicyDocument::from_wire("{}"));
    endpoint.security_groups.insert("sg-00000001".parse().expect("a group"));
    endpoint.subnets = subnet_ids(&[0xa1]);
    endpoint.tags.remove("Name");
    observed
}

fn unread(source: Source) -> Unread {
    let mut unread = Unread::default();
    unread.take::<()>(source, Err(denied())).expect("no matter of credentials");
    unread
}

fn denied() -> AwsError {
    AwsError {
        service: "ec2",
        operation: "SomeCall",
        failure: Failure::AccessDenied,
        code: Some("UnauthorizedOperation".to_owned()),
        message: "no".to_owned(),
        request_id: None,
    }
}

fn operations(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.write.operation().name).collect()
}

/// No VPC is refused for more than this is: each refusal of placement comes to the same.
fn refuse(observed: &mut Observed) {
    observed.topology.vpcs.get_mut(&vpc_id()).expect("the VPC").tenancy = Tenancy::Other("dedicated".into());
}

#[test]
fn a_refusal_of_placement_or_an_unreadable_topology_keeps_what_is_there_exact_and_creates_and_moves_nothing() {
    let rules = ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"];
    let endpoint = ["ModifyVpcEndpoint", "ModifyVpcEndpoint"];
    for (groups, expected) in [
        (&[FUNCTIONS_GROUP, ENDPOINTS_GROUP][..], [&rules[..], &rules, &endpoint, &["CreateTags"]].concat()),
        (&[ENDPOINTS_GROUP][..], [&rules[..], &endpoint, &["CreateTags"]].concat()),
        (&[FUNCTIONS_GROUP][..], [&rules[..], &["ModifyVpcEndpoint", "CreateTags"]].concat()),
        (&[][..], vec!["ModifyVpcEndpoint", "CreateTags"]),
    ] {
        let mut refused = opened(groups);
        refuse(&mut refused);
        let unseen =
            Observed { topology: crate::aws::Topology::default(), unread: unread(Source::Topology), ..opened(groups) };
        for observed in [refused, unseen] {
            let plan = decided(&observed);
            assert_eq!(operations(&plan), expected, "{groups:?}, {:?}", observed.unread);
            let moves = plan.steps.iter().any(
                |step| matches!(&step.write, Write::Ec2(Ec2Write::ModifyVpcEndpoint { change, .. }) if !change.add_subnets.is_empty()),
            );
            assert!(!moves, "an endpoint's subnets stay as they are: {plan:?}");
            assert!(grants_nothing_but_the_path(&plan.steps), "{plan:?}");
        }
    }
    let mut refused = bare();
    refuse(&mut refused);
    let plan = decided(&refused);
    assert_eq!(plan.steps, [], "nothing is created");
    assert_eq!(leg(&plan, ConditionType::VpcReady).reason, Reason::DedicatedTenancy);
    let waits = (LegState::Progressing, Reason::WaitingForNetwork);
    assert_eq!(endpoints_leg(&plan), waits);
    let mut exact = at_rest();
    refuse(&mut exact);
    let plan = decided(&exact);
    assert_eq!((plan.steps.len(), endpoints_leg(&plan)), (0, (LegState::Met, Reason::Ready)), "legs tell what is");
    let mut failed = with_endpoints(vec![endpoint_in(1, EndpointState::Failed)]);
    refuse(&mut failed);
    let plan = decided(&failed);
    assert_eq!((plan.steps.len(), endpoints_leg(&plan)), (0, waits), "another one could not be created");
}

#[test]
fn a_group_whose_peer_lost_its_tags_goes_on_letting_the_rightful_traffic_through_and_nothing_else() {
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
fn a_table_that_cannot_be_read_holds_up_only_what_stands_on_it() {
    let all = opened(&[FUNCTIONS_GROUP, ENDPOINTS_GROUP]);
    let without = |source| match source {
        Source::SecurityGroups => Observed { security_groups: vec![], unread: unread(source), ..all.clone() },
        Source::Endpoints => Observed { endpoints: vec![], unread: unread(source), ..all.clone() },
        _ => Observed { unread: unread(source), ..all.clone() },
    };
    let rules = ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"];
    for (source, kind, expected) in [
        (
            Source::SecurityGroups,
            ConditionType::SecurityGroupsReady,
            vec!["ModifyVpcEndpoint", "ModifyVpcEndpoint", "CreateTags"],
        ),
        (Source::Endpoints, ConditionType::EndpointsReady, [rules, rules].concat()),
    ] {
        let plan = decided(&without(source));
        assert_eq!(operations(&plan), expected, "{source:?}");
        assert_eq!(plan.unread.get(&kind), Some(&denied()), "{source:?}");
    }
    for source in [Source::Topology, Source::Endpoints, Source::SecurityGroups, Source::Roles] {
        let plan = decided(&Observed { unread: unread(source), ..bare() });
        let created = operations(&plan).into_iter().filter(|it| *it == "CreateVpcEndpoint").count();
        assert_eq!(created, 0, "{source:?}");
        assert!(!plan.is_nothing());
    }
}

#[test]
fn what_can_go_goes_although_something_else_cannot_be_read_and_nothing_is_never_left_then() {
    let torn_down = |observed: &Observed| teardown(observed, &Governance::default());
    for source in [
        Source::Topology,
        Source::Endpoints,
        Source::SecurityGroups,
        Source::Roles,
        Source::Interfaces,
        Source::Functions,
    ] {
        let empty = torn_down(&Observed { unread: unread(source), ..bare() });
        assert!(empty.steps.is_empty() && !empty.is_nothing(), "{source:?}");
        if source != Source::Endpoints {
            let plan = torn_down(&Observed { unread: unread(source), ..at_rest() });
            assert_eq!(operations(&plan), ["DeleteVpcEndpoints"], "{source:?}");
        }
    }
    let groups = |source| Observed { security_groups: exact_groups(), unread: unread(source), ..bare() };
    for source in [Source::Endpoints, Source::Interfaces] {
        assert_eq!(torn_down(&groups(source)).steps, [], "{source:?}: somebody may carry them");
    }
    assert_eq!(torn_down(&groups(Source::Topology)).steps.len(), 4, "they stand on no route");
}

#[test]
fn an_endpoint_that_carries_as_many_foreign_groups_as_there_is_room_for_loses_all_but_one_before_ours_comes() {
    let foreign: Vec<SecurityGroupId> = (1..=5).map(|n| format!("sg-0000000{n}").parse().expect("a group")).collect();
    let mut crowded = endpoint(1);
    crowded.security_groups = foreign.iter().cloned().collect();
    let none = EndpointChange::default;
    let change = |change| Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint_id(1), change });
    assert_eq!(
        writes(decided(&with_endpoints(vec![crowded]))),
        [
            change(EndpointChange { remove_security_groups: foreign[..4].iter().cloned().collect(), ..none() }),
            change(EndpointChange {
                add_security_groups: [endpoints()].into(),
                remove_security_groups: [foreign[4].clone()].into(),
                ..none()
            }),
        ]
    );
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

#[test]
fn the_same_purpose_has_the_same_client_token_until_its_endpoint_is_replaced() {
    let token = |hints: &EndpointHistory, ended: Vec<VpcEndpoint>| {
        let mut ended = ended;
        for endpoint in &mut ended {
            endpoint.private_dns = false;
        }
        created(plan(&desired(), &with_endpoints(ended), hints)).client_token
    };
    let derived = |replaces: u32| {
        identity().endpoint_token("bedrock-runtime", &endpoints(), Some(endpoint_id(replaces).as_str()))
    };
    let none = EndpointHistory::default();
    let told =
        EndpointHistory { used_tokens: [(RUNTIME, endpoint_id(7).to_string())].into(), ..EndpointHistory::default() };
    assert_eq!(token(&none, vec![]), token(&none, vec![]));
    assert_eq!(token(&none, vec![endpoint_in(1, EndpointState::Deleting)]), derived(1));
    assert_eq!(token(&none, vec![endpoint_in(1, EndpointState::Deleted)]), derived(1));
    let both = vec![endpoint_in(2, EndpointState::Deleted), endpoint_in(1, EndpointState::Deleted)];
    assert_eq!(token(&none, both), derived(2), "the last one, whatever the order");
    assert_eq!(token(&told, vec![]), derived(7), "AWS stopped listing the endpoint that answered to the token");
    let seen = EndpointHistory { last_deleted: [(RUNTIME, endpoint_id(7))].into(), ..EndpointHistory::default() };
    assert_eq!(token(&seen, vec![]), derived(7), "AWS stopped listing the endpoint that was deleted");
    let mut earlier = endpoint_in(1, EndpointState::Deleted);
    earlier.security_groups = ["sg-0000001e".parse().expect("a group")].into();
    assert_eq!(token(&none, vec![earlier]), token(&none, vec![]), "that of a network that was removed meanwhile");
}

#[test]
fn what_is_known_of_endpoints_is_forgotten_with_their_group_and_what_is_known_of_tokens_with_the_next_endpoint() {
    let mut hints =
        EndpointHistory { used_tokens: [(RUNTIME, "a token".to_owned())].into(), ..EndpointHistory::default() };
    hints.observe(&with_endpoints(vec![]));
    assert_eq!((hints.group.clone(), hints.used_tokens.len()), (Some(endpoints()), 0), "of which group was it?");
    hints.used_tokens.insert(RUNTIME, "a token".to_owned());
    hints.observe(&with_endpoints(vec![]));
    assert_eq!(hints.used_tokens.len(), 1);
    hints.observe(&with_endpoints(vec![endpoint(1)]));
    assert_eq!((hints.last_deleted.len(), hints.used_tokens.len()), (0, 1), "one that vanishes is found by its token");
    hints.observe(&with_endpoints(vec![endpoint_in(1, EndpointState::Deleting)]));
    let ended = [(RUNTIME, endpoint_id(1))].into();
    assert_eq!((&hints.last_deleted, hints.used_tokens.len()), (&ended, 0));
    hints.used_tokens.insert(RUNTIME, "vpce-00000002".to_owned());
    hints.observe(&with_endpoints(vec![endpoint_in(1, EndpointState::Deleted)]));
    hints.observe(&with_endpoints(vec![]));
    assert_eq!(
        (&hints.last_deleted, hints.used_tokens.len()),
        (&ended, 1),
        "it came after the one that is still listed"
    );
    let mut deleted = EndpointHistory::default();
    deleted.observe(&with_endpoints(vec![endpoint(1), endpoint(2)]));
    deleted.deleted(&endpoint_id(2));
    assert_eq!(deleted.last_deleted, BTreeMap::new(), "one too many");
    deleted.deleted(&endpoint_id(1));
    assert_eq!(deleted.last_deleted, ended, "AWS took the order");
    let mut rebuilt = with_endpoints(vec![]);
    rebuilt.security_groups[1].id = "sg-0000001e".parse().expect("a group");
    hints.observe(&rebuilt);
    assert_eq!((hints.last_deleted.len(), hints.used_tokens.len()), (0, 0));
}

#[test]
fn an_endpoint_that_will_never_be_available_is_deleted_so_that_another_can_come() {
    for state in [EndpointState::Failed, EndpointState::Rejected, EndpointState::Expired] {
        let mut failed = endpoint_in(1, state.clone());
        failed.last_error = Some("Subnet is gone".to_owned());
        let plan = decided(&with_endpoints(vec![failed]));
        assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::EndpointFailed));
        let message = &leg(&plan, ConditionType::EndpointsReady).message;
        assert!(message.contains("vpce-00000001") && message.contains("Subnet is gone"), "{message}");
        assert_eq!(writes(plan), [Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(1) })], "{state:?}");
    }
}

#[test]
fn of_several_endpoints_the_one_that_serves_is_kept_then_the_oldest_that_may_come_to_serve() {
    use EndpointState::{Available, Deleting, Failed, Pending};
    type Case = (&'static [(u32, EndpointState)], &'static [u32]);
    let cases: [Case; 6] = [
        (&[(2, Available), (1, Available)], &[2]),
        (&[(1, Pending), (2, Available)], &[1]),
        (&[(2, Pending), (1, Pending), (3, Pending)], &[2, 3]),
        (&[(1, Failed), (2, Available)], &[1]),
        (&[(1, Failed), (2, Pending)], &[1]),
        (&[(1, Deleting), (2, Available)], &[]),
    ];
    for (there, surplus) in cases {
        let all = there.iter().map(|(number, state)| endpoint_in(*number, state.clone())).collect();
        let expected: Vec<Write> = surplus
            .iter()
            .map(|number| Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(*number) }))
            .collect();
        assert_eq!(writes(decided(&with_endpoints(all))), expected, "{there:?}");
    }
}

#[test]
fn each_drift_of_the_endpoint_is_put_right_by_one_call_that_changes_nothing_else() {
    type Case = (&'static str, fn(&mut VpcEndpoint), EndpointChange);
    let nothing = EndpointChange::default;
    let policy = desired().endpoint_policy(RUNTIME);
    let cases: [Case; 8] = [
        (
            "a subnet is gone",
            |it| it.subnets = subnet_ids(&[0xa1]),
            EndpointChange { add_subnets: subnet_ids(&[0xb1]), ..nothing() },
        ),
        (
            "a subnet that is none of the VPC's is there",
            |it| it.subnets.extend(subnet_ids(&[0xc1])),
            EndpointChange { remove_subnets: subnet_ids(&[0xc1]), ..nothing() },
        ),
        (
            "our group is gone",
            |it| it.security_groups.clear(),
            EndpointChange { add_security_groups: [endpoints()].into(), ..nothing() },
        ),
        (
            "another group is there",
            |it| it.security_groups.extend([functions()]),
            EndpointChange { remove_security_groups: [functions()].into(), ..nothing() },
        ),
        (
            "another policy is there",
            |it| it.policy = Some(PolicyDocument::from_wire("{}")),
            EndpointChange { policy: Some(policy.clone()), ..nothing() },
        ),
        ("no policy is there", |it| it.policy = None, EndpointChange { policy: Some(policy.clone()), ..nothing() }),
        ("private DNS is off", |it| it.private_dns = false, EndpointChange { private_dns: Some(true), ..nothing() }),
        (
            "private DNS is on",
            |it| drop(it.tags.insert(TAG_PRIVATE_DNS.to_owned(), "false".to_owned())),
            EndpointChange { private_dns: Some(false), ..nothing() },
        ),
    ];
    for (what, drift, change) in cases {
        let mut drifted = endpoint(1);
        drift(&mut drifted);
        let plan = decided(&with_endpoints(vec![drifted]));
        assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::Applying), "{what}");
        assert_eq!(
            writes(plan),
            [Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint_id(1), change })],
            "{what}"
        );
    }
}

#[test]
fn several_drifts_of_the_endpoint_are_one_call_each_so_that_none_holds_up_another() {
    let mut drifted = endpoint(1);
    drifted.policy = None;
    drifted.private_dns = false;
    drifted.subnets.clear();
    let writes = writes(decided(&with_endpoints(vec![drifted])));
    assert!(
        matches!(&writes[0], Write::Ec2(Ec2Write::ModifyVpcEndpoint { change, .. }) if change.policy.is_some()),
        "what it lets through first: {writes:?}"
    );
    assert_eq!(writes.len(), 3);
}

#[test]
fn one_more_model_changes_the_policy_and_one_more_app_with_known_models_changes_nothing() {
    let known = demand(&["amazon.nova-lite-v1:0"], &[]);
    let of = |demands: &[Demand]| writes(plan(&desired_by(demands), &at_rest(), &EndpointHistory::default()));
    assert_eq!(of(&[known.clone(), known.clone()]), []);
    let more = [known, demand(&["amazon.nova-pro-v1:0"], &[])];
    let policy = Some(desired_by(&more).endpoint_policy(RUNTIME));
    let change = EndpointChange { policy, ..EndpointChange::default() };
    assert_eq!(of(&more), [Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint_id(1), change })]);
}

#[test]
fn the_choice_about_private_dns_is_made_at_creation_and_written_down() {
    let way_out = Observed {
        topology: crate::aws::Topology { route_tables: vec![main_table(&[RouteTarget::Other])], ..bare().topology },
        ..with_endpoints(vec![])
    };
    let conflict = EndpointHistory { private_dns_conflict: [RUNTIME].into(), ..EndpointHistory::default() };
    for (what, chosen, plan) in [
        ("isolated", true, decided(&with_endpoints(vec![]))),
        ("a way out", false, decided(&way_out)),
        ("AWS says that the name is taken", false, plan(&desired(), &with_endpoints(vec![]), &conflict)),
    ] {
        let new = created(plan);
        assert_eq!(new.private_dns, chosen, "{what}");
        assert_eq!(new.tags.get(TAG_PRIVATE_DNS), Some(&chosen.to_string()), "{what}");
    }
}

#[test]
fn the_choice_about_private_dns_never_flips_because_the_vpc_changes() {
    let mut observed = at_rest();
    observed.topology.route_tables = vec![main_table(&[RouteTarget::Other])];
    assert_eq!(decided(&observed).steps, [], "private DNS stays on when the VPC gets a way out");
    let mut off = endpoint(1);
    off.private_dns = false;
    off.tags.insert(TAG_PRIVATE_DNS.to_owned(), "false".to_owned());
    assert_eq!(decided(&with_endpoints(vec![off.clone()])).steps, [], "and off when it loses its last one");
    off.tags.remove(TAG_PRIVATE_DNS);
    let tags = [(TAG_PRIVATE_DNS.to_owned(), "false".to_owned())].into();
    assert_eq!(
        writes(decided(&with_endpoints(vec![off]))),
        [Write::Ec2(Ec2Write::CreateTags { resource: "vpce-00000001".to_owned(), tags })],
        "an endpoint that lost the tag is left as it is, and that is its choice from now on"
    );
}

#[test]
fn tags_that_were_lost_are_put_back_where_the_installation_s_own_is_left() {
    let keep = |tags: &mut Tags| tags.retain(|key, _| key == crate::identity::TAG_INSTALLATION);
    let lost = |before: &Tags| -> Tags {
        before
            .iter()
            // The mark of the cluster is put back by itself, and never over another one.
            .filter(|(key, _)| ![crate::identity::TAG_INSTALLATION, crate::identity::TAG_OWNER].contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let tag = |resource: &str, tags| Write::Ec2(Ec2Write::CreateTags { resource: resource.to_owned(), tags });
    let mut bare = at_rest();
    keep(&mut bare.security_groups[0].tags);
    assert_eq!(writes(decided(&bare)), [tag("sg-0000000f", lost(&exact_groups()[0].tags))]);
    let mut bare = at_rest();
    keep(&mut bare.endpoints[0].tags);
    assert_eq!(writes(decided(&bare)), [tag("vpce-00000001", lost(&endpoint(1).tags))], "its choice is what it is");
    let mut renamed = at_rest();
    renamed.endpoints[0].tags.insert("Name".to_owned(), "my favourite".to_owned());
    renamed.endpoints[0].tags.insert("cost-centre".to_owned(), "7".to_owned());
    assert_eq!(decided(&renamed).steps, [], "people may name things, and tag them");
}

#[test]
fn tags_that_aws_may_refuse_keep_no_rule_and_no_policy_from_being_put_right() {
    let mut amiss = at_rest();
    for group in &mut amiss.security_groups {
        group.tags.retain(|key, _| key == crate::identity::TAG_INSTALLATION || key == TAG_COMPONENT);
        group.egress.insert(Rule::tcp(443, Peer::Ipv4("0.0.0.0/0".to_owned())));
    }
    amiss.endpoints[0].tags.remove(TAG_NAME);
    amiss.endpoints[0].policy = None;
    let operations: Vec<&str> = decided(&amiss).steps.iter().map(|step| step.write.operation().name).collect();
    let wanted = ["RevokeSecurityGroupEgress", "RevokeSecurityGroupEgress", "ModifyVpcEndpoint"];
    assert_eq!(operations[..3], wanted);
    assert_eq!(operations[3..], ["CreateTags"; 3]);
}

#[test]
fn an_endpoint_that_lost_the_installation_s_tag_is_told_with_the_remedy_and_gets_no_twin() {
    type Case = (&'static str, fn(&mut VpcEndpoint));
    let foreign = |change: fn(&mut VpcEndpoint)| {
        let mut endpoint = endpoint(1);
        endpoint.tags.clear();
        change(&mut endpoint);
        decided(&Observed { foreign_endpoints: vec![endpoint], ..with_endpoints(vec![]) })
    };
    let lost = foreign(|_| ());
    assert_eq!((lost.steps.len(), endpoints_leg(&lost)), (0, (LegState::Blocked, Reason::NameTaken)));
    let message = &leg(&lost, ConditionType::EndpointsReady).message;
    assert!(
        message.contains("vpce-00000001") && message.contains("tag it privategenai.dev/installation=prod"),
        "{message}"
    );
    let others: [Case; 3] = [
        ("with groups of their own", |it| it.security_groups = ["sg-00000001".parse().expect("a group")].into()),
        ("of another service", |it| it.service_name = "com.amazonaws.us-east-1.sqs".to_owned()),
        ("that is going", |it| it.state = EndpointState::Deleting),
    ];
    for (what, change) in others {
        assert_eq!(foreign(change).steps.len(), 1, "an endpoint {what} is in nobody's way");
    }
}

#[test]
fn a_replacement_waits_until_the_name_that_it_is_to_take_over_is_free() {
    let going = endpoint_in(1, EndpointState::Deleting);
    let plan = decided(&with_endpoints(vec![going.clone()]));
    assert_eq!(plan.steps, []);
    assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::EndpointPending));
    assert!(leg(&plan, ConditionType::EndpointsReady).message.contains("vpce-00000001"));
    let unnamed = VpcEndpoint { private_dns: false, ..going.clone() };
    assert!(created(decided(&with_endpoints(vec![unnamed]))).private_dns, "it holds no name");
    let gone = VpcEndpoint { state: EndpointState::Deleted, ..going.clone() };
    assert!(created(decided(&with_endpoints(vec![gone]))).private_dns);
    let mut way_out = with_endpoints(vec![going]);
    way_out.topology.route_tables = vec![main_table(&[RouteTarget::Other])];
    assert!(!created(decided(&way_out)).private_dns, "the new one does not want the name");
}

/// Two apps whose models do not fit into one policy together, of which the second is the smaller.
fn too_many() -> [Demand; 2] {
    let models = |of: &str, count: usize| -> BTreeSet<ModelId> {
        (0..count).map(|n| format!("{of}.{n:0>126}").parse().expect("a model")).collect()
    };
    [
        demand_of(1, "greedy", models("a", 32)),
        demand_of(2, "bot", ["amazon.nova-lite-v1:0".parse().expect("a model")].into()),
    ]
}

#[test]
fn an_app_whose_models_find_no_room_holds_up_nothing_and_is_named_and_the_rest_is_created_and_repaired() {
    let desired = desired_by(&too_many());
    let at_rest = plan(&desired, &at_rest(), &EndpointHistory::default());
    assert_eq!(at_rest.steps, []);
    assert_eq!(endpoints_leg(&at_rest), (LegState::Met, Reason::Ready));
    let message = &leg(&at_rest, ConditionType::EndpointsReady).message;
    assert!(message.contains("no room for all models of team-a/greedy"), "{message}");

    let new = created(plan(&desired, &with_endpoints(vec![]), &EndpointHistory::default()));
    assert_eq!(new.policy, crate::network::fixtures::desired().endpoint_policy(RUNTIME), "it is created for the rest");

    let mut opened = endpoint(1);
    opened.policy = Some(PolicyDocument::from_wire(r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#));
    opened.security_groups.insert(functions());
    let writes = writes(plan(&desired, &with_endpoints(vec![opened]), &EndpointHistory::default()));
    let [
        Write::Ec2(Ec2Write::ModifyVpcEndpoint { change: narrowed, .. }),
        Write::Ec2(Ec2Write::ModifyVpcEndpoint { change, .. }),
    ] = &writes[..]
    else {
        panic!("{writes:?}");
    };
    assert_eq!(narrowed.policy, Some(desired.endpoint_policy(RUNTIME)), "and repaired");
    assert_eq!(change.remove_security_groups, [functions()].into());
}

#[test]
fn a_network_is_the_union_of_what_apps_demand() {
    assert_eq!(
        Desired::union(
            identity(),
            settings().owner,
            crate::network::fixtures::caller(),
            &Governance::default(),
            &[],
            &[]
        ),
        None,
        "no demand, no network"
    );
    let union = desired_by(&[demand(&["a.one", "a.two"], &[0xa1, 0xb1]), demand(&["a.two", "a.three"], &[0xb1, 0xc1])]);
    let models: Vec<String> = union.models.iter().map(ToString::to_string).collect();
    assert_eq!(models, ["a.one", "a.three", "a.two"]);
    assert_eq!(union.subnets, subnet_ids(&[0xa1, 0xb1, 0xc1]));
    assert!(!union.chooses_subnets);
    assert!(desired_by(&[demand(&["a.one"], &[0xa1]), demand(&["a.one"], &[])]).chooses_subnets);
}

#[test]
fn a_network_that_nobody_demands_goes_from_the_endpoint_to_the_groups() {
    let deleting = || endpoint_in(2, EndpointState::Deleting);
    let first = teardown(&with_endpoints(vec![endpoint(1), deleting()]), &Governance::default());
    assert_eq!(endpoints_leg(&first), (LegState::Progressing, Reason::Deleting));
    assert_eq!(writes(first), [Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(1) })]);

    let second = teardown(&with_endpoints(vec![deleting()]), &Governance::default());
    assert_eq!(second.steps, [], "the groups stay while an endpoint may still carry them");
    assert_eq!(endpoints_leg(&second), (LegState::Progressing, Reason::Deleting));
    assert!(leg(&second, ConditionType::EndpointsReady).message.contains("vpce-00000002"));

    let third = teardown(&with_endpoints(vec![endpoint_in(2, EndpointState::Deleted)]), &Governance::default());
    assert_eq!(leg(&third, ConditionType::SecurityGroupsReady).reason, Reason::Deleting);
    assert_eq!(
        writes(third),
        [
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: functions(), rules: https(ENDPOINTS_GROUP) }),
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: endpoints(), rules: https(FUNCTIONS_GROUP) }),
            Write::Ec2(Ec2Write::DeleteSecurityGroup { group: functions() }),
            Write::Ec2(Ec2Write::DeleteSecurityGroup { group: endpoints() }),
        ],
        "neither refers to the other any more when it is deleted"
    );
    assert_eq!(teardown(&bare(), &Governance::default()), Plan::default(), "nothing left");
    assert_eq!(
        teardown(
            &Observed { endpoints: vec![endpoint_in(2, EndpointState::Deleted)], ..bare() },
            &Governance::default()
        ),
        Plan::default()
    );
}

#[test]
fn the_role_of_an_app_that_is_gone_goes_with_the_last_interface_that_it_is_kept_for() {
    let eni = |n: u32| interface(n).id;
    let role = crate::aws::Role {
        id: "AROAEXAMPLE".to_owned(),
        name: "pgai-gone".parse().expect("a name"),
        arn: "arn:aws:iam::123456789012:role/private-genai/prod/pgai-gone".to_owned(),
        trust_policy: trust_policy(),
        inline_policies: [(POLICY_NAME.to_owned(), handed_over_policy())].into(),
        attached_policies: BTreeSet::new(),
        permissions_boundary: None,
        tags: [(TAG_HANDED_OVER.to_owned(), HandOver::tag(&[eni(1)].into()))].into(),
    };
    let with = |observed: Observed, interfaces: &[u32]| {
        observed.with_roles(
            Vec::new(),
            vec![role.clone()],
            interfaces.iter().map(|n| (eni(*n), interface(*n))).collect(),
        )
    };
    let operations = |plan: &Plan| plan.steps.iter().map(|step| step.write.operation().name).collect::<Vec<_>>();
    assert_eq!(operations(&decided(&with(at_rest(), &[1, 2]))), Vec::<&str>::new(), "kept, and nobody is told to wait");
    assert!(!decided(&with(at_rest(), &[1, 2])).needs_fresh_look());
    assert_eq!(operations(&decided(&with(at_rest(), &[2]))), ["DeleteRolePolicy", "DeleteRole"]);

    let opened = crate::aws::Role {
        trust_policy: PolicyDocument::from_wire("{}"),
        inline_policies: ["by-hand", POLICY_NAME].map(|name| (name.to_owned(), PolicyDocument::from_wire("{}"))).into(),
        attached_policies: ["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()].into(),
        ..role.clone()
    };
    let kept = with(at_rest(), &[1]);
    let kept = Observed { handed_over_roles: vec![opened], ..kept };
    let repairs = ["DeleteRolePolicy", "DetachRolePolicy", "UpdateAssumeRolePolicy", "PutRolePolicy"];
    assert_eq!(operations(&decided(&kept)), repairs, "one that is kept does no more than Lambda needs");

    let boundary = Some("arn:aws:iam::123456789012:policy/boundary".parse().expect("an ARN"));
    let under = Governance { permissions_boundary: boundary, ..Governance::default() };
    let bound =
        |observed| plan(&Desired { governance: under.clone(), ..desired() }, &observed, &EndpointHistory::default());
    let put = "PutRolePermissionsBoundary";
    assert_eq!(operations(&bound(with(at_rest(), &[1]))), [put], "one that is kept follows the setting too");
    assert_eq!(operations(&bound(with(at_rest(), &[2]))), [put, "DeleteRolePolicy", "DeleteRole"]);

    let groups = Observed { security_groups: exact_groups(), ..bare() };
    let held = teardown(&with(groups.clone(), &[1]), &Governance::default());
    assert_eq!(held.steps, [], "nothing is tried that cannot succeed");
    assert_eq!(leg(&held, ConditionType::SecurityGroupsReady).reason, Reason::ResourceInUse);
    assert!(leg(&held, ConditionType::SecurityGroupsReady).message.contains("eni-00000001"));
    let free = operations(&teardown(&with(groups, &[]), &Governance::default()));
    assert_eq!(free[..2], ["DeleteRolePolicy", "DeleteRole"]);
    assert_eq!(free[free.len() - 2..], ["DeleteSecurityGroup", "DeleteSecurityGroup"]);
}

#[test]
fn an_interface_that_was_left_behind_is_deleted_and_the_rest_waits_for_those_that_lambda_holds() {
    let delete = |n| Write::Ec2(Ec2Write::DeleteNetworkInterface { interface: interface(n).id });
    let interfaces: BTreeMap<_, _> = [1, 2].map(|n| (interface(n).id, interface(n))).into();
    let left_interfaces = [interface(2).id].into();
    let there =
        Observed { function_interfaces: interfaces, left_interfaces, security_groups: exact_groups(), ..bare() };
    let plan = teardown(&there, &Governance::default());
    assert_eq!(leg(&plan, ConditionType::SecurityGroupsReady).reason, Reason::ResourceInUse);
    assert!(
        there.names().contains(&delete(2).resource()),
        "a refusal of that is forgotten when somebody asks for a look"
    );
    assert_eq!(writes(plan), [delete(2)]);
    let demanded = Observed { endpoints: vec![endpoint(1)], ..there };
    assert_eq!(
        writes(decided(&demanded)),
        [delete(2)],
        "what nobody needs does not pile up while others need the network"
    );
}

#[test]
fn a_role_that_no_interface_names_goes_while_other_functions_are_left_and_stays_where_it_was_the_last_one_s() {
    let role = |name: &str, kept_for: Option<&str>| {
        let mut tags = identity().tags();
        tags.extend(kept_for.map(|ids| (TAG_HANDED_OVER.to_owned(), ids.to_owned())));
        Role {
            name: name.parse().expect("a role"),
            id: "AROA1".to_owned(),
            arn: format!("arn:aws:iam::123456789012:role/{name}"),
            trust_policy: trust_policy(),
            inline_policies: [(POLICY_NAME.to_owned(), handed_over_policy())].into(),
            attached_policies: BTreeSet::new(),
            permissions_boundary: None,
            tags,
        }
    };
    let named = NetworkInterface { function: Some("pgai-first".parse().expect("a function")), ..interface(1) };
    let there = |live: &[&str]| Observed {
        live_roles: live.iter().map(|name| role(name, None)).collect(),
        other_functions: if live.is_empty() { OtherFunctions::Absent } else { OtherFunctions::Present },
        handed_over_roles: ["pgai-first", "pgai-second"].map(|name| role(name, Some("eni-00000001"))).into(),
        function_interfaces: [(named.id.clone(), named.clone())].into(),
        ..at_rest()
    };
    let deleted = |observed: &Observed| -> Vec<String> {
        let writes = writes(decided(observed)).into_iter();
        writes.filter(|it| matches!(it, Write::Iam(IamWrite::DeleteRole { .. }))).map(|it| it.resource()).collect()
    };
    assert_eq!(deleted(&there(&["pgai-stays"])), ["pgai-second"], "the interface names the first");
    assert_eq!(deleted(&there(&[])), Vec::<String>::new(), "either may have been the last one's");
    let mut gone = there(&[]);
    gone.function_interfaces.clear();
    assert_eq!(deleted(&gone), ["pgai-first", "pgai-second"]);
    let mut another = there(&[]);
    let other = NetworkInterface { function: None, ..interface(2) };
    another.function_interfaces = [(other.id.clone(), other)].into();
    assert_eq!(deleted(&another), ["pgai-first", "pgai-second"], "they were kept for another interface");
}

#[test]
fn an_endpoint_goes_whatever_state_it_is_in_and_a_deletion_under_way_is_not_repeated() {
    for state in ["pendingAcceptance", "pending", "available", "failed", "rejected", "expired", "partial", "new"] {
        let there = endpoint_in(1, EndpointState::from_wire(state));
        assert_eq!(
            writes(teardown(&with_endpoints(vec![there]), &Governance::default())),
            [Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(1) })],
            "{state}"
        );
    }
}

/// Every combination of how the groups and the endpoints may be found.
fn states() -> Vec<Observed> {
    let exact = exact_groups();
    let with = |change: fn(&mut Vec<SecurityGroup>)| {
        let mut groups = exact_groups();
        change(&mut groups);
        groups
    };
    let groups: Vec<Vec<SecurityGroup>> = vec![
        vec![],
        vec![new_group(FUNCTIONS_GROUP)],
        vec![new_group(ENDPOINTS_GROUP)],
        vec![exact[0].clone()],
        vec![exact[1].clone()],
        vec![new_group(FUNCTIONS_GROUP), new_group(ENDPOINTS_GROUP)],
        vec![exact[0].clone(), new_group(ENDPOINTS_GROUP)],
        vec![new_group(FUNCTIONS_GROUP), exact[1].clone()],
        with(|groups| groups[0].egress.clear()),
        with(|groups| groups[1].ingress.clear()),
        with(|groups| groups[0].egress.extend(default_egress())),
        with(|groups| groups[0].ingress.extend(default_egress())),
        with(|groups| groups[1].ingress.extend(default_egress())),
        with(|groups| groups[1].egress.extend(default_egress())),
        exact,
    ];
    let drifted = |change: fn(&mut VpcEndpoint)| {
        let mut endpoint = endpoint(1);
        change(&mut endpoint);
        vec![endpoint]
    };
    let endpoints: Vec<Vec<VpcEndpoint>> = vec![
        vec![],
        vec![endpoint(1)],
        vec![endpoint(2), endpoint(1)],
        vec![endpoint_in(1, EndpointState::Pending)],
        vec![endpoint_in(1, EndpointState::Failed)],
        vec![endpoint_in(1, EndpointState::Deleting)],
        vec![endpoint_in(1, EndpointState::Deleted)],
        vec![endpoint_in(1, EndpointState::Deleting), endpoint(2)],
        drifted(|endpoint| endpoint.security_groups.clear()),
        drifted(|endpoint| endpoint.policy = None),
        drifted(|endpoint| endpoint.subnets.clear()),
        drifted(|endpoint| endpoint.private_dns = false),
    ];
    groups
        .iter()
        .flat_map(|groups| {
            endpoints.iter().map(|endpoints| Observed {
                security_groups: groups.clone(),
                endpoints: endpoints.clone(),
                ..bare()
            })
        })
        .collect()
}

/// Only the two rules that are the path are ever granted.
fn grants_nothing_but_the_path(steps: &[Step]) -> bool {
    steps.iter().all(|step| match &step.write {
        Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, rules }) => {
            *group == functions() && *rules == https(ENDPOINTS_GROUP)
        }
        Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group, rules }) => {
            *group == endpoints() && *rules == https(FUNCTIONS_GROUP)
        }
        _ => true,
    })
}

fn is_rule_change(step: &Step) -> bool {
    matches!(
        step.write,
        Write::Ec2(
            Ec2Write::AuthorizeSecurityGroupEgress { .. }
                | Ec2Write::AuthorizeSecurityGroupIngress { .. }
                | Ec2Write::RevokeSecurityGroupEgress { .. }
                | Ec2Write::RevokeSecurityGroupIngress { .. }
        )
    )
}

#[test]
fn no_step_from_any_state_opens_anything() {
    for observed in states() {
        let plan = decided(&observed);
        let exact = observed.security_groups == exact_groups();
        assert!(grants_nothing_but_the_path(&plan.steps), "{plan:?}");
        for (at, step) in plan.steps.iter().enumerate() {
            match &step.write {
                Write::Ec2(Ec2Write::CreateVpcEndpoint(new)) => {
                    assert!(exact, "an endpoint is created only when the groups have exactly their rules: {plan:?}");
                    assert_eq!(new.security_groups, [endpoints()].into());
                    assert_eq!(new.policy, desired().endpoint_policy(RUNTIME));
                }
                Write::Ec2(Ec2Write::ModifyVpcEndpoint { change, .. }) => {
                    assert!(change.add_security_groups.is_subset(&[endpoints()].into()), "{plan:?}");
                    assert!(
                        !plan.steps[at..].iter().any(is_rule_change),
                        "a group is put right before anything carries it: {plan:?}"
                    );
                }
                _ => {}
            }
        }
        let torn_down = teardown(&observed, &Governance::default());
        assert!(
            !torn_down.steps.iter().any(|step| matches!(
                step.write,
                Write::Ec2(
                    Ec2Write::AuthorizeSecurityGroupEgress { .. } | Ec2Write::AuthorizeSecurityGroupIngress { .. }
                )
            )),
            "{torn_down:?}"
        );
    }
}

#[test]
fn at_most_one_endpoint_ever_comes_to_be_and_none_beside_one_that_is_there() {
    for observed in states() {
        let plan = decided(&observed);
        let creations =
            plan.steps.iter().filter(|step| matches!(step.write, Write::Ec2(Ec2Write::CreateVpcEndpoint(_)))).count();
        let there = observed.endpoints_of(RUNTIME).len();
        assert!(creations <= usize::from(there == 0), "{plan:?}");
        let deletions = plan
            .steps
            .iter()
            .filter(|step| matches!(step.write, Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. })))
            .count();
        let works = observed.endpoints.iter().any(|endpoint| endpoint.state == EndpointState::Available);
        assert!(!works || deletions < there, "one that works is kept: {plan:?}");
    }
}

#[test]
fn whatever_is_not_yet_as_it_should_be_shows_in_a_leg_that_is_not_met() {
    for observed in states() {
        let plan = decided(&observed);
        let met = plan.legs.iter().all(|leg| leg.state == LegState::Met);
        let surplus_only =
            plan.steps.iter().all(|step| matches!(step.write, Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. })));
        assert!(!met || surplus_only, "a plan with steps is not ready yet: {plan:?}");
        let torn_down = teardown(&observed, &Governance::default());
        let left = !observed.security_groups.is_empty()
            || observed.endpoints.iter().any(|endpoint| endpoint.state != EndpointState::Deleted);
        assert_eq!(!torn_down.legs.is_empty(), left, "an object goes when nothing is left, and not before");
    }
}
