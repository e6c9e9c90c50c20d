//! The in-memory AWS is what the operator's promises are tested against: here it is shown to be as strict as AWS.

mod by_hand;
mod drift;
mod endpoints;
mod functions;
mod handle;
mod invoke;
mod roles;
mod security_groups;

use private_genai_operator::aws::{
    Architecture, Ec2Write, EndpointChange, Environment, Failure, FunctionConfiguration, FunctionName, IamWrite,
    LambdaWrite, LogGroupName, NewFunction, NewVpcEndpoint, Package, PolicyDocument, Region, RoleName, SecurityGroupId,
    SubnetId, Tags, VpcEndpoint, VpcEndpointId, VpcId, Write, Written,
};
use private_genai_operator::identity::InstallationId;
use serde_json::json;

use super::{Action, Behaviour, ByHand, Delays, Outcome, VpcShape, World, step};

/// A world with one VPC of two subnets, and what the operator would put into it.
struct Account {
    world: World,
    region: Region,
    vpc: VpcId,
    subnets: Vec<SubnetId>,
}

const INSTALLATION: &str = "prod";

fn installation() -> InstallationId {
    INSTALLATION.parse().expect("an installation id")
}

fn our_tags() -> Tags {
    let (key, value) = (installation().tag().0.to_owned(), INSTALLATION.to_owned());
    [(key, value)].into()
}

fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

impl Account {
    fn new() -> Self {
        Self::with(Delays::default(), &VpcShape::default())
    }

    fn with(delays: Delays, shape: &VpcShape) -> Self {
        let mut world = World::new("123456789012".parse().expect("an account"), delays);
        let (vpc, subnets) = world.add_vpc(&region(), shape);
        Self { world, region: region(), vpc, subnets }
    }

    fn write(&mut self, write: Write) -> Outcome {
        step(&mut self.world, &Action::Write(self.region.clone(), write))
    }

    /// The world is what it was before a refused action.
    #[track_caller]
    fn refuses(&mut self, write: Write, code: &str, failure: Failure) {
        let (before, operation, call) = (self.world.clone(), write.operation(), format!("{write:?}"));
        let error = self.write(write).expect_err("AWS refuses this");
        assert_eq!((error.code.as_deref(), error.failure), (Some(code), failure), "{call}: {error}");
        assert_eq!((error.service, error.operation), (operation.service, operation.name));
        assert_eq!(self.world, before, "a refused call changes nothing: {call}");
    }

    fn by_hand(&mut self, deed: ByHand) -> Outcome {
        step(&mut self.world, &Action::ByHand(self.region.clone(), deed))
    }

    fn advance(&mut self, seconds: u64) {
        step(&mut self.world, &Action::Advance { seconds }).expect("time passes");
    }

    fn group(&mut self, name: &str) -> SecurityGroupId {
        let created = self.write(new_group(&self.vpc, name)).expect("a group");
        let Written::SecurityGroup(id) = created else { panic!("{created:?} is not a group") };
        id
    }

    fn new_endpoint(&mut self, token: &str) -> NewVpcEndpoint {
        let name = format!("endpoints of {token}");
        NewVpcEndpoint {
            vpc: self.vpc.clone(),
            service_name: "com.amazonaws.us-east-1.bedrock-runtime".into(),
            subnets: self.subnets.iter().cloned().collect(),
            security_groups: [self.group(&name)].into(),
            private_dns: true,
            policy: endpoint_policy(),
            client_token: token.into(),
            tags: our_tags(),
        }
    }

    fn endpoint(&mut self, token: &str) -> VpcEndpointId {
        let new = self.new_endpoint(token);
        self.create_endpoint(new)
    }

    fn create_endpoint(&mut self, new: NewVpcEndpoint) -> VpcEndpointId {
        let created = self.write(Write::Ec2(Ec2Write::CreateVpcEndpoint(new))).expect("an endpoint");
        let Written::VpcEndpoint(id, _) = created else { panic!("{created:?} is not an endpoint") };
        id
    }

    fn see(&self, endpoint: &VpcEndpointId) -> Option<&VpcEndpoint> {
        self.world.regions[&self.region].endpoint(endpoint)
    }

    fn modify(&mut self, endpoint: &VpcEndpointId, change: EndpointChange) -> Outcome {
        self.write(Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint.clone(), change }))
    }

    /// A role that a function in a VPC can have.
    fn role(&mut self, name: &str) -> RoleName {
        let role = self.bare_role(name);
        self.write(interface_policy(&role)).expect("a policy");
        role
    }

    fn bare_role(&mut self, name: &str) -> RoleName {
        let role: RoleName = name.parse().expect("a role name");
        self.write(new_role(name)).expect("a role");
        role
    }

    /// A function with a role of its own, attached with this group.
    fn new_function(&mut self, name: &str, group: &SecurityGroupId) -> NewFunction {
        self.role(name);
        NewFunction { configuration: self.configuration(name, group), ..unattached_function(name) }
    }

    fn configuration(&self, role: &str, group: &SecurityGroupId) -> FunctionConfiguration {
        FunctionConfiguration {
            role_arn: role_arn(role),
            subnets: self.subnets.iter().cloned().collect(),
            security_groups: [group.clone()].into(),
            ..unattached_function(role).configuration
        }
    }

    fn function(&mut self, name: &str, group: &SecurityGroupId) -> FunctionName {
        let new = self.new_function(name, group);
        self.write(Write::Lambda(LambdaWrite::CreateFunction(new))).expect("a function");
        name.parse().expect("a function name")
    }
}

fn new_group(vpc: &VpcId, name: &str) -> Write {
    Write::Ec2(Ec2Write::CreateSecurityGroup {
        vpc: vpc.clone(),
        name: name.into(),
        description: "a test".into(),
        tags: our_tags(),
    })
}

fn policy(statement: &serde_json::Value) -> PolicyDocument {
    PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}))
}

fn endpoint_policy() -> PolicyDocument {
    policy(&json!({"Effect": "Allow", "Principal": "*", "Action": "bedrock:InvokeModel", "Resource": "*"}))
}

fn trust_policy() -> PolicyDocument {
    policy(&json!({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}))
}

fn new_role(name: &str) -> Write {
    Write::Iam(IamWrite::CreateRole {
        name: name.parse().expect("a role name"),
        path: installation().role_path(),
        trust_policy: trust_policy(),
        description: "a test".into(),
        permissions_boundary: None,
        tags: our_tags(),
    })
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role{}{name}", installation().role_path())
}

fn interface_policy(role: &RoleName) -> Write {
    let document = policy(&json!({"Effect": "Allow", "Action": "ec2:*NetworkInterface*", "Resource": "*"}));
    Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: "app".into(), document })
}

fn unattached_function(name: &str) -> NewFunction {
    NewFunction {
        name: name.parse().expect("a function name"),
        description: "a test".into(),
        configuration: FunctionConfiguration {
            role_arn: role_arn(name),
            runtime: "nodejs24.x".into(),
            handler: "index.handler".into(),
            memory_mib: 256,
            timeout_seconds: 60,
            environment: Environment::default(),
            subnets: [].into(),
            security_groups: [].into(),
        },
        architecture: Architecture::Arm64,
        package: Package::new(b"a zip file".to_vec()),
        tags: our_tags(),
    }
}

fn log_group(name: &str) -> LogGroupName {
    name.parse().expect("a log group name")
}
