//! The CustomResourceDefinitions, generated from the types. `crds/` has the result of [`manifests`]; a test compares the two.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt as _;
use serde_json::json;

use super::{PrivateGenAIApp, PrivateGenAINetwork};

/// Both definitions.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [PrivateGenAIApp::crd(), PrivateGenAINetwork::crd()].map(with_pending_status)
}

/// File names and YAML of both definitions, as they are in `crds/`.
///
/// # Errors
/// A definition without YAML, which would be a bug of the serialiser.
pub fn manifests() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    definitions()
        .iter()
        .map(|definition| {
            let name = definition.metadata.name.clone().unwrap_or_default();
            Ok((format!("{name}.yaml"), serde_saphyr::to_string(definition)?))
        })
        .collect()
}

/// A new object has a condition from the start: no operator has seen the object yet. So `kubectl wait` and Argo CD wait. An
/// object without conditions would look healthy to them. The Gateway API does the same.
fn with_pending_status(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let pending = json!({
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]
    });
    for version in &mut definition.spec.versions {
        let status = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
            .and_then(|schema| schema.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(pending.clone()));
        }
    }
    definition
}
