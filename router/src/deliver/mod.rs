//! All routes at work: a queue on disk and a worker for each.
//!
//! ```text
//! set_routes (reconcile: start, replace, stop)           accept (match, append to each queue, sync) -> Ok: may be acknowledged
//!        `-> worker per route: queue -> groups -> destination, retried with back-off
//! ```
//! Invariants: an alert is on the disk of every route that wants it before [`Router::accept`] returns `Ok`; a route's queue
//! outlives its worker, so editing a route or restarting loses nothing; one route's trouble is its own.
use crate::{
    alert::Alert,
    destination::Sender,
    matching::Matcher,
    queue::{Limits, Queue, QueueError},
    route::Route,
};
use engine::source::ObjectRef;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub mod backoff;
pub mod clock;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use status::Board;
pub use status::{Metrics, RouteStatus, Totals};
use worker::{Saved, Shared, Worker};

/// What is the same for all queues.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of all queues.
    pub dir: PathBuf,
    /// Bounds of each queue.
    pub limits: Limits,
    /// Bounds of each tenant's queue.
    pub tenant_limits: Limits,
    /// Whether the queue of a route that is not given any more is deleted. Standalone it stays: a file that cannot be
    /// read for a moment must not cost its alerts.
    pub purge: bool,
}

impl Options {
    /// Queues under `dir` with default bounds: 256 MiB each, 64 MiB for tenants.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let limits = Limits::default();
        Self { dir: dir.into(), limits, tenant_limits: Limits { max_bytes: 64 << 20, ..limits }, purge: false }
    }
}

/// Why alerts were not accepted.
#[derive(Debug, thiserror::Error)]
#[error("route {route}: {}", worker::with_cause(source))]
pub struct AcceptError {
    /// The route whose queue failed.
    pub route: ObjectRef,
    /// How.
    #[source]
    pub source: QueueError,
}

#[derive(Debug)]
struct Running {
    route: Route,
    shared: Arc<Shared>,
    board: Board,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// See the module. Made within a tokio runtime.
#[derive(Debug)]
pub struct Router {
    options: Options,
    metrics: Metrics,
    routes: RwLock<BTreeMap<ObjectRef, Running>>,
    /// Held while routes change, so that two changes do not mix.
    changing: tokio::sync::Mutex<()>,
}

impl Router {
    /// Without routes yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            metrics: Metrics::default(),
            routes: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// `eyas_route_alerts_total`.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Makes exactly these routes run. Unchanged ones are not touched; a changed one keeps its queue. Returns those whose
    /// queue cannot be opened, which do not run.
    pub async fn set_routes(&self, wanted: Vec<Route>) -> Vec<AcceptError> {
        self.set_routes_and_keep(wanted, &[]).await
    }

    /// As [`Router::set_routes`], and does not delete the queues of `keep`: routes that are there and cannot run just now.
    pub async fn set_routes_and_keep(&self, wanted: Vec<Route>, keep: &[ObjectRef]) -> Vec<AcceptError> {
        let _one_at_a_time = self.changing.lock().await;
        let wanted: BTreeMap<ObjectRef, Route> = wanted.into_iter().map(|r| (r.id.clone(), r)).collect();
        let gone: Vec<ObjectRef> = self.routes.read().keys().filter(|id| !wanted.contains_key(id)).cloned().collect();
        for id in gone {
            let running = self.routes.write().remove(&id);
            if let Some(running) = running {
                stop(running).await;
                self.metrics.forget(&id);
            }
        }
        if self.options.purge {
            let keep: BTreeSet<String> = wanted.keys().chain(keep).map(folder_name).collect();
            purge(&self.options.dir, &keep);
        }
        let mut failed = Vec::new();
        for (id, route) in wanted {
            let same = self.routes.read().get(&id).is_some_and(|r| r.route == route);
            if !same && let Err(source) = self.start(route).await {
                tracing::error!(route = %id, error = %worker::with_cause(&source), "cannot open a route's queue");
                failed.push(AcceptError { route: id, source });
            }
        }
        failed
    }

