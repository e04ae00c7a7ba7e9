//! Rates over the last minute from totals that only rise.
use std::collections::VecDeque;

/// Length of the window in milliseconds.
const SPAN: i64 = 60_000;
/// Most samples kept: one a second, and room.
const MAX_SAMPLES: usize = 128;

/// Totals at a few moments of the last minute.
#[derive(Debug, Default)]
pub(super) struct Window {
    samples: VecDeque<(i64, u64, u64)>,
}

/// What happened over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Events seen per second.
    pub per_second: f64,
    /// Lost / seen, 0 to 1.
    pub drop_ratio: f64,
    /// Events lost.
    pub lost: u64,
}

impl Window {
    /// Adds totals at a time in milliseconds of a clock that only goes forward. The oldest sample kept is the last one that is a whole window old.
    pub fn push(&mut self, now: i64, seen: u64, lost: u64) {
        self.samples.push_back((now, seen, lost));
        while self.samples.len() > MAX_SAMPLES || self.samples.get(1).is_some_and(|(t, ..)| now - t >= SPAN) {
            self.samples.pop_front();
        }
    }

    /// Over what is there; zero before the second sample.
    #[expect(clippy::cast_precision_loss, reason = "rates for people; counters stay far below 2^52 in a minute")]
    pub fn rates(&self) -> Rates {
        let (Some((t0, seen0, lost0)), Some((t1, seen1, lost1))) = (self.samples.front(), self.samples.back()) else {
            return Rates::default();
        };
        let (seen, lost) = (seen1.saturating_sub(*seen0), lost1.saturating_sub(*lost0));
        let seconds = (t1 - t0) as f64 / 1000.0;
        Rates {
            per_second: if seconds > 0.0 { seen as f64 / seconds } else { 0.0 },
            drop_ratio: if seen > 0 { (lost as f64 / seen as f64).min(1.0) } else { 0.0 },
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let mut w = Window::default();
        assert_eq!(w.rates(), Rates::default());
        w.push(0, 0, 0);
        w.push(1000, 1000, 500);
        assert!((w.rates().drop_ratio - 0.5).abs() < 1e-9 && (w.rates().per_second - 1000.0).abs() < 1e-9);
        for s in 2..200 {
            w.push(s * 1000, 1000, 500);
        }
        assert_eq!(w.rates(), Rates::default());
    }

    #[test]
    fn totals_that_go_backwards_are_no_rate() {
        let mut w = Window::default();
        w.push(0, 100, 10);
        w.push(1000, 50, 5);
        assert_eq!(w.rates(), Rates::default());
    }
}
