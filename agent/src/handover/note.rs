//! What the one that leaves tells the one that stays.
use crate::probe::record::{Body, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name in the state directory.
const FILE: &str = "handover";
/// Largest note read. Some 60 bytes are an event.
const MAX: u64 = 16 << 20;
/// Most events named. Of more, only the latest are; of those before, the time alone decides.
pub const MAX_EVENTS: usize = 65_536;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Of which boot its times are.
    boot: String,
    /// T: all events until then were told. Nanoseconds of CLOCK_BOOTTIME.
    pub cut: u64,
    /// The same for people.
    pub at: Timestamp,
    /// Process id of the one that left.
    pub pid: u32,
    /// Events around the cut that were told: what they are ([`mark`]), and when.
    pub told: Vec<(u64, u64)>,
}

impl Note {
    /// A note of this process.
    #[must_use]
    pub fn new(cut: u64, told: Vec<(u64, u64)>) -> Self {
        let (boot, _) = crate::detect::clock();
        let ago = i64::try_from(boot.saturating_sub(cut)).unwrap_or_default();
        let at = Timestamp::now() - jiff::SignedDuration::from_nanos(ago);
        Self { boot: boot_id(), cut, at, pid: std::process::id(), told }
    }

    /// Leaves it in a state directory.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, dir: &Path) -> io::Result<()> {
        let aside = dir.join("handover.tmp");
        fs::write(&aside, serde_json::to_vec(self)?)?;
        fs::rename(aside, path(dir))
    }

    /// The note of a state directory, if it is of this boot.
    #[must_use]
    pub fn read(dir: &Path) -> Option<Self> {
        let path = path(dir);
        if fs::metadata(&path).ok()?.len() > MAX {
            return None;
        }
        let note: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (note.boot == boot_id() && note.cut <= crate::detect::clock().0).then_some(note)
    }

    /// It was followed.
    pub fn remove(dir: &Path) {
        // One that stays is of an earlier time, and so drops nothing that comes.
        let _ = fs::remove_file(path(dir));
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Differs with each boot of the kernel; empty where it is not told, and then the same as any other that is not told.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What an event is, in the same words whichever agent, version and back end saw it: thread, call and what was asked for.
#[must_use]
pub fn mark(record: &Record<'_>) -> u64 {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    let header = &record.header;
    add(header.event_type.as_str().as_bytes());
    add(&[u8::from(header.io_uring)]);
    add(&header.tid.to_le_bytes());
    add(&header.start_time.to_le_bytes());
    match &record.body {
        Body::Exec(e) => {
            add(e.file);
            add(e.args);
        }
        Body::FailedExec(e) => {
            add(&e.ret.to_le_bytes());
            add(e.file);
            add(e.args);
        }
        Body::Fork(f) => add(&f.child_tid.to_le_bytes()),
        Body::Exit(e) => add(&e.code.to_le_bytes()),
        Body::Open(o) => {
            add(&o.ret.to_le_bytes());
            add(&o.flags.to_le_bytes());
            add(o.path);
        }
        Body::Connect(c) => {
            add(&c.ret.to_le_bytes());
            add(c.addr.map(|a| a.to_string()).unwrap_or_default().as_bytes());
            add(&c.port.to_le_bytes());
            add(c.unix_path);
        }
        Body::Call(c) => {
            add(&c.ret.to_le_bytes());
            c.args.iter().for_each(|a| add(&a.to_le_bytes()));
        }
    }
    let sum = hash.finalize();
    sum.iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_note_is_read_in_the_same_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(dir.path()), None);
        let cut = crate::detect::clock().0;
        let note = Note::new(cut, vec![(u64::MAX, cut)]);
        note.leave(dir.path()).unwrap();
        assert_eq!(Note::read(dir.path()).as_ref(), Some(&note));
        let ago = Timestamp::now().duration_since(note.at);
        assert!(!ago.is_negative() && ago < jiff::SignedDuration::from_secs(60), "{ago}");
        Note { boot: "another".to_owned(), ..note.clone() }.leave(dir.path()).unwrap();
        assert_eq!(Note::read(dir.path()), None);
        Note { cut: u64::MAX, ..note.clone() }.leave(dir.path()).unwrap();
        assert_eq!(Note::read(dir.path()), None, "of a time that has not come");
        fs::write(path(dir.path()), "{").unwrap();
        assert_eq!(Note::read(dir.path()), None);
        note.leave(dir.path()).unwrap();
        Note::remove(dir.path());
        assert_eq!(Note::read(dir.path()), None);
    }
}
