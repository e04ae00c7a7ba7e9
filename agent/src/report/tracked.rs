//! When one report is written. Times in milliseconds since 1970.
use super::{book::Book, limits::Limits};
use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

/// First wait after a failed write; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// A book and its writes.
#[derive(Default)]
pub(super) struct Tracked {
    pub book: Book,
    /// Rises with each change.
    pub version: u64,
    /// The version that the API has.
    pub stored: u64,
    /// It is in the API.
    pub exists: bool,
    pub in_flight: bool,
    /// When the last write began.
    pub wrote_at: Option<i64>,
    /// Since when something waits to be written.
    pub dirty_since: i64,
    pub failures: u32,
    pub not_before: i64,
    /// There is a result that the API has not seen at all.
    pub urgent: bool,
    /// Writes ahead of the spacing, and when the last of them came back.
    pub ahead: u32,
    pub ahead_since: i64,
}

impl Tracked {
    /// The API does not have it as it is.
    pub fn dirty(&self) -> bool {
        self.version != self.stored
    }

    /// A write begins at `now`: pays for it when it is ahead of the spacing.
    pub fn begin(&mut self, now: i64, limits: &Limits) {
        let early = self.wrote_at.is_some_and(|at| now < at + millis(limits.spacing));
        let returned = (now - self.ahead_since).max(0) / millis(limits.credit_every);
        if returned > 0 || self.ahead == 0 {
            self.ahead = self.ahead.saturating_sub(u32::try_from(returned).unwrap_or(u32::MAX));
            self.ahead_since = now;
        }
        self.ahead += u32::from(early);
        self.urgent = false;
        self.in_flight = true;
        self.wrote_at = Some(now);
    }

    /// When it may be written next by the spacing, or sooner with a new result.
    fn spaced(&self, limits: &Limits) -> i64 {
        let Some(at) = self.wrote_at else { return i64::MIN };
        let regular = at + millis(limits.spacing);
        if !self.urgent {
            return regular;
        }
        let soon = at + millis(limits.urgent);
        let credit = self.ahead_since + millis(limits.credit_every);
        if self.ahead < limits.credits { soon } else { soon.max(credit).min(regular) }
    }

    /// It changed.
    pub fn touch(&mut self, now: i64) {
        if !self.dirty() {
            self.dirty_since = now;
        }
        self.version += 1;
    }
}

/// When a report may be written next; `None` while it is under way or there is nothing to write.
pub(super) fn ready_at(tracked: &Tracked, limits: &Limits) -> Option<i64> {
    if tracked.in_flight {
        return None;
    }
    let spaced = tracked.spaced(limits).max(tracked.not_before);
    let deletion = tracked.book.gone_at.map(|at| (at + millis(limits.keep)).max(tracked.not_before));
    if tracked.dirty() { Some(deletion.map_or(spaced, |at| at.min(spaced))) } else { deletion }
}

/// In milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Doubled each time up to the limit, less up to a quarter that differs by who waits, so that nodes do not come in step.
pub(super) fn backoff(failures: u32, who: &str, limits: &Limits) -> i64 {
    let full = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits.backoff);
    let mut hash = DefaultHasher::new();
    (who, failures).hash(&mut hash);
    let full = millis(full);
    full - full / 4 * i64::from(hash.finish() as u8) / 255
}
