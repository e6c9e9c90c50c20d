//! The kinds of fault, and how each service says them.

use private_genai_operator::aws::{EndpointState, FunctionState};

use crate::{
    memory::aws::{Action, ByHand, Fault},
    scene::Scene,
};

/// A call as IAM names it: `ec2:CreateVpcEndpoint`.
pub type Call<'a> = (&'a str, &'a str);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Throttled,
    ServerError,
    TimedOut,
    ResetAfterTheWork,
    AccessDenied,
    NotFound,
    AlreadyExists,
    QuotaReached,
    BoundaryMissing,
    Malformed,
    UnknownState,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Throttled,
        Self::ServerError,
        Self::TimedOut,
        Self::ResetAfterTheWork,
        Self::AccessDenied,
        Self::NotFound,
        Self::AlreadyExists,
        Self::QuotaReached,
        Self::BoundaryMissing,
        Self::Malformed,
        Self::UnknownState,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::ServerError => "5xx",
            Self::TimedOut => "time-out",
            Self::ResetAfterTheWork => "reset after the work",
            Self::AccessDenied => "access denied",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::QuotaReached => "quota reached",
            Self::BoundaryMissing => "boundary missing",
            Self::Malformed => "malformed answer",
            Self::UnknownState => "unknown state",
        }
    }

    /// It may go away by itself, so it must heal although it came a few times.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Throttled | Self::ServerError | Self::TimedOut | Self::ResetAfterTheWork | Self::Malformed => true,
            Self::AccessDenied
            | Self::NotFound
            | Self::AlreadyExists
            | Self::QuotaReached
            | Self::BoundaryMissing
            | Self::UnknownState => false,
        }
    }

    /// Somebody must act, and must be told.
    pub fn needs_somebody(self) -> bool {
        matches!(self, Self::AccessDenied | Self::QuotaReached | Self::BoundaryMissing)
    }

    /// What to do to AWS, or why AWS cannot do this to that call.
    pub fn of(self, call: Call<'_>) -> Result<Trouble, &'static str> {
        let (service, _) = call;
        let fault = |status, code: &str| Ok(Trouble::Fault(Fault::new(status, code, "AWS's words")));
        match self {
            Self::Throttled => match service {
                "ec2" => fault(503, "RequestLimitExceeded"),
                "iam" | "sts" => fault(400, "Throttling"),
                "lambda" => fault(429, "TooManyRequestsException"),
                _ => fault(400, "ThrottlingException"),
            },
            Self::ServerError => match service {
                "ec2" => fault(500, "InternalError"),
                "iam" | "sts" => fault(500, "ServiceFailure"),
                "lambda" => fault(500, "ServiceException"),
                _ => fault(503, "ServiceUnavailableException"),
            },
            Self::TimedOut => Ok(Trouble::Fault(Fault::new(0, "", "the request timed out"))),
            Self::ResetAfterTheWork => Ok(Trouble::Fault(Fault::answer_lost())),
            Self::AccessDenied => match (service, call.1) {
                (_, "GetCallerIdentity") => Err("needs no permission"),
                ("ec2", _) => fault(403, "UnauthorizedOperation"),
                ("iam", _) => fault(403, "AccessDenied"),
                _ => fault(403, "AccessDeniedException"),
            },
            Self::NotFound => not_found(call).map(|code| Trouble::Fault(Fault::new(404, code, "AWS's words"))),
            Self::AlreadyExists => {
                already_exists(call).map(|code| Trouble::Fault(Fault::new(409, code, "AWS's words")))
            }
            Self::QuotaReached => quota(call).map(|code| Trouble::Fault(Fault::new(400, code, "AWS's words"))),
            Self::BoundaryMissing => match call.1 {
                "CreateRole" | "PutRolePermissionsBoundary" => {
                    let words = "Scope ARN: arn:aws:iam::123456789012:policy/gone does not exist or is not attachable.";
                    Ok(Trouble::Fault(Fault::new(404, "NoSuchEntity", words)))
                }
                _ => Err("gives no role a permissions boundary"),
            },
            Self::Malformed => Ok(Trouble::Fault(Fault::malformed())),
            Self::UnknownState => match call.1 {
                "DescribeVpcEndpoints" => Ok(Trouble::EndpointState),
                "GetFunction" => Ok(Trouble::FunctionState),
                "DescribeNetworkInterfaces" => Err("whatever is not `available` is in use"),
                _ => Err("the answer has no state"),
            },
        }
    }
}

