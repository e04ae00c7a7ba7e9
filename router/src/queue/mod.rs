//! A bounded queue on disk, for one producer side and one consumer: what stands between taking an alert and delivering it.
//!
//! ```text
//! append (all or nothing, optionally synced) -> segment files NNN.seg -> read (in order) -> commit (checkpoint, old segments go)
//! ```
//! Invariants:
//! - what [`Queue::append`] returned `Ok` for is read again after a kill, until a [`Queue::commit`] covers it (at least once);
//! - records come in order of their sequence number, which grows by one each and never starts again;
//! - damaged bytes never panic and never yield a wrong record: they are skipped, and the gap in the numbers says how many
//!   records they held ([`Queue::lost`]);
//! - the folder never holds more than `max_bytes` of segments: beyond that `append` refuses and the caller counts.
//!
//! Blocking: call it from a blocking thread. One process at a time (a lock file).
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

mod checkpoint;
mod frame;
mod recover;
#[cfg(test)]
mod tests;

use checkpoint::Stored;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all segments together.
    pub max_bytes: u64,
    /// Bytes after which a new segment begins; space comes back by whole segments.
    pub segment_bytes: u64,
    /// Longest payload, in bytes.
    pub max_record: usize,
    /// Whether each append and checkpoint is on the disk (fdatasync) before it returns, so that it survives the loss of
    /// power too; without, it survives the end of the process.
    pub durable: bool,
}

