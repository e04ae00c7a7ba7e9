//! What PATH arguments name: files, folders, and `-` for stdin.
use crate::import;
use anyhow::{Context as _, Result};
use crds::files::{self, Loaded, MAX_FILE, Position, Problem};
use engine::{rules_file, source::Sources};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// What messages call stdin.
const STDIN: &str = "<stdin>";

/// Whether a path stands for stdin.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What was read.
#[derive(Default)]
pub struct Read {
    /// Objects.
    pub loaded: Loaded,
    /// Falco rules files that were among the files, compiled on their own.
    pub rules_files: Option<rules_file::Loaded>,
}

impl Read {
    /// All that can be compiled. Rules of Falco files are objects of the system namespace, under the names that `import`
    /// gives them.
    pub fn sources(&self, system: &str) -> Sources {
        let mut sources = self.loaded.sources(system);
        if let Some(rules) = self.of_rules_files(system) {
            sources.rules.extend(rules.rules);
            sources.libraries.extend(rules.libraries);
        }
        sources
    }

    /// The part of [`Read::sources`] that comes from Falco files.
    pub fn of_rules_files(&self, system: &str) -> Option<Sources> {
        Some(self.rules_files.as_ref()?.sources(system, rules_file::LIBRARY))
    }
}

/// Reads the objects and rules files at or below some paths.
///
/// # Errors
/// A path does not exist, or stdin cannot be read. What is wrong in a file is among the result's problems.
pub fn load(paths: &[PathBuf]) -> Result<Read> {
    let (stdin, files): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| is_stdin(path));
    for path in &files {
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let mut loaded = files::load(&files);
    if !stdin.is_empty() {
        let more = from_stdin()?;
        loaded.files += more.files;
        loaded.foreign += more.foreign;
        loaded.rules.extend(more.rules);
        loaded.libraries.extend(more.libraries);
        loaded.exceptions.extend(more.exceptions);
        loaded.routes.extend(more.routes);
        loaded.problems.extend(more.problems);
        loaded.rules_files.extend(more.rules_files);
    }
    let rules_files = import::check(&loaded.rules_files);
    Ok(Read { loaded, rules_files })
}

fn from_stdin() -> Result<Loaded> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    let refused = if bytes.len() as u64 > MAX_FILE {
        Some(format!("more than {MAX_FILE} bytes on stdin"))
    } else {
        std::str::from_utf8(&bytes).err().map(|error| format!("is no UTF-8 text: {error}"))
    };
    let path = Path::new(STDIN);
    Ok(match refused {
        None => files::load_text(path, &String::from_utf8_lossy(&bytes)),
        Some(message) => {
            let diagnostic = crds::source::problem("", "", message);
            let problem = Problem { path: path.to_owned(), at: Position { line: 1, column: 1 }, diagnostic };
            Loaded { files: 1, problems: vec![problem], ..Loaded::default() }
        }
    })
}
