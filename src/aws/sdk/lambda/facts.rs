//! Lambda's answers as facts.

use std::collections::BTreeSet;

use aws_sdk_lambda::{
    operation::get_function::GetFunctionOutput,
    types::{self, PackageType, Runtime},
};

use super::super::error::{Malformed, all_parsed, counted, needed, parsed};
use crate::{
    aws::{
        Architecture, Environment, Fixed, FunctionConfiguration, FunctionDetail, FunctionListing, FunctionName,
        FunctionState, Setting, UpdateStatus,
    },
    identity::FUNCTION_PREFIX,
};

/// The function may be ours. A function with a name that we never give, or on an unknown processor, is somebody else's, and does
/// not keep ours from being listed.
pub(super) fn could_be_ours(function: &types::FunctionConfiguration) -> bool {
    function.function_name().is_none_or(|name| name.parse::<FunctionName>().is_ok()) && architecture(function).is_ok()
}

/// `None` for an unreadable function with a name that we never give.
pub(super) fn readable(function: &types::FunctionConfiguration) -> Option<Result<FunctionListing, Malformed>> {
    let is_ours = function.function_name().is_none_or(|name| name.starts_with(FUNCTION_PREFIX));
    Some(listing(function)).filter(|listing| listing.is_ok() || is_ours)
}

/// The function in an answer to a change: each operation has a type of its own for the same members.
macro_rules! configuration_of {
    ($answer:expr) => {{
        let answer = $answer;
        types::FunctionConfiguration::builder()
            .set_function_name(answer.function_name)
            .set_function_arn(answer.function_arn)
            .set_runtime(answer.runtime)
            .set_role(answer.role)
            .set_handler(answer.handler)
            .set_timeout(answer.timeout)
            .set_memory_size(answer.memory_size)
            .set_last_modified(answer.last_modified)
            .set_code_sha256(answer.code_sha256)
            .set_vpc_config(answer.vpc_config)
            .set_dead_letter_config(answer.dead_letter_config)
            .set_environment(answer.environment)
            .set_kms_key_arn(answer.kms_key_arn)
            .set_tracing_config(answer.tracing_config)
            .set_layers(answer.layers)
            .set_file_system_configs(answer.file_system_configs)
            .set_package_type(answer.package_type)
            .set_architectures(answer.architectures)
            .set_ephemeral_storage(answer.ephemeral_storage)
            .set_snap_start(answer.snap_start)
            .set_logging_config(answer.logging_config)
            .set_tenancy_config(answer.tenancy_config)
            .set_capacity_provider_config(answer.capacity_provider_config)
            .set_durable_config(answer.durable_config)
            .build()
    }};
}
pub(super) use configuration_of;

pub(super) fn listing(function: &types::FunctionConfiguration) -> Result<FunctionListing, Malformed> {
    Ok(FunctionListing {
        name: parsed(function.function_name(), "FunctionName")?,
        arn: needed(function.function_arn(), "FunctionArn")?.to_owned(),
        configuration: configuration(function)?,
        unreadable_environment: unreadable_environment(function),
        altered: Setting::ALL.iter().copied().filter(|setting| is_altered(function, *setting)).collect(),
        fixed: fixed(function),
        architecture: architecture(function)?,
        code_sha256: needed(function.code_sha256(), "CodeSha256")?.to_owned(),
        last_modified: needed(function.last_modified(), "LastModified")?.to_owned(),
    })
}

/// The code alone: Lambda's message is marked as sensitive.
fn unreadable_environment(function: &types::FunctionConfiguration) -> Option<String> {
    let error = function.environment()?.error()?;
    Some(error.error_code().unwrap_or("no code").to_owned())
}

