//! Another installation of the operator in the same account, whose resources must stay unchanged.

use private_genai_operator::{
    aws::{
        Architecture, Ec2Write, Environment, FunctionConfiguration, IamWrite, LambdaWrite, LogsWrite, NewFunction,
        NewVpcEndpoint, Package, PolicyDocument, SubnetId, Tags, VpcId, Write, Written,
    },
    identity::{TAG_INSTALLATION, TAG_REGION, TAG_VPC},
};
use serde_json::{Value, json};

/// Creates resources of another installation of the operator in a VPC, and resources of no installation.
pub fn install_somebody_else(vpc: &VpcId, subnets: &[SubnetId], mut write: impl FnMut(Write) -> Written) {
    let tags: Tags = [(TAG_INSTALLATION, "somebody-else"), (TAG_REGION, "us-east-1"), (TAG_VPC, vpc.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let mut group = |name: &str| {
        let (name, description) = (name.to_owned(), "not ours".to_owned());
        let created = write(Write::Ec2(Ec2Write::CreateSecurityGroup {
            vpc: vpc.clone(),
            name,
            description,
            tags: tags.clone(),
        }));
        let Written::SecurityGroup(id) = created else { panic!("{created:?} is not a group") };
        id
    };
    let functions = group("private-genai-functions-somebody-else");
    let endpoints = group("private-genai-endpoints-somebody-else");
    let policy = |statement: Value| PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}));
    write(Write::Ec2(Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
        vpc: vpc.clone(),
        service_name: "com.amazonaws.us-east-1.bedrock-runtime".into(),
        subnets: subnets.iter().cloned().collect(),
        security_groups: [endpoints].into(),
        private_dns: false,
        policy: policy(json!({"Effect": "Allow", "Principal": "*", "Action": "bedrock:InvokeModel", "Resource": "*"})),
        client_token: format!("somebody else's in {vpc}"),
        tags: tags.clone(),
    })));
    let name = format!("pgai-team-a-ada-{}", &vpc.as_str()[4..]);
    let lambda = json!({"Service": "lambda.amazonaws.com"});
    let trust_policy = policy(json!({"Effect": "Allow", "Principal": lambda, "Action": "sts:AssumeRole"}));
    write(Write::Iam(IamWrite::CreateRole {
        name: name.parse().expect("a role name"),
        path: "/private-genai/somebody-else/".into(),
        trust_policy,
        description: "not ours".into(),
        permissions_boundary: None,
        tags: tags.clone(),
    }));
    write(Write::Iam(IamWrite::PutRolePolicy {
        role: name.parse().expect("a role name"),
        policy: "app".into(),
        document: policy(json!({"Effect": "Allow", "Action": "ec2:*NetworkInterface*", "Resource": "*"})),
    }));
    write(Write::Logs(LogsWrite::CreateLogGroup {
        name: format!("/aws/lambda/{name}").parse().expect("a name"),
        tags: tags.clone(),
    }));
    write(Write::Lambda(LambdaWrite::CreateFunction(NewFunction {
        name: name.parse().expect("a function name"),
        description: "not ours".into(),
        configuration: FunctionConfiguration {
            role_arn: format!("arn:aws:iam::123456789012:role/private-genai/somebody-else/{name}"),
            runtime: "nodejs24.x".into(),
            handler: "index.handler".into(),
            memory_mib: 256,
            timeout_seconds: 60,
            environment: Environment::default(),
            subnets: subnets.iter().cloned().collect(),
            security_groups: [functions].into(),
        },
        architecture: Architecture::Arm64,
        package: Package::new(b"not ours".to_vec()),
        tags,
    })));
}
