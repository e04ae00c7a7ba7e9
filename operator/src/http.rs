//! `/healthz`, `/readyz` and `/metrics`.
use crate::metrics::Metrics;
use anyhow::Context as _;
use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A loop that has not come round for so long is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What the probes ask.
#[derive(Debug)]
pub struct Health {
    state: Mutex<(Instant, Readiness)>,
}

/// How far the controller is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Every watch has listed once.
    pub synced: bool,
    /// This process leads.
    pub leading: bool,
    /// As the leader: the ruleset is written.
    pub published: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self { state: Mutex::new((Instant::now(), Readiness::default())) }
    }
}

impl Health {
    /// The controller's loop came round.
    pub fn beat(&self, readiness: Readiness) {
        *self.state.lock() = (Instant::now(), readiness);
    }

    fn healthy(&self) -> Result<(), String> {
        let age = self.state.lock().0.elapsed();
        if age < STUCK { Ok(()) } else { Err(format!("the controller's loop has not come round for {age:?}")) }
    }

    fn ready(&self) -> Result<(), String> {
        let Readiness { synced, leading, published } = self.state.lock().1;
        match (synced, leading, published) {
            (false, ..) => Err("waiting for the API server to list every kind".to_owned()),
            (true, true, false) => Err("waiting for the ruleset to be written".to_owned()),
            _ => Ok(()),
        }
    }
}

/// What the endpoints show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// For the probes.
    pub health: Arc<Health>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// Binds the address and serves until `stop`; returns the address in use.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(listen: SocketAddr, shown: Shown, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("--listen {listen}"))?;
    let address = listener.local_addr().context("--listen")?;
    let router = Router::new()
        .route("/healthz", get(|State(s): State<Shown>| async move { answer(s.health.healthy()) }))
        .route("/readyz", get(|State(s): State<Shown>| async move { answer(s.health.ready()) }))
        .route("/metrics", get(metrics))
        .with_state(shown);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "HTTP server ended");
        }
    });
    Ok(address)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], shown.metrics.text())
}

fn answer(result: Result<(), String>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_leader_is_ready_when_the_ruleset_is_written_another_when_it_has_listed() {
        let health = Health::default();
        assert!(health.ready().unwrap_err().contains("list"));
        health.beat(Readiness { synced: true, ..Readiness::default() });
        health.ready().unwrap();
        health.beat(Readiness { synced: true, leading: true, published: false });
        assert!(health.ready().unwrap_err().contains("ruleset"));
        health.beat(Readiness { synced: true, leading: true, published: true });
        health.ready().unwrap();
        health.healthy().unwrap();
    }
}
