//! Alerts on their way to routes: in process (standalone) or to the router by way of a spool on disk.
//!
//! ```text
//! submit (never blocks) -> channel -> local:   router::deliver in this process
//!                                  `-> spool (disk, bounded) -> shipper: batches over TLS, with counters, until acknowledged
//! ```
//! Invariants: an alert in the spool is sent until the router acknowledges it, also after the agent was killed, always
//! under the same id; what does not fit (channel or spool full) is counted, never waited for; counters travel as totals.
use crate::run::seams::AlertSink;
use parking_lot::Mutex;
use router::{alert::Alert, batch::Counters};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc;

pub mod client;
mod ledger;
pub mod local;
mod shipper;
mod spool;
mod start;
#[cfg(test)]
mod tests;

pub use shipper::{ClusterOptions, start as cluster};
pub use start::{in_cluster, standalone};

/// Alerts between detection and disk; beyond, they are counted as lost. Folding keeps the usual number far below.
const CHANNEL: usize = 4096;
/// Alerts taken from the channel at once.
const BURST: usize = 256;

/// Totals of every rule and exception since the agent's start (`acknowledged` is not looked at).
pub type Totals = Arc<dyn Fn() -> Counters + Send + Sync>;

/// What became of alerts, for status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Taken by [`Sink::submit`].
    pub submitted: u64,
    /// Handed over: acknowledged by the router, or on the disk of the local routes.
    pub delivered: u64,
    /// Not handed over for good: the channel or the spool was full, or the router refused them.
    pub lost: u64,
    /// On this node's disk, waiting for the router.
    pub backlog: u64,
    /// What goes wrong now.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    submitted: AtomicU64,
    delivered: AtomicU64,
    lost: AtomicU64,
    backlog: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    fn lose(&self, n: u64, why: &str) {
        self.lost.fetch_add(n, Ordering::Relaxed);
        let mut last = self.last_error.lock();
        if last.as_deref() != Some(why) {
            tracing::warn!(alerts = n, reason = why, "alerts did not reach their routes");
            *last = Some(why.to_owned());
        }
    }

    fn error(&self, why: Option<String>) {
        *self.last_error.lock() = why;
    }
}

/// Takes alerts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    channel: mpsc::Sender<Arc<Alert>>,
    shared: Arc<Shared>,
}

impl Sink {
    fn new() -> (Self, mpsc::Receiver<Arc<Alert>>, Arc<Shared>) {
        let (channel, receiver) = mpsc::channel(CHANNEL);
        let shared = Arc::new(Shared::default());
        (Self { channel, shared: shared.clone() }, receiver, shared)
    }

    /// Takes one alert; neither blocks nor waits. What does not fit is counted in [`Stats::lost`].
    pub fn submit(&self, alert: &Arc<Alert>) {
        self.shared.submitted.fetch_add(1, Ordering::Relaxed);
        if self.channel.try_send(alert.clone()).is_err() {
            self.shared.lose(1, "more alerts at once than the disk takes");
        }
    }

    /// What became of them.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            submitted: self.shared.submitted.load(Ordering::Relaxed),
            delivered: self.shared.delivered.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            backlog: self.shared.backlog.load(Ordering::Relaxed),
            last_error: self.shared.last_error.lock().clone(),
        }
    }
}

impl AlertSink for Sink {
    fn name(&self) -> &'static str {
        "router"
    }

    fn submit(&self, alert: &Arc<Alert>) {
        Self::submit(self, alert);
    }
}

/// How long after `stop` alerts may still come: what detection had folded goes out last.
const LAST_CALL: std::time::Duration = std::time::Duration::from_millis(400);

/// Takes what is in the channel; waits for the first. `None`: the channel is closed, or `stop` and quiet for [`LAST_CALL`].
async fn take(
    channel: &mut mpsc::Receiver<Arc<Alert>>,
    stop: &tokio_util::sync::CancellationToken,
) -> Option<Vec<Arc<Alert>>> {
    let mut burst = Vec::new();
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_CALL).await;
    };
    let received = tokio::select! {
        biased;
        n = channel.recv_many(&mut burst, BURST) => n,
        () = over => 0,
    };
    (received > 0).then_some(burst)
}
