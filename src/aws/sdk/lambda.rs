//! Lambda: functions, their configuration, code and state.

use std::collections::{BTreeSet, HashMap};

use aws_config::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_lambda::{
    Client, config,
    operation::{
        get_function::GetFunctionOutput, list_functions::ListFunctionsOutput,
        update_function_configuration::builders::UpdateFunctionConfigurationFluentBuilder,
    },
    types::{self, FunctionCode, PackageType, Runtime, VpcConfig},
};
use aws_sdk_sts::operation::RequestId as _;
use aws_smithy_types::Blob;

use super::{
    CONNECT_TIMEOUT, PROBE_TIMEOUT,
    calls::{Calls, RegionCalls},
    error::{Malformed, all_parsed, counted, needed, parsed},
    redact::redacted,
};
use crate::{
    aws::{
        Architecture, AwsError, Environment, Failure, Fixed, FunctionConfiguration, FunctionDetail, FunctionListing,
        FunctionName, FunctionState, Invocation, NewFunction, PROBE, Package, Setting, Tags, UpdateStatus, Written,
    },
    identity::FUNCTION_PREFIX,
};

/// `ListFunctions` gives at most 50 functions a page.
const PAGE: i32 = 50;

/// The calls to Lambda in one region.
pub(super) struct Lambda {
    client: Client,
    calls: Calls,
}

/// Reads.
impl Lambda {
    pub(super) fn new(client: Client, line: &RegionCalls) -> Self {
        Self { client, calls: Calls::of("lambda", line) }
    }

    pub(super) async fn functions(&self) -> Result<Vec<FunctionListing>, AwsError> {
        const OPERATION: &str = "ListFunctions";
        let pages = self.client.list_functions().into_paginator().page_size(PAGE).send();
        let pages = self.calls.pages(OPERATION, pages).await?;
        let functions =
            pages.iter().flat_map(ListFunctionsOutput::functions).filter(|function| could_be_ours(function));
        let functions: Result<_, _> = functions.filter_map(readable).collect();
        functions.map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }

    pub(super) async fn function(&self, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        const OPERATION: &str = "GetFunction";
        let call = self.client.get_function().function_name(name.as_str()).send();
        let answer = match self.calls.observed(OPERATION, call).await {
            Err(error) if error.failure == Failure::NotFound => return Ok(None),
            answer => answer?,
        };
        // Without lambda:ListTags the answer has no tags: that must not read as "not ours".
        if let Some(error) = answer.tags_error() {
            return Err(self.calls.refused("ListTags", error.error_code(), error.message(), answer.request_id()));
        }
        detail(&answer).map(Some).map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }
}

/// Invocations.
impl Lambda {
    /// Never repeated by the SDK: each attempt runs the function, and how often that happens is for the caller to decide.
    pub(super) async fn probe(&self, name: &FunctionName) -> Result<Invocation, AwsError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(PROBE_TIMEOUT)
            .operation_timeout(PROBE_TIMEOUT)
            .build();
        let once = config::Builder::new().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        let call = self
            .client
            .invoke()
            .function_name(name.as_str())
            .invocation_type(types::InvocationType::RequestResponse)
            .payload(Blob::new(PROBE))
            .customize()
            .config_override(once)
            .send();
        let answer = self.calls.observed("Invoke", call).await?;
        let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        Ok(Invocation::read(answer.request_id(), answer.function_error().is_some(), payload))
    }
}

/// Writes.
impl Lambda {
    pub(super) async fn create(&self, new: &NewFunction) -> Result<Written, AwsError> {
        const OPERATION: &str = "CreateFunction";
        let NewFunction { name, description, configuration, architecture, package, tags } = new;
        let code = FunctionCode::builder().zip_file(Blob::new(package.zip())).build();
        let call = self
            .client
            .create_function()
            .function_name(name.as_str())
            .description(description)
            .role(&configuration.role_arn)
            .set_runtime(runtime(configuration))
            .handler(&configuration.handler)
            .memory_size(self.whole(OPERATION, configuration.memory_mib)?)
            .timeout(self.whole(OPERATION, configuration.timeout_seconds)?)
            .environment(environment(&configuration.environment))
            .vpc_config(vpc_config(configuration))
            .architectures(wire_architecture(*architecture))
            .package_type(PackageType::Zip)
            .code(code)
            .publish(false)
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send();
        let answer = self.calls.observed(OPERATION, Box::pin(call)).await;
        answer.map(|_| Written::Done).map_err(|error| redacted(error, &configuration.environment))
    }

