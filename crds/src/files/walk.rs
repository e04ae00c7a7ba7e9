//! Which files there are: a folder tree in a fixed order, hidden ones left out, everything bounded.
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Deepest folder below the given path.
const MAX_DEPTH: usize = 32;
/// Most files.
pub const MAX_FILES: usize = 20_000;
/// Largest file, in bytes.
pub const MAX_FILE: u64 = 4 << 20;
/// Most bytes in all files together.
pub const MAX_TOTAL: u64 = 256 << 20;

/// Why a path could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The operating system says no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A file above the bound.
    #[error("{0} bytes; a file may have at most {MAX_FILE}")]
    TooLarge(u64),
    /// No text.
    #[error("is no UTF-8 text")]
    NotText,
    /// More than the bounds allow in all; the rest is not read.
    #[error("more than {MAX_FILES} files or {MAX_TOTAL} bytes in all; this one and the rest are not read")]
    TooMuch,
    /// Folders in folders without end.
    #[error("more than {MAX_DEPTH} folders deep")]
    TooDeep,
}

/// A file's text, or why there is none.
pub(super) type Read = (PathBuf, Result<String, WalkError>);

/// Reads every YAML and JSON file at or below `paths`. A path that is given itself is read whatever its name.
pub(super) fn read(paths: &[PathBuf], mut each: impl FnMut(Read)) {
    let mut budget = Budget { files: 0, bytes: 0, seen: BTreeSet::new() };
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => folder(path, 0, &mut budget, &mut each),
            Ok(_) => file(path, &mut budget, &mut each),
            Err(error) => each((path.clone(), Err(error.into()))),
        }
    }
}

struct Budget {
    files: usize,
    bytes: u64,
    /// Folders by their real path, so that links cannot lead round in circles or read a file twice.
    seen: BTreeSet<PathBuf>,
}

fn folder(path: &Path, depth: usize, budget: &mut Budget, each: &mut impl FnMut(Read)) {
    if depth > MAX_DEPTH {
        each((path.to_owned(), Err(WalkError::TooDeep)));
        return;
    }
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if !budget.seen.insert(real) {
        return;
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return each((path.to_owned(), Err(error.into()))),
    };
    let mut names: Vec<_> = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| !hidden(p)).collect();
    names.sort();
    for name in names {
        // Links are followed: a mounted ConfigMap shows its files as links into a hidden folder.
        match fs::metadata(&name) {
            Ok(meta) if meta.is_dir() => folder(&name, depth + 1, budget, each),
            Ok(meta) if meta.is_file() && is_yaml(&name) => file(&name, budget, each),
            Ok(_) => {}
            Err(error) if is_yaml(&name) => each((name, Err(error.into()))),
            Err(_) => {}
        }
    }
}

fn file(path: &Path, budget: &mut Budget, each: &mut impl FnMut(Read)) {
    let text = (|| {
        let size = fs::metadata(path)?.len();
        if size > MAX_FILE {
            return Err(WalkError::TooLarge(size));
        }
        budget.files += 1;
        budget.bytes += size;
        if budget.files > MAX_FILES || budget.bytes > MAX_TOTAL {
            return Err(WalkError::TooMuch);
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, MAX_FILE), &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| WalkError::NotText)
    })();
    each((path.to_owned(), text));
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|n| n.as_encoded_bytes().starts_with(b"."))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}