/// Functions from images have neither runtime nor handler. Functions outside VPCs have no VPC configuration or an empty one.
fn configuration(function: &types::FunctionConfiguration) -> Result<FunctionConfiguration, Malformed> {
    let vpc = function.vpc_config();
    let subnets = vpc.map(types::VpcConfigResponse::subnet_ids).unwrap_or_default();
    let groups = vpc.map(types::VpcConfigResponse::security_group_ids).unwrap_or_default();
    let variables = function.environment().and_then(types::EnvironmentResponse::variables);
    Ok(FunctionConfiguration {
        role_arn: needed(function.role(), "Role")?.to_owned(),
        runtime: function.runtime().map(Runtime::as_str).unwrap_or_default().to_owned(),
        handler: function.handler().unwrap_or_default().to_owned(),
        memory_mib: counted(function.memory_size(), "MemorySize")?,
        timeout_seconds: counted(function.timeout(), "Timeout")?,
        environment: Environment::new(variables.cloned().unwrap_or_default().into_iter().collect()),
        subnets: all_parsed(subnets, "VpcConfig.SubnetIds")?,
        security_groups: all_parsed(groups, "VpcConfig.SecurityGroupIds")?,
    })
}

/// The setting differs from that of a new function. A setting that is missing in an answer is that of a new function.
fn is_altered(function: &types::FunctionConfiguration, setting: Setting) -> bool {
    let says = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    match setting {
        Setting::DeadLetters => says(function.dead_letter_config().and_then(types::DeadLetterConfig::target_arn)),
        Setting::EphemeralStorage => function
            .ephemeral_storage()
            .is_some_and(|storage| u32::try_from(storage.size()) != Ok(Setting::EPHEMERAL_STORAGE_MIB)),
        Setting::FileSystems => !function.file_system_configs().is_empty(),
        Setting::Ipv6 => {
            function.vpc_config().and_then(types::VpcConfigResponse::ipv6_allowed_for_dual_stack).unwrap_or_default()
        }
        Setting::Key => says(function.kms_key_arn()),
        Setting::Layers => !function.layers().is_empty(),
        // Only JSON logs have levels.
        Setting::Logging => function.logging_config().is_some_and(|logging| {
            let own = function.function_name().map(|name| format!("{LOG_GROUP_OF_LAMBDA}{name}"));
            logging.log_format().is_some_and(|format| *format != types::LogFormat::Text)
                || logging.log_group().is_some_and(|group| Some(group) != own.as_deref())
        }),
        Setting::SnapStart => function
            .snap_start()
            .and_then(types::SnapStartResponse::apply_on)
            .is_some_and(|on| *on != types::SnapStartApplyOn::None),
        Setting::Tracing => function
            .tracing_config()
            .and_then(types::TracingConfigResponse::mode)
            .is_some_and(|mode| *mode != types::TracingMode::PassThrough),
    }
}

/// Lambda's prefix for the log group of a function ("Sending Lambda function logs to CloudWatch Logs").
pub(super) const LOG_GROUP_OF_LAMBDA: &str = "/aws/lambda/";

fn fixed(function: &types::FunctionConfiguration) -> BTreeSet<Fixed> {
    let has = |fixed: &Fixed| match fixed {
        Fixed::CapacityProvider => function.capacity_provider_config().is_some(),
        Fixed::Durable => function.durable_config().is_some(),
        Fixed::Image => function.package_type() == Some(&PackageType::Image),
        Fixed::TenantIsolation => function.tenancy_config().is_some(),
    };
    [Fixed::CapacityProvider, Fixed::Durable, Fixed::Image, Fixed::TenantIsolation].into_iter().filter(has).collect()
}

/// A function has one processor, by default `x86_64`.
fn architecture(function: &types::FunctionConfiguration) -> Result<Architecture, Malformed> {
    match function.architectures().first() {
        Some(types::Architecture::Arm64) => Ok(Architecture::Arm64),
        Some(types::Architecture::X8664) | None => Ok(Architecture::X86_64),
        Some(other) => Err(Malformed::wrong("Architectures", other)),
    }
}

pub(super) fn detail(answer: &GetFunctionOutput) -> Result<FunctionDetail, Malformed> {
    let function = needed(answer.configuration(), "Configuration")?;
    let state = needed(function.state(), "Configuration.State")?;
    Ok(FunctionDetail {
        listing: listing(function)?,
        state: FunctionState::from_wire(state.as_str()),
        state_reason: reason(function.state_reason_code().map(types::StateReasonCode::as_str), function.state_reason()),
        last_update: last_update(function.last_update_status()),
        last_update_reason: reason(
            function.last_update_status_reason_code().map(types::LastUpdateStatusReasonCode::as_str),
            function.last_update_status_reason(),
        ),
        tags: answer.tags().cloned().unwrap_or_default().into_iter().collect(),
    })
}

