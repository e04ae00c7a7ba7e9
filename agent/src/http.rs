//! The agent's own small HTTP server: `/healthz`, `/readyz`, `/metrics`, `/status`, `/reports`.
//!
//! It only tells; nothing can be changed by it. Bound where the user said, by default on loopback. Requests are few, small
//! and answered from memory: what is asked of [`Answers`] must not wait.
use crate::metrics;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// Answers under way at once; more are told to come again.
const AT_ONCE: usize = 16;

/// What the server tells.
pub trait Answers: Send + Sync + 'static {
    /// `Err`: why the agent is not ready, a reason a line.
    ///
    /// # Errors
    /// The ruleset is not armed, or a hook has not been proven.
    fn ready(&self) -> Result<(), Vec<String>>;
    /// All counters.
    fn metrics(&self) -> metrics::Snapshot;
    /// What NodeAgent.status says, as JSON.
    fn status(&self) -> serde_json::Value;
    /// The current PolicyReports, as a JSON list.
    fn reports(&self) -> serde_json::Value;
}

/// The server cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another address with --listen")]
pub struct ListenError {
    address: String,
    #[source]
    source: io::Error,
}

#[derive(Clone)]
struct Shared {
    answers: Arc<dyn Answers>,
    places: Arc<Semaphore>,
}

/// A bound server that does not answer yet.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds. Port 0 takes any free one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| ListenError { address: address.to_string(), source })?;
        Ok(Self { listener })
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn serve(self, answers: Arc<dyn Answers>, stop: CancellationToken) -> io::Result<()> {
        let shared = Shared { answers, places: Arc::new(Semaphore::new(AT_ONCE)) };
        let app = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_text))
            .route("/status", get(|state| json(state, Answers::status)))
            .route("/reports", get(|state| json(state, Answers::reports)))
            .with_state(shared);
        axum::serve(self.listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "busy: too many requests at once\n").into_response()
}

async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.answers.ready() {
        Ok(()) => "ok\n".into_response(),
        Err(reasons) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready:\n- {}\n", reasons.join("\n- "))).into_response()
        }
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    let Ok(_place) = shared.places.try_acquire() else { return busy() };
    match metrics::encode(shared.answers.metrics()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn json(State(shared): State<Shared>, answer: fn(&dyn Answers) -> serde_json::Value) -> Response {
    let Ok(_place) = shared.places.try_acquire() else { return busy() };
    let mut text = format!("{:#}", answer(&*shared.answers));
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Fixed(AtomicBool);
    impl Answers for Fixed {
        fn ready(&self) -> Result<(), Vec<String>> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(vec!["hook open: no canary yet".into()]) }
        }
        fn metrics(&self) -> metrics::Snapshot {
            metrics::Snapshot { revision: "r1".into(), ..Default::default() }
        }
        fn status(&self) -> serde_json::Value {
            serde_json::json!({"revision": "r1"})
        }
        fn reports(&self) -> serde_json::Value {
            serde_json::json!([])
        }
    }

    #[tokio::test]
    async fn every_page_answers_and_ready_follows_the_state() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let fixed = Arc::new(Fixed(AtomicBool::new(false)));
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(fixed.clone(), stop.clone()));
        let page = async |p: &str| {
            let r = reqwest::get(format!("{url}{p}")).await.unwrap();
            (r.status().as_u16(), r.text().await.unwrap())
        };
        assert_eq!(page("/healthz").await.0, 200);
        let (code, text) = page("/readyz").await;
        assert_eq!(code, 503);
        assert!(text.contains("no canary yet"));
        fixed.0.store(true, Ordering::Relaxed);
        assert_eq!(page("/readyz").await.0, 200);
        assert!(page("/metrics").await.1.contains("eyas_ruleset_info{revision=\"r1\"} 1"));
        assert!(page("/status").await.1.contains("\"revision\": \"r1\""));
        assert_eq!(page("/nothing").await.0, 404);
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_taken_address_says_what_to_do() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Server::bind(first.address().unwrap()).await.err().unwrap().to_string();
        assert!(error.contains("--listen"), "{error}");
    }
}
