//! `/healthz`, `/readyz` and `/metrics` of the router.
use anyhow::Context as _;
use axum::{
    Router as App,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// Binds and serves until `stop`; returns the address in use. Ready once the routes run.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    listen: SocketAddr,
    ready: Arc<AtomicBool>,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("--http-listen {listen}"))?;
    let address = listener.local_addr().context("--http-listen")?;
    let registry = Arc::new(registry);
    let readyz = move || async move {
        if ready.load(Ordering::Acquire) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for the API server to list OutputRoutes\n")
        }
    };
    let metrics = move || {
        let registry = registry.clone();
        async move {
            let mut text = String::new();
            let status =
                if encode(&mut text, &registry).is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
            (status, [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        }
    };
    let app = App::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "HTTP server ended");
        }
    });
    Ok(address)
}
