//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What is known of AWS and the operator's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aws {
    /// AWS was not asked yet.
    #[default]
    NotAsked,
    /// AWS takes them.
    TakesCredentials,
    /// AWS never answered.
    DoesNotAnswer,
    /// AWS does not take them, or there are none; in a sentence.
    RefusesCredentials(String),
}

/// Whether the operator can do its work: what `/readyz` answers.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Another replica leads, or has until just now.
    stands_by: bool,
    listed: bool,
    aws: Aws,
}

impl Readiness {
    /// Another replica leads: nothing is known here, and there is nothing to do.
    pub fn stands_by(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Known { stands_by: true, ..Known::default() };
    }

    /// Both kinds are listed: this replica is at work.
    pub fn listed(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.listed = true;
        known.stands_by = false;
    }

    /// AWS gave another answer.
    pub fn aws(&self, aws: Aws) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).aws = aws;
    }

    /// Why the operator cannot do its work, if it cannot.
    ///
    /// # Errors
    /// A sentence for whoever looks after the operator.
    pub fn verdict(&self) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &known.aws {
            // The first thing to set right, whatever else there is.
            Aws::RefusesCredentials(error) => Err(format!(
                "AWS does not take the operator's credentials: {error}. Check IRSA or EKS Pod Identity of its ServiceAccount"
            )),
            _ if known.stands_by => Ok(()),
            _ if !known.listed => Err("the objects are not listed yet".to_owned()),
            Aws::NotAsked => Err("AWS has not answered yet".to_owned()),
            Aws::TakesCredentials | Aws::DoesNotAnswer => Ok(()),
        }
    }
}

#[derive(Clone)]
struct Told {
    metrics: Arc<Metrics>,
    ready: Arc<Readiness>,
    stop: CancellationToken,
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Arc<Readiness>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Told { metrics, ready, stop: stop.clone() });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the server for metrics ended");
    }
}

/// Ready once both kinds are listed and AWS was asked, unless it refuses the credentials, or another replica was seen to lead;
/// until the operator is told to stop.
async fn readyz(State(told): State<Told>) -> impl IntoResponse {
    if told.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match told.ready.verdict() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn text(State(told): State<Told>) -> impl IntoResponse {
    told.metrics
        .text()
        .map(|text| ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_ready_once_it_has_listed_its_objects_and_heard_of_aws_unless_its_credentials_are_refused() {
        let refused = || Aws::RefusesCredentials("sts:GetCallerIdentity failed: no provider".to_owned());
        let table = [
            (false, Aws::NotAsked, Some("not listed")),
            (true, Aws::NotAsked, Some("AWS has not answered")),
            (false, Aws::TakesCredentials, Some("not listed")),
            (true, Aws::TakesCredentials, None),
            (true, Aws::DoesNotAnswer, None),
            (false, refused(), Some("no provider. Check IRSA")),
            (true, refused(), Some("no provider. Check IRSA")),
        ];
        for (listed, aws, why) in table {
            let readiness = Readiness::default();
            readiness.aws(aws.clone());
            if listed {
                readiness.listed();
            }
            match (readiness.verdict(), why) {
                (Ok(()), None) => {}
                (Err(said), Some(why)) if said.contains(why) => {}
                (verdict, why) => panic!("{listed} {aws:?}: {verdict:?} instead of {why:?}"),
            }
        }
    }
}
