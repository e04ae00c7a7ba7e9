//! Where messages go: one folder per kind, each `config` (checked settings), `request` (pure: message to bytes), `service`
//! (the I/O) and `tests`.
//!
//! ```text
//! OutputRoute spec -> Config -> Sender --send(message)--> done | Failure { retry or refused }
//! ```
//! A new kind is a folder, a variant of [`Config`] and of [`Sender`].
use crate::group::Message;
use std::time::Duration;

pub mod stdout;
pub mod webhook;

/// Something that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// A destination's settings, checked, with its secrets.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// A line per alert.
    Stdout(stdout::Config),
    /// An HTTP POST per message.
    Webhook(Box<webhook::Config>),
    /// It cannot be used as it stands (a Secret is missing): alerts wait in the queue, this is why.
    Unavailable(String),
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For status and logs: bounded, without secrets.
    pub message: String,
    /// Again, or never.
    pub verdict: Verdict,
}

/// What to do with a message that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, not before this time has passed.
    Retry(Duration),
    /// The destination will never take these bytes: give this part up, count it.
    Refused,
}

impl Failure {
    /// To be tried again after the back-off.
    #[must_use]
    pub fn retry(message: impl Into<String>) -> Self {
        Self { message: message.into(), verdict: Verdict::Retry(Duration::ZERO) }
    }
}

/// How far a message got: a retry goes on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Alerts of the message that the destination took.
    pub delivered: usize,
    /// Alerts that it refused for good.
    pub refused: usize,
}

impl Progress {
    /// Alerts dealt with.
    #[must_use]
    pub fn done(&self) -> usize {
        self.delivered + self.refused
    }
}

/// A destination that can be sent to.
#[derive(Debug)]
pub enum Sender {
    /// See [`stdout`].
    Stdout(stdout::Service),
    /// See [`webhook`].
    Webhook(Box<webhook::Service>),
    /// See [`Config::Unavailable`].
    Unavailable(String),
}

impl Sender {
    /// Makes a destination's client. What cannot be made is unavailable and says why.
    #[must_use]
    pub fn new(config: &Config, route: &str) -> Self {
        match config {
            Config::Stdout(config) => Self::Stdout(stdout::Service::new(config)),
            Config::Webhook(config) => match webhook::Service::new(config, route) {
                Ok(service) => Self::Webhook(Box::new(service)),
                Err(error) => Self::Unavailable(error.to_string()),
            },
            Config::Unavailable(why) => Self::Unavailable(why.clone()),
        }
    }

    /// Sends a message, or the rest of it. `now` is seconds since 1970.
    ///
    /// # Errors
    /// [`Failure`]; `progress` then says how far it got. [`Verdict::Refused`] is about the part that came next, which is
    /// already counted in `progress`: call again for the rest.
    pub async fn send(&mut self, message: &Message, progress: &mut Progress, now: u64) -> Result<(), Failure> {
        match self {
            Self::Stdout(service) => service.send(message, progress).await,
            Self::Webhook(service) => service.send(message, progress, now).await,
            Self::Unavailable(why) => Err(Failure::retry(why.clone())),
        }
    }
}
