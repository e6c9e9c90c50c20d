//! A call to one of the two APIs, named so that another run of the same life makes it under the same name.

use std::fmt;

use http::{Method, request::Parts};
use serde_json::Value;

use super::names::Names;

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// `kubernetes`, or a service of AWS as IAM names it.
    pub service: String,
    /// AWS's operation; the verb and the kind.
    pub operation: String,
    /// What it is about, without ids that differ from life to life; nothing where one call is about many.
    pub resource: String,
    /// It changes something.
    pub writes: bool,
    /// It is answered for as long as somebody listens.
    pub streams: bool,
}

/// One call of a life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    pub phase: &'static str,
    pub asked: Asked,
    /// From 1, in its phase, of those that ask the same.
    pub nth: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { service, operation, resource, .. } = &self.asked;
        let about = if resource.is_empty() { String::new() } else { format!(" {resource}") };
        write!(f, "{}/{service}:{operation}{about}#{}", self.phase, self.nth)
    }
}

impl Call {
    /// The service and the operation, if it is a write to AWS.
    pub fn of_aws(&self) -> Option<String> {
        let Asked { service, operation, writes, .. } = &self.asked;
        (self.asked.is_of_aws() && *writes).then(|| format!("{service}:{operation}"))
    }
}

impl Asked {
    /// Reads a request. One that is signed for AWS says so; the others are for Kubernetes.
    pub fn read(parts: &Parts, body: &[u8], names: &Names) -> Self {
        let signature = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let scope = signature.and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256")?.split("Credential=").nth(1));
        match scope.and_then(|scope| scope.split('/').nth(3)) {
            Some(service) => Self::of_aws(service, parts, body, names),
            None => Self::of_kubernetes(parts, body, names),
        }
    }

    /// It is asked of AWS.
    pub fn is_of_aws(&self) -> bool {
        self.service != "kubernetes"
    }

    /// It makes, changes or removes something, and does not only tell of it.
    pub fn makes(&self) -> bool {
        self.writes && !["/status", "events", "leases"].iter().any(|ending| self.operation.ends_with(ending))
    }

    fn of_aws(service: &str, parts: &Parts, body: &[u8], names: &Names) -> Self {
        let (operation, resource) = match service {
            "lambda" => of_lambda(parts, body),
            "logs" => of_logs(parts, body),
            _ => of_form(body),
        };
        // Everything that is not known to be a read may change something: no new operation is overlooked. An invocation is
        // a probe, which changes nothing.
        let writes = !["Describe", "Get", "List", "Invoke"].iter().any(|read| operation.starts_with(read));
        let resource = if writes { names.plain(&resource) } else { String::new() };
        Self { service: service.to_owned(), operation, resource, writes, streams: false }
    }

    fn of_kubernetes(parts: &Parts, body: &[u8], names: &Names) -> Self {
        let mut path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        // /api/v1/… or /apis/GROUP/VERSION/…
        path.drain(..path.len().min(if path.first() == Some(&"api") { 2 } else { 3 }));
        if path.first() == Some(&"namespaces") && path.len() > 2 {
            path.drain(..2);
        }
        let kind = [path.first().copied(), path.get(2).copied()].into_iter().flatten().collect::<Vec<_>>().join("/");
        let watches = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        let verb = match (&parts.method, path.get(1)) {
            // One that was told before is patched, by the process that told it.
            _ if kind == "events" => "POST",
            (&Method::GET, _) if watches => "WATCH",
            (&Method::GET, None) => "LIST",
            (other, _) => other.as_str(),
        };
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let resource = if kind == "events" {
            // Its own name is made up for each.
            format!("{} {}", text("/regarding/name"), text("/reason"))
        } else {
            path.get(1).map_or_else(|| text("/metadata/name").to_owned(), |name| (*name).to_owned())
        };
        Self {
            service: "kubernetes".to_owned(),
            operation: format!("{verb} {kind}"),
            resource: names.plain(&resource).trim().to_owned(),
            writes: !parts.method.is_safe(),
            streams: watches,
        }
    }
}

/// EC2, IAM and STS.
fn of_form(body: &[u8]) -> (String, String) {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let value = |key: &str| form.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let about = ["GroupName", "GroupId", "VpcEndpointId", "VpcEndpointId.1", "ResourceId.1", "RoleName"];
    (value("Action").unwrap_or_default(), about.into_iter().find_map(value).unwrap_or_default())
}

fn of_logs(parts: &Parts, body: &[u8]) -> (String, String) {
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let about = ["logGroupName", "resourceArn"].into_iter().find_map(|key| document[key].as_str());
    (target.rsplit('.').next().unwrap_or_default().to_owned(), about.unwrap_or_default().to_owned())
}

/// Lambda tells its operations by method and path: `/VERSION/functions/NAME/WHAT`, `/VERSION/tags/ARN`.
fn of_lambda(parts: &Parts, body: &[u8]) -> (String, String) {
    let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).skip(1).collect();
    let (collection, resource, what) = (path.first(), path.get(1).copied(), path.get(2).copied());
    let operation = match (parts.method.as_str(), collection.copied(), resource.is_some(), what) {
        ("GET", Some("functions"), false, None) => "ListFunctions",
        ("POST", Some("functions"), false, None) => "CreateFunction",
        ("GET", Some("functions"), true, None) => "GetFunction",
        ("DELETE", Some("functions"), true, None) => "DeleteFunction",
        ("PUT", Some("functions"), true, Some("configuration")) => "UpdateFunctionConfiguration",
        ("PUT", Some("functions"), true, Some("code")) => "UpdateFunctionCode",
        ("POST", Some("functions"), true, Some("invocations")) => "Invoke",
        ("GET", Some("tags"), ..) => "ListTags",
        ("POST", Some("tags"), ..) => "TagResource",
        ("DELETE", Some("tags"), ..) => "UntagResource",
        _ => return (format!("{} {}", parts.method, parts.uri.path()), String::new()),
    };
    let document: Value =
        if operation == "CreateFunction" { serde_json::from_slice(body).unwrap_or_default() } else { Value::Null };
    let about = resource.or(document["FunctionName"].as_str()).unwrap_or_default();
    let about = percent_encoding::percent_decode_str(about).decode_utf8_lossy();
    (operation.to_owned(), about.into_owned())
}
