//! One agent at a time tells what happens on a node, and the next one takes over without a gap.
//!
//! Agents with the same `--state` folder take a lock in it. Who holds it *watches*. A second one *stands by*: it arms, proves its
//! hooks and keeps process state, but gives out nothing; what it matches it holds back (`detect::aside`).
//!
//! ```text
//! SIGTERM -> the one that watches fixes T, a little ahead ── T ──> stops the flow, tells all up to T, finishes its sinks,
//!                                                                  leaves a Note (T, what it saw around T), ends: the lock is free
//! the one that stands by: holds back ........................................................ has the lock: drops what was
//!                                                                  told up to T, gives out the rest, opens its own sinks
//! ```
//! Both sides stamp an event with a time of their own, as each has its own programs. So around T ([`AROUND`]) the note names
//! the events that were told, and only those are dropped. Without a note (a kill) all is given out since the last sign of life:
//! told twice rather than not at all.
//!
//! Invariants: who stands by writes nothing into the folder but its lock; an event up to T is told by the one that left, a
//! later one by the one that stays; what was held back and had to be given up is counted.
mod cut;
mod lock;
mod note;
mod wait;

pub use cut::Cut;
pub use lock::{Lock, LockError, Taken, stands_by};
pub(crate) use note::boot_id;
pub use note::{MAX_EVENTS, Note, mark};
pub use wait::{TookOver, stand_by};

use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How far apart the two times of one event may be: what the kernel does between two programs of one tracepoint, also where
/// something else gets the processor meanwhile.
pub const AROUND: Duration = Duration::from_millis(50);
/// How long a match may be on its way to where it survives a kill: folded for a second, and some.
pub const ON_ITS_WAY: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
struct Inner {
    standing_by: AtomicBool,
    ending: AtomicU64,
    cut: Mutex<Option<Cut>>,
    keep_from: AtomicU64,
    read_until: AtomicU64,
    held: AtomicU64,
}

/// Whether this agent watches or stands by; shared by all of its parts. Cheap to clone. Times are nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug, Default)]
pub struct Duty(Arc<Inner>);

impl Duty {
    /// An agent that stands by until [`Self::take_over`]. [`Self::default`] watches.
    #[must_use]
    pub fn standing() -> Self {
        let duty = Self::default();
        duty.0.standing_by.store(true, Ordering::Release);
        duty
    }

    /// Whether another one watches, so that nothing may be given out.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        self.0.standing_by.load(Ordering::Acquire)
    }

    /// From now on this agent watches: what `cut` says was told is dropped.
    pub fn take_over(&self, cut: Cut) {
        *self.0.cut.lock() = Some(cut);
        self.0.standing_by.store(false, Ordering::Release);
    }

    /// For the detector, once, after [`Self::take_over`].
    #[must_use]
    pub fn take_cut(&self) -> Option<Cut> {
        self.0.cut.lock().take()
    }

    /// Events after `time` are the next agent's. To be called before that time has come.
    pub fn end_at(&self, time: u64) {
        self.0.ending.store(time, Ordering::Release);
    }

    /// After which time events are the next agent's; 0: none are.
    #[must_use]
    pub fn ending(&self) -> u64 {
        self.0.ending.load(Ordering::Acquire)
    }

    /// What was matched before this has arrived, as far as the one that watches says.
    pub fn keep_from(&self, time: u64) {
        self.0.keep_from.store(time, Ordering::Relaxed);
    }

    pub(crate) fn kept_from(&self) -> u64 {
        self.0.keep_from.load(Ordering::Relaxed)
    }

    /// The ring was read to its end at this time.
    pub fn read(&self, time: u64) {
        self.0.read_until.store(time, Ordering::Relaxed);
    }

    /// Until when everything was read; 0: nothing yet.
    #[must_use]
    pub fn read_until(&self) -> u64 {
        self.0.read_until.load(Ordering::Relaxed)
    }

    /// How many events are held back (a gauge).
    pub fn holds(&self, events: usize) {
        self.0.held.store(events as u64, Ordering::Relaxed);
    }

    /// The same, to be told.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }
}

/// Nanoseconds, at most what fits.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
