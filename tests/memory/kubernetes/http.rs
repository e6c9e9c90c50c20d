//! Answers of requests, and the faults in between.

use std::{future, io};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ApiServer,
    faults::{Effect, Strike},
    journal::{Call, Verb},
    refusal::{self, Refusal},
    request::{Asked, Patching, View},
    store::{Deletion, Store},
    watch,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result for a client: an answer, or a broken connection.
type Outcome = Result<Response<Body>, Failure>;

/// Answers one request, or applies the test's fault to it.
pub async fn serve(server: ApiServer, request: Request<kube::client::Body>) -> Outcome {
    let (head, body) = request.into_parts();
    let body = body.collect_bytes().await?;
    let asked = match Asked::read(&head, body.to_vec()) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let call = asked.call();
    let strike = server.state().faults.strike(&call);
    let before = strike.filter(|strike| !strike.after_the_work);
    let after = strike.filter(|strike| strike.after_the_work);

    if let Some(Strike { effect: Effect::Arrive(by), .. }) = before {
        // The request has its own task, which outlives the client.
        let late = tokio::spawn(async move {
            tokio::time::sleep(by).await;
            let answer = answer(&server, &asked);
            server.record(call, Some(answer.status().as_u16()));
            answer
        });
        return Ok(late.await?);
    }
    if let Some(strike) = before
        && let Some(outcome) = suffer(&server, &call, strike).await
    {
        return outcome;
    }
    let answer = answer(&server, &asked);
    if let Some(strike) = after
        && let Some(outcome) = suffer(&server, &call, strike).await
    {
        return outcome;
    }
    server.record(call, Some(answer.status().as_u16()));
    Ok(answer)
}

/// Applies a fault to a request. `None` if the fault only delays the request.
async fn suffer(server: &ApiServer, call: &Call, strike: Strike) -> Option<Outcome> {
    let recorded = !strike.late_by.is_zero();
    if recorded {
        // The client may stop waiting for the answer: the request was made all the same.
        let status = if let Effect::Answer(code) = strike.effect { Some(code) } else { None };
        server.record(call.clone(), status);
        tokio::time::sleep(strike.late_by).await;
    }
    match strike.effect {
        // After the work, only the answer is under way.
        Effect::Delay(by) | Effect::Arrive(by) => {
            tokio::time::sleep(by).await;
            None
        }
        Effect::Answer(code) => {
            if !recorded {
                server.record(call.clone(), Some(code));
            }
            let refusal = refusal::injected(code);
            Some(Ok(match (call.verb, code) {
                (Verb::Watch, 410) => answer_with(StatusCode::OK, Body::from_stream(watch::refused(&refusal))),
                _ => refused(&refusal),
            }))
        }
        Effect::Disconnect => {
            server.record(call.clone(), None);
            Some(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
        }
        Effect::Hang => {
            server.record(call.clone(), None);
            future::pending().await
        }
    }
}

fn answer(server: &ApiServer, asked: &Asked) -> Response<Body> {
    let answer = if asked.verb == Verb::Watch {
        let opened = asked.watch().map(|watch| watch::open(server, watch));
        opened.map(|lines| answer_with(StatusCode::OK, Body::from_stream(lines)))
    } else {
        let now = server.now();
        let done = server.change(|state| work(&mut state.store, asked, now));
        done.map(|(code, body)| answer_with(code, Body::from(body.to_string())))
    };
    answer.unwrap_or_else(|refusal| refused(&refusal))
}

fn answer_with(code: StatusCode, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer_with(code, Body::from(refusal::body(refusal).to_string()))
}

fn work(store: &mut Store, asked: &Asked, now: Timestamp) -> Result<(StatusCode, Value), Refusal> {
    let key = asked.key();
    let object = match asked.verb {
        Verb::Get => store.get(&key)?,
        Verb::Create => {
            let object = store.create(asked.kind, &key.namespace, asked.object()?, now)?;
            return Ok((StatusCode::CREATED, asked.view.of(&object)));
        }
        Verb::Update => {
            let sent = asked.object()?;
            if !asked.kind.group.is_empty() && sent.pointer("/metadata/resourceVersion").is_none() {
                let why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
                return Err(refusal::invalid(&key, why));
            }
            store.update(&key, asked.part, sent)?
        }
        Verb::Patch => match asked.patch()? {
            Patching::Patch(patch) => store.patch(&key, asked.part, &patch)?,
            Patching::Apply(apply) => {
                let code = if store.get(&key).is_ok() { StatusCode::OK } else { StatusCode::CREATED };
                let object = store.apply(&key, asked.part, &apply, now)?;
                return Ok((code, asked.view.of(&object)));
            }
        },
        Verb::Delete => match store.delete(&key, &asked.preconditions()?, now)? {
            Deletion::Marked(object) => object,
            Deletion::Gone(object) => return Ok((StatusCode::OK, gone(asked, &object))),
        },
        Verb::List | Verb::Watch => return Ok((StatusCode::OK, list(store, asked)?)),
    };
    Ok((StatusCode::OK, asked.view.of(&object)))
}

fn list(store: &Store, asked: &Asked) -> Result<Value, Refusal> {
    let selector = asked.selector()?;
    let found = store.list(asked.kind, asked.namespace.as_deref(), &selector);
    let items: Vec<Value> = found.map(|object| asked.view.of(object)).collect();
    let (api_version, kind) = match asked.view {
        View::Full => (asked.kind.api_version(), format!("{}List", asked.kind.name)),
        View::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
    };
    let metadata = json!({"resourceVersion": store.version().to_string()});
    Ok(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "items": items}))
}

fn gone(asked: &Asked, object: &Value) -> Value {
    let details = json!({
        "name": object["metadata"]["name"],
        "group": asked.kind.group,
        "kind": asked.kind.plural,
        "uid": object["metadata"]["uid"],
    });
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": details})
}
