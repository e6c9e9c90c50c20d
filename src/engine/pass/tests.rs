use super::*;
use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason},
    aws::{Ec2Write, IamWrite, LogsWrite, MaxAge},
    engine::{Converged, FRESH, Observation, Pace},
};

fn failed(failure: Failure) -> AwsError {
    AwsError { service: "", operation: "", failure, code: None, message: String::new(), request_id: None }
}

#[test]
fn that_nothing_is_left_is_believed_after_a_fresh_look_only() {
    let mut pass = Pass::default();
    assert_eq!(pass.next(), PassAction::Observe(Freshness::default()));
    pass.decided(Plan::default());
    let PassAction::Observe(fresh) = pass.next() else { panic!("{:?}", pass.next()) };
    for leg in [
        ConditionType::EndpointsReady,
        ConditionType::SecurityGroupsReady,
        ConditionType::ExecutionRoleReady,
        ConditionType::FunctionReady,
    ] {
        assert_eq!(fresh.of(leg), MaxAge::Under(FRESH), "{}", leg.as_str());
    }
    pass.decided(Plan::default());
    assert_eq!(pass.next(), PassAction::End);
}

#[test]
fn a_denied_write_to_a_role_s_policies_is_decided_about_anew_once_and_then_told() {
    let write =
        Write::Iam(IamWrite::DeleteRolePolicy { role: "pgai-x".parse().expect("a role"), policy: "p".to_owned() });
    let denied = failed(Failure::AccessDenied);
    let mut plan = Plan::default();
    plan.step(ConditionType::ExecutionRoleReady, write);
    let mut pass = Pass::default();
    for last in [false, true] {
        pass.decided(plan.clone());
        pass.answered(Err(&denied), Reaction::Continue);
        assert_eq!(pass.errors().len(), usize::from(last));
        assert_eq!(pass.next() == PassAction::End, last);
    }
    assert_eq!(pass.plan.legs.len(), 1, "it is told");
}

#[test]
fn that_nothing_is_left_is_not_believed_where_the_fresh_look_fails() {
    let mut pass = Pass::default();
    pass.decided(Plan::default());
    assert_eq!(pass.observation_failed(failed(Failure::Throttled)), LastObservation::Void);
    assert_eq!(pass.next(), PassAction::End);
}

/// The steps of a role: two foreign policies, its own, and a log group beside it.
fn steps() -> [Write; 4] {
    let role = || "pgai-x".parse().expect("a role");
    [
        Write::Iam(IamWrite::DeleteRolePolicy { role: role(), policy: "foreign".to_owned() }),
        Write::Iam(IamWrite::DetachRolePolicy { role: role(), policy_arn: "arn".to_owned() }),
        Write::Iam(IamWrite::DeleteRole { role: role() }),
        Write::Logs(LogsWrite::DeleteLogGroup { name: "/aws/lambda/pgai-x".parse().expect("a log group") }),
    ]
}

fn planned(writes: &[Write]) -> Plan {
    let mut plan = Plan::default();
    for write in writes {
        let leg = match write.operation().service {
            "iam" => ConditionType::ExecutionRoleReady,
            "logs" => ConditionType::FunctionReady,
            _ => ConditionType::SecurityGroupsReady,
        };
        plan.step(leg, write.clone());
    }
    plan
}

/// Makes what the pass wants to make, with these answers; gives what it made, until it looks or ends.
fn make(pass: &mut Pass, answer: impl Fn(&Write) -> Option<AwsError>) -> Vec<Write> {
    let mut made = Vec::new();
    while let PassAction::Write(step) = pass.next() {
        let error = answer(&step.write);
        let result = error.as_ref().map_or(Ok(&Written::Done), Err);
        pass.answered(result, Reaction::Continue);
        made.push(step.write);
    }
    made
}

fn ended(plan: Plan, errors: Vec<AwsError>) -> Converged<()> {
    let pass = Pass { plan, ..Pass::default() };
    let observation = Observation::Observed { first: None, last: () };
    Converged { errors, ..Converged::of(pass, observation, BTreeSet::new()) }
}

