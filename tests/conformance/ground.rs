//! Where facts are tried: an account with a VPC, and what facts need to create there. What is created is remembered, and removed.

use std::{
    collections::BTreeSet,
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use private_genai_operator::aws::{
    Architecture, Aws, AwsError, Class, Ec2Write, EndpointState, Environment, Failure, FunctionConfiguration,
    FunctionDetail, FunctionName, FunctionState, IamWrite, LambdaWrite, LogGroupName, LogsWrite, NewFunction,
    NewVpcEndpoint, Package, PolicyDocument, Region, Role, RoleName, SecurityGroup, SecurityGroupId, SubnetId, Tags,
    UpdateStatus, VpcEndpoint, VpcEndpointId, VpcId, Write, Written,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The tag of everything that a fact creates. Its value is the fact's own.
const TAG: &str = "privategenai.dev/conformance";

/// The path of its roles.
pub const PATH: &str = "/private-genai-conformance/";

/// How long AWS may take for what it does in its own time, and how often it is asked meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub bound: Duration,
    pub pause: Duration,
}

/// An account, and one VPC in it.
pub struct Ground {
    pub aws: Arc<dyn Aws>,
    pub region: Region,
    pub vpc: VpcId,
    /// Two subnets in two zones.
    pub subnets: BTreeSet<SubnetId>,
    /// Another subnet of the VPC, in the zone of one of those, where there is one.
    pub twin: Option<SubnetId>,
    /// A subnet in a zone in which no endpoint can be, where there is one.
    pub unoffered: Option<SubnetId>,
    /// Another VPC, which gives its instances no host names, where there is one.
    pub elsewhere: Option<(VpcId, SubnetId)>,
    /// A subnet of a VPC with dedicated tenancy, where there is one.
    pub dedicated: Option<(VpcId, SubnetId)>,
    account: String,
    /// What everything of this fact is called, and the value of its tag.
    pub mark: String,
    patience: Patience,
    made: Mutex<Vec<Made>>,
}

/// A VPC and its subnets.
pub type Place = (VpcId, Vec<SubnetId>);

/// Something to remove.
#[derive(Clone, Debug)]
enum Made {
    Function(FunctionName),
    Endpoint(VpcEndpointId),
    Group(SecurityGroupId),
    Role(RoleName),
    LogGroup(LogGroupName),
}

impl Ground {
    /// In this VPC, which has two subnets in two zones.
    pub async fn new(aws: Arc<dyn Aws>, region: Region, (vpc, subnets): Place, patience: Patience) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let account = aws.caller(&region).await.expect("credentials").account.to_string();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("pgai-conformance-{}-{number}", std::process::id());
        let (subnets, made) = (subnets.into_iter().collect(), Mutex::default());
        let (twin, unoffered, elsewhere, dedicated) = (None, None, None, None);
        Self { aws, region, vpc, subnets, twin, unoffered, elsewhere, dedicated, account, mark, patience, made }
    }

    /// With what only a model of AWS has at hand: a VPC with subnets in these zones (the third is that of the first, the fourth is
    /// not offered), one without host names, and one with dedicated tenancy.
    pub async fn furnished(
        aws: Arc<dyn Aws>,
        region: Region,
        (vpc, subnets): Place,
        elsewhere: Place,
        dedicated: Place,
        patience: Patience,
    ) -> Self {
        let [one, two, twin, unoffered] = subnets.try_into().expect("four subnets");
        let first = |(vpc, subnets): Place| subnets.into_iter().next().map(|subnet| (vpc, subnet));
        let ground = Self::new(aws, region, (vpc, vec![one, two]), patience).await;
        let (twin, unoffered) = (Some(twin), Some(unoffered));
        Self { twin, unoffered, elsewhere: first(elsewhere), dedicated: first(dedicated), ..ground }
    }

    pub fn tags(&self) -> Tags {
        [(TAG.to_owned(), self.mark.clone())].into()
    }

    /// Makes a call. What it creates is remembered.
    pub async fn write(&self, write: impl Into<Write>) -> Result<Written, AwsError> {
        let write = write.into();
        let written = self.aws.write(&self.region, &write).await?;
        let made = match (&write, &written) {
            (_, Written::SecurityGroup(group)) => Some(Made::Group(group.clone())),
            (_, Written::VpcEndpoint(endpoint, _)) => Some(Made::Endpoint(endpoint.clone())),
            (Write::Iam(IamWrite::CreateRole { name, .. }), _) => Some(Made::Role(name.clone())),
            (Write::Lambda(LambdaWrite::CreateFunction(new)), _) => Some(Made::Function(new.name.clone())),
            (Write::Logs(LogsWrite::CreateLogGroup { name, .. }), _) => Some(Made::LogGroup(name.clone())),
            _ => None,
        };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        Ok(written)
    }

    /// Makes a call that AWS takes, at once or when what it stands on has come to be known everywhere.
    pub async fn takes(&self, write: impl Into<Write>) -> Written {
        let write = write.into();
        let began = Instant::now();
        loop {
            match self.write(write.clone()).await {
                Ok(written) => return written,
                Err(error) if error.failure.class() == Class::UserMustAct || began.elapsed() > self.patience.bound => {
                    panic!("AWS does not take {write:?}: {error}")
                }
                Err(_) => sleep(self.patience.pause).await,
            }
        }
    }

    /// Makes a call that AWS refuses with this code, by which the operator knows what it means.
    pub async fn refuses(&self, write: impl Into<Write>, code: &str, failure: Failure) {
        let write = write.into();
        self.until(&format!("an answer to {write:?}"), async || match self.write(write.clone()).await {
            Ok(_) => panic!("AWS takes {write:?}, and was to refuse it with {code}"),
            // The operator's own pacer, or AWS, has it wait.
            Err(error) if error.failure == Failure::Throttled => None,
            Err(error) => {
                assert_eq!((error.code.as_deref(), error.failure), (Some(code), failure), "{write:?}: {error}");
                Some(())
            }
        })
        .await;
    }

    /// Polls until there is a value.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(began.elapsed() <= self.patience.bound, "not so after {:?}: {what}", self.patience.bound);
            sleep(self.patience.pause).await;
        }
    }

    // ---- groups

    pub async fn group(&self, name: &str) -> SecurityGroupId {
        let written = self.takes(self.new_group(&self.called(name))).await;
        let Written::SecurityGroup(id) = written else { panic!("{written:?} is no group") };
        self.see_group(&id, |_| true).await;
        id
    }

    pub fn new_group(&self, name: &str) -> Ec2Write {
        self.new_group_in(&self.vpc, name)
    }

    pub fn new_group_in(&self, vpc: &VpcId, name: &str) -> Ec2Write {
        let (vpc, tags) = (vpc.clone(), self.tags());
        Ec2Write::CreateSecurityGroup { vpc, name: name.into(), description: "conformance".into(), tags }
    }

    /// What something of this fact is called.
    pub fn called(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    /// Waits until the group is so.
    pub async fn see_group(&self, id: &SecurityGroupId, is: impl Fn(&SecurityGroup) -> bool) -> SecurityGroup {
        self.until(&format!("{id} is as it was written"), async || {
            self.groups().await.into_iter().find(|group| group.id == *id && is(group))
        })
        .await
    }

    /// The groups of this fact.
    pub async fn groups(&self) -> Vec<SecurityGroup> {
        self.aws.security_groups(&self.region, (TAG, &self.mark)).await.expect("groups")
    }

    // ---- endpoints

    /// One without private DNS, so that facts do not stand in each other's way.
    pub fn new_endpoint(&self, token: &str, group: &SecurityGroupId) -> NewVpcEndpoint {
        NewVpcEndpoint {
            vpc: self.vpc.clone(),
            service_name: format!("com.amazonaws.{}.bedrock-runtime", self.region),
            subnets: self.subnets.clone(),
            security_groups: [group.clone()].into(),
            private_dns: false,
            policy: endpoint_policy("*"),
            client_token: self.called(token),
            tags: self.tags(),
        }
    }

    pub async fn create_endpoint(&self, new: NewVpcEndpoint) -> VpcEndpointId {
        let written = self.takes(Ec2Write::CreateVpcEndpoint(new)).await;
        let Written::VpcEndpoint(id, _) = written else { panic!("{written:?} is no endpoint") };
        self.see_endpoint(&id, |_| true).await;
        id
    }

    /// An endpoint that is available.
    pub async fn endpoint(&self, new: NewVpcEndpoint) -> VpcEndpoint {
        let id = self.create_endpoint(new).await;
        self.see_endpoint(&id, |endpoint| endpoint.state == EndpointState::Available).await
    }

    /// Waits until the endpoint is so.
    pub async fn see_endpoint(&self, id: &VpcEndpointId, is: impl Fn(&VpcEndpoint) -> bool) -> VpcEndpoint {
        self.until(&format!("{id} is as it was written"), async || self.look_at(id).await.filter(&is)).await
    }

    /// The endpoint, if it is listed.
    pub async fn look_at(&self, id: &VpcEndpointId) -> Option<VpcEndpoint> {
        let endpoints = self.aws.vpc_endpoints(&self.region, &[self.vpc.clone()].into()).await.expect("endpoints");
        endpoints.into_iter().find(|endpoint| endpoint.id == *id)
    }

    /// Waits until the endpoint is deleted.
    pub async fn until_deleted(&self, id: &VpcEndpointId) {
        self.until(&format!("{id} is deleted"), async || {
            self.look_at(id).await.is_none_or(|endpoint| endpoint.state == EndpointState::Deleted).then_some(())
        })
        .await;
    }

    // ---- roles

    pub fn new_role(&self, name: &RoleName) -> IamWrite {
        IamWrite::CreateRole {
            name: name.clone(),
            path: PATH.into(),
            trust_policy: trust_policy("lambda.amazonaws.com"),
            description: "conformance".into(),
            permissions_boundary: None,
            tags: self.tags(),
        }
    }

    pub fn role_name(&self, name: &str) -> RoleName {
        self.called(name).parse().expect("a role name")
    }

    /// A role that Lambda may assume, without a policy.
    pub async fn bare_role(&self, name: &str) -> RoleName {
        let name = self.role_name(name);
        self.takes(self.new_role(&name)).await;
        self.see_role(&name, |_| true).await;
        name
    }

    /// Waits until the role is so.
    pub async fn see_role(&self, name: &RoleName, is: impl Fn(&Role) -> bool) -> Role {
        self.until(&format!("{name} is as it was written"), async || {
            self.aws.role(&self.region, name).await.expect("an answer").filter(&is)
        })
        .await
    }

    pub fn role_arn(&self, name: &RoleName) -> String {
        format!("arn:aws:iam::{}:role{PATH}{name}", self.account)
    }

    // ---- functions

    /// A function without a VPC, which runs as this role.
    pub fn new_function(&self, name: &str, role: &RoleName) -> NewFunction {
        NewFunction {
            name: self.called(name).parse().expect("a function name"),
            description: "conformance".into(),
            configuration: FunctionConfiguration {
                role_arn: self.role_arn(role),
                runtime: "nodejs24.x".into(),
                handler: "index.handler".into(),
                memory_mib: 128,
                timeout_seconds: 3,
                environment: Environment::default(),
                subnets: BTreeSet::new(),
                security_groups: BTreeSet::new(),
            },
            architecture: Architecture::Arm64,
            package: package("one"),
            tags: self.tags(),
        }
    }

    /// A function of a role of its own, attached to the VPC with this group. It need not be active.
    pub async fn attached(&self, name: &str, group: &SecurityGroupId) -> FunctionName {
        let role = self.bare_role(name).await;
        self.takes(interface_policy(&role)).await;
        let new = self.new_function(name, &role);
        let configuration = FunctionConfiguration {
            subnets: self.subnets.clone(),
            security_groups: [group.clone()].into(),
            ..new.configuration
        };
        let name = new.name.clone();
        self.takes(LambdaWrite::CreateFunction(NewFunction { configuration, ..new })).await;
        name
    }

    /// Waits until the function is so.
    pub async fn see_function(&self, name: &FunctionName, is: impl Fn(&FunctionDetail) -> bool) -> FunctionDetail {
        self.until(&format!("{name} is as it was written"), async || {
            self.aws.function(&self.region, name).await.expect("an answer").filter(&is)
        })
        .await
    }

    /// Waits until nothing of the function is under way.
    pub async fn until_active(&self, name: &FunctionName) -> FunctionDetail {
        let through = |detail: &FunctionDetail| {
            detail.state == FunctionState::Active && detail.last_update == UpdateStatus::Successful
        };
        self.see_function(name, through).await
    }

    // ---- the end

    /// Removes what was created, and what it has. Functions go first, and their roles last: Lambda releases interfaces with them.
    pub async fn clean(&self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let functions =
            made.iter().filter_map(|resource| if let Made::Function(name) = resource { Some(name) } else { None });
        for name in functions {
            self.remove(LambdaWrite::DeleteFunction { name: name.clone() }).await;
        }
        let endpoints =
            made.iter().filter_map(|resource| if let Made::Endpoint(id) = resource { Some(id) } else { None });
        for endpoint in endpoints {
            self.remove(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.clone() }).await;
            self.until_deleted(endpoint).await;
        }
        // Rules may name other groups.
        for SecurityGroup { id: group, ingress, egress, .. } in self.groups().await {
            if !ingress.is_empty() {
                self.remove(Ec2Write::RevokeSecurityGroupIngress { group: group.clone(), rules: ingress }).await;
            }
            if !egress.is_empty() {
                self.remove(Ec2Write::RevokeSecurityGroupEgress { group, rules: egress }).await;
            }
        }
        let groups = made.iter().filter_map(|resource| if let Made::Group(id) = resource { Some(id) } else { None });
        for group in groups {
            self.remove(Ec2Write::DeleteSecurityGroup { group: group.clone() }).await;
        }
        let roles = made.iter().filter_map(|resource| if let Made::Role(name) = resource { Some(name) } else { None });
        for role in roles {
            // What IAM shows may lag behind what was written.
            self.until(&format!("{role} is gone"), async || {
                let found = self.aws.role(&self.region, role).await.expect("an answer");
                for policy in found.into_iter().flat_map(|role| role.inline_policies.into_keys()) {
                    self.remove(IamWrite::DeleteRolePolicy { role: role.clone(), policy }).await;
                }
                match self.write(IamWrite::DeleteRole { role: role.clone() }).await {
                    Err(error) if error.failure == Failure::InUse => None,
                    Err(error) if error.failure != Failure::NotFound => panic!("{role}: {error}"),
                    _ => Some(()),
                }
            })
            .await;
        }
        let logs =
            made.iter().filter_map(|resource| if let Made::LogGroup(name) = resource { Some(name) } else { None });
        for name in logs {
            self.remove(LogsWrite::DeleteLogGroup { name: name.clone() }).await;
        }
    }

    /// Removes something, as soon as nothing stands in the way. It may be gone already.
    async fn remove(&self, write: impl Into<Write>) {
        let write = write.into();
        self.until(&format!("{write:?}"), async || match self.write(write.clone()).await {
            Ok(_) => Some(()),
            Err(error) if error.failure == Failure::NotFound => Some(()),
            Err(error) if error.failure.class() == Class::UserMustAct => panic!("{write:?}: {error}"),
            Err(_) => None,
        })
        .await;
    }
}

