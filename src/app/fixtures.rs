//! The app of the tests in this folder, on a network with private DNS.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desired, NetworkOffer, Observed, ObservedLogGroup, PrivatePath, plan};
use crate::{
    api::{
        EndpointStatus, PrivateGenAIAppSpec, PrivateGenAINetworkStatus, SecurityGroupsStatus,
        app::{App, FunctionStatus},
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{
        AwsError, Caller, Failure, FunctionDetail, FunctionListing, FunctionState, IamWrite, LambdaWrite, LogGroup,
        Partition, Role, Tags, UpdateStatus, Write,
    },
    identity::AppIdentity,
    network::VpcOwnership,
    plan::{Plan, Unread},
    policy::POLICY_NAME,
};

pub(super) fn identity() -> AppIdentity {
    AppIdentity {
        installation: "prod".parse().expect("an installation id"),
        region: "us-east-1".parse().expect("a region"),
        vpc: "vpc-0abc1234".parse().expect("a VPC id"),
        namespace: "team-a".to_owned(),
        name: "bot".to_owned(),
    }
}

pub(super) fn caller() -> Caller {
    Caller { account: "123456789012".parse().expect("an account"), partition: Partition::Aws }
}

pub(super) use crate::network::fixtures::settings;

/// The app of this spec.
pub(super) fn app(spec: serde_json::Value) -> App {
    let spec: PrivateGenAIAppSpec = serde_json::from_value(spec).expect("a spec");
    App::new(&spec, &identity().region).expect("an app")
}

pub(super) fn smallest() -> App {
    app(serde_json::json!({"network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"]}))
}

/// The status of a network that is ready.
pub(super) fn network_status(private_dns: bool) -> PrivateGenAINetworkStatus {
    PrivateGenAINetworkStatus {
        subnet_ids: vec!["subnet-000000a1".to_owned(), "subnet-000000b1".to_owned()],
        security_groups: Some(SecurityGroupsStatus {
            functions: "sg-0000000f".to_owned(),
            endpoints: "sg-0000000e".to_owned(),
        }),
        endpoints: vec![EndpointStatus {
            service: "bedrock-runtime".to_owned(),
            vpc_endpoint_id: "vpce-00000001".to_owned(),
            state: "available".to_owned(),
            private_dns_enabled: private_dns,
            dns_names: vec!["vpce-1.example".to_owned(), "vpce-1-us-east-1a.example".to_owned()],
            private_ip_addresses: Vec::new(),
            interfaces: Vec::new(),
            models: vec!["amazon.nova-lite-v1:0".to_owned()],
        }],
        ..PrivateGenAINetworkStatus::default()
    }
}

pub(super) fn path() -> PrivatePath {
    PrivatePath::new(&network_status(true)).expect("a path")
}

/// The smallest app on a network that is ready.
pub(super) fn desired() -> Desired {
    Desired::new(&smallest(), identity(), &caller(), &settings(), &NetworkOffer::Ready(path()))
}

/// The desired state of the smallest app, with this offer of its network.
pub(super) fn desired_on(offer: &NetworkOffer) -> Desired {
    Desired::new(&smallest(), identity(), &caller(), &settings(), offer)
}

pub(super) fn nothing() -> Observed {
    Observed {
        role: None,
        given_role_id: None,
        log_group: None,
        listing: None,
        detail: None,
        interfaces: BTreeSet::new(),
        ownership: VpcOwnership::Ours,
        unread: Unread::default(),
    }
}

pub(super) fn role() -> Role {
    let desired = desired();
    Role {
        name: identity().role_name(),
        id: "AROAEXAMPLE".to_owned(),
        arn: identity().role_arn(&caller()),
        trust_policy: desired.role.trust_policy,
        inline_policies: BTreeMap::from([("private-genai".to_owned(), desired.role.policy)]),
        attached_policies: BTreeSet::new(),
        permissions_boundary: None,
        tags: identity().tags(),
    }
}

pub(super) fn log_group(tags: Option<Tags>) -> ObservedLogGroup {
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/pgai-a".to_owned();
    ObservedLogGroup {
        group: LogGroup { name: identity().log_group_name(), arn, retention_days: Some(30), stored_bytes: 1 },
        tags,
    }
}

