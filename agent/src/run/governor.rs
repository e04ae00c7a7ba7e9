//! What the agent itself costs, and how it keeps to a budget: over it, low priorities are shed in the kernel, one level at a time.
//!
//! ```text
//! process CPU clock -> Meter (last minute) -> Governor (budget) -> Probe::set_shed_level -> status, metrics
//! ```
//! Invariant: what rules of Warning and above want is never shed for the budget (the highest level keeps it).
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The span that is told.
const MINUTE: Duration = Duration::from_secs(60);
/// Least time between samples.
const EVERY: Duration = Duration::from_millis(400);
/// Over which span what is used is compared with the budget.
const LATELY: Duration = Duration::from_secs(1);
/// How long the budget must be exceeded without a break for one more level.
const RAISE_AFTER: Duration = Duration::from_secs(3);
/// How long there must be room for one level less, the first time.
const LOWER_AFTER: Duration = Duration::from_secs(5);
/// The same at the most, when levels that were taken back had to be set again.
const LOWER_AT_MOST: Duration = Duration::from_secs(160);
/// Share of the budget below which a level is taken back.
const ROOM: f64 = 0.8;
/// Highest level: what only rules under Warning want is shed.
const MAX_LEVEL: u8 = 3;

/// What the agent used so far, at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    used: Duration,
}

/// Processor time over the last minute.
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<Sample>);

impl Meter {
    /// Takes a sample when it is time.
    pub fn sample(&mut self, at: Instant, used: Duration) {
        if self.0.back().is_some_and(|last| at.duration_since(last.at) < EVERY) {
            return;
        }
        self.0.push_back(Sample { at, used });
        // The oldest one kept is a whole minute old.
        while self.0.get(1).is_some_and(|next| at.duration_since(next.at) >= MINUTE) {
            self.0.pop_front();
        }
    }

    /// Percent of one core over the last minute, or as long as there are samples.
    pub fn percent(&self) -> f64 {
        self.0.front().map_or(0.0, |first| self.since(*first))
    }

    /// The same over a shorter span; `None` before it has passed.
    fn over(&self, span: Duration) -> Option<f64> {
        let last = self.0.back()?;
        let first = self.0.iter().rev().find(|s| last.at.duration_since(s.at) >= span)?;
        Some(self.since(*first))
    }

    fn since(&self, first: Sample) -> f64 {
        let Some(last) = self.0.back() else { return 0.0 };
        let time = last.at.duration_since(first.at).as_secs_f64();
        if time > 0.0 { last.used.saturating_sub(first.used).as_secs_f64() / time * 100.0 } else { 0.0 }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Governor {
    /// Percent of one core.
    budget: f64,
    level: u8,
    over_since: Option<Instant>,
    changed: Instant,
    lowered: Option<Instant>,
    patience: Duration,
}

impl Governor {
    pub fn new(budget: f64, now: Instant) -> Self {
        Self { budget, level: 0, over_since: None, changed: now, lowered: None, patience: LOWER_AFTER }
    }

    /// The level of shedding in force.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Looks at what was used lately; the level to set when it is another one.
    pub fn step(&mut self, meter: &Meter, now: Instant) -> Option<u8> {
        let since = now.saturating_duration_since(self.changed);
        self.over_since = match meter.over(LATELY) {
            Some(percent) if percent > self.budget => self.over_since.or(Some(now)),
            _ => None,
        };
        let over = self.over_since.is_some_and(|at| now.saturating_duration_since(at) >= RAISE_AFTER);
        if over && self.level < MAX_LEVEL && since >= RAISE_AFTER {
            // The room that there was came of the shedding itself.
            if self.lowered.is_some_and(|at| now.saturating_duration_since(at) < 2 * self.patience) {
                self.patience = (self.patience * 2).min(LOWER_AT_MOST);
            }
            return self.set(self.level + 1, now);
        }
        let room = meter.over(LOWER_AFTER).is_some_and(|percent| percent < self.budget * ROOM);
        if room && self.level > 0 && since >= self.patience {
            self.lowered = Some(now);
            return self.set(self.level - 1, now);
        }
        if self.level == 0 && since > 2 * LOWER_AT_MOST {
            self.patience = LOWER_AFTER;
        }
        None
    }

    fn set(&mut self, level: u8, now: Instant) -> Option<u8> {
        (self.level, self.changed) = (level, now);
        Some(level)
    }
}

/// Processor time, user and system, of all threads so far.
pub(super) fn used() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(t.tv_sec).unwrap_or_default(), u32::try_from(t.tv_nsec).unwrap_or_default());
    Duration::new(seconds, nanos)
}

