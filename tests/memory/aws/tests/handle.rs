use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::aws::{
    Aws, AwsError, Ec2Write, EndpointState, Failure, FunctionName, LambdaWrite, LogGroup, LogsWrite, NewVpcEndpoint,
    VpcId, Write, Written,
};

use super::{
    Account, Delays, VpcShape, installation, log_group, new_group, new_role, our_tags, region, unattached_function,
};
use crate::memory::aws::{Action, CallRecord, Fault, MemoryAws, Route};

fn handle(delays: Delays) -> (MemoryAws, VpcId) {
    let aws = MemoryAws::new(&"123456789012".parse().expect("an account"), delays);
    let (vpc, _) = aws.add_vpc(&region(), &VpcShape::default());
    (aws, vpc)
}

/// The calls since this was last asked, and how often each was made in a row.
fn calls(aws: &MemoryAws) -> Vec<(String, usize)> {
    let mut calls: Vec<(String, usize)> = Vec::new();
    for call in aws.take_journal() {
        match calls.last_mut().filter(|(name, _)| *name == call.name()) {
            Some((_, count)) => *count += 1,
            None => calls.push((call.name(), 1)),
        }
    }
    calls
}

fn one(name: &str, count: usize) -> Vec<(String, usize)> {
    vec![(name.to_owned(), count)]
}

#[tokio::test(start_paused = true)]
async fn every_call_that_aws_would_count_is_in_the_journal() {
    let (aws, vpc) = handle(Delays::default());
    let region = region();
    let vpcs = BTreeSet::from([vpc.clone()]);
    let services = BTreeSet::from(["com.amazonaws.us-east-1.bedrock-runtime".to_owned()]);
    aws.caller(&region).await.expect("the caller");
    assert_eq!(calls(&aws), one("sts:GetCallerIdentity", 1));
    assert_eq!(aws.vpcs(&region, &vpcs).await.expect("a list").len(), 1);
    assert_eq!(calls(&aws), one("ec2:DescribeVpcs", 1));
    assert!(aws.vpc_dns(&region, &vpc).await.expect("an answer").is_some());
    assert_eq!(calls(&aws), one("ec2:DescribeVpcAttribute", 2));
    assert_eq!(aws.subnets(&region, &vpcs).await.expect("a list").len(), 2);
    assert_eq!(calls(&aws), one("ec2:DescribeSubnets", 1));
    assert_eq!(aws.route_tables(&region, &vpcs).await.expect("a list").len(), 1);
    assert_eq!(calls(&aws), one("ec2:DescribeRouteTables", 1));
    assert_eq!(aws.endpoint_services(&region, &services).await.expect("a list").len(), 1);
    assert_eq!(calls(&aws), one("ec2:DescribeVpcEndpointServices", 1));
    assert!(aws.vpc_endpoints(&region, &vpcs).await.expect("a list").is_empty());
    assert_eq!(calls(&aws), one("ec2:DescribeVpcEndpoints", 1));
    assert!(aws.security_groups(&region, installation().tag()).await.expect("a list").is_empty());
    assert_eq!(calls(&aws), one("ec2:DescribeSecurityGroups", 1));
    let name: FunctionName = "missing".parse().expect("a function name");
    assert_eq!(aws.function(&region, &name).await.expect("an answer"), None);
    assert_eq!(calls(&aws), one("lambda:GetFunction", 1));
    let missing =
        LogGroup { name: log_group("missing"), arn: "arn:missing".into(), retention_days: None, stored_bytes: 0 };
    assert_eq!(aws.log_group_tags(&region, &missing).await.expect("an answer"), None);
    assert_eq!(calls(&aws), one("logs:ListTagsForResource", 1));
    for empty in [
        aws.vpcs(&region, &BTreeSet::new()).await.map(|found| found.len()),
        aws.network_interfaces(&region, &BTreeSet::new()).await.map(|found| found.len()),
    ] {
        assert_eq!(empty, Ok(0));
    }
    assert_eq!(calls(&aws), [], "a question about nothing is not asked");
}

#[tokio::test(start_paused = true)]
async fn lists_are_read_page_by_page() {
    let (aws, _) = handle(Delays::default());
    let region = region();
    let write = |write| aws.act(&Action::Write(region.clone(), write)).expect("a new resource");
    write(new_role("app"));
    for n in 0..51 {
        let name = format!("f{n}").parse().expect("a function name");
        write(Write::Lambda(LambdaWrite::CreateFunction(private_genai_operator::aws::NewFunction {
            name,
            ..unattached_function("app")
        })));
        write(Write::Logs(LogsWrite::CreateLogGroup {
            name: log_group(&format!("/aws/lambda/pgai-{n}")),
            tags: our_tags(),
        }));
    }
    assert_eq!(calls(&aws), [], "what somebody else does is not in the operator's journal");
    assert_eq!(aws.functions(&region).await.expect("a list").len(), 51);
    assert_eq!(calls(&aws), one("lambda:ListFunctions", 2));
    assert_eq!(aws.log_groups(&region, "/aws/lambda/pgai-").await.expect("a list").len(), 51);
    assert_eq!(calls(&aws), one("logs:DescribeLogGroups", 2));
    assert!(aws.log_groups(&region, "/other/").await.expect("a list").is_empty());
    assert_eq!(calls(&aws), one("logs:DescribeLogGroups", 1));
    assert_eq!(aws.roles(&region, &installation().role_path()).await.expect("a list").len(), 1);
    assert!(aws.roles(&region, "/other/").await.expect("a list").is_empty());
    assert_eq!(calls(&aws), one("iam:GetAccountAuthorizationDetails", 2));
    let vpcs = (0..101).map(|_| aws.add_vpc(&region, &VpcShape { zones: "", ..VpcShape::default() }).0).collect();
    assert_eq!(aws.route_tables(&region, &vpcs).await.expect("a list").len(), 101);
    assert_eq!(calls(&aws), one("ec2:DescribeRouteTables", 2));
}

