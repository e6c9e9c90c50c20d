//! Lambda's checks of a package and a configuration, before it starts any work.

use private_genai_operator::aws::{FunctionConfiguration, Package, Region, SecurityGroup, SubnetId, Tenancy};

use super::{
    endpoint_checks::GROUPS_PER_INTERFACE,
    iam,
    step::{Answer, refuse, refuse_with},
    world::{SubnetRecord, World},
};

/// Lambda quotas, in bytes: "Environment variables" (all of a function together) and zipped deployment packages that
/// are uploaded through the API. VPC configurations have at most 16 subnets.
const ENVIRONMENT_BYTES: usize = 4_096;
const PACKAGE_BYTES: usize = 50 * 1024 * 1024;
const SUBNETS: usize = 16;

/// Lambda's code for most refusals.
pub(super) const INVALID: &str = "InvalidParameterValueException";

pub(super) fn check_package(package: &Package) -> Answer<()> {
    match package.zip().len() {
        0 => refuse(INVALID, "Could not unzip uploaded file. Please check your file, then try to upload again."),
        size if size > PACKAGE_BYTES => refuse_with(413, "RequestEntityTooLargeException", "Request must be smaller"),
        _ => Ok(()),
    }
}

/// Makes the checks that Lambda makes before it starts any work; returns the role's principal.
pub(super) fn check_configuration(
    world: &mut World,
    region: &Region,
    configuration: &FunctionConfiguration,
) -> Answer<u64> {
    let FunctionConfiguration { runtime, handler, memory_mib, timeout_seconds, .. } = configuration;
    if !(128..=10_240).contains(memory_mib) {
        return refuse(
            "ValidationException",
            format!("Value '{memory_mib}' at 'memorySize' failed to satisfy constraint"),
        );
    }
    if !(1..=900).contains(timeout_seconds) {
        return refuse(
            "ValidationException",
            format!("Value '{timeout_seconds}' at 'timeout' failed to satisfy constraint"),
        );
    }
    if !["nodejs", "python", "java", "dotnet", "ruby", "provided"].iter().any(|family| runtime.starts_with(family)) {
        return refuse(INVALID, format!("Value {runtime} at 'runtime' failed to satisfy constraint: enum value set"));
    }
    if handler.is_empty() || handler.len() > 128 || handler.contains(char::is_whitespace) {
        return refuse("ValidationException", "Value at 'handler' failed to satisfy constraint");
    }
    check_environment(configuration)?;
    let record = iam::lambda_can_assume(world, &configuration.role_arn)?;
    check_network(world, region, configuration)?;
    if !configuration.subnets.is_empty() {
        for action in ["CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface"] {
            if !iam::allows(world, &record.role, &format!("ec2:{action}")) {
                return refuse(
                    INVALID,
                    format!("The provided execution role does not have permissions to call {action} on EC2"),
                );
            }
        }
    }
    Ok(record.principal)
}

/// Lambda Developer Guide, "Working with Lambda environment variables": 4 KB in all, names of letters, digits and
/// underscores that begin with a letter and have two characters, and none of the reserved ones.
fn check_environment(configuration: &FunctionConfiguration) -> Answer<()> {
    const RESERVED: [&str; 20] = [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    ];
    let variables = configuration.environment.variables();
    let reserved: Vec<_> = variables.keys().filter(|key| RESERVED.contains(&key.as_str())).cloned().collect();
    if !reserved.is_empty() {
        return refuse(
            INVALID,
            format!(
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided contains reserved keys that are currently not supported for modification. Reserved keys used \
                 in this request: {}",
                reserved.join(", ")
            ),
        );
    }
    let is_name = |name: &str| {
        name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(name) = variables.keys().find(|name| !is_name(name)) {
        return refuse("ValidationException", format!("Value at 'environment' failed to satisfy constraint: {name}"));
    }
    if configuration.environment.measured() > ENVIRONMENT_BYTES {
        return refuse(
            INVALID,
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit.",
        );
    }
    Ok(())
}

/// Lambda asks EC2 about subnets and groups, and passes on EC2's answer.
fn check_network(world: &mut World, region: &Region, configuration: &FunctionConfiguration) -> Answer<()> {
    let FunctionConfiguration { subnets, security_groups, .. } = configuration;
    if subnets.is_empty() != security_groups.is_empty() {
        return refuse(INVALID, "SubnetIds and SecurityIds must coexist or be both empty list.");
    }
    if subnets.len() > SUBNETS || security_groups.len() > GROUPS_PER_INTERFACE {
        // The API model bounds both lists: "Member must have length less than or equal to".
        return refuse(
            "ValidationException",
            "Value at 'vpcConfig' failed to satisfy constraint: at most 16 subnets, 5 groups",
        );
    }
    let state = world.region_mut(region);
    let find_subnet = |id: &SubnetId| {
        state.subnets.get(id).map_or_else(
            || {
                refuse(
                    INVALID,
                    format!(
                        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error \
                         Message: The subnet ID '{id}' does not exist"
                    ),
                )
            },
            Ok,
        )
    };
    let find_group = |id| {
        state.group(id).map_or_else(
            || {
                refuse(
                    INVALID,
                    format!(
                        "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error \
                         Message: The security group '{id}' does not exist"
                    ),
                )
            },
            Ok,
        )
    };
    let subnets: Vec<&SubnetRecord> = subnets.iter().map(find_subnet).collect::<Answer<_>>()?;
    let groups: Vec<&SecurityGroup> = security_groups.iter().map(find_group).collect::<Answer<_>>()?;
    let Some(vpc) = subnets.first().map(|subnet| &subnet.vpc) else {
        return Ok(());
    };
    if subnets.iter().any(|subnet| subnet.vpc != *vpc) || groups.iter().any(|group| group.vpc != *vpc) {
        return refuse(INVALID, "Security Groups are required to be in the same VPC as the subnets.");
    }
    // Lambda Developer Guide: "You can't connect a Lambda function directly to a VPC with dedicated instance tenancy."
    if state.vpcs.get(vpc).is_none_or(|vpc| vpc.tenancy != Tenancy::Default) {
        return refuse(INVALID, format!("Functions cannot be attached to {vpc}: its instance tenancy is not default"));
    }
    Ok(())
}
