//! One route's loop: queue to groups to destination.
//!
//! ```text
//! fill: read records -> group (by the records' own times) -> outbox      bounded: reading stops while the outbox is full
//! send: first of the outbox -> destination -> again after back-off | done
//! save: checkpoint { totals, groups, outbox } at the queue's place, at most each SAVE_EVERY and when idle
//! ```
//! Invariants: what was read is in the checkpointed state or read again; a message keeps its id until it is done; messages of
//! one route go out in order; nothing here waits on another route.
use super::{
    backoff::{self, Backoff},
    clock,
    status::{Board, Totals},
};
use crate::{
    alert::Alert,
    destination::{Progress, Sender, Verdict},
    group::{self, Grouper, Grouping, Message},
    queue::{Queue, QueueError},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Alerts in the outbox above which no more is read from disk.
const MAX_OUTBOX: usize = 256;
/// Least time between two checkpoints under load: at most this much is sent twice after a kill.
const SAVE_EVERY: Duration = Duration::from_millis(200);
/// How long a stop waits for the request under way.
const GRACE: Duration = Duration::from_secs(5);
const BACKOFF_BASE: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(10);

/// A queue that the taker of alerts and the worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub queue: Mutex<Queue>,
    /// Something was appended.
    pub news: Notify,
}

/// What stands in the queue's checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub totals: Totals,
    /// The grouping that `groups` was made by, as text.
    grouping: String,
    groups: group::State,
    outbox: VecDeque<Message>,
    /// Alerts of the first message that are dealt with.
    delivered: usize,
    refused: usize,
}

impl Saved {
    /// From a checkpoint's bytes; nothing of it if they are not ours (the alerts before are then done).
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        serde_json::from_slice(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the checkpoint of a route's queue cannot be read: its groups start empty");
            Self::default()
        })
    }
}

/// See the module.
pub(super) struct Worker {
    shared: Arc<Shared>,
    board: Board,
    sender: Sender,
    grouper: Grouper,
    grouping: String,
    outbox: VecDeque<Message>,
    progress: Progress,
    backoff: Backoff,
    retry_at: Option<Instant>,
    dirty: bool,
    saved_at: Instant,
    /// Records lost to damage that are already counted as failed.
    lost: u64,
    caught_up: bool,
    stop: CancellationToken,
}

impl Worker {
    pub fn new(
        shared: Arc<Shared>,
        board: Board,
        sender: Sender,
        grouping: Option<Grouping>,
        saved: Saved,
        stop: CancellationToken,
    ) -> Self {
        let by = format!("{grouping:?}");
        let changed = saved.grouping != by && !saved.grouping.is_empty();
        let mut outbox = saved.outbox;
        if changed {
            // Held under other rules: it goes out now rather than never.
            let mut old = Grouper::new(Some(Grouping::default()), saved.groups.clone());
            old.flush_all(clock::millis());
            outbox.extend(std::iter::from_fn(|| old.poll(0)));
        }
        Self {
            board,
            sender,
            grouper: Grouper::new(grouping, if changed { group::State::default() } else { saved.groups }),
            grouping: by,
            outbox,
            progress: Progress { delivered: saved.delivered, refused: saved.refused },
            backoff: Backoff::new(BACKOFF_BASE, BACKOFF_CAP),
            retry_at: None,
            dirty: changed,
            saved_at: Instant::now(),
            lost: {
                // A worker before this one may have read on from its last checkpoint.
                let mut queue = shared.queue.lock();
                queue.rewind();
                queue.lost()
            },
            shared,
            caught_up: false,
            stop,
        }
    }

    /// Works until stopped; then leaves everything in the checkpoint.
    pub async fn run(mut self) {
        loop {
            let failed = match self.fill().await {
                Ok(()) => self.save(false).await.err(),
                Err(error) => Some(error),
            };
            if let Some(error) = &failed {
                self.board.error(Some(&with_cause(error)));
                tracing::error!(route = self.board.route(), error = %with_cause(error), "a route's queue cannot be used; trying again");
                self.retry_at = Some(Instant::now() + self.backoff.next(backoff::random()));
            }
            if self.stop.is_cancelled() {
                break;
            }
            if self.outbox.is_empty() && failed.is_none() {
                self.retry_at = None;
            }
            if !self.outbox.is_empty() && self.retry_at.is_none_or(|at| at <= Instant::now()) {
                if self.send().await.is_break() {
                    break;
                }
            } else {
                self.wait().await;
            }
        }
        if let Err(error) = self.save(true).await {
            tracing::warn!(route = self.board.route(), error = %with_cause(&error), "a route's place was not saved; some alerts will be sent again");
        }
    }