#[tokio::test(start_paused = true)]
async fn aws_follows_tokios_clock_and_what_a_test_skips() {
    let (aws, vpc) = handle(Delays { endpoint_available: 60, ..Delays::default() });
    let region = region();
    let mut account = Account::new();
    let new = account.new_endpoint("token");
    let subnets = aws.subnets(&region, &[vpc.clone()].into()).await.expect("a list");
    let new = NewVpcEndpoint {
        vpc: vpc.clone(),
        subnets: subnets.into_iter().map(|subnet| subnet.id).collect(),
        security_groups: [].into(),
        ..new
    };
    let created = aws.write(&region, &Write::Ec2(Ec2Write::CreateVpcEndpoint(new))).await.expect("an endpoint");
    assert!(matches!(created, Written::VpcEndpoint(_, EndpointState::Pending)));
    let state = async || aws.vpc_endpoints(&region, &[vpc.clone()].into()).await.expect("a list")[0].state.clone();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(state().await, EndpointState::Pending);
    aws.act(&Action::Advance { seconds: 20 }).expect("time passes");
    assert_eq!(state().await, EndpointState::Available);
    assert_eq!(aws.world().now, 60);
    let endpoint = &aws.vpc_endpoints(&region, &[vpc].into()).await.expect("a list")[0];
    let interfaces = aws.network_interfaces(&region, &endpoint.interfaces).await.expect("a list");
    assert!(
        interfaces
            .iter()
            .all(|interface| interface.private_ip.as_deref().is_some_and(|address| address.starts_with("10.0."))),
        "{interfaces:?}"
    );
    assert_eq!(aws.leftovers(&installation()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn faults_come_once_or_often_before_or_after_the_work() {
    let (aws, vpc) = handle(Delays::default());
    let region = region();
    let failure = |result: Result<Written, AwsError>| result.expect_err("a fault").failure;
    let create = async |name: &str| aws.write(&region, &new_group(&vpc, name)).await;

    aws.fail_next("CreateSecurityGroup", Fault::throttled().times(2));
    aws.fail_next("CreateSecurityGroup", Fault::answer_lost());
    assert_eq!(failure(create("a").await), Failure::Throttled);
    assert_eq!(failure(create("a").await), Failure::Throttled);
    assert_eq!(aws.leftovers(&installation()), [""; 0], "nothing was done");
    assert_eq!(failure(create("a").await), Failure::Unavailable);
    assert_eq!(aws.leftovers(&installation()).len(), 1, "the work was done, only the answer is lost");
    assert_eq!(failure(create("a").await), Failure::AlreadyExists);

    let table = [
        (Fault::access_denied(), Failure::AccessDenied),
        (Fault::unavailable(), Failure::Unavailable),
        (Fault::unreachable(), Failure::Unavailable),
        (Fault::malformed(), Failure::Malformed),
        (Fault::new(400, "SecurityGroupLimitExceeded", "too many"), Failure::QuotaReached),
    ];
    for (fault, expected) in table {
        aws.fail_next("*", fault);
        assert_eq!(failure(create("b").await), expected);
    }
    aws.fail_next("CreateSecurityGroup", Fault::throttled().only("c").times(u32::MAX));
    create("d").await.expect("a fault for another resource");
    assert_eq!(failure(create("c").await), Failure::Throttled);
    aws.clear_faults();
    create("c").await.expect("no fault any more");

    aws.fail_next("DescribeSecurityGroups", Fault::throttled());
    let error = aws.security_groups(&region, installation().tag()).await.expect_err("reads fail too");
    assert!(error.request_id.is_some());
    let last = aws.journal().pop().expect("a call");
    let expected = CallRecord {
        by: "",
        service: "ec2",
        operation: "DescribeSecurityGroups",
        write: false,
        region,
        resource: "privategenai.dev/installation=prod".into(),
        error_code: Some("RequestLimitExceeded".into()),
    };
    assert_eq!(last, expected);
    assert_eq!(aws.journal().iter().filter(|call| call.write).count(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_cut_off_before_the_work_and_before_the_answer() {
    for (polls, done) in [(1, 0), (2, 1)] {
        let (aws, vpc) = handle(Delays::default());
        let (region, write) = (region(), new_group(&vpc, "a"));
        let mut call = aws.write(&region, &write);
        for _ in 0..polls {
            assert!(futures::poll!(&mut call).is_pending());
        }
        drop(call);
        assert_eq!(aws.leftovers(&installation()).len(), done);
    }
}

#[test]
fn a_world_goes_on_under_a_handle() {
    let mut account = Account::with(Delays::default(), &VpcShape { route: Route::Public, ..VpcShape::default() });
    account.advance(100);
    let aws = MemoryAws::of(account.world.clone());
    aws.act(&Action::Advance { seconds: 5 }).expect("time passes");
    assert_eq!(aws.world().now, 105);
}
