//! How long to wait between attempts. Pure: randomness comes in as an argument.
use std::time::Duration;

/// Doubles from `base` to `cap`; the wait is a random half to whole of that, so that routes with one dead receiver do not
/// come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// From `base` to at most `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// The next wait. `random` is any number; its low bits are used.
    pub fn next(&mut self, random: u128) -> Duration {
        let whole = self.base.saturating_mul(1u32.checked_shl(self.attempt).unwrap_or(u32::MAX)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1).min(31);
        let half = whole / 2;
        let share = u32::try_from(random & 0xffff).unwrap_or(0);
        half + half.saturating_mul(share) / 0xffff
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }
}

/// A number for [`Backoff::next`].
#[must_use]
pub fn random() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_with_jitter_and_starts_again() {
        let mut b = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let least: Vec<_> = (0..6).map(|_| b.next(0).as_millis()).collect();
        assert_eq!(least, [500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(b.next(0xffff), Duration::from_secs(10));
        for _ in 0..100 {
            let wait = b.next(random());
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&wait));
        }
        b.reset();
        assert_eq!(b.next(0xffff), Duration::from_secs(1));
    }
}
