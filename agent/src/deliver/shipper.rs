//! Empties the spool into the router: one batch under way at a time, in order, until acknowledged.
//!
//! ```text
//! spool -> next batch (alerts, counters that changed) -> POST -> 200: commit { agent, seq, counters not kept } | back-off, the same again
//! ```
//! A batch that the router refuses for good (which only a bug or damage makes) is cut into single alerts, so that one bad alert
//! is lost and counted, and the others arrive.
//!
//! What earlier lives of the agent had counted, and the router did not say to have on its disk, stands in the spool's
//! checkpoint and is told first, under their ids.
use super::{
    Shared, Sink, Totals,
    client::{Access, RouterClient, SendError},
    ledger::Ledger,
    spool::{self, Spool, describe},
};
use parking_lot::Mutex;
use router::{
    alert::Alert,
    batch::{Batch, Counters},
    deliver::backoff::{self, Backoff},
    queue::{Queue, QueueError},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Alerts in a batch: well under the router's bound.
const BATCH_ALERTS: usize = 500;
/// Bytes of alerts in a batch: with counters well under the router's 4 MiB.
const BATCH_BYTES: usize = 1 << 20;
/// Counters that changed are told at least this often, and again if the router does not have them on its disk then.
const COUNTERS_EVERY: Duration = Duration::from_secs(10);
/// How often totals are looked at: a rule's first match is told after this at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Least time between two batches, so that a stream of alerts shares requests.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a stop waits for the request under way.
const GRACE: Duration = Duration::from_millis(700);
/// While the router is away, counters that changed are kept on disk this often: what a kill may cost of them.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// Lives of the agent whose counters wait; of more, the oldest are let go.
const MAX_LIVES: usize = 64;

/// What a cluster's agent needs to ship alerts.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Folder of the spool; must survive the pod (hostPath).
    pub dir: PathBuf,
    /// Bytes of the spool.
    pub max_bytes: u64,
    /// This node.
    pub node: String,
    /// Drawn at this start.
    pub agent: Uuid,
    /// The router.
    pub access: Access,
}

/// In the spool's checkpoint: lives of the agent with something to tell, oldest first.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    lives: Vec<Life>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Life {
    agent: Uuid,
    seq: u64,
    counters: Counters,
}

