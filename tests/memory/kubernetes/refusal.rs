//! The server's refusals, in the words of the real server.

use kube::core::Status;
use serde_json::{Value, json};

use super::kinds::{Key, Kind};

/// Boxed, because it is part of every `Result` and is rare.
pub type Refusal = Box<Status>;

fn refusal(code: u16, reason: &str, message: &str) -> Refusal {
    Status::failure(message, reason).with_code(code).boxed()
}

pub fn bad_request(message: &str) -> Refusal {
    refusal(400, "BadRequest", message)
}

pub fn not_found(key: &Key) -> Refusal {
    refusal(404, "NotFound", &format!("{} \"{}\" not found", key.kind.resource(), key.name))
}

pub fn already_exists(key: &Key) -> Refusal {
    refusal(409, "AlreadyExists", &format!("{} \"{}\" already exists", key.kind.resource(), key.name))
}

pub fn conflict(key: &Key, why: &str) -> Refusal {
    let resource = key.kind.resource();
    refusal(409, "Conflict", &format!("Operation cannot be fulfilled on {resource} \"{}\": {why}", key.name))
}

/// Another field manager owns fields that this one applies with other values.
pub fn apply_conflict(manager: &Value, fields: &Value) -> Refusal {
    refusal(409, "Conflict", &format!("Apply failed with 1 conflict: conflict with {manager}: {fields}"))
}

pub fn invalid(key: &Key, why: &str) -> Refusal {
    let kind = match *key.kind {
        Kind { name, group: "", .. } => name.to_owned(),
        Kind { name, group, .. } => format!("{name}.{group}"),
    };
    refusal(422, "Invalid", &format!("{kind} \"{}\" is invalid: {why}", key.name))
}

pub fn terminating(key: &Key) -> Refusal {
    let Key { kind, namespace, name } = key;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    refusal(403, "Forbidden", &format!("{} \"{name}\" is forbidden: {why}", kind.resource()))
}

pub fn unsupported_media_type(content_type: &str) -> Refusal {
    let message = format!("the body of the request was in an unknown format - {content_type:?} is not accepted");
    refusal(415, "UnsupportedMediaType", &message)
}

/// A refusal that only a test's [`Fault`](super::Fault) gives.
pub fn injected(code: u16) -> Refusal {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden: the test refuses this request"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => {
            ("Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        }
        410 => ("Expired", "The resourceVersion for the provided watch is too old."),
        422 => ("Invalid", "the server rejected our request due to an error in our request"),
        429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
        500 => ("InternalError", "an error on the server has prevented the request from succeeding"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("Unknown", "a fault that the test asked for"),
    };
    refusal(code, reason, message)
}

/// A `Status` as in an answer or a watch event, with the type that the struct leaves out.
pub fn body(status: &Status) -> Value {
    let mut body = serde_json::to_value(status).expect("a Status has only string keys");
    body["apiVersion"] = json!("v1");
    body["kind"] = json!("Status");
    body
}