    /// Starts a route, or replaces its worker by one of the new spec. Alerts keep being taken meanwhile.
    async fn start(&self, route: Route) -> Result<(), QueueError> {
        let id = route.id.clone();
        let before = self.routes.read().get(&id).map(|r| (r.shared.clone(), r.board.clone(), r.stop.clone()));
        let (shared, board, saved) = match before {
            None => {
                let dir = self.options.dir.join(folder_name(&id));
                let limits =
                    if route.matcher.tenant.is_some() { self.options.tenant_limits } else { self.options.limits };
                let (queue, recovery) = worker::blocking(move || Queue::open(&dir, limits)).await?;
                if recovery.lost > 0 || recovery.truncated_bytes > 0 || recovery.checkpoint_damaged {
                    tracing::warn!(route = %id, lost = recovery.lost, truncated_bytes = recovery.truncated_bytes,
                        checkpoint_damaged = recovery.checkpoint_damaged, "a route's queue was damaged");
                }
                let saved = Saved::read(&recovery.state);
                let board = Board::new(&id, saved.totals.clone(), self.metrics.clone());
                (Arc::new(Shared { queue: queue.into(), news: Notify::new() }), board, saved)
            }
            Some((shared, board, stop)) => {
                stop.cancel();
                let task =
                    self.routes.write().get_mut(&id).map(|r| std::mem::replace(&mut r.task, tokio::spawn(async {})));
                if let Some(task) = task {
                    let _ = task.await;
                }
                let saved = Saved::read(shared.queue.lock().state());
                (shared, board, saved)
            }
        };
        let stop = CancellationToken::new();
        let sender = Sender::new(&route.destination, &id.to_string());
        let worker = Worker::new(shared.clone(), board.clone(), sender, route.grouping.clone(), saved, stop.clone());
        let task = tokio::spawn(worker.run());
        self.routes.write().insert(id, Running { route, shared, board, stop, task });
        Ok(())
    }

    /// Puts alerts on the disk of every route that wants them. Blocking. Returns how many copies were stored.
    ///
    /// A queue that is full counts the alerts as failed and does not hold up the others.
    ///
    /// # Errors
    /// When a disk refuses: the caller must give the same alerts again.
    pub fn accept(&self, alerts: &[Alert]) -> Result<u64, AcceptError> {
        let mut encoded: Vec<Option<Vec<u8>>> = vec![None; alerts.len()];
        let now = clock::millis();
        let targets: Vec<(ObjectRef, Matcher, Arc<Shared>, Board)> = {
            let routes = self.routes.read();
            let target = |(id, r): (&ObjectRef, &Running)| {
                (id.clone(), r.route.matcher.clone(), r.shared.clone(), r.board.clone())
            };
            routes.iter().map(target).collect()
        };
        let mut stored = 0;
        for (id, matcher, shared, board) in targets {
            let mut payloads = Vec::new();
            for (alert, bytes) in alerts.iter().zip(&mut encoded) {
                if matcher.matches(alert) && bytes.is_none() {
                    *bytes = serde_json::to_vec(alert).ok();
                }
            }
            for (alert, bytes) in alerts.iter().zip(&encoded) {
                if matcher.matches(alert)
                    && let Some(bytes) = bytes
                {
                    payloads.push(bytes.as_slice());
                }
            }
            let all = payloads.len();
            payloads.retain(|p| p.len() <= self.options.limits.max_record);
            if payloads.len() < all {
                board.failed((all - payloads.len()) as u64, "an alert is too long for the queue");
            }
            if payloads.is_empty() {
                continue;
            }
            let count = payloads.len() as u64;
            let appended = shared.queue.lock().append(now, payloads);
            match appended {
                Ok(_) => {
                    stored += count;
                    board.accepted(count);
                    shared.news.notify_one();
                }
                Err(error @ (QueueError::Full { .. } | QueueError::TooLong { .. })) => {
                    board.failed(count, &format!("alerts were dropped: {error}"));
                }
                Err(source) => return Err(AcceptError { route: id, source }),
            }
        }
        Ok(stored)
    }

    /// What became of each route's alerts.
    #[must_use]
    pub fn status(&self) -> Vec<(ObjectRef, RouteStatus)> {
        self.routes.read().iter().map(|(id, r)| (id.clone(), r.board.get())).collect()
    }

    /// The routes as they run.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.routes.read().values().map(|r| r.route.clone()).collect()
    }

    /// Stops all workers; each finishes the request under way (5 s at most) and saves its place.
    pub async fn stop(&self) {
        let _one_at_a_time = self.changing.lock().await;
        let routes = std::mem::take(&mut *self.routes.write());
        for running in routes.values() {
            running.stop.cancel();
        }
        for running in routes.into_values() {
            stop(running).await;
        }
    }
}

async fn stop(running: Running) {
    running.stop.cancel();
    let _ = running.task.await;
}

/// `_` occurs in no name of Kubernetes, so two routes never share a folder. Standalone, names are checked the same way.
fn folder_name(id: &ObjectRef) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '+' };
    format!("{}_{}", id.namespace, id.name).chars().map(|c| if c == '_' { c } else { safe(c) }).collect()
}

/// Removes queues of routes that were deleted while this did not run.
fn purge(dir: &Path, keep: &BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains('_') && !keep.contains(&name) {
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::info!(queue = name, "removed the queue of a route that is gone"),
                Err(error) => tracing::warn!(queue = name, %error, "cannot remove the queue of a route that is gone"),
            }
        }
    }
}