pub(super) fn listing() -> FunctionListing {
    let function = desired().function;
    FunctionListing {
        name: identity().function_name(),
        arn: identity().function_arn(&caller()),
        configuration: function.configuration,
        unreadable_environment: None,
        altered: BTreeSet::new(),
        fixed: BTreeSet::new(),
        architecture: function.architecture,
        code_sha256: function.package.sha256().to_owned(),
        last_modified: "2026-01-01T00:00:00.000+0000".to_owned(),
    }
}

pub(super) fn detail() -> FunctionDetail {
    FunctionDetail {
        listing: listing(),
        state: FunctionState::Active,
        state_reason: None,
        last_update: UpdateStatus::Successful,
        last_update_reason: None,
        tags: identity().tags(),
    }
}

/// All resources are as [`desired`] wants them, and the function has details.
pub(super) fn at_rest() -> Observed {
    Observed {
        role: Some(role()),
        given_role_id: Some(role().id),
        log_group: Some(log_group(None)),
        listing: Some(listing()),
        detail: Some(detail()),
        interfaces: BTreeSet::new(),
        ownership: VpcOwnership::Ours,
        unread: Unread::default(),
    }
}

/// The function has these details.
pub(super) fn with_function(detail: FunctionDetail) -> Observed {
    Observed { listing: Some(detail.listing.clone()), detail: Some(detail), ..at_rest() }
}

/// The record of the function in the status, from its last details.
pub(super) fn recorded() -> FunctionStatus {
    let detail = detail();
    FunctionStatus {
        name: detail.listing.name.to_string(),
        arn: detail.listing.arn,
        state: detail.state.as_str().to_owned(),
        last_update_status: detail.last_update.as_str().to_owned(),
        code_sha256: detail.listing.code_sha256,
        execution_role_id: Some(role().id),
        last_modified: detail.listing.last_modified,
        log_group: identity().log_group_name().to_string(),
    }
}

pub(super) fn decided(observed: &Observed) -> Plan {
    plan(&desired(), observed)
}

/// The writes of a plan, in order.
pub(super) fn writes(plan: Plan) -> Vec<Write> {
    plan.steps.into_iter().map(|step| step.write).collect()
}

pub(super) fn stands(plan: &Plan, kind: ConditionType) -> (LegState, Reason) {
    let leg = leg(plan, kind);
    (leg.state, leg.reason)
}

pub(super) fn leg(plan: &Plan, kind: ConditionType) -> &Leg {
    plan.legs.iter().find(|leg| leg.kind == kind).expect("the leg")
}

pub(super) fn function_stands(plan: &Plan) -> (LegState, Reason) {
    stands(plan, ConditionType::FunctionReady)
}

pub(super) fn put_policy() -> Write {
    Write::Iam(IamWrite::PutRolePolicy {
        role: identity().role_name(),
        policy: POLICY_NAME.to_owned(),
        document: desired().role.policy,
    })
}

pub(super) fn put_configuration() -> Write {
    let configuration = desired().function.configuration;
    Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
        name: identity().function_name(),
        configuration,
        reset: BTreeSet::new(),
    })
}

pub(super) fn put_code() -> Write {
    let function = desired().function;
    let (package, architecture) = (function.package, function.architecture);
    Write::Lambda(LambdaWrite::UpdateFunctionCode { name: identity().function_name(), package, architecture })
}

pub(super) fn delete_function() -> Write {
    Write::Lambda(LambdaWrite::DeleteFunction { name: identity().function_name() })
}

/// The tags of a foreign resource.
pub(super) fn foreign() -> Tags {
    [("Name".to_owned(), "theirs".to_owned())].into()
}

pub(super) fn operations(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.write.operation().name).collect()
}

/// A call that AWS refuses until a person acts.
pub(super) fn denied() -> AwsError {
    AwsError {
        service: "iam",
        operation: "SomeCall",
        failure: Failure::AccessDenied,
        code: Some("AccessDenied".to_owned()),
        message: "no".to_owned(),
        request_id: None,
    }
}