fn of(service: &'static str, failure: Failure) -> AwsError {
    AwsError { service, code: Some("Code".to_owned()), ..failed(failure) }
}

#[test]
fn a_failed_write_ends_only_what_stands_on_it_and_is_told_on_its_leg() {
    let [delete, detach, role, log_group] = steps();
    let all = [delete.clone(), detach.clone(), role, log_group.clone()];
    let mut pass = Pass::default();
    pass.decided(planned(&all));
    let refused = |write: &Write| (*write != detach).then(|| of(write.operation().service, Failure::Invalid));
    assert_eq!(make(&mut pass, refused), [delete, detach.clone(), log_group], "the role stands on its policies");
    assert_eq!(pass.next(), PassAction::Observe(Freshness::default()), "something was done: the next look tells");
    let rest: Vec<Write> = all.iter().filter(|write| **write != detach).cloned().collect();
    pass.decided(planned(&rest));
    assert_eq!(pass.next(), PassAction::End, "what failed is not made again");
    assert_eq!(pass.errors().len(), 2);
    let blocked = |kind| pass.plan.legs.iter().any(|leg| leg.kind == kind && leg.state == LegState::Blocked);
    assert!(blocked(ConditionType::ExecutionRoleReady) && blocked(ConditionType::FunctionReady));
}

#[test]
fn refused_credentials_end_all_tries_and_a_throttling_service_is_asked_no_more() {
    let all = steps();
    for (failure, made, ends) in [(Failure::Credentials, 1, true), (Failure::Throttled, 2, false)] {
        let mut pass = Pass::default();
        pass.decided(planned(&all));
        let answer = |write: &Write| (write.operation().service == "iam").then(|| of("iam", failure));
        assert_eq!(make(&mut pass, answer).len(), made, "{failure:?}");
        assert_eq!(pass.next() == PassAction::End, ends, "{failure:?}");
    }
}

#[test]
fn what_a_quota_refused_is_made_once_more_after_something_made_room_for_it() {
    let group = || "sg-00000001".parse().expect("a group");
    let rules = |peer: &str| [crate::aws::Rule::tcp(443, crate::aws::Peer::Ipv4(peer.to_owned()))].into();
    let grant = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group(), rules: rules("10.0.0.0/8") });
    let revoke = Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group(), rules: rules("0.0.0.0/0") });
    let full = |write: &Write| (*write == grant).then(|| of("ec2", Failure::QuotaReached));
    let mut pass = Pass::default();
    pass.decided(planned(&[grant.clone(), revoke.clone()]));
    assert_eq!(make(&mut pass, full), [grant.clone(), revoke.clone()]);
    pass.decided(planned(std::slice::from_ref(&grant)));
    assert_eq!(make(&mut pass, full), std::slice::from_ref(&grant), "once");
    assert_eq!(pass.next(), PassAction::End, "and no more");
    let mut pass = Pass::default();
    pass.decided(planned(std::slice::from_ref(&grant)));
    assert_eq!(make(&mut pass, full), [grant], "nothing made room");
    assert_eq!(pass.next(), PassAction::End);
}

#[test]
fn what_was_done_and_does_not_show_yet_is_not_done_again_nor_what_stands_on_it() {
    let [delete, _, role, log_group] = steps();
    let mut pass = Pass::default();
    pass.decided(planned(std::slice::from_ref(&delete)));
    make(&mut pass, |_| None);
    pass.decided(planned(&[delete.clone(), role, log_group.clone()]));
    assert_eq!(make(&mut pass, |_| None), [log_group]);
}