fn not_found((service, operation): Call<'_>) -> Result<&'static str, &'static str> {
    match operation {
        "GetFunction"
        | "ListTagsForResource"
        | "GetRole"
        | "ListRolePolicies"
        | "GetRolePolicy"
        | "ListAttachedRolePolicies" => Err("an answer, not an error: the resource is not there"),
        "GetCallerIdentity" | "GetAccountAuthorizationDetails" => Err("names no resource"),
        _ if operation.starts_with("Describe") || operation.starts_with("List") => {
            Err("a list leaves out what is not there")
        }
        "CreateRole" | "CreateLogGroup" => Err("refers to nothing that could be missing"),
        "CreateSecurityGroup" => Ok("InvalidVpcID.NotFound"),
        "CreateVpcEndpoint" => Ok("InvalidSecurityGroupID.NotFound"),
        "ModifyVpcEndpoint" | "DeleteVpcEndpoints" => Ok("InvalidVpcEndpointId.NotFound"),
        "DeleteNetworkInterface" => Ok("InvalidNetworkInterfaceID.NotFound"),
        _ if operation.contains("SecurityGroup") => Ok("InvalidGroup.NotFound"),
        _ if service == "ec2" => Ok("InvalidID.NotFound"),
        _ if service == "iam" => Ok("NoSuchEntity"),
        _ => Ok("ResourceNotFoundException"),
    }
}

fn already_exists((_, operation): Call<'_>) -> Result<&'static str, &'static str> {
    match operation {
        "CreateSecurityGroup" => Ok("InvalidGroup.Duplicate"),
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => Ok("InvalidPermission.Duplicate"),
        "CreateVpcEndpoint" => Ok("IdempotentParameterMismatch"),
        "CreateRole" => Ok("EntityAlreadyExists"),
        "CreateLogGroup" => Ok("ResourceAlreadyExistsException"),
        "CreateFunction" => Ok("ResourceConflictException"),
        _ => Err("creates nothing under a name"),
    }
}

/// Error codes of the API references.
fn quota((_, operation): Call<'_>) -> Result<&'static str, &'static str> {
    match operation {
        "CreateSecurityGroup" => Ok("SecurityGroupLimitExceeded"),
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => Ok("RulesPerSecurityGroupLimitExceeded"),
        "CreateVpcEndpoint" => Ok("VpcEndpointLimitExceeded"),
        "CreateTags" => Ok("TagLimitExceeded"),
        "CreateRole" | "PutRolePolicy" | "TagRole" | "UpdateAssumeRolePolicy" => Ok("LimitExceeded"),
        "CreateLogGroup" => Ok("LimitExceededException"),
        "CreateFunction" | "UpdateFunctionCode" => Ok("CodeStorageExceededException"),
        "Invoke" => Ok("ENILimitReachedException"),
        _ => Err("uses up no quota"),
    }
}

/// What is done to AWS, and undone.
#[derive(Clone, Debug)]
pub enum Trouble {
    Fault(Fault),
    EndpointState,
    FunctionState,
}

impl Trouble {
    pub fn begin(&self, scene: &Scene, (service, operation): Call<'_>, times: u32) {
        match self {
            Self::Fault(fault) => scene.aws.fail_next(&format!("{service}:{operation}"), fault.clone().times(times)),
            Self::EndpointState => put_endpoints(scene, &EndpointState::Unknown("hibernating".into())),
            Self::FunctionState => put_functions(scene, &FunctionState::Other("Hibernating".into())),
        }
    }

    pub fn end(&self, scene: &Scene) {
        match self {
            Self::Fault(_) => scene.aws.clear_faults(),
            Self::EndpointState => put_endpoints(scene, &EndpointState::Available),
            Self::FunctionState => put_functions(scene, &FunctionState::Active),
        }
    }
}

fn put_endpoints(scene: &Scene, state: &EndpointState) {
    for id in scene.aws.world().regions[&Scene::region()].endpoints.keys() {
        let deed = ByHand::SetEndpointState { endpoint: id.clone(), state: state.clone(), last_error: None };
        scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS changes by itself");
    }
}

fn put_functions(scene: &Scene, state: &FunctionState) {
    for name in scene.aws.world().regions[&Scene::region()].functions.keys() {
        let deed = ByHand::SetFunctionState { function: name.clone(), state: state.clone(), reason: None };
        scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS changes by itself");
    }
}
