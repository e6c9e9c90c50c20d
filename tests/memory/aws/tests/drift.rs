use std::collections::BTreeSet;

use private_genai_operator::aws::{Ec2Write, EndpointState, LogsWrite, Peer, Rule, Write};

use super::{Account, installation, log_group, our_tags};
use crate::memory::aws::{Action, Delays, World, drifts, step};

/// One of everything that the operator makes.
fn furnished() -> Account {
    let mut account = Account::new();
    let group = account.group("functions");
    account.function("pgai-app", &group);
    account.endpoint("token");
    let rules = BTreeSet::from([Rule::tcp(443, Peer::Group(group.clone()))]);
    account
        .write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group.clone(), rules: rules.clone() }))
        .expect("a new rule");
    account
        .write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: group.clone(), rules }))
        .expect("a new rule");
    let everything = account.world.regions[&account.region].groups[&group].egress.iter().take(1).cloned().collect();
    account
        .write(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group, rules: everything }))
        .expect("a new group's own rule");
    let name = log_group("/aws/lambda/pgai-app");
    account
        .write(Write::Logs(LogsWrite::CreateLogGroup { name: name.clone(), tags: our_tags() }))
        .expect("a new log group");
    account.write(Write::Logs(LogsWrite::PutRetentionPolicy { name, days: 30 })).expect("the log group");
    account
}

#[test]
fn every_kind_of_drift_changes_the_world() {
    let account = furnished();
    let drifts = drifts(&account.world, &installation());
    let names: BTreeSet<_> = drifts.iter().map(|drift| drift.name).collect();
    assert_eq!(names.len(), 34, "{names:#?}");
    for drift in drifts {
        let mut world = account.world.clone();
        step(&mut world, &drift.action).unwrap_or_else(|error| panic!("{}: {error}", drift.name));
        assert_ne!(world, account.world, "{}", drift.name);
    }
}

#[test]
fn whatever_happens_the_world_stays_whole_and_a_replay_leads_to_the_same_world() {
    let slow = Delays {
        ec2_visible: 3,
        endpoint_available: 50,
        endpoint_deleted: 20,
        endpoint_forgotten: 100,
        function_active: 10,
        function_updated: 5,
        interfaces_created: 40,
        function_deleted: 5,
        interfaces_released: 300,
        role_usable: 10,
        role_visible: 5,
    };
    for seed in 0..100 {
        let mut world = furnished().world;
        world.delays = if seed % 2 == 0 { slow } else { Delays::default() };
        let (start, mut history, mut random) = (world.clone(), Vec::new(), seed);
        for _ in 0..40 {
            let mut choices: Vec<Action> =
                drifts(&world, &installation()).into_iter().map(|drift| drift.action).collect();
            choices.extend(world.due.keys().cloned().map(Action::Happen));
            choices.push(Action::Advance { seconds: 7 });
            let action = choices.swap_remove(next(&mut random) % choices.len());
            // Refused or not: what somebody tries is part of the history.
            drop(step(&mut world, &action));
            history.push(action);
            let wrong = what_is_not_whole(&world);
            assert!(wrong.is_none(), "seed {seed}: {wrong:?} after {history:#?}");
        }
        let mut replayed = start;
        for action in &history {
            drop(step(&mut replayed, action));
        }
        assert_eq!(replayed, world, "seed {seed}");
    }
}

/// A linear congruential generator (Knuth's constants): the same numbers for the same seed, everywhere.
fn next(random: &mut u64) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*random >> 40).expect("24 bits")
}

fn what_is_not_whole(world: &World) -> Option<String> {
    for state in world.regions.values() {
        for endpoint in state.endpoints.values().filter(|endpoint| endpoint.state != EndpointState::Deleted) {
            let interfaces = endpoint.interfaces.iter().filter_map(|id| state.interfaces.get(id));
            let subnets: BTreeSet<_> = interfaces.map(|interface| interface.fact.subnet.clone()).collect();
            if subnets != endpoint.subnets {
                return Some(format!("{} is in {:?} with interfaces in {subnets:?}", endpoint.id, endpoint.subnets));
            }
        }
        for interface in state.interfaces.values() {
            let Some(groups) = state.groups_of(interface) else {
                return Some(format!("nobody holds {}", interface.fact.id));
            };
            if groups.is_empty() || groups.iter().any(|group| !state.groups.contains_key(group)) {
                return Some(format!("{} carries {groups:?}", interface.fact.id));
            }
        }
        let mut addresses = BTreeSet::new();
        if !state.interfaces.values().all(|interface| addresses.insert(&interface.fact.private_ip)) {
            return Some("two interfaces with one address".into());
        }
        let named = state.groups.values().flat_map(|group| group.ingress.union(&group.egress));
        for rule in named {
            if matches!(&rule.peer, Peer::Group(peer) if !state.groups.contains_key(peer)) {
                return Some(format!("{rule:?} names a group that does not exist"));
            }
        }
    }
    None
}

#[test]
fn the_same_actions_in_another_order_lead_to_the_same_world() {
    let (mut one, mut other) = (Account::new(), Account::new());
    one.group("a");
    one.role("b");
    other.role("b");
    other.group("a");
    assert_eq!(one.world, other.world);
}