#[test]
fn what_was_done_before_changed_nothing_and_of_what_was_done_in_part_that_part() {
    let rule = |peer: &str| crate::aws::Rule::tcp(443, crate::aws::Peer::Ipv4(peer.to_owned()));
    let revoke = |peers: &[&str]| {
        Write::Ec2(Ec2Write::RevokeSecurityGroupIngress {
            group: "sg-00000001".parse().expect("a group"),
            rules: peers.iter().map(|peer| rule(peer)).collect(),
        })
    };
    let gone = failed(Failure::NotFound);
    let some = Written::Revoked([rule("0.0.0.0/0")].into());
    let none = Written::Revoked(std::collections::BTreeSet::new());
    let both = revoke(&["10.0.0.0/8", "0.0.0.0/0"]);
    for (answer, changed) in [
        (Ok(&Written::Done), vec![both.clone()]),
        (Ok(&some), vec![revoke(&["0.0.0.0/0"])]),
        (Ok(&none), vec![]),
        (Err(&gone), vec![]),
    ] {
        let mut pass = Pass::default();
        pass.decided(planned(std::slice::from_ref(&both)));
        pass.answered(answer, Reaction::Continue);
        assert_eq!((&pass.done, &pass.changed), (&vec![both.clone()], &changed), "{answer:?}");
    }
}

#[test]
fn of_several_failures_on_one_leg_the_one_that_somebody_must_see_to_is_told() {
    let [delete, detach, _, _] = steps();
    let mut pass = Pass::default();
    pass.decided(planned(&[delete.clone(), detach]));
    let answer = |write: &Write| {
        let failure = if *write == delete { Failure::NotYet } else { Failure::Invalid };
        Some(of("iam", failure))
    };
    make(&mut pass, answer);
    assert_eq!(pass.plan.legs.iter().map(|leg| leg.state).collect::<Vec<_>>(), [LegState::Blocked]);
    let ended = ended(pass.plan.clone(), pass.errors());
    assert_eq!(ended.pace(), Pace::Wait, "the soonest");
}

#[test]
fn a_leg_that_waits_for_failed_writes_brings_its_object_back_no_sooner() {
    let plan = Plan {
        legs: vec![Leg::progressing(ConditionType::ExecutionRoleReady, Reason::Applying, "soon")],
        ..planned(&steps()[..1])
    };
    let ended = |errors| ended(plan.clone(), errors);
    assert_eq!(ended(vec![failed(Failure::AccessDenied)]).pace(), Pace::Blocked);
    assert_eq!(ended(vec![failed(Failure::AccessDenied), failed(Failure::Throttled)]).pace(), Pace::Retry);
    assert_eq!(ended(vec![]).pace(), Pace::Wait, "it was stopped");
}

#[test]
fn what_was_made_in_vain_needs_somebody_and_comes_back_as_rarely_as_a_refusal() {
    let [delete, _, role, log_group] = steps();
    let mut pass = Pass::default();
    pass.decided(planned(&[delete.clone(), role, log_group.clone()]));
    pass.mark_without_effect(|write| *write == delete);
    assert_eq!(
        pass.next(),
        PassAction::Write(Box::new(Step { leg: ConditionType::ExecutionRoleReady, write: delete.clone() }))
    );
    pass.hold_back();
    assert_eq!(make(&mut pass, |_| None), std::slice::from_ref(&log_group), "what stands on it is not made either");
    for last in [PassAction::Observe(Freshness::default()), PassAction::End] {
        pass.decided(planned(std::slice::from_ref(&delete)));
        pass.mark_without_effect(|write| *write == delete);
        pass.hold_back();
        assert_eq!(pass.next(), last, "AWS is looked at once more before the end");
    }
    let [leg] = &pass.plan.legs[..] else { panic!("{:?}", pass.plan.legs) };
    assert_eq!((leg.state, leg.reason), (LegState::Blocked, Reason::WriteHasNoEffect));
    assert!(
        leg.message.text.starts_with("pgai-x: iam:DeleteRolePolicy succeeds, and AWS shows no change"),
        "{}",
        leg.message
    );
    let in_vain = Converged { without_effect: [delete].into(), ..ended(pass.plan.clone(), pass.errors()) };
    assert_eq!(in_vain.pace(), Pace::Blocked);
    let waits = Converged { without_effect: BTreeSet::new(), ..ended(pass.plan, vec![]) };
    assert_eq!(waits.pace(), Pace::Wait, "it may show soon");
}