impl Default for Limits {
    /// 256 MiB in segments of 4 MiB, records to 1 MiB, synced.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, segment_bytes: 4 << 20, max_record: 1 << 20, durable: true }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub sequence: u64,
    /// When it was appended: milliseconds since 1970, never less than the record's before it.
    pub stamp: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No room; nothing of the call was appended.
    #[error("queue {path} is full: {bytes} of at most {max} bytes wait; the consumer must catch up or its limit be raised", path = .path.display())]
    Full {
        /// The queue's folder.
        path: PathBuf,
        /// Bytes in it.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A record longer than the limit; nothing of the call was appended.
    #[error("a record of {size} bytes is longer than the limit of {max}")]
    TooLong {
        /// Bytes of the record.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Another process has this folder.
    #[error("queue {path} is in use by another process; give this one another --state folder", path = .path.display())]
    InUse {
        /// The queue's folder.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl QueueError {
    fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// What opening found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records waiting.
    pub waiting: u64,
    /// Bytes of a torn write that were cut off the end.
    pub truncated_bytes: u64,
    /// Records that damage made unreadable (known by the gap in the numbers).
    pub lost: u64,
    /// The checkpoint was damaged: records that were done are read again.
    pub checkpoint_damaged: bool,
    /// The state given to the last [`Queue::commit`].
    pub state: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    /// Number of its first record: also its file name.
    first: u64,
    /// One past its last record.
    next: u64,
    bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Queue {
    dir: PathBuf,
    limits: Limits,
    segments: VecDeque<Segment>,
    writer: File,
    next: u64,
    stamp: u64,
    /// First record not done.
    done: u64,
    /// The next record to read, and where it is looked for.
    read_next: u64,
    read_at: Option<(u64, u64)>,
    lost: u64,
    /// As last committed.
    state: Vec<u8>,
    _lock: File,
}

impl Queue {
    /// Opens or creates the queue in `dir`, cutting off a torn write at its end.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process has it.
    pub fn open(dir: &Path, limits: Limits) -> Result<(Self, Recovery), QueueError> {
        fs::create_dir_all(dir).map_err(|e| QueueError::io("create", dir, e))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(|e| QueueError::io("create", &lock_path, e))?;
        lock.try_lock().map_err(|_| QueueError::InUse { path: dir.to_owned() })?;

        let mut recovery = Recovery::default();
        let (done, state) = match checkpoint::load(dir)? {
            Stored::At(sequence, state) => (sequence, state),
            Stored::None => (0, Vec::new()),
            Stored::Damaged => {
                recovery.checkpoint_damaged = true;
                (0, Vec::new())
            }
        };
        recovery.state = state;

        let limits = Limits { segment_bytes: limits.segment_bytes.min(limits.max_bytes / 4), ..limits };
        let known = (!recovery.checkpoint_damaged).then_some(done);
        let found = recover::recover(dir, known, limits.max_record)?;
        recovery.lost = found.lost;
        recovery.truncated_bytes = found.truncated_bytes;
        let (mut segments, next, stamp) = (found.segments, found.next, found.stamp);
        let writer = match segments.back() {
            Some(last) if last.next == next => open_end(dir, last.first, limits.durable)?,
            // Numbers in a segment are contiguous: one whose tail was lost after it was done is left as it is.
            _ => {
                segments.push_back(Segment { first: next, next, bytes: 0 });
                open_end(dir, next, limits.durable)?
            }
        };
        let done = if recovery.checkpoint_damaged { segments.front().map_or(next, |s| s.first) } else { done };
        let mut queue = Self {
            dir: dir.to_owned(),
            limits,
            segments,
            writer,
            next,
            stamp,
            done,
            read_next: done,
            read_at: None,
            lost: 0,
            state: recovery.state.clone(),
            _lock: lock,
        };
        queue.drop_done_segments()?;
        recovery.waiting = queue.waiting();
        Ok((queue, recovery))
    }

    /// Appends all or none. `now` is milliseconds since 1970.
    ///
    /// # Errors
    /// [`QueueError::Full`], [`QueueError::TooLong`], or when the disk refuses; then nothing was appended.
    pub fn append<'a>(&mut self, now: u64, payloads: impl IntoIterator<Item = &'a [u8]>) -> Result<u64, QueueError> {
        self.stamp = self.stamp.max(now);
        let mut bytes = Vec::new();
        let mut sequence = self.next;
        for payload in payloads {
            if payload.len() > self.limits.max_record {
                return Err(QueueError::TooLong { size: payload.len(), max: self.limits.max_record });
            }
            frame::encode(sequence, self.stamp, payload, &mut bytes);
            sequence += 1;
        }
        let held = self.bytes();
        if held + bytes.len() as u64 > self.limits.max_bytes {
            return Err(QueueError::Full { path: self.dir.clone(), bytes: held, max: self.limits.max_bytes });
        }
        self.roll_if_long()?;
        self.write(&bytes, sequence)?;
        self.next = sequence;
        Ok(sequence)
    }

    fn write(&mut self, bytes: &[u8], next: u64) -> Result<(), QueueError> {
        let Some(last) = self.segments.back_mut() else { return Ok(()) };
        let path = segment_path(&self.dir, last.first);
        let durable = self.limits.durable;
        let mut write = || {
            self.writer.write_all(bytes)?;
            if durable { self.writer.sync_data() } else { Ok(()) }
        };
        if let Err(source) = write() {
            // Take back what was written, so that a later append does not stand behind half a frame. Should this fail
            // too, the reader skips the damage.
            let _ = self.writer.set_len(last.bytes);
            let _ = self.writer.seek(SeekFrom::Start(last.bytes));
            return Err(QueueError::io("append to", &path, source));
        }
        last.bytes += bytes.len() as u64;
        last.next = next;
        Ok(())
    }

    fn roll_if_long(&mut self) -> Result<(), QueueError> {
        if self.segments.back().is_some_and(|s| s.bytes >= self.limits.segment_bytes && s.first < self.next) {
            self.writer = open_end(&self.dir, self.next, self.limits.durable)?;
            self.segments.push_back(Segment { first: self.next, next: self.next, bytes: 0 });
        }
        Ok(())
    }

    /// Reads on from where the last read ended: at most `max` records. Empty: nothing is left for now.
    ///
    /// # Errors
    /// When the disk refuses. Damaged bytes are skipped and counted in [`Queue::lost`].
    pub fn read(&mut self, max: usize) -> Result<Vec<Record>, QueueError> {
        let mut out = Vec::new();
        while out.len() < max && self.read_next < self.next {
            let Some(index) = self.segments.iter().rposition(|s| s.first <= self.read_next) else {
                // Its segment is gone.
                self.skip_to(self.segments.front().map_or(self.next, |s| s.first));
                continue;
            };
            let first = self.segments[index].first;
            let end = self.segments.get(index + 1).map_or(self.next, |s| s.first);
            let from = self.read_at.filter(|(s, _)| *s == first).map_or(0, |(_, at)| at);
            let bytes = read_from(&segment_path(&self.dir, first), from)?;
            let mut at = 0;
            while out.len() < max && self.read_next < end {
                let Some((record, after)) = frame::next(&bytes, at, self.limits.max_record) else {
                    self.skip_to(end);
                    break;
                };
                at = after;
                self.read_at = Some((first, from + at as u64));
                // Numbers done, or not of this segment, are passed over.
                if (self.read_next..end).contains(&record.sequence) {
                    self.skip_to(record.sequence);
                    self.read_next = record.sequence + 1;
                    out.push(record);
                }
            }
        }
        Ok(out)
    }

    /// Everything before `sequence` is done and not read again, also after a restart; `state` comes back by
    /// [`Recovery::state`]. Both change together or not at all.
    ///
    /// # Errors
    /// When the disk refuses; then the former place holds.
    pub fn commit(&mut self, sequence: u64, state: &[u8]) -> Result<(), QueueError> {
        let sequence = sequence.clamp(self.done, self.next);
        // A checkpoint that a loss of power undoes costs a repeat; once segments are removed on its word, it must stay.
        let removes = self.segments.get(1).is_some_and(|s| s.first <= sequence);
        checkpoint::store(&self.dir, sequence, state, self.limits.durable && removes)?;
        self.done = sequence;
        self.state = state.to_vec();
        if self.read_next < sequence {
            self.read_next = sequence;
        }
        self.drop_done_segments()
    }

    fn drop_done_segments(&mut self) -> Result<(), QueueError> {
        // The last segment stays even when done: its name carries the next number. A long one makes room for a new one.
        if self.done == self.next {
            self.roll_if_long()?;
        }
        while self.segments.len() > 1 && self.segments[1].first <= self.done {
            let Some(old) = self.segments.pop_front() else { break };
            let path = segment_path(&self.dir, old.first);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(QueueError::io("remove", &path, e)),
            }
        }
        Ok(())
    }

    fn skip_to(&mut self, sequence: u64) {
        self.lost += sequence.saturating_sub(self.read_next);
        self.read_next = self.read_next.max(sequence);
    }

    /// Records appended and not yet done.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.next - self.done.min(self.next)
    }

    /// The state given to the last [`Queue::commit`], also before a restart.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// First record not done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Reads again from the last commit on.
    pub fn rewind(&mut self) {
        self.read_next = self.done;
        self.read_at = None;
    }

    /// Records appended and not yet read.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.next.saturating_sub(self.read_next)
    }