/// Opens the spool and starts shipping. Ends with `stop`, when everything submitted is on disk.
///
/// # Errors
/// When the spool cannot be opened.
pub fn start(
    options: ClusterOptions,
    totals: Totals,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<Sink, QueueError> {
    let (queue, recovery) = Queue::open(&options.dir, spool::limits(options.max_bytes))?;
    let (sink, channel, shared) = Sink::new();
    if recovery.waiting > 0 || recovery.lost > 0 {
        tracing::info!(
            waiting = recovery.waiting,
            lost = recovery.lost,
            truncated_bytes = recovery.truncated_bytes,
            "alerts of an earlier start wait in the spool"
        );
    }
    shared.backlog.store(recovery.waiting, Ordering::Relaxed);
    let mut before = serde_json::from_slice::<Saved>(&recovery.state).unwrap_or_default().lives;
    before.drain(..before.len().saturating_sub(MAX_LIVES));
    let spool = Arc::new(Spool { queue: Mutex::new(queue), news: Notify::new() });
    tasks.spawn(spool::fill(spool.clone(), channel, shared.clone(), stop.clone()));
    let shipper = Shipper {
        client: RouterClient::new(options.access),
        node: options.node,
        agent: options.agent,
        spool,
        shared,
        totals,
        ledger: Ledger::default(),
        before,
        before_due: Instant::now(),
        read: VecDeque::new(),
        seq: 0,
        under_way: None,
        single: false,
        lost: 0,
        full_at: Instant::now(),
        saved: None,
        stop,
    };
    tasks.spawn(shipper.run());
    Ok(sink)
}

/// A batch, where its alerts stand in the spool (number, size), and the place behind them.
struct UnderWay {
    batch: Batch,
    /// It tells all counters that the router does not have on its disk.
    full: bool,
    records: Vec<(u64, usize)>,
    place: u64,
}

struct Shipper {
    client: RouterClient,
    node: String,
    agent: Uuid,
    spool: Arc<Spool>,
    shared: Arc<Shared>,
    totals: Totals,
    ledger: Ledger,
    /// Counters of the agent's earlier lives that the router may not have.
    before: Vec<Life>,
    /// When to tell the first of them again.
    before_due: Instant,
    /// Read from the spool, not in a batch yet: number, size, alert.
    read: VecDeque<(u64, usize, Alert)>,
    seq: u64,
    under_way: Option<UnderWay>,
    /// One alert a batch, after a refusal.
    single: bool,
    /// Records lost to damage that are counted already.
    lost: u64,
    /// When the last full batch was taken.
    full_at: Instant,
    /// What the checkpoint says, if this life wrote it.
    saved: Option<Saved>,
    stop: CancellationToken,
}

impl Shipper {
    async fn run(mut self) {
        let mut wait = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stop = self.stop.clone();
            let stopped = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            // A step that is cut short leaves its batch under way: the same is sent by the next life of the agent.
            let step = tokio::select! {
                step = self.step() => step,
                () = stopped => break,
            };
            let pause = match step {
                Ok(true) => {
                    wait.reset();
                    PAUSE
                }
                Ok(false) => {
                    // Nothing to send: until there is, or time to look at the counters.
                    tokio::select! {
                        () = self.spool.news.notified() => {}
                        _ = look.tick() => {}
                        () = self.stop.cancelled() => break,
                    }
                    continue;
                }
                Err((why, least)) => {
                    if wait.attempts() == 0 {
                        tracing::warn!(error = why, "the router takes no alerts; they wait on this node's disk");
                    }
                    self.shared.error(Some(why));
                    let until = Instant::now() + wait.next(backoff::random()).max(least);
                    while Instant::now() < until && !self.stop.is_cancelled() {
                        self.save_counters().await;
                        let next = until.min(Instant::now() + SAVE_EVERY);
                        let _ = self.stop.run_until_cancelled(tokio::time::sleep_until(next)).await;
                    }
                    Duration::ZERO
                }
            };
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        self.save_counters().await;
    }

    /// Sends one batch if there is one. `Ok(false)`: nothing to send.
    async fn step(&mut self) -> Result<bool, (String, Duration)> {
        if let Some(before) = self.before.first().filter(|_| self.before_due <= Instant::now()).cloned() {
            let batch = Batch {
                node: self.node.clone(),
                agent: before.agent,
                seq: before.seq + 1,
                alerts: Vec::new(),
                counters: before.counters,
            };
            match self.post(&batch).await? {
                Some(kept) if kept < batch.seq => self.before_due = Instant::now() + LOOK_EVERY,
                _ => drop(self.before.remove(0)),
            }
            return Ok(true);
        }
        if self.under_way.is_none() {
            self.under_way = self.next_batch().await.map_err(|e| (describe(&e), Duration::ZERO))?;
        }
        let Some(under_way) = &self.under_way else { return Ok(false) };
        let batch = under_way.batch.clone();
        let taken = self.post(&batch).await?;
        let Some(under_way) = self.under_way.take() else { return Ok(true) };
        let count = under_way.batch.alerts.len() as u64;
        if taken.is_none() && count > 1 {
            for (alert, (number, size)) in under_way.batch.alerts.into_iter().zip(under_way.records).rev() {
                self.read.push_front((number, size, alert));
            }
            self.single = true;
            return Ok(true);
        }
        self.single = self.single && !self.read.is_empty();
        if taken.is_some() {
            self.shared.delivered.fetch_add(count, Ordering::Relaxed);
            self.shared.error(None);
        } else {
            self.shared.lose(count, "the router refused an alert for good");
        }
        // What was refused for good is not told again.
        self.ledger.acknowledge(batch.seq, under_way.batch.counters, taken.unwrap_or(batch.seq));
        if under_way.full {
            self.full_at = Instant::now();
        }
        let saved = self.to_save();
        self.commit(Some(under_way.place), saved).await.map_err(|e| (describe(&e), Duration::ZERO))?;
        Ok(true)
    }

    /// Up to which batch the router has this agent's counters on its disk; `None`: refused for good.
    async fn post(&mut self, batch: &Batch) -> Result<Option<u64>, (String, Duration)> {
        match self.client.send(batch).await {
            Ok(kept) => Ok(Some(kept)),
            Err(SendError::Retry(why, least)) => Err((why, least)),
            Err(error @ SendError::Refused(_)) => {
                tracing::error!(%error, seq = batch.seq, alerts = batch.alerts.len(), "a batch was refused");
                Ok(None)
            }
        }
    }

    async fn next_batch(&mut self) -> Result<Option<UnderWay>, QueueError> {
        if self.read.is_empty() {
            self.read_spool().await?;
        }
        let (mut alerts, mut records) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut place = self.spool.queue.lock().position();
        let max = if self.single { 1 } else { BATCH_ALERTS };
        while let Some((number, size, _)) = self.read.front() {
            if alerts.len() >= max || (bytes + size > BATCH_BYTES && !alerts.is_empty()) {
                place = *number;
                break;
            }
            bytes += size;
            if let Some((number, size, alert)) = self.read.pop_front() {
                alerts.push(alert);
                records.push((number, size));
            }
        }
        let totals = (self.totals)();
        let full = self.full_at.elapsed() >= COUNTERS_EVERY;
        let changed = if full { self.ledger.unkept(&totals) } else { self.ledger.untold(&totals) };
        if alerts.is_empty() && (changed.is_empty() || !(full || self.ledger.has_news(&changed))) {
            return Ok(None);
        }
        self.seq += 1;
        let batch = Batch { node: self.node.clone(), agent: self.agent, seq: self.seq, alerts, counters: changed };
        Ok(Some(UnderWay { batch, full, records, place }))
    }

    async fn read_spool(&mut self) -> Result<(), QueueError> {
        let spool = self.spool.clone();
        let (records, lost) = blocking(move || {
            let mut queue = spool.queue.lock();
            Ok((queue.read(BATCH_ALERTS)?, queue.lost()))
        })
        .await?;
        if lost > self.lost {
            self.shared.lose(lost - self.lost, "the disk gave back damaged records of the spool");
            self.lost = lost;
        }
        for record in records {
            match serde_json::from_slice::<Alert>(&record.payload) {
                Ok(alert) => self.read.push_back((record.sequence, record.payload.len(), alert)),
                Err(error) => self.shared.lose(1, &format!("a record of the spool is no alert: {error}")),
            }
        }
        Ok(())
    }

    /// What the next life of the agent should tell if this one ended now.
    fn to_save(&self) -> Saved {
        let counters = self.ledger.unkept(&(self.totals)());
        let mut saved = Saved { lives: self.before.clone() };
        if !counters.is_empty() {
            saved.lives.push(Life { agent: self.agent, seq: self.seq, counters });
        }
        saved
    }

    /// While the router is away: keeps what was counted, for the next life of the agent.
    async fn save_counters(&mut self) {
        let saved = self.to_save();
        if self.saved.as_ref() == Some(&saved) {
            return;
        }
        if let Err(error) = self.commit(None, saved).await {
            tracing::warn!(error = describe(&error), "the spool's checkpoint was not written");
        }
    }

    async fn commit(&mut self, place: Option<u64>, saved: Saved) -> Result<(), QueueError> {
        let (spool, shared) = (self.spool.clone(), self.shared.clone());
        self.saved = None;
        let wrote = saved.clone();
        blocking(move || {
            let state = serde_json::to_vec(&saved).unwrap_or_default();
            let mut queue = spool.queue.lock();
            let place = place.unwrap_or(queue.done());
            queue.commit(place, &state)?;
            shared.backlog.store(queue.waiting(), Ordering::Relaxed);
            Ok(())
        })
        .await?;
        self.saved = Some(wrote);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(QueueError::Io {
            action: "work on",
            path: PathBuf::from("the spool"),
            source: std::io::Error::other(error),
        })
    })
}
