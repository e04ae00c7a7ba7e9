//! Every bound of this module in one place.
use std::time::Duration;

/// Bounds of reports. `Default` is what runs; tests make them small.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most results in a report.
    pub results: usize,
    /// Most results of all reports together: they are held in memory at about 2 KiB each.
    pub all_results: usize,
    /// Most reports: pods with findings, those gone for less than a day included.
    pub reports: usize,
    /// Most bytes of a report's results in JSON. etcd takes 1.5 MiB an object; half a MiB leaves readers room.
    pub bytes: usize,
    /// Least time between two writes of one report that only raise counts.
    pub spacing: Duration,
    /// Least time between two writes when there is a new result: a first match shall be seen within a second.
    pub urgent: Duration,
    /// How many such writes may be ahead of the spacing; one comes back each `credit_every`.
    pub credits: u32,
    /// See `credits`.
    pub credit_every: Duration,
    /// How long a report is kept after its pod is gone.
    pub keep: Duration,
    /// Longest wait after failed writes.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            results: 200,
            all_results: 10_000,
            reports: 2_000,
            bytes: 480 * 1024,
            spacing: Duration::from_secs(5),
            urgent: Duration::from_millis(500),
            credits: 3,
            credit_every: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 3600),
            backoff: Duration::from_secs(30),
        }
    }
}

/// Longest message, in bytes, mark included.
pub(super) const MESSAGE: usize = 1000;
/// Longest property value, in bytes, mark included.
pub(super) const VALUE: usize = 250;
/// Most bytes of keys and values that the output's fields take in one result.
pub(super) const FIELDS: usize = 900;
/// Longest part of a pod's name in the name of its report.
pub(super) const NAME: usize = 200;
