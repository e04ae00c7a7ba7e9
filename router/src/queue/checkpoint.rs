//! The consumer's place, and whatever state it wants kept with it, in one file that is replaced whole.
//!
//! A checkpoint is one frame (see `frame`): sequence = first record not yet done, payload = the consumer's state. It is
//! written beside and renamed over the old one, so that a crash leaves the old or the new, never a mixture.
use super::{
    QueueError,
    frame::{self, Parsed},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

const NAME: &str = "checkpoint";
const NEW: &str = "checkpoint.new";
/// A state above this is refused when read: it cannot be ours.
const MAX_STATE: usize = 256 << 20;

/// What the file said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// No file: a new queue.
    None,
    /// A file that cannot be trusted: everything still on disk is read again.
    Damaged,
    /// First record not done, and the state.
    At(u64, Vec<u8>),
}

pub(super) fn load(dir: &Path) -> Result<Stored, QueueError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Stored::None),
        Err(source) => return Err(QueueError::io("read", &path, source)),
    };
    Ok(match frame::parse(&bytes, MAX_STATE) {
        Parsed::Whole { sequence, payload, .. } => Stored::At(sequence, payload.to_vec()),
        Parsed::Short | Parsed::Damaged => Stored::Damaged,
    })
}

pub(super) fn store(dir: &Path, sequence: u64, state: &[u8], durable: bool) -> Result<(), QueueError> {
    let (new, path) = (dir.join(NEW), dir.join(NAME));
    let mut bytes = Vec::new();
    frame::encode(sequence, 0, state, &mut bytes);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&new, &path)?;
        if durable { File::open(dir)?.sync_all() } else { Ok(()) }
    };
    write().map_err(|source| QueueError::io("write", &path, source))
}
