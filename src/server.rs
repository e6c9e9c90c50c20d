//! `/healthz`, `/readyz` and `/metrics`.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

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

/// The state of the operator's access to AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AwsAccess {
    /// AWS was not called yet.
    #[default]
    NotAsked,
    /// AWS accepts the credentials.
    AcceptsCredentials,
    /// AWS never answered.
    DoesNotAnswer,
    /// AWS refuses the credentials, or the operator has none; the reason as a sentence.
    RefusesCredentials(String),
}

/// The operator's readiness, which `/readyz` reports.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<ReadinessState>);

#[derive(Debug, Default)]
struct ReadinessState {
    /// Another replica leads, or led until a moment ago.
    is_standby: bool,
    is_listed: bool,
    aws: AwsAccess,
}

impl Readiness {
    /// Records that another replica leads: this replica knows no objects and has no work.
    pub fn set_standby(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            ReadinessState { is_standby: true, ..ReadinessState::default() };
    }

    /// Records that both kinds are listed: this replica is at work.
    pub fn set_listed(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_listed = true;
        known.is_standby = false;
    }

    /// Records another answer of AWS.
    pub fn set_aws_access(&self, aws: AwsAccess) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).aws = aws;
    }

    /// Whether the operator can work.
    ///
    /// # Errors
    /// The reason why the operator cannot work, for the people who run it.
    pub fn verdict(&self) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &known.aws {
            // Refused credentials come first: every other reason can wait.
            AwsAccess::RefusesCredentials(error) => Err(format!(
                "AWS does not take the operator's credentials: {error}. Check IRSA or EKS Pod Identity of its ServiceAccount"
            )),
            _ if known.is_standby => Ok(()),
            _ if !known.is_listed => Err("the objects are not listed yet".to_owned()),
            AwsAccess::NotAsked => Err("AWS has not answered yet".to_owned()),
            AwsAccess::AcceptsCredentials | AwsAccess::DoesNotAnswer => Ok(()),
        }
    }
}

#[derive(Clone)]
struct ServerState {
    metrics: Arc<Metrics>,
    ready: Arc<Readiness>,
    stop: CancellationToken,
}

/// Listens on `address`. `[::]` means every address of both families, unless Linux has `net.ipv6.bindv6only` set; on a host
/// without IPv6, every address of IPv4.
///
/// # Errors
/// The errors of bind(2): the port is taken, the process may not use it, or the host lacks the address.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) => match without_ipv6(address, &error) {
            Some(ipv4) => TcpListener::bind(ipv4).await,
            None => Err(error),
        },
        listener => listener,
    }
}

/// The replacement for an `address` that means every address of a family which the host may lack.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let of_the_port = matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
    (everywhere && !of_the_port).then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into())
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Arc<Readiness>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(ServerState { metrics, ready, stop: stop.clone() });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the server of metrics ended");
    }
}

/// Ready once both kinds are listed and AWS has answered, or while another replica leads. Not ready while AWS refuses the
/// credentials, and after the stop signal.
async fn readyz(State(state): State<ServerState>) -> impl IntoResponse {
    if state.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match state.ready.verdict() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics_text(State(state): State<ServerState>) -> impl IntoResponse {
    state
        .metrics
        .text()
        .map(|text| ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probes_reach_the_operator_by_ipv4_and_where_the_host_has_it_by_ipv6() {
        let listener = listen("[::]:0".parse().expect("an address")).await.expect("any port");
        let at = listener.local_addr().expect("an address");
        let connects = async |to: IpAddr| tokio::net::TcpStream::connect((to, at.port())).await.is_ok();
        assert!(connects(Ipv4Addr::LOCALHOST.into()).await, "{at}");
        let host_has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        assert_eq!(connects(Ipv6Addr::LOCALHOST.into()).await, host_has_ipv6, "{at}");
    }

    #[test]
    fn a_host_without_ipv6_serves_ipv4_and_a_port_that_is_taken_is_told() {
        // Linux's errors for `[::]` where IPv6 is disabled (EAFNOSUPPORT), for a taken port, and for a port below 1024.
        let (no_such_family, taken, forbidden) = (97, 98, 13);
        let table = [
            ("[::]:8080", no_such_family, Some("0.0.0.0:8080")),
            ("[::]:8080", taken, None),
            ("[::]:80", forbidden, None),
            ("[::1]:8080", no_such_family, None),
            ("0.0.0.0:8080", taken, None),
        ];
        for (address, error, instead) in table {
            let address: SocketAddr = address.parse().expect("an address");
            let found = without_ipv6(address, &io::Error::from_raw_os_error(error));
            assert_eq!(found.map(|found| found.to_string()).as_deref(), instead, "{address} {error}");
        }
    }

    #[test]
    fn the_operator_is_ready_once_it_listed_its_objects_and_aws_takes_its_credentials() {
        let refused = || AwsAccess::RefusesCredentials("sts:GetCallerIdentity failed: no provider".to_owned());
        let table = [
            (false, AwsAccess::NotAsked, Some("not listed")),
            (true, AwsAccess::NotAsked, Some("AWS has not answered")),
            (false, AwsAccess::AcceptsCredentials, Some("not listed")),
            (true, AwsAccess::AcceptsCredentials, None),
            (true, AwsAccess::DoesNotAnswer, None),
            (false, refused(), Some("no provider. Check IRSA")),
            (true, refused(), Some("no provider. Check IRSA")),
        ];
        for (listed, aws, why) in table {
            let readiness = Readiness::default();
            readiness.set_aws_access(aws.clone());
            if listed {
                readiness.set_listed();
            }
            match (readiness.verdict(), why) {
                (Ok(()), None) => {}
                (Err(refusal), Some(why)) if refusal.contains(why) => {}
                (verdict, why) => panic!("{listed} {aws:?}: {verdict:?} instead of {why:?}"),
            }
        }
    }
}
