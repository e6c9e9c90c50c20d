//! Lambda: functions, their configuration, code and state.

mod facts;

use std::collections::{BTreeSet, HashMap};

use aws_config::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_lambda::{
    Client, config,
    operation::{
        list_functions::ListFunctionsOutput,
        update_function_configuration::builders::UpdateFunctionConfigurationFluentBuilder,
    },
    types::{self, FunctionCode, PackageType, Runtime, VpcConfig},
};
use aws_sdk_sts::operation::RequestId as _;
use aws_smithy_types::Blob;

use super::{
    CONNECT_TIMEOUT, PROBE_TIMEOUT,
    calls::{Calls, RegionCalls, pages},
    redact::redacted,
};
use crate::aws::{
    Architecture, AwsError, Environment, Failure, FunctionConfiguration, FunctionDetail, FunctionListing, FunctionName,
    Invocation, LambdaWrite, Made, NewFunction, PROBE, Package, Setting, Shown, Tags, Written,
};

pages! { ListFunctionsOutput: next_marker }

/// A page of `ListFunctions` has at most 50 functions.
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
        let ours = |function: &_| facts::could_be_ours(function).then(|| facts::readable(function)).flatten();
        self.calls.rows(OPERATION, pages, ListFunctionsOutput::functions, ours).await
    }

    pub(super) async fn function(&self, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        const OPERATION: &str = "GetFunction";
        let call = self.client.get_function().function_name(name.as_str()).send();
        let answer = match self.calls.observed(OPERATION, call).await {
            Err(error) if error.failure == Failure::NotFound => return Ok(None),
            answer => answer?,
        };
        // Without lambda:ListTags, the answer has no tags. That must not mean "not ours".
        if let Some(error) = answer.tags_error() {
            return Err(self.calls.refused("ListTags", error.error_code(), error.message(), answer.request_id()));
        }
        facts::detail(&answer).map(Some).map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }
}

/// Invocations.
impl Lambda {
    /// The SDK never repeats the call: each attempt runs the function, and the caller decides how often.
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
    pub(super) async fn write(&self, write: &LambdaWrite) -> Result<Made, AwsError> {
        match write {
            LambdaWrite::CreateFunction(new) => self.create(new).await,
            LambdaWrite::UpdateFunctionConfiguration { name, configuration, reset } => {
                self.update_configuration(name, configuration, reset).await
            }
            LambdaWrite::UpdateFunctionCode { name, package, architecture } => {
                self.update_code(name, package, *architecture).await
            }
            LambdaWrite::DeleteFunction { name } => self.delete(name).await.map(Made::from),
            LambdaWrite::TagResource { arn, tags } => self.tag(arn, tags).await.map(Made::from),
        }
    }

    async fn create(&self, new: &NewFunction) -> Result<Made, AwsError> {
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
        let answer = answer.map_err(|error| redacted(error, &configuration.environment))?;
        Ok(made(&facts::configuration_of!(answer)))
    }

    async fn update_configuration(
        &self,
        name: &FunctionName,
        configuration: &FunctionConfiguration,
        reset: &BTreeSet<Setting>,
    ) -> Result<Made, AwsError> {
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
        let answer = answer.map_err(|error| redacted(error, &configuration.environment))?;
        Ok(made(&facts::configuration_of!(answer)))
    }

    async fn update_code(
        &self,
        name: &FunctionName,
        package: &Package,
        architecture: Architecture,
    ) -> Result<Made, AwsError> {
        let call = self
            .client
            .update_function_code()
            .function_name(name.as_str())
            .zip_file(Blob::new(package.zip()))
            .architectures(wire_architecture(architecture))
            .publish(false)
            .send();
        let answer = self.calls.observed("UpdateFunctionCode", call).await?;
        Ok(made(&facts::configuration_of!(answer)))
    }

    async fn delete(&self, name: &FunctionName) -> Result<Written, AwsError> {
        let call = self.client.delete_function().function_name(name.as_str()).send();
        self.calls.observed("DeleteFunction", call).await.map(|_| Written::Done)
    }

    async fn tag(&self, arn: &str, tags: &Tags) -> Result<Written, AwsError> {
        let tags: HashMap<_, _> = tags.clone().into_iter().collect();
        let call = self.client.tag_resource().resource(arn).set_tags(Some(tags)).send();
        self.calls.observed("TagResource", call).await.map(|_| Written::Done)
    }

    fn whole(&self, operation: &'static str, number: u32) -> Result<i32, AwsError> {
        i32::try_from(number).map_err(|error| self.calls.invalid(operation, &error))
    }
}

/// A function that cannot be read from the answer is read by itself.
fn made(function: &types::FunctionConfiguration) -> Made {
    let shown = facts::listing(function).map_or(Shown::Nothing, |function| Shown::Function(Box::new(function)));
    Made { written: Written::Done, shown }
}

fn runtime(configuration: &FunctionConfiguration) -> Option<Runtime> {
    (!configuration.runtime.is_empty()).then(|| Runtime::from(configuration.runtime.as_str()))
}

/// An empty environment is sent too: Lambda keeps a member that is not sent.
fn environment(environment: &Environment) -> types::Environment {
    let variables = environment.variables().clone().into_iter().collect();
    types::Environment::builder().set_variables(Some(variables)).build()
}

/// Empty lists are sent too: they detach the function.
fn vpc_config(configuration: &FunctionConfiguration) -> VpcConfig {
    VpcConfig::builder()
        .set_subnet_ids(Some(configuration.subnets.iter().map(ToString::to_string).collect()))
        .set_security_group_ids(Some(configuration.security_groups.iter().map(ToString::to_string).collect()))
        .build()
}

/// Puts back one setting. An update takes an empty list, or an empty ARN, for none (Terraform and `node-lambda` send these).
/// `CreateFunction` takes no empty ARN.
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
                .log_group(format!("{}{function}", facts::LOG_GROUP_OF_LAMBDA))
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
