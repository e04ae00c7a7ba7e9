//! Events that cannot be judged yet, since the metadata of their pod has not arrived.
use super::Armed;
use crate::process::Process;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an event waits at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Most events that wait.
const MAX_EVENTS: usize = 4096;
/// Most bytes of their records.
const MAX_BYTES: usize = 4 << 20;

/// An event that waits: the record, whose it is, and the rules that are undecided.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: Box<[u8]>,
    pub process: Arc<Process>,
    pub armed: Arc<Armed>,
    pub rules: Vec<usize>,
    pub number: u64,
    pub since: Instant,
    /// Version of the pod index that it was judged by.
    pub version: u64,
}

impl Held {
    /// Its last chance has come.
    pub fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= PATIENCE
    }
}

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Hold {
    events: VecDeque<Held>,
    bytes: usize,
}

impl Hold {
    /// Takes one more. Returns the oldest when there are too many: it must be judged by what is known.
    #[must_use]
    pub fn push(&mut self, held: Held) -> Option<Held> {
        self.bytes += held.bytes.len();
        self.events.push_back(held);
        let full = self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES;
        if full { self.pop() } else { None }
    }

    fn pop(&mut self) -> Option<Held> {
        let held = self.events.pop_front()?;
        self.bytes -= held.bytes.len();
        Some(held)
    }

    /// Takes out all whose answer may have changed: the index has another version, or their time is over.
    pub fn take(&mut self, version: u64, now: Instant) -> Vec<Held> {
        // All are judged by the same version, and the oldest is due first: usually nothing is to be done.
        if self.events.front().is_none_or(|h| !h.is_due(now)) && self.events.iter().all(|h| h.version == version) {
            return Vec::new();
        }
        let (take, keep): (Vec<_>, Vec<_>) = self.events.drain(..).partition(|h| h.version != version || h.is_due(now));
        self.events = keep.into();
        self.bytes = self.events.iter().map(|h| h.bytes.len()).sum();
        take
    }

    /// Takes out all.
    pub fn take_all(&mut self) -> Vec<Held> {
        self.bytes = 0;
        self.events.drain(..).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}
