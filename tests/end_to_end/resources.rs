//! What an installation has in AWS, for comparing one moment with another.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{Aws as _, Region, Role, VpcId, sdk::SdkAws},
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX},
};

/// What an installation with one network has in AWS, less the ids and times that AWS gives anew to what is made anew:
/// only the ids of security groups are in it.
pub async fn of(aws: &SdkAws, region: &Region, installation: &InstallationId, vpc: &VpcId) -> BTreeSet<String> {
    let groups = aws.security_groups(region, installation.tag()).await.expect("groups");
    let mut facts: BTreeSet<String> = groups.iter().map(|group| format!("{group:?}")).collect();
    let endpoints = aws.vpc_endpoints(region, &[vpc.clone()].into()).await.expect("endpoints");
    for endpoint in endpoints.into_iter().filter(|endpoint| !endpoint.state.is_ending()) {
        let what = (&endpoint.service_name, &endpoint.state, endpoint.private_dns, &endpoint.subnets);
        facts.insert(format!("{what:?} {:?} {:?} {:?}", endpoint.security_groups, endpoint.policy, endpoint.tags));
    }
    let roles = aws.roles(region, &installation.role_path()).await.expect("roles");
    facts.extend(roles.into_iter().map(|role| format!("{:?}", Role { id: String::new(), ..role })));
    let functions = aws.functions(region).await.expect("functions");
    for function in functions.into_iter().filter(|function| function.name.as_str().starts_with(FUNCTION_PREFIX)) {
        let values = function.configuration.environment.variables();
        let tags = aws.function(region, &function.name).await.expect("an answer").map(|detail| detail.tags);
        let set = (&function.altered, &function.fixed);
        facts.insert(format!("{:?} {set:?} {values:?} {} {tags:?}", function.configuration, function.code_sha256));
    }
    for group in aws.log_groups(region, LOG_GROUP_PREFIX).await.expect("log groups") {
        let tags = aws.log_group_tags(region, &group).await.expect("an answer");
        facts.insert(format!("{group:?} {tags:?}"));
    }
    facts
}
