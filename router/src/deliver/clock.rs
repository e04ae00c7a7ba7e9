//! The wall clock: stamps must mean the same after a restart.

/// Milliseconds since 1970; 0 for a clock set before.
#[must_use]
pub fn millis() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
