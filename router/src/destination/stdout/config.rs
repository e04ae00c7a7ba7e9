//! Settings of the stdout destination.
use parking_lot::Mutex;
use std::{io::Write, sync::Arc};

/// How an alert becomes a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Falco's JSON.
    #[default]
    Json,
    /// Time, priority, text.
    Text,
}

/// Where lines are written: shared, so that lines of several routes do not mix.
#[derive(Clone)]
pub struct Output(Arc<Mutex<dyn Write + Send>>);

impl Output {
    /// Writes to `writer`.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Writes whole lines and flushes. Blocks while the reader of a pipe is slow.
    pub(super) fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut writer = self.0.lock();
        writer.write_all(bytes)?;
        writer.flush()
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new(std::io::stdout())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The line's form.
    pub format: Format,
    /// Where to.
    pub output: Output,
}
