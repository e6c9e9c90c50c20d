use private_genai_operator::{
    aws::{
        Answer, Ec2Write, EndpointChange, Environment, Evidence, Failure, FunctionError, FunctionName, FunctionState,
        LambdaWrite, NewFunction, Peer, ProbeError, Rule, SecurityGroupId, VpcEndpointId, Write,
    },
    function,
};

use super::{Account, Behaviour, ByHand, Delays, VpcShape};
use crate::memory::aws::{probe, reads};

/// A path as the operator builds it: a function whose group may send to the endpoint's, which lets that in.
struct Path {
    account: Account,
    function: FunctionName,
    endpoint: VpcEndpointId,
    functions: SecurityGroupId,
}

fn https(group: &SecurityGroupId) -> std::collections::BTreeSet<Rule> {
    [Rule::tcp(443, Peer::Group(group.clone()))].into()
}

impl Path {
    fn new(delays: Delays, url: bool) -> Self {
        let mut account = Account::with(delays, &VpcShape::default());
        let functions = account.group("functions");
        let mut new = account.new_endpoint("token");
        new.private_dns = !url;
        let endpoints = new.security_groups.first().expect("a group").clone();
        let endpoint = account.create_endpoint(new);
        let everything = account.world.regions[&account.region].groups[&functions].egress.clone();
        account
            .write(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: functions.clone(), rules: everything }))
            .expect("revoked");
        account
            .write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress {
                group: functions.clone(),
                rules: https(&endpoints),
            }))
            .expect("a rule");
        account
            .write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: endpoints, rules: https(&functions) }))
            .expect("a rule");
        let mut new = NewFunction {
            package: function::built_in().expect("a package"),
            ..account.new_function("one", &functions)
        };
        if url {
            let name = account.see(&endpoint).expect("the endpoint").dns_names[0].clone();
            let variable = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".to_owned(), format!("https://{name}"));
            new.configuration.environment = Environment::new([variable].into());
        }
        let function = new.name.clone();
        account.write(Write::Lambda(LambdaWrite::CreateFunction(new))).expect("a function");
        Self { account, function, endpoint, functions }
    }

    fn found(&mut self) -> Answer {
        probe(&mut self.account.world, &self.account.region, &self.function).expect("an invocation").answer
    }

    fn evidence(&mut self) -> Evidence {
        match self.found() {
            Answer::Evidence(evidence) => evidence,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_function_reaches_the_endpoint_by_its_public_name_or_by_its_own() {
    for url in [false, true] {
        let mut path = Path::new(Delays::default(), url);
        let found = path.evidence();
        assert_eq!((found.addresses.len(), found.verified, found.error), (2, true, None));
        assert_eq!(found.host.is_some_and(|host| host.starts_with("vpce-")), url);
    }
}

#[test]
fn what_a_function_reaches_follows_from_rules_dns_and_the_endpoint_s_state() {
    let ends = |change: &dyn Fn(&mut Path)| {
        let mut path = Path::new(Delays::default(), false);
        change(&mut path);
        path.evidence()
    };
    let silent =
        |found: &Evidence| assert_eq!((found.error, found.addresses.len()), (Some(ProbeError::ConnectTimeout), 2));
    silent(&ends(&|path| {
        let rules = path.account.world.regions[&path.account.region].groups[&path.functions].egress.clone();
        path.account
            .write(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: path.functions.clone(), rules }))
            .expect("revoked");
    }));
    silent(&ends(&|path| {
        let group = path.account.see(&path.endpoint).expect("the endpoint").security_groups.first().cloned();
        let group = group.expect("a group");
        path.account
            .write(Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group, rules: https(&path.functions) }))
            .expect("revoked");
    }));
    silent(&ends(&|path| {
        path.account.by_hand(ByHand::CloseNetwork { vpc: path.account.vpc.clone(), closed: true }).expect("closed");
    }));
    let public = ends(&|path| {
        let change = EndpointChange { private_dns: Some(false), ..EndpointChange::default() };
        path.account.modify(&path.endpoint, change).expect("switched");
    });
    assert_eq!(public.addresses, ["192.0.2.1".parse().expect("an address")].into());
    assert_eq!(public.error, Some(ProbeError::ConnectTimeout));
    let mut path = Path::new(Delays::default(), true);
    path.account.write(Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: path.endpoint.clone() })).expect("deleted");
    assert_eq!(path.evidence().error, Some(ProbeError::DnsNotFound));
}

#[test]
fn a_function_runs_while_it_is_active_and_is_woken_by_the_call_that_finds_it_asleep() {
    let mut path = Path::new(Delays { function_active: 10, ..Delays::default() }, false);
    let refused = |path: &mut Path| {
        let error = probe(&mut path.account.world, &path.account.region, &path.function).expect_err("it is not active");
        assert_eq!(error.failure, Failure::NotYet);
        error.code.expect("a code")
    };
    assert_eq!(refused(&mut path), "ResourceConflictException");
    path.account.advance(10);
    assert!(path.evidence().verified);
    let (function, state) = (path.function.clone(), FunctionState::Inactive);
    path.account.by_hand(ByHand::SetFunctionState { function, state, reason: None }).expect("idle");
    path.account.advance(100);
    assert_eq!(refused(&mut path), "ResourceNotReadyException");
    assert_eq!(refused(&mut path), "ResourceConflictException", "it is on its way");
    path.account.advance(10);
    assert!(path.evidence().verified);
    let detail = reads::function(&path.account.world.regions[&path.account.region], &path.function);
    assert_eq!(detail.expect("the function").state, FunctionState::Active);
}

#[test]
fn code_does_what_it_does() {
    let mut path = Path::new(Delays::default(), false);
    let mut behave = |behaviour: Behaviour| {
        let function = path.function.clone();
        path.account.by_hand(ByHand::SetBehaviour { function, behaviour }).expect("other code");
        path.found()
    };
    assert_eq!(behave(Behaviour::TimesOut), Answer::Failed(FunctionError::TimedOut));
    let fails = Behaviour::Fails { error_type: "TypeError".into(), message: "oh".into() };
    assert_eq!(behave(fails), Answer::Failed(FunctionError::Type("TypeError".into())));
    assert_eq!(behave(Behaviour::Answers("{}".into())), Answer::Unreadable);
    assert!(matches!(behave(Behaviour::AsUploaded), Answer::Evidence(_)));
}
