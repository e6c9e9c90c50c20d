//! Parses a request: its verb, its object, and its form.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{Method, header, request::Parts};
use serde_json::{Value, json};

use super::{
    journal::{Call, Verb},
    kinds::{Key, Kind, Part},
    patch::{Apply, Patch},
    refusal::{self, Refusal},
    rules::Preconditions,
    selector::Selector,
    watch::Watch,
};

/// The duration of a watch for which the client sets none.
const WATCH_TIMEOUT: Duration = Duration::from_mins(30);

/// The part of an object that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Full,
    Metadata,
}

impl View {
    pub fn of(self, object: &Value) -> Value {
        match self {
            View::Full => object.clone(),
            View::Metadata => json!({
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadata",
                "metadata": object["metadata"],
            }),
        }
    }
}

pub struct Asked {
    pub verb: Verb,
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub part: Part,
    pub view: View,
    query: BTreeMap<String, String>,
    content_type: String,
    body: Vec<u8>,
}

/// The two forms of a PATCH.
pub enum Patching {
    Patch(Patch),
    Apply(Apply),
}

impl Asked {
    pub fn read(head: &Parts, body: Vec<u8>) -> Result<Asked, Refusal> {
        let path = head.uri.path();
        let (kind, namespace, tail) =
            address(path).ok_or_else(|| refusal::bad_request(&format!("the in-memory API server has no {path}")))?;
        let (name, part) = match tail[..] {
            [] => (None, Part::Main),
            [name] => (Some(name), Part::Main),
            [name, "status"] if kind.has_status => (Some(name), Part::Status),
            _ => return Err(refusal::bad_request(&format!("the in-memory API server has no {path}"))),
        };
        let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned();
        let query: BTreeMap<String, String> = query.collect();
        if query.contains_key("dryRun") {
            return Err(refusal::bad_request("the in-memory API server knows no dry run"));
        }
        let watches = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
        let verb = match (&head.method, name) {
            (&Method::GET, Some(_)) => Verb::Get,
            (&Method::GET, None) if watches => Verb::Watch,
            (&Method::GET, None) => Verb::List,
            (&Method::POST, None) => Verb::Create,
            (&Method::PUT, Some(_)) => Verb::Update,
            (&Method::PATCH, Some(_)) => Verb::Patch,
            (&Method::DELETE, Some(_)) if part == Part::Main => Verb::Delete,
            (method, _) => {
                return Err(refusal::bad_request(&format!("the in-memory API server knows no {method} {path}")));
            }
        };
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let metadata_only = header(header::ACCEPT).contains("as=PartialObjectMetadata");
        Ok(Asked {
            verb,
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            part,
            view: if metadata_only { View::Metadata } else { View::Full },
            query,
            content_type: header(header::CONTENT_TYPE).to_owned(),
            body,
        })
    }

    /// The line of the request in the journal.
    pub fn call(&self) -> Call {
        let sent_name = || Some(self.object().ok()?.pointer("/metadata/name")?.as_str()?.to_owned());
        let name = match self.verb {
            Verb::Create => sent_name(),
            _ => self.name.clone(),
        };
        Call {
            verb: self.verb,
            plural: self.kind.plural,
            subresource: self.part.subresource(),
            namespace: self.namespace.clone().unwrap_or_default(),
            name: name.unwrap_or_default(),
            status: None,
        }
    }

    pub fn key(&self) -> Key {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Key { kind: self.kind, namespace: text(&self.namespace), name: text(&self.name) }
    }

    pub fn selector(&self) -> Result<Selector, Refusal> {
        Selector::parse(self.query("labelSelector"), self.query("fieldSelector"))
    }

    /// The sent object.
    pub fn object(&self) -> Result<Value, Refusal> {
        let object = serde_json::from_slice(&self.body).map_err(|error| refusal::bad_request(&error.to_string()))?;
        self::object(object)
    }

    pub fn patch(&self) -> Result<Patching, Refusal> {
        let malformed = |error: serde_json::Error| refusal::bad_request(&error.to_string());
        match self.content_type.as_str() {
            "application/merge-patch+json" => Ok(Patching::Patch(Patch::Merge(self.object()?))),
            "application/json-patch+json" => {
                serde_json::from_slice(&self.body).map(|patch| Patching::Patch(Patch::Json(patch))).map_err(malformed)
            }
            "application/apply-patch+yaml" => {
                let manager = self.query("fieldManager").filter(|manager| !manager.is_empty());
                let manager =
                    manager.ok_or_else(|| refusal::bad_request("fieldManager is required for apply patch"))?;
                let force = self.query("force") == Some("true");
                Ok(Patching::Apply(Apply { object: self.yaml()?, manager: manager.to_owned(), force }))
            }
            other => Err(refusal::unsupported_media_type(other)),
        }
    }

    /// JSON is YAML, and kube sends JSON.
    fn yaml(&self) -> Result<Value, Refusal> {
        if let Ok(object) = self.object() {
            return Ok(object);
        }
        let text = str::from_utf8(&self.body).map_err(|error| refusal::bad_request(&error.to_string()))?;
        let yaml = serde_saphyr::from_str(text);
        object(yaml.map_err(|error| refusal::bad_request(&format!("error decoding YAML: {error}")))?)
    }

    pub fn preconditions(&self) -> Result<Preconditions, Refusal> {
        if self.body.is_empty() {
            return Ok(Preconditions::default());
        }
        let options = self.object()?;
        let wanted = |name: &str| options.pointer(&format!("/preconditions/{name}"))?.as_str().map(str::to_owned);
        Ok(Preconditions { uid: wanted("uid"), resource_version: wanted("resourceVersion") })
    }

    pub fn watch(&self) -> Result<Watch, Refusal> {
        let number = |name: &str| match self.query(name) {
            None | Some("") => Ok(0),
            Some(text) => {
                text.parse::<u64>().map_err(|error| refusal::bad_request(&format!("{name} {text:?}: {error}")))
            }
        };
        let seconds = number("timeoutSeconds")?;
        Ok(Watch {
            kind: self.kind,
            namespace: self.namespace.clone(),
            selector: self.selector()?,
            after: number("resourceVersion")?,
            bookmarks: self.query("allowWatchBookmarks") == Some("true"),
            streaming_list: self.query("sendInitialEvents") == Some("true"),
            timeout: if seconds == 0 { WATCH_TIMEOUT } else { Duration::from_secs(seconds) },
            view: self.view,
        })
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

fn object(sent: Value) -> Result<Value, Refusal> {
    match sent {
        Value::Object(_) => Ok(sent),
        _ => Err(refusal::bad_request("the body of the request is not an object")),
    }
}

/// Splits a path: the kind, the namespace, and the rest after the plural.
fn address(path: &str) -> Option<(&'static Kind, Option<&str>, Vec<&str>)> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (group, version, rest) = match segments[..] {
        ["api", version, ref rest @ ..] => ("", version, rest),
        ["apis", group, version, ref rest @ ..] => (group, version, rest),
        _ => return None,
    };
    let kind = |plural| Kind::by_plural(plural).filter(|kind| kind.group == group && kind.version == version);
    match *rest {
        ["namespaces", namespace, plural, ref tail @ ..] if kind(plural).is_some_and(|kind| kind.namespaced) => {
            Some((kind(plural)?, Some(namespace), tail.to_vec()))
        }
        [plural, ref tail @ ..] => Some((kind(plural)?, None, tail.to_vec())),
        [] => None,
    }
}
