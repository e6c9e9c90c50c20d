use super::*;
use crate::network;
use crate::{
    api::condition::LegState,
    aws::{RouteTarget, Write},
    governance::Governance,
    identity::FUNCTIONS_GROUP,
    network::fixtures::{
        RUNTIME, at_rest, bare, decided, demand, demand_of, desired, desired_by, endpoint, endpoint_id, endpoint_in,
        endpoints_leg, group_id, identity, leg, main_table, subnet_ids, vpc_id, with_endpoints, writes,
    },
    network::{Demand, teardown},
    policy::ModelId,
};

fn endpoints() -> SecurityGroupId {
    group_id(ENDPOINTS_GROUP)
}

fn functions() -> SecurityGroupId {
    group_id(FUNCTIONS_GROUP)
}

/// The endpoint that the plan creates, and nothing else.
fn created(plan: Plan) -> NewVpcEndpoint {
    match writes(plan).as_slice() {
        [Write::Ec2(Ec2Write::CreateVpcEndpoint(new))] => new.clone(),
        other => panic!("one endpoint is created, but: {other:?}"),
    }
}

#[test]
fn the_endpoint_comes_on_exact_groups_and_leaves_nothing_to_aws_s_defaults() {
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
        assert!(message.text.contains("vpce-00000001") && message.text.contains(state), "{message}");
    }
}

#[test]
fn an_endpoint_full_of_foreign_groups_loses_all_but_one_before_ours_comes() {
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
fn an_endpoint_that_will_never_be_available_is_deleted_so_that_another_can_come() {
    for state in [EndpointState::Failed, EndpointState::Rejected, EndpointState::Expired] {
        let mut failed = endpoint_in(1, state.clone());
        failed.last_error = Some("Subnet is gone".to_owned());
        let plan = decided(&with_endpoints(vec![failed]));
        assert_eq!(endpoints_leg(&plan), (LegState::Progressing, Reason::EndpointFailed));
        let message = &leg(&plan, ConditionType::EndpointsReady).message;
        assert!(message.text.contains("vpce-00000001") && message.text.contains("Subnet is gone"), "{message}");
        assert_eq!(writes(plan), [Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(1) })], "{state:?}");
    }
}

