//! `POST /v1/batches`: who, what, once, to disk, acknowledged, in this order.
//!
//! ```text
//! room? -> token (node) -> body (bounded, timed) -> decode -> node matches -> seen before? -> disk queues -> counters -> 200
//! ```
//! Invariants: 200 means that every route's queue has the alerts; a batch that was taken before is acknowledged without
//! being taken again; one agent's requests are worked on one at a time. Counters reach the disk a little later: the answer's
//! header `eyas-kept` says up to which of the agent's batches they have.
use super::{
    auth::{AuthError, Authenticator, Verifier},
    counters::Sums,
};
use axum::{
    Router as App,
    body::to_bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use router::{
    batch::{self, Batch, BatchError, KEPT_HEADER, MAX_BODY},
    deliver::{Router, clock},
};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

/// Requests worked on at once: bounds memory to this many bodies.
const CONCURRENT: usize = 32;
/// For reading a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// `eyas_router_batches_total{outcome}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What the intake works with.
pub struct Intake<V> {
    /// Who sends.
    pub auth: Authenticator<V>,
    /// Where alerts go.
    pub router: Arc<Router>,
    /// Counters of all agents.
    pub sums: Arc<Mutex<Sums>>,
    /// Told when an object had its first match.
    pub news: Arc<Notify>,
    /// Routes are known: alerts can be taken.
    pub ready: Arc<AtomicBool>,
    room: Semaphore,
    busy: Mutex<HashSet<Uuid>>,
    batches: Family<Outcome, Counter>,
}

/// A batch that was taken.
struct Taken {
    /// `taken` or `repeated`.
    outcome: &'static str,
    /// See [`KEPT_HEADER`].
    kept: u64,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("busy; come again")]
    Busy,
    #[error("routes are not known yet; come again")]
    NotReady,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("the body did not come whole within 10 s")]
    Body,
    #[error("the body is longer than {MAX_BODY} bytes")]
    TooLong,
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the token is for node {token:?}, the batch says {batch:?}")]
    Node { token: String, batch: String },
    #[error("the alerts could not be stored: {0}; come again")]
    Store(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Busy | Self::NotReady | Self::Store(_) | Self::Auth(AuthError::Unavailable(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Auth(AuthError::Unauthenticated(_)) => StatusCode::UNAUTHORIZED,
            Self::Auth(AuthError::Forbidden(_)) | Self::Node { .. } => StatusCode::FORBIDDEN,
            Self::Body => StatusCode::REQUEST_TIMEOUT,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Batch(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn outcome(&self) -> &'static str {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => "deferred",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "unauthorized",
            _ => "invalid",
        }
    }
}

impl<V: Verifier> Intake<V> {
    /// Nothing is taken before `ready` is set.
    pub fn new(auth: Authenticator<V>, router: Arc<Router>, sums: Arc<Mutex<Sums>>) -> Self {
        Self {
            auth,
            router,
            sums,
            news: Arc::default(),
            ready: Arc::default(),
            room: Semaphore::new(CONCURRENT),
            busy: Mutex::default(),
            batches: Family::default(),
        }
    }

    /// Registers `eyas_router_batches_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("eyas_router_batches", "Batches of agents by what became of them", self.batches.clone());
    }

    /// The HTTP side.
    pub fn app(self: Arc<Self>) -> App {
        App::new().route("/v1/batches", post(handle::<V>)).with_state(self)
    }

    async fn take(&self, request: Request) -> Result<Taken, Refusal> {
        let _room = self.room.try_acquire().map_err(|_| Refusal::Busy)?;
        if !self.ready.load(Ordering::Acquire) {
            return Err(Refusal::NotReady);
        }
        let (head, body) = request.into_parts();
        let authorization = head.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let node = self.auth.node(authorization, Instant::now()).await?;
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|l| l > MAX_BODY) {
            return Err(Refusal::TooLong);
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await;
        let body = body.map_err(|_| Refusal::Body)?.map_err(|_| Refusal::Body)?;
        let batch = batch::decode(&body)?;
        let foreign = batch.alerts.iter().map(|a| &a.node).chain([&batch.node]).find(|n| **n != node);
        if let Some(other) = foreign {
            return Err(Refusal::Node { token: node, batch: other.clone() });
        }
        if !self.busy.lock().insert(batch.agent) {
            return Err(Refusal::Busy);
        }
        let _busy = Busy { agents: &self.busy, agent: batch.agent };
        self.store(batch).await
    }

    async fn store(&self, batch: Batch) -> Result<Taken, Refusal> {
        let seen = self.sums.lock().has_seen(&batch);
        let batch = Arc::new(batch);
        if !seen && !batch.alerts.is_empty() {
            let (router, batch) = (self.router.clone(), batch.clone());
            let stored =
                tokio::task::spawn_blocking(move || router.accept(&batch.alerts).map_err(|e| e.to_string())).await;
            stored.unwrap_or_else(|e| Err(e.to_string())).map_err(Refusal::Store)?;
        }
        let mut sums = self.sums.lock();
        let first = sums.apply(&batch, clock::millis());
        let kept = sums.kept(batch.agent);
        drop(sums);
        if first {
            self.news.notify_one();
        }
        Ok(Taken { outcome: if seen { "repeated" } else { "taken" }, kept })
    }
}

/// Lets the agent's next request in when it goes.
struct Busy<'a> {
    agents: &'a Mutex<HashSet<Uuid>>,
    agent: Uuid,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.agents.lock().remove(&self.agent);
    }
}

async fn handle<V: Verifier>(State(intake): State<Arc<Intake<V>>>, request: Request) -> Response {
    // On a task of its own: an agent that hangs up must not leave a batch half taken.
    let (worker, on) = (intake.clone(), tokio::runtime::Handle::current());
    let taken = on.spawn(async move { worker.take(request).await }).await;
    let (outcome, response) = match taken {
        Ok(Ok(taken)) => (taken.outcome, (StatusCode::OK, [(KEPT_HEADER, taken.kept.to_string())]).into_response()),
        Ok(Err(refusal)) => {
            let status = refusal.status();
            if status != StatusCode::SERVICE_UNAVAILABLE {
                tracing::warn!(%status, error = %refusal, "refused a batch");
            }
            let retry = [(header::RETRY_AFTER, "1")];
            let text = format!("{refusal}\n");
            let response = if status == StatusCode::SERVICE_UNAVAILABLE {
                (status, retry, text).into_response()
            } else {
                (status, text).into_response()
            };
            (refusal.outcome(), response)
        }
        Err(error) => {
            tracing::error!(%error, "taking a batch was cut short");
            ("deferred", StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
    };
    intake.batches.get_or_create(&Outcome { outcome }).inc();
    response
}