fn policy(statement: &Value) -> PolicyDocument {
    PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}))
}

/// A policy of an endpoint that lets calls of this resource through.
pub fn endpoint_policy(resource: &str) -> PolicyDocument {
    policy(&json!({"Effect": "Allow", "Principal": "*", "Action": "bedrock:InvokeModel", "Resource": resource}))
}

/// An inline policy of a role that allows this action, whose resource is so long.
pub fn role_policy(action: &str, resource: &str) -> PolicyDocument {
    policy(&json!({"Effect": "Allow", "Action": action, "Resource": resource}))
}

pub fn trust_policy(service: &str) -> PolicyDocument {
    policy(&json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}))
}

/// What a role needs for Lambda to attach its function to a VPC.
pub fn interface_policy(role: &RoleName) -> IamWrite {
    let actions = ["CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface"];
    let actions: Vec<String> = actions.map(|action| format!("ec2:{action}")).into();
    let document = policy(&json!({"Effect": "Allow", "Action": actions, "Resource": "*"}));
    IamWrite::PutRolePolicy { role: role.clone(), policy: "interfaces".into(), document }
}

/// A package whose code differs by this word.
pub fn package(word: &str) -> Package {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("index.mjs", stored).expect("a file");
    zip.write_all(format!("export const handler = async () => '{word}';").as_bytes()).expect("its text");
    Package::new(zip.finish().expect("a zip").into_inner())
}