    pub(super) async fn update_configuration(
        &self,
        name: &FunctionName,
        configuration: &FunctionConfiguration,
        reset: &BTreeSet<Setting>,
    ) -> Result<Written, AwsError> {
        const OPERATION: &str = "UpdateFunctionConfiguration";
        let call = self
            .client
            .update_function_configuration()
            .function_name(name.as_str())
            .role(&configuration.role_arn)
            .set_runtime(runtime(configuration))
            .handler(&configuration.handler)
            .memory_size(self.whole(OPERATION, configuration.memory_mib)?)
            .timeout(self.whole(OPERATION, configuration.timeout_seconds)?)
            .environment(environment(&configuration.environment))
            .vpc_config(vpc_config(configuration));
        let call = reset.iter().fold(call, |call, setting| with_reset(call, *setting, name)).send();
        let answer = self.calls.observed(OPERATION, Box::pin(call)).await;
        answer.map(|_| Written::Done).map_err(|error| redacted(error, &configuration.environment))
    }

    pub(super) async fn update_code(
        &self,
        name: &FunctionName,
        package: &Package,
        architecture: Architecture,
    ) -> Result<Written, AwsError> {
        let call = self
            .client
            .update_function_code()
            .function_name(name.as_str())
            .zip_file(Blob::new(package.zip()))
            .architectures(wire_architecture(architecture))
            .publish(false)
            .send();
        self.calls.observed("UpdateFunctionCode", call).await.map(|_| Written::Done)
    }

    pub(super) async fn delete(&self, name: &FunctionName) -> Result<Written, AwsError> {
        let call = self.client.delete_function().function_name(name.as_str()).send();
        self.calls.observed("DeleteFunction", call).await.map(|_| Written::Done)
    }

    pub(super) async fn tag(&self, arn: &str, tags: &Tags) -> Result<Written, AwsError> {
        let tags: HashMap<_, _> = tags.clone().into_iter().collect();
        let call = self.client.tag_resource().resource(arn).set_tags(Some(tags)).send();
        self.calls.observed("TagResource", call).await.map(|_| Written::Done)
    }

    fn whole(&self, operation: &'static str, number: u32) -> Result<i32, AwsError> {
        i32::try_from(number).map_err(|error| self.calls.invalid(operation, &error))
    }
}

/// A function with a name that we could not give, or on a processor that we do not know, is somebody else's: it must
/// not keep ours from being listed.
fn could_be_ours(function: &types::FunctionConfiguration) -> bool {
    function.function_name().is_none_or(|name| name.parse::<FunctionName>().is_ok()) && architecture(function).is_ok()
}

/// `None` of what cannot be read of a function whose name none of ours has.
fn readable(function: &types::FunctionConfiguration) -> Option<Result<FunctionListing, Malformed>> {
    let is_ours = function.function_name().is_none_or(|name| name.starts_with(FUNCTION_PREFIX));
    Some(listing(function)).filter(|listing| listing.is_ok() || is_ours)
}

