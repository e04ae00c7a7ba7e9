//! Tells of the API server's absence once, and of its return, however many attempts lie between.
use std::{
    error::Error,
    time::{Duration, Instant},
};

/// How often a lasting failure is told again.
const AGAIN: Duration = Duration::from_secs(300);

/// Whether one thing works at the moment.
pub(crate) struct Outage {
    what: &'static str,
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Outage {
    /// `what` cannot be done, or is done again.
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, since: None, told: None }
    }

    /// It failed once more. True when that was told to people.
    pub(crate) fn failed(&mut self, error: &dyn Error) -> bool {
        let (what, error) = (self.what, chain(error));
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.told.is_some_and(|told| told.elapsed() < AGAIN) {
            tracing::debug!(what, error, "still not");
            return false;
        }
        self.told = Some(Instant::now());
        tracing::warn!(
            what,
            error,
            for_s = since.elapsed().as_secs(),
            "does not work now; tried again, what is known stays"
        );
        true
    }

    /// It worked.
    pub(crate) fn works(&mut self) {
        if let Some(since) = self.since.take() {
            self.told = None;
            tracing::info!(what = self.what, after_s = since.elapsed().as_secs(), "works again");
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once_each() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        assert_eq!(chain(&Outer(refused)), "outer: refused");
    }
}
