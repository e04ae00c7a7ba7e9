//! The agent's sign of life on disk: from it the next start knows since when nobody watched.
use jiff::Timestamp;
use std::{fs, io, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// Name in the state directory. It holds one time in RFC 3339.
pub const FILE: &str = "alive";
/// How often it is renewed: how exact the start of a blind time is known.
const EVERY: Duration = Duration::from_secs(2);
/// More than a time takes.
const MAX: u64 = 64;

/// When the agent before this one was last alive; `None` when there was none, or nothing readable.
#[must_use]
pub fn last(state_dir: &Path) -> Option<Timestamp> {
    let path = state_dir.join(FILE);
    if fs::metadata(&path).ok()?.len() > MAX {
        return None;
    }
    let time: Timestamp = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    // A clock that was set back since: nothing can be said.
    (time <= Timestamp::now()).then_some(time)
}

/// Renews the sign of life until `stop`, and at its end once more.
pub async fn keep(state_dir: std::path::PathBuf, stop: CancellationToken) {
    let mut told = false;
    loop {
        if let Err(error) = renew(&state_dir)
            && !told
        {
            told = true;
            tracing::warn!(%error, path = %state_dir.join(FILE).display(), "no sign of life on disk: a later start cannot tell since when it was blind");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            // A last time, so that the blind time begins now. Its failure was told above.
            let _ = renew(&state_dir);
            return;
        }
    }
}

/// Written aside and renamed: a kill leaves the old time or the new one.
fn renew(state_dir: &Path) -> io::Result<()> {
    let aside = state_dir.join("alive.tmp");
    fs::write(&aside, Timestamp::now().to_string())?;
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
        let before = Timestamp::now();
        renew(dir.path()).unwrap();
        let then = last(dir.path()).unwrap();
        assert!(before <= then && then <= Timestamp::now());
        fs::write(dir.path().join(FILE), "9999-01-01T00:00:00Z").unwrap();
        assert_eq!(last(dir.path()), None, "in the future");
        fs::write(dir.path().join(FILE), "x".repeat(1000)).unwrap();
        assert_eq!(last(dir.path()), None);
    }

    #[tokio::test]
    async fn a_stop_leaves_the_time_of_the_stop() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        keep(dir.path().to_owned(), stop).await;
        assert!(last(dir.path()).is_some());
    }
}
