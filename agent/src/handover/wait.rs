//! Standing by, until the lock is free.
use super::{Cut, Duty, Lock, Note, ON_ITS_WAY, Taken, nanos};
use crate::status::{self, alive};
use jiff::Timestamp;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How often the lock is tried: how late it is noticed that the other one has ended.
const TRY: Duration = Duration::from_millis(20);
/// How often the other's sign of life is read.
const LOOK: Duration = Duration::from_millis(200);
/// How often people are told that it still stands by.
const REMIND: Duration = Duration::from_secs(300);

/// From now on this agent watches.
#[derive(Debug)]
pub struct TookOver {
    /// To be held until the process ends.
    pub lock: Lock,
    /// What the other one has told.
    pub cut: Cut,
    /// From when on losses are this agent's to tell, nanoseconds of CLOCK_BOOTTIME.
    pub from: u64,
    /// Until when it watched, where it gave a sign.
    pub watched_until: Option<Timestamp>,
}

/// Waits until the lock of `dir`, which process `by` has, is free. `status` is told of the one that watches; once this agent is ready it can be seen to stand by.
///
/// Never ends while the other one is there, but may be dropped at any time.
pub async fn stand_by(dir: &Path, by: Option<u32>, duty: &Duty, status: &status::Handle) -> TookOver {
    let mut next = None;
    let mut by = by;
    let (mut looked, mut reminded) = (None::<Instant>, Instant::now());
    tracing::warn!(pid = by, state = %dir.display(), "another agent watches with this state folder: standing by until it ends, telling nothing");
    loop {
        match Lock::watch(dir) {
            Ok(Taken::Ours(lock)) => return took_over(dir, lock),
            Ok(Taken::By(pid)) => by = pid,
            Err(error) => tracing::debug!(%error, "the lock cannot be tried"),
        }
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let sign = alive::last(dir);
            if let Some(sign) = sign {
                duty.keep_from(sign.all_read_until().saturating_sub(nanos(ON_ITS_WAY)));
            }
            if next.is_none()
                && status.unproven().is_empty()
                && let Ok(Taken::Ours(lock)) = Lock::next(dir)
            {
                next = Some(lock);
            }
            status.stands_by(by, next.is_some(), sign.map(|sign| sign.at));
            if reminded.elapsed() >= REMIND {
                reminded = Instant::now();
                tracing::warn!(pid = by, last_sign_of_life = ?sign.map(|sign| sign.at), "still standing by: another agent watches with this state folder");
            }
        }
        tokio::time::sleep(TRY).await;
    }
}

/// What is known of the agent before, when the lock is had.
fn took_over(dir: &Path, lock: Lock) -> TookOver {
    let sign = alive::last(dir);
    match Note::read(dir) {
        Some(note) => {
            tracing::info!(pid = note.pid, "the agent that watched has handed over");
            TookOver { lock, cut: Cut::of(&note), from: note.cut, watched_until: Some(note.at) }
        }
        None => {
            tracing::warn!("the agent that watched is gone without a word: what it matched last may be told twice");
            let read_until = sign.map_or(0, |sign| sign.all_read_until());
            let from = read_until.saturating_sub(nanos(ON_ITS_WAY));
            TookOver { lock, cut: Cut::Since(from), from, watched_until: sign.map(|sign| sign.at) }
        }
    }
}