fn listing(function: &types::FunctionConfiguration) -> Result<FunctionListing, Malformed> {
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

/// The code alone: Lambda's words for it are marked as sensitive.
fn unreadable_environment(function: &types::FunctionConfiguration) -> Option<String> {
    let error = function.environment()?.error()?;
    Some(error.error_code().unwrap_or("no code").to_owned())
}

/// Functions that are images have neither runtime nor handler; those outside VPCs have no VPC configuration or an empty
/// one.
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

/// Whether a setting is another one than in a new function. What an answer leaves out is as in a new one.
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
        // Levels are for JSON only.
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

/// Lambda's own name for the group of a function's log ("Sending Lambda function logs to CloudWatch Logs").
const LOG_GROUP_OF_LAMBDA: &str = "/aws/lambda/";

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

fn detail(answer: &GetFunctionOutput) -> Result<FunctionDetail, Malformed> {
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

/// The status "is first set to Successful after function creation completes" (Lambda API reference): until then there
/// is none.
fn last_update(status: Option<&types::LastUpdateStatus>) -> UpdateStatus {
    status.map_or(UpdateStatus::InProgress, |status| UpdateStatus::from_wire(status.as_str()))
}

fn reason(code: Option<&str>, words: Option<&str>) -> Option<String> {
    match (code, words) {
        (Some(code), Some(words)) => Some(format!("{code}: {words}")),
        (code, words) => code.or(words).map(ToOwned::to_owned),
    }
}

fn runtime(configuration: &FunctionConfiguration) -> Option<Runtime> {
    (!configuration.runtime.is_empty()).then(|| Runtime::from(configuration.runtime.as_str()))
}

/// Sent even when empty: what is not sent stays as it was.
fn environment(environment: &Environment) -> types::Environment {
    let variables = environment.variables().clone().into_iter().collect();
    types::Environment::builder().set_variables(Some(variables)).build()
}

/// Sent even when empty, which detaches the function.
fn vpc_config(configuration: &FunctionConfiguration) -> VpcConfig {
    VpcConfig::builder()
        .set_subnet_ids(Some(configuration.subnets.iter().map(ToString::to_string).collect()))
        .set_security_group_ids(Some(configuration.security_groups.iter().map(ToString::to_string).collect()))
        .build()
}

/// Puts back one setting. An update takes an empty list, or an empty ARN, for none (as Terraform and `node-lambda` send them;
/// `CreateFunction` does not take an empty ARN).
fn with_reset(
    call: UpdateFunctionConfigurationFluentBuilder,
    setting: Setting,
    function: &FunctionName,
) -> UpdateFunctionConfigurationFluentBuilder {
    match setting {
        Setting::DeadLetters => call.dead_letter_config(types::DeadLetterConfig::builder().target_arn("").build()),
        Setting::EphemeralStorage => {
            let size = i32::try_from(Setting::EPHEMERAL_STORAGE_MIB).ok();
            call.set_ephemeral_storage(types::EphemeralStorage::builder().set_size(size).build().ok())
        }
        Setting::FileSystems => call.set_file_system_configs(Some(Vec::new())),
        Setting::Ipv6 => {
            let mut vpc = call.get_vpc_config().clone().unwrap_or_else(|| VpcConfig::builder().build());
            vpc.ipv6_allowed_for_dual_stack = Some(false);
            call.vpc_config(vpc)
        }
        Setting::Key => call.kms_key_arn(""),
        Setting::Layers => call.set_layers(Some(Vec::new())),
        Setting::Logging => call.logging_config(
            types::LoggingConfig::builder()
                .log_format(types::LogFormat::Text)
                .log_group(format!("{LOG_GROUP_OF_LAMBDA}{function}"))
                .build(),
        ),
        Setting::SnapStart => {
            call.snap_start(types::SnapStart::builder().apply_on(types::SnapStartApplyOn::None).build())
        }
        Setting::Tracing => {
            call.tracing_config(types::TracingConfig::builder().mode(types::TracingMode::PassThrough).build())
        }
    }
}

fn wire_architecture(architecture: Architecture) -> types::Architecture {
    match architecture {
        Architecture::Arm64 => types::Architecture::Arm64,
        Architecture::X86_64 => types::Architecture::X8664,
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
    fn an_environment_that_cannot_be_decrypted_is_told_from_an_empty_one_by_its_code_alone() {
        let environment = |environment: types::EnvironmentResponse| {
            listing(&wire().environment(environment).build()).expect("a function").unreadable_environment
        };
        assert_eq!(environment(types::EnvironmentResponse::builder().build()), None);
        let error =
            types::EnvironmentError::builder().error_code("AccessDeniedException").message("of key hunter2").build();
        let found = environment(types::EnvironmentResponse::builder().error(error).build());
        assert_eq!(found.as_deref(), Some("AccessDeniedException"));
    }

    /// As `ListFunctions` shows a function for which nobody set anything.
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
    fn a_setting_is_altered_where_it_is_another_than_in_a_new_function_however_aws_shows_that() {
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
