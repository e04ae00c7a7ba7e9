//! The node's disk spool: alerts from the channel to disk, in order.
use super::{Shared, take};
use parking_lot::Mutex;
use router::{
    alert::Alert,
    deliver::clock,
    queue::{Limits, Queue, QueueError},
};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// The spool, shared by the task that fills it and the one that empties it.
#[derive(Debug)]
pub(super) struct Spool {
    pub queue: Mutex<Queue>,
    /// Something was appended.
    pub news: Notify,
}

/// Bounds: records as the router's queues take them. Survives the end of the process; syncing each alert to the disk is
/// left out, since it would cost every pod of the node its disk's time.
pub(super) fn limits(max_bytes: u64) -> Limits {
    Limits { max_bytes, segment_bytes: 1 << 20, max_record: 512 << 10, durable: false }
}

/// Fills the spool until stopped and everything taken is on disk.
pub(super) async fn fill(
    spool: Arc<Spool>,
    mut channel: mpsc::Receiver<Arc<Alert>>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    while let Some(burst) = take(&mut channel, &stop).await {
        let (to, shared) = (spool.clone(), shared.clone());
        let appended = tokio::task::spawn_blocking(move || append(&to, &shared, &burst)).await;
        if let Err(error) = appended {
            tracing::error!(%error, "writing to the spool was cut short");
        }
        spool.news.notify_one();
    }
}

fn append(spool: &Spool, shared: &Shared, burst: &[Arc<Alert>]) {
    let payloads: Vec<Vec<u8>> = burst.iter().filter_map(|a| serde_json::to_vec(a.as_ref()).ok()).collect();
    let mut queue = spool.queue.lock();
    let all = queue.append(clock::millis(), payloads.iter().map(Vec::as_slice));
    if all.is_err() {
        // One that is too long, or the last that has no room, must not take the others with it.
        for payload in &payloads {
            if let Err(error) = queue.append(clock::millis(), [payload.as_slice()]) {
                shared.lose(1, &describe(&error));
            }
        }
    }
    shared.backlog.store(queue.waiting(), Ordering::Relaxed);
}

pub(super) fn describe(error: &QueueError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
