use super::*;
use crate::{
    api::condition::{LegState, Reason},
    aws::{EndpointState, Peer, PolicyDocument, Rule, SecurityGroup, SecurityGroupId, VpcEndpoint, Write},
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, TAG_COMPONENT, TAG_NAME},
    network::fixtures::{
        RUNTIME, at_rest, bare, caller, decided, default_egress, demand, denied, desired, desired_by, endpoint,
        endpoint_id, endpoint_in, endpoints_leg, exact_groups, grants_nothing_but_the_path, group_id, https, identity,
        leg, new_group, operations, refuse, settings, subnet_ids, unread, with_endpoints, writes,
    },
    plan::Step,
};

fn endpoints() -> SecurityGroupId {
    group_id(ENDPOINTS_GROUP)
}

fn functions() -> SecurityGroupId {
    group_id(FUNCTIONS_GROUP)
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

#[test]
fn without_a_placement_resources_are_kept_exact_and_nothing_is_created_or_moved() {
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
        let created = operations(&plan).into_iter().filter(|operation| *operation == "CreateVpcEndpoint").count();
        assert_eq!(created, 0, "{source:?}");
        assert!(!plan.is_nothing());
    }
}

#[test]
fn a_source_that_cannot_be_read_holds_up_only_the_deletion_of_what_stands_on_it() {
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
fn a_network_is_the_union_of_what_apps_demand() {
    assert_eq!(
        Desired::union(identity(), settings().owner, caller(), &Governance::default(), &[], &[]),
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
    assert!(leg(&second, ConditionType::EndpointsReady).message.text.contains("vpce-00000002"));

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