/// Resident memory in bytes (the second number of /proc/self/statm, in pages); 0 where it cannot be read.
pub(super) fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    pages.saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-second steps at a share of one core; the levels that were set, each with the second.
    struct Run {
        meter: Meter,
        governor: Governor,
        start: Instant,
        now: Instant,
        used: Duration,
        set: Vec<(u64, u8)>,
    }

    impl Run {
        fn new(budget: f64) -> Self {
            let now = Instant::now();
            let meter = Meter::default();
            Self { meter, governor: Governor::new(budget, now), start: now, now, used: Duration::ZERO, set: Vec::new() }
        }

        fn run(&mut self, seconds: u64, percent: impl Fn(u8) -> u32) {
            for _ in 0..2 * seconds {
                self.now += Duration::from_millis(500);
                self.used += Duration::from_millis(5) * percent(self.governor.level());
                self.meter.sample(self.now, self.used);
                if let Some(level) = self.governor.step(&self.meter, self.now) {
                    self.set.push((self.now.duration_since(self.start).as_secs(), level));
                }
            }
        }
    }

    #[test]
    fn over_the_budget_levels_rise_one_by_one_and_are_taken_back() {
        let mut run = Run::new(10.0);
        run.run(60, |_| 9);
        assert_eq!(run.set, [], "within the budget");
        run.run(2, |_| 50);
        run.run(10, |_| 2);
        assert_eq!(run.set, [], "a short burst costs nothing");
        run.run(30, |_| 30);
        assert_eq!(run.set.iter().map(|(_, level)| *level).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(run.set.windows(2).all(|w| w[1].0 - w[0].0 >= 3), "{:?}", run.set);
        run.set.clear();
        run.run(60, |_| 9);
        assert_eq!(run.set, [], "too near to the budget to take anything back");
        run.run(120, |_| 1);
        assert_eq!(run.set.iter().map(|(_, level)| *level).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn shedding_that_makes_its_own_room_is_taken_back_ever_more_rarely() {
        let mut run = Run::new(10.0);
        run.run(600, |level| if level == 3 { 1 } else { 40 });
        let lowered: Vec<u64> = run.set.windows(2).filter(|w| w[1].1 < w[0].1).map(|w| w[1].0).collect();
        assert!((3..=8).contains(&lowered.len()), "{:?}", run.set);
        let waits: Vec<u64> = lowered.windows(2).map(|w| w[1] - w[0]).collect();
        // Whole seconds are told.
        assert!(waits.windows(2).all(|w| w[1] + 1 >= w[0]) && waits.last() > Some(&60), "{waits:?}");
    }

    #[test]
    fn a_meter_tells_the_last_minute_only() {
        let mut run = Run::new(1000.0);
        run.run(60, |_| 100);
        assert!((run.meter.percent() - 100.0).abs() < 0.1);
        run.run(61, |_| 0);
        assert!(run.meter.percent() < 0.1 && run.meter.0.len() < 130);
        let (before, spun) = (used(), Instant::now());
        while spun.elapsed() < Duration::from_millis(20) {}
        assert!(used() > before && resident() > 1 << 20);
    }
}
