//! The agent's sign of life on disk: from it the next one knows since when nobody watched, and what the one that watches has read.
use crate::handover::Duty;
use jiff::Timestamp;
use std::{fs, io, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// Name in the state directory. The first line is a time in RFC 3339; the second is the kernel's boot and the nanoseconds of
/// CLOCK_BOOTTIME until which all events were read.
pub const FILE: &str = "alive";
/// How often it is renewed: how exact the start of a blind time is known.
pub const EVERY: Duration = Duration::from_secs(2);
/// More than it takes.
const MAX: u64 = 256;

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// When it was given.
    pub at: Timestamp,
    /// Until when all events were read, nanoseconds of CLOCK_BOOTTIME; `None`: of another boot, or not told.
    pub read_until: Option<u64>,
}

impl Sign {
    /// Until when all was read: as it says, else as of the time it was given.
    #[must_use]
    pub fn all_read_until(&self) -> u64 {
        let ago = || u64::try_from(Timestamp::now().duration_since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.read_until.unwrap_or_else(|| crate::detect::clock().0.saturating_sub(ago()))
    }
}

/// The last sign of life of an agent with this folder; `None` when there was none, or nothing readable.
#[must_use]
pub fn last(state_dir: &Path) -> Option<Sign> {
    let path = state_dir.join(FILE);
    if fs::metadata(&path).ok()?.len() > MAX {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let at: Timestamp = lines.next()?.trim().parse().ok()?;
    let read = lines.next().and_then(|line| line.split_once(' '));
    let read = read.filter(|(boot, time)| *boot == crate::handover::boot_id() && *time != "0");
    let read_until = read.and_then(|(_, time)| time.parse().ok());
    // A clock that was set back since: nothing can be said.
    (at <= Timestamp::now()).then_some(Sign { at, read_until })
}

/// Renews the sign of life until `stop`.
pub async fn keep(state_dir: std::path::PathBuf, duty: Duty, stop: CancellationToken) {
    let mut told = false;
    loop {
        if let Err(error) = renew(&state_dir, Timestamp::now(), duty.read_until())
            && !told
        {
            told = true;
            tracing::warn!(%error, path = %state_dir.join(FILE).display(), "no sign of life on disk: a later start cannot tell since when it was blind");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Gives one: `at` this time, all events being read until `read_until` (0: nothing is known). Written aside and renamed: a kill leaves
/// the old one or the new one.
///
/// # Errors
/// The folder cannot be written.
pub fn renew(state_dir: &Path, at: Timestamp, read_until: u64) -> io::Result<()> {
    let aside = state_dir.join("alive.tmp");
    fs::write(&aside, format!("{at}\n{} {read_until}\n", crate::handover::boot_id()))?;
    fs::rename(aside, state_dir.join(FILE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_next_start_knows_when_the_last_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last(dir.path()), None);
        let at = Timestamp::now();
        renew(dir.path(), at, 7).unwrap();
        assert_eq!(last(dir.path()), Some(Sign { at, read_until: Some(7) }));
        fs::write(dir.path().join(FILE), format!("{at}\nanother-boot 7\n")).unwrap();
        assert_eq!(last(dir.path()), Some(Sign { at, read_until: None }));
        fs::write(dir.path().join(FILE), at.to_string()).unwrap();
        assert_eq!(last(dir.path()), Some(Sign { at, read_until: None }), "of an earlier version");
        let (early, late) = (last(dir.path()).unwrap().all_read_until(), crate::detect::clock().0);
        assert!(early <= late && late - early < 60_000_000_000);
        fs::write(dir.path().join(FILE), "9999-01-01T00:00:00Z").unwrap();
        assert_eq!(last(dir.path()), None, "in the future");
        fs::write(dir.path().join(FILE), "x".repeat(1000)).unwrap();
        assert_eq!(last(dir.path()), None);
    }

    #[tokio::test]
    async fn it_is_there_at_once_and_until_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let duty = Duty::default();
        duty.read(9);
        keep(dir.path().to_owned(), duty, stop).await;
        assert_eq!(last(dir.path()).unwrap().read_until, Some(9));
    }
}