#[test]
fn a_leg_that_waits_for_a_failed_call_does_not_say_that_it_is_being_done() {
    let create = Write::Iam(IamWrite::CreateRole {
        name: "pgai-x".parse().expect("a role"),
        path: "/".to_owned(),
        trust_policy: crate::aws::PolicyDocument::from_wire("{}"),
        description: String::new(),
        permissions_boundary: None,
        tags: crate::aws::Tags::new(),
    });
    let group = Write::Logs(LogsWrite::CreateLogGroup {
        name: "/aws/lambda/pgai-x".parse().expect("a log group"),
        tags: crate::aws::Tags::new(),
    });
    let mut plan = planned(&[create.clone(), group]);
    plan.legs = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady]
        .map(|kind| Leg::progressing(kind, Reason::Applying, "It is being created."))
        .into();
    let mut pass = Pass::default();
    pass.decided(plan);
    assert_eq!(make(&mut pass, |_| Some(of("iam", Failure::AccessDenied))), [create]);
    let legs: Vec<_> = pass.plan.legs.iter().map(|leg| (leg.kind, leg.state, leg.reason)).collect();
    assert_eq!(
        legs,
        [
            (ConditionType::ExecutionRoleReady, LegState::Blocked, Reason::AccessDenied),
            (ConditionType::FunctionReady, LegState::Progressing, Reason::DependencyNotReady)
        ]
    );
    let message = &pass.plan.legs[1].message.text;
    assert!(message.contains("waits for iam:CreateRole of pgai-x; condition ExecutionRoleReady"), "{message}");
}

#[test]
fn that_nothing_is_left_is_never_believed_of_a_look_that_is_not_complete() {
    let mut pass = Pass::default();
    let mut plan = Plan::default();
    plan.unread(ConditionType::VpcReady, Some(&failed(Failure::AccessDenied)));
    pass.decided(plan);
    assert_eq!((pass.next(), pass.errors().len()), (PassAction::End, 1));
    assert!(!pass.plan.is_nothing());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_put_off_waits_for_its_turn_and_tells_no_time() {
    let until = Instant::now() + std::time::Duration::from_mins(1);
    let put_off = PutOff { until, service: "iam", operation: "PutRolePolicy" };
    let [delete, other, role, log_group] = steps();
    for (rest, made) in [(Rest::Waits, vec![]), (Rest::GoesOn, vec![log_group.clone()])] {
        let mut pass = Pass::default();
        pass.decided(planned(&[role.clone(), log_group.clone()]));
        pass.put_off(&put_off, None, rest);
        assert_eq!(make(&mut pass, |_| None), made, "{rest:?}");
        pass.end();
        assert_eq!((pass.turn(), pass.errors()), (Some(until), vec![]));
        let leg = pass.plan.legs.iter().find(|leg| leg.reason == Reason::Throttled).expect("a leg");
        let message = &leg.message.text;
        assert_eq!(leg.state, LegState::Progressing);
        assert!(message.contains("waits for its turn: the operator itself holds the call back"), "{message}");
        assert!(message.contains("the rate of iam:PutRolePolicy"), "{message}");
        let ended = Converged::of(pass, Observation::<()>::Observed { first: None, last: () }, BTreeSet::new());
        assert!(!ended.is_clean());
        assert_eq!(ended.pace(), if made.is_empty() { Pace::Turn(until) } else { Pace::Wait }, "{rest:?}");
    }
    let mut pass = Pass::default();
    pass.decided(planned(std::slice::from_ref(&role)));
    pass.put_off(&put_off, Some(of("iam", Failure::Throttled)), Rest::Waits);
    let message = &pass.plan.legs[0].message.text;
    assert!(message.contains("is tried again, less often each time"), "AWS throttled it: {message}");
    assert_eq!(pass.turn(), Some(until));
    let mut pass = Pass::default();
    pass.decided(planned(&[delete, other]));
    pass.put_off(&put_off, None, Rest::GoesOn);
    pass.put_off(&PutOff { until: until + std::time::Duration::from_secs(1), ..put_off }, None, Rest::GoesOn);
    assert_eq!(pass.turn(), Some(until), "the next of both");
}
