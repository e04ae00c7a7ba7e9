//! Matches on disk until the API has them.
//!
//! A text file, one JSON value a line: a head (format, identity, last position), then books that were unwritten at the
//! last compaction, then matches as they came. A line is written before the report that has it; each report carries the
//! position up to which it is whole, so that after a kill each match is added exactly once.
//!
//! Not synced to disk per line: it survives the end of the process in any way, not of the machine's power.
//! Invariants: the file stays under [`MAX_BYTES`]; a line that cannot be read (cut by a kill, altered) loses itself alone.
use super::{
    book::Book,
    reports::{Recorded, Reports},
    scope::Scope,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// Name in the state directory.
pub const FILE: &str = "reports.journal";
/// Format of the file.
const FORMAT: u32 = 1;
/// From this size on, the file is made anew when nothing in it is needed.
const RESET_ABOVE: u64 = 256 * 1024;
/// From this size on, the file is made anew from the unwritten books.
const COMPACT_ABOVE: u64 = 8 * 1024 * 1024;
/// Largest file. What comes beyond is kept in memory only, and counted.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes that wait for a disk that cannot be written.
const MAX_PENDING: usize = 1024 * 1024;
/// Longest line read: a book of 200 results.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// What went wrong with the file. Reports go on without it.
#[derive(Debug, thiserror::Error)]
#[error("report journal {path}: {source}; matches not yet written to reports would be lost if the agent were killed")]
pub struct JournalError {
    path: String,
    #[source]
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Head {
        format: u32,
        id: uuid::Uuid,
        seq: u64,
    },
    Book {
        scope: Scope,
        book: Book,
    },
    Match(Recorded),
    /// The report was deleted on purpose: what came before is over.
    Over {
        scope: Scope,
    },
}

/// What a journal held when it was opened.
#[derive(Debug)]
pub struct Restored {
    /// Its identity: new where there was no journal.
    pub id: uuid::Uuid,
    /// Last position given.
    pub seq: u64,
    /// Books unwritten at the last compaction.
    pub books: Vec<(Scope, Book)>,
    /// Matches since then.
    pub tail: Vec<Recorded>,
    /// Lines that could not be read.
    pub bad_lines: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    id: uuid::Uuid,
    file: File,
    len: u64,
    /// Size after the last compaction: another one waits until much was added.
    compacted: u64,
    pending: Vec<u8>,
    /// Matches that the file had no room for, or that could not be written.
    pub unsaved: u64,
}

impl Journal {
    /// Opens the journal of a state directory, or begins one.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(state_dir: &Path) -> Result<(Self, Restored), JournalError> {
        let path = state_dir.join(FILE);
        let fail = |source| JournalError { path: path.display().to_string(), source };
        let restored = read(&path).map_err(fail)?;
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        let mut journal =
            Self { path: path.clone(), id: restored.id, file, len, compacted: 0, pending: Vec::new(), unsaved: 0 };
        if len == 0 {
            journal.push(&Line::Head { format: FORMAT, id: restored.id, seq: restored.seq });
        } else {
            // Ends a line that a kill cut.
            journal.pending.push(b'\n');
        }
        journal.flush()?;
        Ok((journal, restored))
    }

    /// Adds a match; it is in the file after [`Journal::flush`].
    pub fn append(&mut self, recorded: &Recorded) {
        if self.len > MAX_BYTES || self.pending.len() > MAX_PENDING {
            self.unsaved += 1;
        } else {
            self.push(&Line::Match(recorded.clone()));
        }
    }

    /// The report of a scope was deleted on purpose: its matches must not come back.
    pub fn over(&mut self, scope: &Scope) {
        self.push(&Line::Over { scope: scope.clone() });
    }

    fn push(&mut self, line: &Line) {
        // Plain data: serialising cannot fail.
        if let Ok(mut json) = serde_json::to_vec(line) {
            json.push(b'\n');
            self.pending.append(&mut json);
        }
    }

    /// Hands what was added to the kernel.
    ///
    /// # Errors
    /// The disk is full or gone; what waits is tried again with the next flush. A line that was half written is written
    /// again whole, and a match that is there twice is added once, by its position.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.pending);
        match result {
            Ok(()) => {
                self.len += self.pending.len() as u64;
                self.pending.clear();
                Ok(())
            }
            Err(source) => Err(self.error(source)),
        }
    }

    /// Makes the file small again when it pays: empty when the API has everything, else the unwritten books.
    ///
    /// # Errors
    /// The new file cannot be written; the old one stays.
    pub fn tidy(&mut self, reports: &Reports) -> Result<(), JournalError> {
        let reset = self.len > RESET_ABOVE && reports.is_clean();
        let compact = self.len > self.compacted + COMPACT_ABOVE && reports.is_resolved();
        if !reset && !compact {
            return Ok(());
        }
        let temporary = self.path.with_extension("tmp");
        self.pending.clear();
        self.push(&Line::Head { format: FORMAT, id: self.id, seq: reports.seq() });
        for (scope, book) in reports.unwritten() {
            self.push(&Line::Book { scope: scope.clone(), book: book.clone() });
        }
        let content = std::mem::take(&mut self.pending);
        let replaced = File::create(&temporary)
            .and_then(|mut file| file.write_all(&content).and_then(|()| file.sync_data()))
            .and_then(|()| std::fs::rename(&temporary, &self.path))
            .and_then(|()| OpenOptions::new().append(true).open(&self.path));
        self.file = replaced.map_err(|source| self.error(source))?;
        self.len = content.len() as u64;
        self.compacted = self.len;
        Ok(())
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError { path: self.path.display().to_string(), source }
    }
}

fn read(path: &Path) -> io::Result<Restored> {
    let mut restored = Restored { id: uuid::Uuid::new_v4(), seq: 0, books: Vec::new(), tail: Vec::new(), bad_lines: 0 };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(restored),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file.take(MAX_BYTES + MAX_LINE));
    let mut line = Vec::new();
    let mut headed = false;
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match serde_json::from_slice(&line) {
            _ if line.trim_ascii().is_empty() => {}
            Ok(Line::Head { format: FORMAT, id, seq }) if !headed => {
                headed = true;
                restored.id = id;
                restored.seq = seq;
            }
            // Without its head the rest has no identity that reports could be compared with.
            Ok(Line::Book { scope, book }) if headed => restored.books.push((scope, book)),
            Ok(Line::Match(recorded)) if headed => {
                restored.seq = restored.seq.max(recorded.seq);
                restored.tail.push(recorded);
            }
            Ok(Line::Over { scope }) if headed => {
                restored.books.retain(|(of, _)| *of != scope);
                restored.tail.retain(|recorded| recorded.scope != scope);
            }
            _ => restored.bad_lines += 1,
        }
    }
    if !headed && restored.bad_lines > 0 {
        // Another format, or damage from the first byte: kept aside for a look, not mixed with what follows.
        std::fs::rename(path, path.with_extension("bad"))?;
    }
    Ok(restored)
}
