//! Leadership by a `coordination.k8s.io` Lease: one operator acts at a time.
//!
//! ```text
//! keeper (I/O, every RETRY): read the Lease -> Observer::decide (pure) -> write it, with its resourceVersion -> leading
//! ```
//! Invariants: whether another holder is alive is judged by *our* clock, from when we last saw the Lease change, so that
//! clocks of two machines need not agree; a leader that could not renew for RENEW_WITHIN stops leading before anyone
//! else may start (RENEW_WITHIN < DURATION); a stop gives the Lease back, so that the next one starts at once.
mod keeper;

pub use keeper::{Keeper, LeaseError};

use std::time::{Duration, Instant};

/// How long a holder keeps the Lease without renewing it.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on leading without having been able to renew.
pub const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// How often the Lease is looked at and renewed.
pub const RETRY: Duration = Duration::from_secs(2);

/// The Lease as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `spec.holderIdentity`; empty when nobody holds it.
    pub holder: String,
    /// `spec.leaseDurationSeconds`, of the holder's choosing.
    pub duration: Duration,
    /// Changes with every write.
    pub version: String,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: create it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// Its holder is gone: take it over.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// Remembers when the Lease was last seen to change.
#[derive(Debug)]
pub struct Observer {
    identity: String,
    last: Option<(String, Instant)>,
}

impl Observer {
    /// For this holder.
    #[must_use]
    pub fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), last: None }
    }

    /// What to do about the Lease as it is now.
    pub fn decide(&mut self, seen: Option<&Seen>, now: Instant) -> Decision {
        let Some(seen) = seen else { return Decision::Create };
        if seen.holder == self.identity {
            return Decision::Renew;
        }
        if seen.holder.is_empty() {
            return Decision::Take;
        }
        match &self.last {
            Some((version, since)) if *version == seen.version => {
                if now.duration_since(*since) >= seen.duration {
                    Decision::Take
                } else {
                    Decision::Wait
                }
            }
            _ => {
                self.last = Some((seen.version.clone(), now));
                Decision::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, version: &str) -> Seen {
        Seen { holder: by.to_owned(), duration: DURATION, version: version.to_owned() }
    }

    #[test]
    fn a_free_lease_is_taken_and_ones_own_is_renewed() {
        let now = Instant::now();
        let mut me = Observer::new("me");
        assert_eq!(me.decide(None, now), Decision::Create);
        assert_eq!(me.decide(Some(&held("", "1")), now), Decision::Take, "given back");
        assert_eq!(me.decide(Some(&held("me", "1")), now), Decision::Renew, "also after a restart under the same name");
    }

    #[test]
    fn another_holder_is_waited_for_as_long_as_it_renews() {
        let start = Instant::now();
        let mut me = Observer::new("me");
        for renewal in 0..20u32 {
            let now = start + Duration::from_secs(5) * renewal;
            assert_eq!(me.decide(Some(&held("you", &renewal.to_string())), now), Decision::Wait);
        }
    }

    #[test]
    fn a_holder_that_does_not_renew_is_taken_over_after_its_duration_and_not_before() {
        let start = Instant::now();
        let mut me = Observer::new("me");
        assert_eq!(me.decide(Some(&held("you", "1")), start), Decision::Wait, "however old it says that it is");
        let short = DURATION.checked_sub(Duration::from_millis(1)).unwrap_or(DURATION);
        assert_eq!(me.decide(Some(&held("you", "1")), start + short), Decision::Wait);
        assert_eq!(me.decide(Some(&held("you", "1")), start + DURATION), Decision::Take);
    }

    const _: () = assert!(RENEW_WITHIN.as_secs() + 2 * RETRY.as_secs() < DURATION.as_secs());
}
