//! Writes lines without holding up the runtime.
use super::{Config, request};
use crate::{
    destination::{Failure, Progress},
    group::Message,
};

/// The stdout destination.
#[derive(Debug)]
pub struct Service {
    config: Config,
}

impl Service {
    /// Over the configured output.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone() }
    }

    /// Writes what is left of the message.
    ///
    /// # Errors
    /// When the output cannot be written, such as a closed pipe.
    pub async fn send(&mut self, message: &Message, progress: &mut Progress) -> Result<(), Failure> {
        let text = request::lines(message, self.config.format, progress.done());
        let output = self.config.output.clone();
        let written = tokio::task::spawn_blocking(move || output.write(text.as_bytes())).await;
        match written {
            Ok(Ok(())) => {
                progress.delivered = message.alerts.len() - progress.refused;
                Ok(())
            }
            Ok(Err(error)) => Err(Failure::retry(format!("cannot write to standard output: {error}"))),
            Err(error) => Err(Failure::retry(format!("writing to standard output was cut short: {error}"))),
        }
    }
}