#[test]
fn of_several_endpoints_the_available_one_is_kept_or_else_the_oldest_pending_one() {
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
            |endpoint| endpoint.subnets = subnet_ids(&[0xa1]),
            EndpointChange { add_subnets: subnet_ids(&[0xb1]), ..nothing() },
        ),
        (
            "a subnet that is none of the VPC's is there",
            |endpoint| endpoint.subnets.extend(subnet_ids(&[0xc1])),
            EndpointChange { remove_subnets: subnet_ids(&[0xc1]), ..nothing() },
        ),
        (
            "our group is gone",
            |endpoint| endpoint.security_groups.clear(),
            EndpointChange { add_security_groups: [endpoints()].into(), ..nothing() },
        ),
        (
            "another group is there",
            |endpoint| endpoint.security_groups.extend([functions()]),
            EndpointChange { remove_security_groups: [functions()].into(), ..nothing() },
        ),
        (
            "another policy is there",
            |endpoint| endpoint.policy = Some(PolicyDocument::from_wire("{}")),
            EndpointChange { policy: Some(policy.clone()), ..nothing() },
        ),
        (
            "no policy is there",
            |endpoint| endpoint.policy = None,
            EndpointChange { policy: Some(policy.clone()), ..nothing() },
        ),
        (
            "private DNS is off",
            |endpoint| endpoint.private_dns = false,
            EndpointChange { private_dns: Some(true), ..nothing() },
        ),
        (
            "private DNS is on",
            |endpoint| drop(endpoint.tags.insert(TAG_PRIVATE_DNS.to_owned(), "false".to_owned())),
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
fn one_more_model_changes_the_policy_and_one_more_app_with_known_models_does_not() {
    let known = demand(&["amazon.nova-lite-v1:0"], &[]);
    let of = |demands: &[Demand]| writes(network::plan(&desired_by(demands), &at_rest(), &EndpointHistory::default()));
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
        ("AWS says that the name is taken", false, network::plan(&desired(), &with_endpoints(vec![]), &conflict)),
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
fn an_endpoint_that_lost_its_tag_is_shown_with_the_remedy_and_gets_no_twin() {
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
        message.text.contains("vpce-00000001") && message.text.contains("tag it privategenai.dev/installation=prod"),
        "{message}"
    );
    let others: [Case; 3] = [
        ("with groups of their own", |endpoint| {
            endpoint.security_groups = ["sg-00000001".parse().expect("a group")].into();
        }),
        ("of another service", |endpoint| endpoint.service_name = "com.amazonaws.us-east-1.sqs".to_owned()),
        ("that is going", |endpoint| endpoint.state = EndpointState::Deleting),
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
    assert!(leg(&plan, ConditionType::EndpointsReady).message.text.contains("vpce-00000001"));
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
fn an_app_whose_models_do_not_fit_is_named_and_holds_up_nothing() {
    let desired = desired_by(&too_many());
    let at_rest = network::plan(&desired, &at_rest(), &EndpointHistory::default());
    assert_eq!(at_rest.steps, []);
    assert_eq!(endpoints_leg(&at_rest), (LegState::Met, Reason::Ready));
    let message = &leg(&at_rest, ConditionType::EndpointsReady).message;
    assert!(message.text.contains("no room for all models of team-a/greedy"), "{message}");

    let new = created(network::plan(&desired, &with_endpoints(vec![]), &EndpointHistory::default()));
    assert_eq!(new.policy, super::super::fixtures::desired().endpoint_policy(RUNTIME), "it is created for the rest");

    let mut opened = endpoint(1);
    opened.policy = Some(PolicyDocument::from_wire(r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#));
    opened.security_groups.insert(functions());
    let writes = writes(network::plan(&desired, &with_endpoints(vec![opened]), &EndpointHistory::default()));
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
fn an_endpoint_is_deleted_in_every_state_but_not_twice() {
    for state in ["pendingAcceptance", "pending", "available", "failed", "rejected", "expired", "partial", "new"] {
        let there = endpoint_in(1, EndpointState::from_wire(state));
        assert_eq!(
            writes(teardown(&with_endpoints(vec![there]), &Governance::default())),
            [Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint_id(1) })],
            "{state}"
        );
    }
}

#[test]
fn the_same_purpose_has_the_same_client_token_until_its_endpoint_is_replaced() {
    let token = |hints: &EndpointHistory, ended: Vec<VpcEndpoint>| {
        let mut ended = ended;
        for endpoint in &mut ended {
            endpoint.private_dns = false;
        }
        created(network::plan(&desired(), &with_endpoints(ended), hints)).client_token
    };
    let derived = |replaces: u32| {
        identity().endpoint_token("bedrock-runtime", &endpoints(), Some(endpoint_id(replaces).as_str()))
    };
    let none = EndpointHistory::default();
    let used =
        EndpointHistory { used_tokens: [(RUNTIME, endpoint_id(7).to_string())].into(), ..EndpointHistory::default() };
    assert_eq!(token(&none, vec![]), token(&none, vec![]));
    assert_eq!(token(&none, vec![endpoint_in(1, EndpointState::Deleting)]), derived(1));
    assert_eq!(token(&none, vec![endpoint_in(1, EndpointState::Deleted)]), derived(1));
    let both = vec![endpoint_in(2, EndpointState::Deleted), endpoint_in(1, EndpointState::Deleted)];
    assert_eq!(token(&none, both), derived(2), "the last one, whatever the order");
    assert_eq!(token(&used, vec![]), derived(7), "AWS stopped listing the endpoint that answered to the token");
    let seen = EndpointHistory { last_deleted: [(RUNTIME, endpoint_id(7))].into(), ..EndpointHistory::default() };
    assert_eq!(token(&seen, vec![]), derived(7), "AWS stopped listing the endpoint that was deleted");
    let mut earlier = endpoint_in(1, EndpointState::Deleted);
    earlier.security_groups = ["sg-0000001e".parse().expect("a group")].into();
    assert_eq!(token(&none, vec![earlier]), token(&none, vec![]), "that of a network that was removed meanwhile");
}
