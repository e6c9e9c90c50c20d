//! Lambda, in REST with JSON.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use base64::Engine as _;
use private_genai_operator::aws::{
    Architecture, AwsError, Environment, Fixed, FunctionConfiguration, FunctionDetail, FunctionListing, FunctionName,
    LambdaWrite, NewFunction, Package, Setting, UpdateStatus,
};
use serde_json::{Value, json};

use super::{Reply, Wire, request::Call, unreadable};
use crate::memory::aws::{Answered, answered, pages, reads};

/// ListFunctions: "Lambda returns up to 50 functions per call", whatever is asked for.
const PAGE: usize = 50;

/// The packages that were uploaded, by their text in base64: most functions have the same one.
#[derive(Default)]
pub(super) struct Packages(Mutex<HashMap<String, Package>>);

impl Packages {
    fn read(&self, call: &Call, text: &str) -> Result<Package, AwsError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(package) = known.get(text) {
            return Ok(package.clone());
        }
        let zip = base64::engine::general_purpose::STANDARD.decode(text);
        let package = Package::new(zip.map_err(|_| unreadable(call, "ZipFile"))?);
        known.insert(text.to_owned(), package.clone());
        Ok(package)
    }
}

pub(super) fn answer(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let (write, name): (LambdaWrite, FunctionName) = match call.operation {
        "ListFunctions" => return functions(wire, call),
        "GetFunction" => return shown(wire, call, &call.resource()?),
        "Invoke" => return invoke(wire, call),
        "TagResource" => {
            let write = LambdaWrite::TagResource { arn: call.resource()?, tags: call.tags("Tags") };
            return wire.write(&call.region, write).map(|_| Reply { status: 204, ..Reply::new(String::new()) });
        }
        "DeleteFunction" => {
            let write = LambdaWrite::DeleteFunction { name: call.resource()? };
            return wire.write(&call.region, write).map(|_| Reply { status: 204, ..Reply::new(String::new()) });
        }
        "CreateFunction" => {
            let new = created(wire, call)?;
            let name = new.name.clone();
            (LambdaWrite::CreateFunction(new), name)
        }
        "UpdateFunctionConfiguration" => {
            let name: FunctionName = call.resource()?;
            let (configuration, reset) = (configuration(call)?, reset(&call.body));
            (LambdaWrite::UpdateFunctionConfiguration { name: name.clone(), configuration, reset }, name)
        }
        "UpdateFunctionCode" => {
            let name: FunctionName = call.resource()?;
            let package = wire.packages.read(call, call.body["ZipFile"].as_str().unwrap_or_default())?;
            let architecture = architecture(&call.body);
            (LambdaWrite::UpdateFunctionCode { name: name.clone(), package, architecture }, name)
        }
        _ => return Err(unreadable(call, "the operation")),
    };
    wire.write(&call.region, write)?;
    let detail = wire.aws.look(|world| reads::function(world.regions.get(&call.region)?, &name));
    Ok(Reply::json(&detail.map_or(Value::Null, |detail| with_state(&detail))))
}

fn functions(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let after = call.query("Marker").map(|name| call.parsed(name, "Marker")).transpose()?;
    let most = call.page_size("MaxItems", PAGE, PAGE);
    let (page, more) = wire.aws.look(|world| {
        let state = world.regions.get(&call.region);
        state.map_or_else(Default::default, |state| pages::functions(state, after.as_ref(), most))
    });
    let next = page.last().filter(|_| more).map(|function| function.name.to_string());
    let functions: Vec<Value> = page.iter().map(listed).collect();
    Ok(Reply::json(&json!({"Functions": functions, "NextMarker": next})))
}

fn shown(wire: &Wire, call: &Call, name: &FunctionName) -> Result<Reply, AwsError> {
    let detail = wire.aws.look(|world| reads::function(world.regions.get(&call.region)?, name));
    match detail {
        Some(detail) => Ok(Reply::json(&json!({
            "Configuration": with_state(&detail),
            "Code": {"RepositoryType": "S3"},
            "Tags": detail.tags,
        }))),
        None => Err(AwsError {
            code: Some("ResourceNotFoundException".to_owned()),
            message: format!("Function not found: {name}"),
            ..unreadable(call, "the function")
        }),
    }
}

fn invoke(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let name: FunctionName = call.resource()?;
    let Answered { failed, payload, .. } = wire.aws.alter(|world| answered(world, &call.region, &name))?;
    let headers = if failed { vec![("x-amz-function-error", "Unhandled".to_owned())] } else { Vec::new() };
    Ok(Reply { headers, ..Reply::json(&payload) })
}

fn created(wire: &Wire, call: &Call) -> Result<NewFunction, AwsError> {
    Ok(NewFunction {
        name: call.member("FunctionName")?,
        description: call.body["Description"].as_str().unwrap_or_default().to_owned(),
        configuration: configuration(call)?,
        architecture: architecture(&call.body),
        package: wire.packages.read(call, call.body["Code"]["ZipFile"].as_str().unwrap_or_default())?,
        tags: call.tags("Tags"),
    })
}

fn architecture(body: &Value) -> Architecture {
    match body["Architectures"][0].as_str() {
        Some("arm64") => Architecture::Arm64,
        _ => Architecture::X86_64,
    }
}

