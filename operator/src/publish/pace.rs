//! When to compile and write: soon after the first change, and once a second while they keep coming.
use std::time::{Duration, Instant};

/// Waits this long for more of the same burst: one `kubectl apply -f folder` is many changes.
pub const SETTLE: Duration = Duration::from_millis(40);
/// Least time between two writes.
pub const APART: Duration = Duration::from_secs(1);
/// Longest wait after failed writes.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// Decides when the next write is due. Pure: times come from the caller.
#[derive(Debug, Default)]
pub struct Pace {
    due: Option<Instant>,
    last: Option<Instant>,
    failures: u32,
}

impl Pace {
    /// Something changed. What is due already stays due: a burst cannot put it off.
    pub fn changed(&mut self, now: Instant) {
        if self.due.is_none() {
            let earliest = self.last.map_or(now, |last| last + APART);
            self.due = Some(earliest.max(now + SETTLE));
        }
    }

    /// When to act next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to act now. If so, it is not due any more, and the time counts as that of a write.
    pub fn take(&mut self, now: Instant) -> bool {
        let take = self.due.is_some_and(|due| due <= now);
        if take {
            self.due = None;
            self.last = Some(now);
        }
        take
    }

    /// The write failed: again, each time later.
    pub fn failed(&mut self, now: Instant) {
        let wait = APART.saturating_mul(1 << self.failures.min(5)).min(MAX_BACK_OFF);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + wait);
    }

    /// The write worked.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_first_change_is_fast_and_a_burst_is_one_write_a_second() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut writes = Vec::new();
        // A change each 10 ms, for five seconds.
        for step in 0..500u32 {
            let now = start + Duration::from_millis(10) * step;
            pace.changed(now);
            if pace.take(now) {
                writes.push(now.duration_since(start));
            }
        }
        assert!(writes[0] < Duration::from_millis(100), "{writes:?}");
        assert_eq!(writes.len(), 5, "{writes:?}");
        assert!(writes.windows(2).all(|w| w[1] - w[0] >= APART), "{writes:?}");
    }

    #[test]
    fn nothing_is_due_without_a_change() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(!pace.take(now + APART));
        pace.changed(now);
        assert!(pace.take(now + SETTLE));
        assert!(!pace.take(now + APART * 10));
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_bound() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let wait = |pace: &mut Pace| {
            pace.failed(now);
            pace.due().unwrap().duration_since(now)
        };
        let waits: Vec<_> = (0..8).map(|_| wait(&mut pace)).collect();
        assert!(waits.windows(2).all(|w| w[0] <= w[1]), "{waits:?}");
        assert_eq!((waits[0], waits[7]), (APART, MAX_BACK_OFF));
        pace.changed(now);
        assert_eq!(pace.due().unwrap().duration_since(now), MAX_BACK_OFF, "changes do not shorten it");
        pace.succeeded();
        assert_eq!(wait(&mut pace), APART);
    }
}