    /// The number that the next [`Queue::read`] begins at.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.read_next
    }

    /// Whether everything appended has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.read_next >= self.next
    }

    /// Records that reading found unreadable, since opening.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// The stamp of the newest record, in milliseconds since 1970.
    #[must_use]
    pub fn newest_stamp(&self) -> u64 {
        self.stamp
    }
}

fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

/// Numbers of the segments' first records, in order. Other files are left alone.
fn list(dir: &Path) -> Result<Vec<u64>, QueueError> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| QueueError::io("list", dir, e))? {
        let entry = entry.map_err(|e| QueueError::io("list", dir, e))?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|n| n.strip_suffix(".seg")) else { continue };
        if let Ok(first) = stem.parse() {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn open_end(dir: &Path, first: u64, durable: bool) -> Result<File, QueueError> {
    let path = segment_path(dir, first);
    let open = || -> std::io::Result<File> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        file.seek(SeekFrom::End(0))?;
        if durable {
            // The name itself must survive, not only the bytes.
            File::open(dir)?.sync_all()?;
        }
        Ok(file)
    };
    open().map_err(|e| QueueError::io("open", &path, e))
}

/// The bytes of a segment from an offset on; a file that somebody removed reads as empty.
fn read_from(path: &Path, from: u64) -> Result<Vec<u8>, QueueError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|e| QueueError::io("read", path, e)),
    }
}
