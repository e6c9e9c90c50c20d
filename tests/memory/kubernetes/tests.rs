//! The in-memory API server through kube's own client, watcher, reflector and finalizer.

mod applying;
mod deleting;
mod failing;
mod watching;
mod writing;

use std::{fmt::Debug, time::Duration};

use kube::{
    Api, Error,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    core::Status,
};
use serde_json::{Value, json};

use super::{ApiServer, Rules};

const APP: &str = "privategenaiapps/team-a/support-bot";
const NETWORK: &str = "privategenainetworks/prod";
const SOON: Duration = Duration::from_mins(1);

fn server() -> ApiServer {
    ApiServer::new(Rules::default())
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("privategenai.dev", "v1alpha1", kind))
}

fn apps(server: &ApiServer) -> Api<DynamicObject> {
    Api::namespaced_with(server.client(), "team-a", &resource("PrivateGenAIApp"))
}

fn all_apps(server: &ApiServer) -> Api<DynamicObject> {
    Api::all_with(server.client(), &resource("PrivateGenAIApp"))
}

fn networks(server: &ApiServer) -> Api<DynamicObject> {
    Api::all_with(server.client(), &resource("PrivateGenAINetwork"))
}

fn app(name: &str) -> Value {
    json!({
        "apiVersion": "privategenai.dev/v1alpha1",
        "kind": "PrivateGenAIApp",
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"]},
    })
}

fn network(name: &str) -> Value {
    json!({
        "apiVersion": "privategenai.dev/v1alpha1",
        "kind": "PrivateGenAINetwork",
        "metadata": {"name": name},
        "spec": {"vpcId": "vpc-0abc1234"},
    })
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["privategenai.dev/cleanup"]);
    object
}

fn typed(object: Value) -> DynamicObject {
    serde_json::from_value(object).expect("the tests' own objects are well-formed")
}

fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
    version.expect("whatever is stored has a version")
}

/// Changes `spec`, each time to another value.
fn touch(object: &mut Value) {
    let size = object["spec"]["function"]["memoryMiB"].as_u64().unwrap_or_default();
    object["spec"]["function"]["memoryMiB"] = json!(size + 128);
}

fn refusal<T: Debug>(result: kube::Result<T>) -> Status {
    match result {
        Err(Error::Api(status)) => *status,
        other => panic!("expected the server to refuse, got {other:?}"),
    }
}