fn configuration(call: &Call) -> Result<FunctionConfiguration, AwsError> {
    let body = &call.body;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let whole = |name: &str| u32::try_from(body[name].as_i64().unwrap_or(-1)).map_err(|_| unreadable(call, name));
    let ids = |name: &str| body["VpcConfig"][name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let variables = body["Environment"]["Variables"].as_object().into_iter().flatten();
    Ok(FunctionConfiguration {
        role_arn: text("Role"),
        runtime: text("Runtime"),
        handler: text("Handler"),
        memory_mib: whole("MemorySize")?,
        timeout_seconds: whole("Timeout")?,
        environment: Environment::new(
            variables.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
        ),
        subnets: ids("SubnetIds").map(|id| call.parsed(id, "SubnetIds")).collect::<Result<_, _>>()?,
        security_groups: ids("SecurityGroupIds")
            .map(|id| call.parsed(id, "SecurityGroupIds"))
            .collect::<Result<_, _>>()?,
    })
}

/// The settings that an update resets: those in the request, because the operator sends none with another value.
fn reset(body: &Value) -> BTreeSet<Setting> {
    let is_sent = |setting: &Setting| match setting {
        Setting::DeadLetters => !body["DeadLetterConfig"].is_null(),
        Setting::EphemeralStorage => !body["EphemeralStorage"].is_null(),
        Setting::FileSystems => !body["FileSystemConfigs"].is_null(),
        Setting::Ipv6 => !body["VpcConfig"]["Ipv6AllowedForDualStack"].is_null(),
        Setting::Key => !body["KMSKeyArn"].is_null(),
        Setting::Layers => !body["Layers"].is_null(),
        Setting::Logging => !body["LoggingConfig"].is_null(),
        Setting::SnapStart => !body["SnapStart"].is_null(),
        Setting::Tracing => !body["TracingConfig"].is_null(),
    };
    Setting::ALL.iter().copied().filter(is_sent).collect()
}

/// A function in a list.
fn listed(function: &FunctionListing) -> Value {
    let FunctionListing { name, arn, configuration, architecture, code_sha256, last_modified, .. } = function;
    let has = |setting| function.altered.contains(&setting);
    let is = |fixed| function.fixed.contains(&fixed);
    let environment = match &function.unreadable_environment {
        Some(code) => json!({"Error": {"ErrorCode": code, "Message": "Lambda was unable to decrypt it"}}),
        None => json!({"Variables": configuration.environment.variables()}),
    };
    let architecture = match architecture {
        Architecture::Arm64 => "arm64",
        Architecture::X86_64 => "x86_64",
    };
    let mut shown = json!({
        "FunctionName": name.as_str(),
        "FunctionArn": arn,
        "Runtime": configuration.runtime,
        "Role": configuration.role_arn,
        "Handler": configuration.handler,
        "CodeSize": 1_000,
        "Description": "",
        "Timeout": configuration.timeout_seconds,
        "MemorySize": configuration.memory_mib,
        "LastModified": last_modified,
        "CodeSha256": code_sha256,
        "Version": "$LATEST",
        "VpcConfig": {
            "SubnetIds": configuration.subnets.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "SecurityGroupIds": configuration.security_groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Ipv6AllowedForDualStack": has(Setting::Ipv6),
        },
        "Environment": environment,
        "TracingConfig": {"Mode": if has(Setting::Tracing) { "Active" } else { "PassThrough" }},
        "PackageType": if is(Fixed::Image) { "Image" } else { "Zip" },
        "Architectures": [architecture],
        "EphemeralStorage": {"Size": if has(Setting::EphemeralStorage) { 1_024 } else { 512 }},
        "SnapStart": {
            "ApplyOn": if has(Setting::SnapStart) { "PublishedVersions" } else { "None" },
            "OptimizationStatus": "Off",
        },
        "LoggingConfig": {
            "LogFormat": if has(Setting::Logging) { "JSON" } else { "Text" },
            "LogGroup": format!("/aws/lambda/{name}"),
        },
    });
    let mut add = |is: bool, name: &str, value: Value| {
        if is {
            shown[name] = value;
        }
    };
    add(has(Setting::DeadLetters), "DeadLetterConfig", json!({"TargetArn": "arn:aws:sqs:us-east-1:1:q"}));
    let mount = json!([{"Arn": "arn:aws:elasticfilesystem:x", "LocalMountPath": "/mnt/x"}]);
    add(has(Setting::FileSystems), "FileSystemConfigs", mount);
    add(has(Setting::Key), "KMSKeyArn", json!("arn:aws:kms:us-east-1:1:key/x"));
    add(has(Setting::Layers), "Layers", json!([{"Arn": "arn:aws:lambda:us-east-1:1:layer:x:1"}]));
    add(is(Fixed::CapacityProvider), "CapacityProviderConfig", json!({}));
    add(is(Fixed::Durable), "DurableConfig", json!({"RetentionPeriodInDays": 14}));
    add(is(Fixed::TenantIsolation), "TenancyConfig", json!({"TenantIsolationMode": "PER_TENANT"}));
    shown
}

/// A function in the answers to calls about one function. The status of the last update is missing until the creation is through.
fn with_state(detail: &FunctionDetail) -> Value {
    let mut shown = listed(&detail.listing);
    let mut add = |prefix: &str, reason: Option<&String>| {
        if let Some((code, words)) = reason.and_then(|reason| reason.split_once(": ")) {
            shown[format!("{prefix}ReasonCode")] = json!(code);
            shown[format!("{prefix}Reason")] = json!(words);
        }
    };
    add("State", detail.state_reason.as_ref());
    add("LastUpdateStatus", detail.last_update_reason.as_ref());
    shown["State"] = json!(detail.state.as_str());
    if !(detail.last_update == UpdateStatus::InProgress && detail.state.as_str() == "Pending") {
        shown["LastUpdateStatus"] = json!(detail.last_update.as_str());
    }
    shown
}
