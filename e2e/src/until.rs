//! Waiting for something to become true.
use anyhow::{Result, bail};
use std::{
    env,
    fmt::Display,
    time::{Duration, Instant},
};

/// A promised time, times EYAS_E2E_SLACK (default 1) for machines that do other work meanwhile.
#[must_use]
pub fn limit(seconds: f64) -> Duration {
    let slack = env::var("EYAS_E2E_SLACK").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    Duration::from_secs_f64(seconds * slack)
}

/// What a probe found.
pub enum Seen<T> {
    /// What was awaited.
    Yes(T),
    /// Not yet; how it looks instead, for the error.
    No(String),
}

impl<T> Seen<T> {
    /// `Yes` if the condition holds.
    pub fn when(holds: bool, value: T, else_says: impl Display) -> Self {
        if holds { Self::Yes(value) } else { Self::No(else_says.to_string()) }
    }
}

/// Asks every 20 ms until the probe says yes; the value and how long it took. After the limit: an error with what was seen last.
///
/// # Errors
/// The limit passed. Errors of the probe count as `No`: the API server may be away.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Seen<T>>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        let last = match probe().await {
            Ok(Seen::Yes(value)) => return Ok((value, start.elapsed())),
            Ok(Seen::No(instead)) => instead,
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}; last seen: {last}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
