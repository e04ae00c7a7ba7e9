//! The lock of a state folder: who holds it watches.
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

/// Held by the one that watches; its process id is in it.
const WATCHING: &str = "watching.lock";
/// Held by one that stands by and is armed; its process id is in it.
const STANDING_BY: &str = "standing-by.lock";
/// Held by an agent that knows of no handover, in a cluster.
const SPOOL: &str = "spool/lock";
/// More than a process id takes.
const MAX: u64 = 32;

/// The lock cannot be tried.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct LockError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A lock that is held. The kernel lets go of it when the process is gone, in whichever way.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held as long as this is open")] File);

/// What came of trying.
#[derive(Debug)]
pub enum Taken {
    /// Ours.
    Ours(Lock),
    /// Another process has it; its id, where it told.
    By(Option<u32>),
}

impl Lock {
    /// Tries to become the one that watches.
    ///
    /// # Errors
    /// The folder takes no file.
    pub fn watch(dir: &Path) -> Result<Taken, LockError> {
        let taken = take(&dir.join(WATCHING))?;
        // One of a version without this lock has at least the spool.
        if matches!(taken, Taken::Ours(_))
            && let Ok(spool) = File::open(dir.join(SPOOL))
            && matches!(spool.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            return Ok(Taken::By(None));
        }
        Ok(taken)
    }

    /// Tries to be the one that takes over next; another may be.
    ///
    /// # Errors
    /// The folder takes no file.
    pub fn next(dir: &Path) -> Result<Taken, LockError> {
        take(&dir.join(STANDING_BY))
    }
}

/// Whether an armed agent stands by, and its process id.
#[must_use]
pub fn stands_by(dir: &Path) -> Option<u32> {
    let mut file = File::open(dir.join(STANDING_BY)).ok()?;
    // Shared, so that two who ask do not take each other for one that stands by.
    if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        Some(holder(&mut file).unwrap_or(0))
    } else {
        None
    }
}

fn take(path: &Path) -> Result<Taken, LockError> {
    let fail = |source| LockError { path: path.to_owned(), source };
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
    let mut file = open.map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {
            // Only for people: on a full disk the lock is held all the same.
            let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            Ok(Taken::Ours(Lock(file)))
        }
        Err(TryLockError::WouldBlock) => Ok(Taken::By(holder(&mut file))),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn one_watches_and_the_other_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let Taken::Ours(first) = Lock::watch(dir.path()).unwrap() else { panic!("it was free") };
        assert!(matches!(Lock::watch(dir.path()).unwrap(), Taken::By(Some(pid)) if pid == std::process::id()));
        drop(first);
        assert!(matches!(Lock::watch(dir.path()).unwrap(), Taken::Ours(_)));
    }

    #[test]
    fn who_stands_by_is_seen_while_it_does() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(stands_by(dir.path()), None);
        let next = Lock::next(dir.path()).unwrap();
        assert_eq!(stands_by(dir.path()), Some(std::process::id()));
        drop(next);
        assert_eq!(stands_by(dir.path()), None);
    }

    #[test]
    fn an_agent_without_this_lock_is_known_by_its_spool() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let spool = File::create(dir.path().join(SPOOL)).unwrap();
        spool.lock().unwrap();
        assert!(matches!(Lock::watch(dir.path()).unwrap(), Taken::By(None)));
        spool.unlock().unwrap();
        assert!(matches!(Lock::watch(dir.path()).unwrap(), Taken::Ours(_)));
    }
}
