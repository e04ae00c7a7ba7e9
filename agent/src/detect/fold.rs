//! Folding: the first match of a fingerprint goes out at once, its repeats as one alert a second with a count.
//!
//! Invariant: the counts of the alerts that leave (and of those counted as lost) add up to the matches that came in.
use router::alert::Alert;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{Sender, error::TrySendError};

/// Least time between two alerts of one fingerprint.
const EVERY: Duration = Duration::from_secs(1);
/// How long a fingerprint that is quiet is remembered.
const IDLE: Duration = Duration::from_secs(10);
/// Most fingerprints at once (an entry is about 2 KiB with its alert).
const MAX_ENTRIES: usize = 4096;

#[derive(Debug)]
struct Entry {
    alert: Arc<Alert>,
    /// Matches not sent yet, and the times of the first and last of them.
    waiting: u64,
    first: i64,
    last: i64,
    sent: Option<Instant>,
    touched: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Folding {
    entries: HashMap<u64, Entry>,
    out: Sender<Arc<Alert>>,
    waiting: usize,
    lost: u64,
}

impl Folding {
    /// Alerts go to `out`; while it is full they wait here.
    #[must_use]
    pub fn new(out: Sender<Arc<Alert>>) -> Self {
        Self { entries: HashMap::new(), out, waiting: 0, lost: 0 }
    }

    /// A match of fingerprint `key`. `make` is called only when its alert is needed.
    pub fn matched(&mut self, key: u64, time: i64, now: Instant, make: impl FnOnce() -> Alert) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.touched = now;
            if entry.waiting == 0 {
                if entry.sent.is_some_and(|at| now.duration_since(at) >= EVERY) {
                    // Quiet for a second: what people see is this match, not the first one.
                    entry.alert = Arc::new(make());
                }
                (entry.waiting, entry.first, entry.last) = (1, time, time);
                self.waiting += 1;
            } else {
                entry.waiting += 1;
                entry.last = entry.last.max(time);
            }
        } else {
            if self.entries.len() >= MAX_ENTRIES {
                self.make_room(now);
            }
            let alert = Arc::new(make());
            if self.entries.len() >= MAX_ENTRIES {
                self.pass(alert);
                return;
            }
            let entry = Entry { alert, waiting: 1, first: time, last: time, sent: None, touched: now };
            self.entries.insert(key, entry);
            self.waiting += 1;
        }
        self.send(key, now);
    }

    /// Without an entry: sent now or never.
    fn pass(&mut self, alert: Arc<Alert>) {
        if self.out.try_send(alert).is_err() {
            self.lost += 1;
        }
    }

    fn send(&mut self, key: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.waiting == 0 || entry.sent.is_some_and(|at| now.duration_since(at) < EVERY) {
            return;
        }
        let alert = if entry.sent.is_none() && entry.waiting == 1 {
            Arc::clone(&entry.alert)
        } else {
            Arc::new(Alert {
                id: uuid::Uuid::new_v4(),
                time: entry.first,
                last_time: entry.last,
                count: entry.waiting,
                ..Alert::clone(&entry.alert)
            })
        };
        let count = alert.count;
        match self.out.try_send(alert) {
            Ok(()) => {}
            // It waits, and takes repeats in.
            Err(TrySendError::Full(_)) => return,
            Err(TrySendError::Closed(_)) => self.lost += count,
        }
        (entry.waiting, entry.sent) = (0, Some(now));
        self.waiting -= 1;
    }

    /// Sends what is due and forgets who is quiet.
    pub fn tick(&mut self, now: Instant) {
        if self.waiting > 0 {
            let due: Vec<u64> = self.entries.iter().filter(|(_, e)| e.waiting > 0).map(|(k, _)| *k).collect();
            due.into_iter().for_each(|key| self.send(key, now));
        }
        self.entries.retain(|_, e| e.waiting > 0 || now.duration_since(e.touched) < IDLE);
    }

    /// Sends everything whose second is not over, too, and forgets whoever then has nothing waiting.
    fn make_room(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.sent = entry.sent.filter(|at| entry.waiting == 0 || now.duration_since(*at) >= EVERY);
        }
        let keys: Vec<u64> = self.entries.keys().copied().collect();
        keys.into_iter().for_each(|key| self.send(key, now));
        self.entries.retain(|_, e| e.waiting > 0);
    }

    /// At the end: everything goes out; waits at most `patience` for a reader.
    pub fn finish(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            self.make_room(Instant::now());
            if self.entries.is_empty() {
                return;
            }
            if Instant::now() >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.lost += self.entries.drain().map(|(_, e)| e.waiting).sum::<u64>();
        self.waiting = 0;
    }

    /// Moves what was lost to a counter.
    pub fn report_lost(&mut self, to: &AtomicU64) {
        to.fetch_add(std::mem::take(&mut self.lost), Relaxed);
    }
}