/// The status "is first set to Successful after function creation completes" (Lambda API reference). Until then there is no
/// status.
fn last_update(status: Option<&types::LastUpdateStatus>) -> UpdateStatus {
    status.map_or(UpdateStatus::InProgress, |status| UpdateStatus::from_wire(status.as_str()))
}

fn reason(code: Option<&str>, words: Option<&str>) -> Option<String> {
    match (code, words) {
        (Some(code), Some(words)) => Some(format!("{code}: {words}")),
        (code, words) => code.or(words).map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> types::builders::FunctionConfigurationBuilder {
        types::FunctionConfiguration::builder()
            .function_name("pgai-a")
            .function_arn("arn:aws:lambda:us-east-1:123456789012:function:pgai-a")
            .role("arn:aws:iam::123456789012:role/private-genai/prod/pgai-a")
            .runtime("nodejs24.x".into())
            .handler("index.handler")
            .memory_size(256)
            .timeout(30)
            .architectures(types::Architecture::Arm64)
            .code_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
            .last_modified("2026-01-01T00:00:00.000+0000")
    }

    fn get(function: types::builders::FunctionConfigurationBuilder) -> Result<FunctionDetail, Malformed> {
        detail(&GetFunctionOutput::builder().configuration(function.build()).tags("k", "v").build())
    }

    #[test]
    fn a_function_is_read_with_the_reasons_of_its_state() {
        let attached = types::VpcConfigResponse::builder()
            .subnet_ids("subnet-0123456789abcdef0")
            .security_group_ids("sg-0123456789abcdef0");
        let variables = types::EnvironmentResponse::builder().variables("NAME", "value");
        let function = wire()
            .vpc_config(attached.build())
            .environment(variables.build())
            .state(types::State::Failed)
            .state_reason_code("EniLimitExceeded".into())
            .state_reason("no more interfaces")
            .last_update_status("Reverting".into());
        let detail = get(function).expect("function");
        assert_eq!(detail.state, FunctionState::Failed);
        assert_eq!(detail.state_reason.as_deref(), Some("EniLimitExceeded: no more interfaces"));
        assert_eq!(detail.last_update, UpdateStatus::Other("Reverting".into()));
        assert_eq!(detail.last_update_reason, None);
        assert_eq!(detail.listing.architecture, Architecture::Arm64);
        assert_eq!(detail.listing.configuration.subnets.len(), 1);
        assert_eq!(detail.listing.configuration.environment.variables().len(), 1);
        assert_eq!(detail.tags, [("k".to_owned(), "v".to_owned())].into());
    }

    #[test]
    fn a_function_that_is_being_created_has_no_update_to_report_yet() {
        let detail = get(wire().state(types::State::Pending)).expect("function");
        assert_eq!(detail.last_update, UpdateStatus::InProgress);
        assert_eq!(get(wire()), Err(Malformed::missing("Configuration.State")));
    }

    #[test]
    fn an_environment_that_cannot_be_decrypted_differs_from_an_empty_one_by_a_code() {
        let environment = |environment: types::EnvironmentResponse| {
            listing(&wire().environment(environment).build()).expect("a function").unreadable_environment
        };
        assert_eq!(environment(types::EnvironmentResponse::builder().build()), None);
        let error =
            types::EnvironmentError::builder().error_code("AccessDeniedException").message("of key hunter2").build();
        let found = environment(types::EnvironmentResponse::builder().error(error).build());
        assert_eq!(found.as_deref(), Some("AccessDeniedException"));
    }

    /// A function in `ListFunctions` for which nobody set anything.
    fn plain() -> types::builders::FunctionConfigurationBuilder {
        let logging = types::LoggingConfig::builder().log_format(types::LogFormat::Text);
        wire()
            .package_type(PackageType::Zip)
            .vpc_config(types::VpcConfigResponse::builder().ipv6_allowed_for_dual_stack(false).build())
            .tracing_config(types::TracingConfigResponse::builder().mode(types::TracingMode::PassThrough).build())
            .ephemeral_storage(types::EphemeralStorage::builder().size(512).build().expect("a size"))
            .snap_start(types::SnapStartResponse::builder().apply_on(types::SnapStartApplyOn::None).build())
            .logging_config(logging.log_group("/aws/lambda/pgai-a").build())
    }

    #[test]
    fn a_setting_is_altered_where_it_differs_from_that_of_a_new_function() {
        let altered = |function: types::builders::FunctionConfigurationBuilder| {
            listing(&function.build()).expect("a function").altered.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(altered(wire()), [], "what is left out");
        assert_eq!(altered(plain()), []);
        let none = types::DeadLetterConfig::builder().target_arn("").build();
        assert_eq!(altered(plain().dead_letter_config(none).kms_key_arn("").set_layers(Some(Vec::new()))), []);

        let target = types::DeadLetterConfig::builder().target_arn("arn:aws:sqs:us-east-1:123456789012:q").build();
        assert_eq!(altered(plain().dead_letter_config(target)), [Setting::DeadLetters]);
        let storage = types::EphemeralStorage::builder().size(1024).build().expect("a size");
        assert_eq!(altered(plain().ephemeral_storage(storage)), [Setting::EphemeralStorage]);
        let files = types::FileSystemConfig::builder().arn("arn:aws:s3files:x").local_mount_path("/mnt/x");
        assert_eq!(altered(plain().file_system_configs(files.build().expect("a mount"))), [Setting::FileSystems]);
        let ipv6 = types::VpcConfigResponse::builder().ipv6_allowed_for_dual_stack(true).build();
        assert_eq!(altered(plain().vpc_config(ipv6)), [Setting::Ipv6]);
        assert_eq!(altered(plain().kms_key_arn("arn:aws:kms:us-east-1:123456789012:key/x")), [Setting::Key]);
        assert_eq!(altered(plain().layers(types::Layer::builder().build())), [Setting::Layers]);
        let logging = types::LoggingConfig::builder();
        let json = logging.clone().log_format(types::LogFormat::Json).log_group("/aws/lambda/pgai-a").build();
        assert_eq!(altered(plain().logging_config(json)), [Setting::Logging]);
        let elsewhere = logging.log_format(types::LogFormat::Text).log_group("/theirs").build();
        assert_eq!(altered(plain().logging_config(elsewhere)), [Setting::Logging]);
        let published = types::SnapStartResponse::builder().apply_on(types::SnapStartApplyOn::PublishedVersions);
        assert_eq!(altered(plain().snap_start(published.build())), [Setting::SnapStart]);
        let active = types::TracingConfigResponse::builder().mode(types::TracingMode::Active).build();
        assert_eq!(altered(plain().tracing_config(active)), [Setting::Tracing]);
    }

    #[test]
    fn what_a_function_can_only_be_created_with_is_seen() {
        let fixed = |function: types::builders::FunctionConfigurationBuilder| {
            listing(&function.build()).expect("a function").fixed.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(fixed(plain()), []);
        assert_eq!(fixed(plain().package_type(PackageType::Image)), [Fixed::Image]);
        assert_eq!(fixed(plain().durable_config(types::DurableConfig::builder().build())), [Fixed::Durable]);
        let tenants = types::TenancyConfig::builder().tenant_isolation_mode(types::TenantIsolationMode::PerTenant);
        assert_eq!(fixed(plain().tenancy_config(tenants.build().expect("a mode"))), [Fixed::TenantIsolation]);
        let provider = types::CapacityProviderConfig::builder().build();
        assert_eq!(fixed(plain().capacity_provider_config(provider)), [Fixed::CapacityProvider]);
    }

    #[test]
    fn functions_of_others_do_not_keep_ours_from_being_listed() {
        assert!(could_be_ours(&wire().build()));
        let broken = |name: &str| readable(&wire().function_name(name).set_memory_size(None).build());
        assert_eq!(broken("theirs"), None);
        assert_eq!(broken("pgai-a"), Some(Err(Malformed::missing("MemorySize"))));
        assert!(!could_be_ours(&wire().function_name("dotted.name").build()));
        assert!(!could_be_ours(&wire().set_architectures(Some(vec!["riscv64".into()])).build()));
        let image = wire().set_runtime(None).set_handler(None).set_architectures(None).build();
        let image = listing(&image).expect("an image is listed too");
        assert_eq!((image.configuration.runtime.as_str(), image.architecture), ("", Architecture::X86_64));
    }
}