    /// Reads what there is room for and moves what is due to the outbox.
    async fn fill(&mut self) -> Result<(), QueueError> {
        loop {
            let room = MAX_OUTBOX.saturating_sub(self.outbox.iter().map(|m| m.alerts.len()).sum());
            if room == 0 {
                break;
            }
            // Taken before reading: what is appended later carries a later stamp, so it does not belong to what is due now.
            let now = clock::millis();
            let shared = self.shared.clone();
            let (records, lost, caught_up) = blocking(move || {
                let mut queue = shared.queue.lock();
                let records = queue.read(room)?;
                Ok((records, queue.lost(), queue.is_caught_up()))
            })
            .await?;
            if lost > self.lost {
                self.board.failed(lost - self.lost, "the disk gave back damaged records; they are lost");
                self.lost = lost;
                self.dirty = true;
            }
            self.caught_up = caught_up;
            let empty = records.is_empty();
            for record in records {
                self.collect(record.stamp);
                match serde_json::from_slice::<Alert>(&record.payload) {
                    Ok(alert) => self.grouper.offer(record.stamp, alert),
                    Err(error) => self.board.failed(1, &format!("a record of the queue is no alert: {error}")),
                }
                self.collect(record.stamp);
                self.dirty = true;
            }
            if caught_up {
                self.collect(now);
            }
            if empty || caught_up {
                break;
            }
        }
        self.show_backlog();
        Ok(())
    }

    fn collect(&mut self, now: u64) {
        while let Some(message) = self.grouper.poll(now) {
            self.outbox.push_back(message);
            self.dirty = true;
        }
    }

    fn show_backlog(&self) {
        let unread = self.shared.queue.lock().unread();
        let in_hand = self.outbox.iter().map(|m| m.alerts.len()).sum::<usize>().saturating_sub(self.progress.done());
        self.board.backlog(unread + in_hand as u64);
    }

    async fn send(&mut self) -> std::ops::ControlFlow<()> {
        let Some(message) = self.outbox.front() else { return std::ops::ControlFlow::Continue(()) };
        let before = self.progress;
        let now = clock::millis();
        let sending = self.sender.send(message, &mut self.progress, now / 1000);
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let result = tokio::select! {
            result = sending => Some(result),
            () = stopped => None,
        };
        let delivered = self.progress.delivered - before.delivered;
        if delivered > 0 {
            self.board.delivered(delivered as u64, clock::millis());
        }
        self.dirty |= self.progress != before;
        match result {
            None => return std::ops::ControlFlow::Break(()),
            Some(Ok(())) => {
                self.board.error(None);
                self.backoff.reset();
                self.retry_at = None;
                self.done();
            }
            Some(Err(failure)) => match failure.verdict {
                Verdict::Refused => {
                    let refused = self.progress.refused - before.refused;
                    tracing::warn!(route = self.board.route(), error = %failure, alerts = refused, id = %message.id, "a destination refused alerts for good");
                    self.board.failed(refused as u64, &failure.message);
                    self.backoff.reset();
                    if self.progress.done() >= message.alerts.len() {
                        self.done();
                    }
                }
                Verdict::Retry(least) => {
                    self.board.retried(&failure.message);
                    if self.backoff.attempts() == 0 {
                        tracing::warn!(route = self.board.route(), error = %failure, "a destination takes no alerts; they wait on disk");
                    }
                    let wait = self.backoff.next(backoff::random()).max(least);
                    self.retry_at = Some(Instant::now() + wait);
                }
            },
        }
        self.show_backlog();
        std::ops::ControlFlow::Continue(())
    }

    fn done(&mut self) {
        self.outbox.pop_front();
        self.progress = Progress::default();
        self.dirty = true;
    }

    /// Writes the checkpoint when something changed and it is time, or `force`.
    async fn save(&mut self, force: bool) -> Result<(), QueueError> {
        if !self.dirty || (!force && self.saved_at.elapsed() < SAVE_EVERY) {
            return Ok(());
        }
        let saved = Saved {
            totals: self.board.get().totals,
            grouping: self.grouping.clone(),
            groups: self.grouper.state().clone(),
            outbox: self.outbox.clone(),
            delivered: self.progress.delivered,
            refused: self.progress.refused,
        };
        let shared = self.shared.clone();
        blocking(move || {
            let state = serde_json::to_vec(&saved).unwrap_or_default();
            let mut queue = shared.queue.lock();
            let place = queue.position();
            queue.commit(place, &state)
        })
        .await?;
        self.dirty = false;
        self.saved_at = Instant::now();
        Ok(())
    }

    /// Sleeps until there is something to do.
    async fn wait(&self) {
        let mut until = self.retry_at;
        let mut earlier = |at: Instant| until = Some(until.map_or(at, |u| u.min(at)));
        if self.caught_up
            && let Some(due) = self.grouper.next_due()
        {
            earlier(Instant::now() + Duration::from_millis(due.saturating_sub(clock::millis()).max(1)));
        }
        if self.dirty {
            earlier(self.saved_at + SAVE_EVERY);
        }
        let timer = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = self.shared.news.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // Only when the runtime shuts down.
        Err(error) => Err(QueueError::Io {
            action: "work on",
            path: std::path::PathBuf::from("the queue"),
            source: std::io::Error::other(error),
        }),
    }
}

/// An error with what caused it, in one line.
pub(super) fn with_cause(error: &QueueError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
