//! Opening a queue that somebody left, perhaps in the middle of a write.
use super::{QueueError, Segment, frame, list, segment_path};
use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    path::Path,
};

/// What the segments hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub segments: VecDeque<Segment>,
    /// The next number to give.
    pub next: u64,
    /// Greatest stamp.
    pub stamp: u64,
    /// Records not done that no segment holds any more.
    pub lost: u64,
    /// Bytes cut off the ends.
    pub truncated_bytes: u64,
}

/// Scans every segment and cuts a torn write off its end. `done`: first record not done, `None` if unknown.
pub(super) fn recover(dir: &Path, done: Option<u64>, max_record: usize) -> Result<Found, QueueError> {
    let mut found = Found { next: done.unwrap_or(0), ..Found::default() };
    // Numbers below are accounted for: done, found, or counted as lost.
    let mut known = done;
    for first in list(dir)? {
        let path = segment_path(dir, first);
        let bytes = fs::read(&path).map_err(|e| QueueError::io("read", &path, e))?;
        let scan = frame::scan(&bytes, first, max_record);
        let end = scan.sequences.last().map_or(first, |s| s.saturating_add(1));
        for sequence in std::iter::once(first).chain(scan.sequences.iter().copied()) {
            let below = known.get_or_insert(sequence);
            found.lost += sequence.saturating_sub(*below);
            *below = sequence.max(*below);
            if scan.sequences.binary_search(&sequence).is_ok() {
                *below = sequence.saturating_add(1).max(*below);
            }
        }
        let torn = bytes.len() as u64 - scan.end;
        if torn > 0 {
            found.truncated_bytes += torn;
            let file = OpenOptions::new().write(true).open(&path).map_err(|e| QueueError::io("open", &path, e))?;
            file.set_len(scan.end).map_err(|e| QueueError::io("truncate", &path, e))?;
        }
        found.stamp = found.stamp.max(scan.stamp);
        found.next = found.next.max(end);
        found.segments.push_back(Segment { first, next: end, bytes: scan.end });
    }
    Ok(found)
}
