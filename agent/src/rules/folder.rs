//! Rules from a folder of YAML, compiled here as the operator does in a cluster, and watched for changes.
use super::SYSTEM_NAMESPACE;
use crds::{
    OutputRoute,
    files::{Loaded, Located, Problem, load},
};
use engine::{
    compile::{Outcome, compile},
    diagnostic::{self, Severity},
    ruleset::Ruleset,
};
use notify::{EventKind, RecursiveMode, Watcher};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Changes that come within this time of each other are one change: an editor writes a file in several steps.
const SETTLE: Duration = Duration::from_millis(30);
/// A folder that never comes to rest is read this often all the same.
const RESTLESS: Duration = Duration::from_secs(1);

/// What a folder compiled to.
#[derive(Debug)]
pub struct Compilation {
    /// Rules that are in force: the good ones, and the last good form of bad ones.
    pub ruleset: Arc<Ruleset>,
    /// What became of each object.
    pub outcomes: Arc<Vec<Outcome>>,
    /// Problems that belong to no object (bad YAML, unreadable files).
    pub problems: Vec<Problem>,
    /// Routes, for delivery in process.
    pub routes: Vec<Located<OutputRoute>>,
    /// For people: each error and warning with file, line, column and caret.
    pub messages: Vec<Message>,
}

/// One problem for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Error or warning.
    pub severity: Severity,
    /// One line: where and what.
    pub line: String,
    /// The caret drawing, where there is a text to point into.
    pub drawing: String,
}

impl Compilation {
    /// Reads and compiles what is at or below `path`. Bad objects keep their form out of `last_good`.
    #[must_use]
    pub fn read(path: &Path, last_good: Option<&Ruleset>) -> Self {
        Self::of(load(&[path]), last_good)
    }

    /// Compiles what was read.
    #[must_use]
    pub fn of(loaded: Loaded, last_good: Option<&Ruleset>) -> Self {
        let compiled = compile(&loaded.sources(SYSTEM_NAMESPACE), last_good);
        let messages = messages(&loaded, &compiled.outcomes);
        Self {
            ruleset: Arc::new(compiled.ruleset),
            outcomes: Arc::new(compiled.outcomes),
            problems: loaded.problems,
            routes: loaded.routes,
            messages,
        }
    }

    /// How many objects or files are in error.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.messages.iter().filter(|m| m.severity == Severity::Error).count()
    }
}

fn messages(loaded: &Loaded, outcomes: &[Outcome]) -> Vec<Message> {
    let of_files = loaded.problems.iter().map(|p| Message {
        severity: p.diagnostic.severity,
        line: p.to_string(),
        drawing: diagnostic::render(&p.diagnostic, false),
    });
    let of_objects = outcomes.iter().flat_map(|o| {
        o.diagnostics.iter().map(|d| Message {
            severity: d.severity,
            line: loaded.place(o.kind, &o.id, d).map_or_else(
                || format!("{}: {}", o.id, d.one_line()),
                |place| format!("{place}: {}: {}", o.id, d.one_line()),
            ),
            drawing: diagnostic::render(d, false),
        })
    });
    // Who comes from Falco puts them here first: silence would look like rules without matches.
    let of_falco = loaded.rules_files.iter().map(|(path, _)| {
        let path = path.display();
        let line = format!(
            "{path}: a Falco rules file, which is not read here; make objects of it: kubectl eyas import {path} -o DIR"
        );
        Message { severity: Severity::Warning, line, drawing: String::new() }
    });
    of_files.chain(of_falco).chain(of_objects).collect()
}

/// A folder cannot be watched; the rules in it are armed all the same, and changes need a restart.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {path}: {source}; changes to it will not be seen until the agent is started again")]
pub struct WatchError {
    path: String,
    #[source]
    source: notify::Error,
}

/// Tells when something below a folder changed. Ends when dropped.
pub struct FolderWatch {
    // Held for its threads: they end with it.
    _watcher: notify::RecommendedWatcher,
    changed: mpsc::Receiver<()>,
}

impl FolderWatch {
    /// Watches `path` (inotify(7)) and everything below it.
    ///
    /// # Errors
    /// The path does not exist, or the kernel's limit of watches is reached.
    pub fn new(path: &Path) -> Result<Self, WatchError> {
        // One place: a change while one is waiting already adds nothing.
        let (tell, changed) = mpsc::channel(1);
        let error = |source| WatchError { path: path.display().to_string(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the rules must not look like a change of them. An error (an overflow) may hide a change.
            if event.map_or(true, |e| !matches!(e.kind, EventKind::Access(_))) {
                let _ = tell.try_send(());
            }
        })
        .map_err(error)?;
        watcher.watch(&watched(path), RecursiveMode::Recursive).map_err(error)?;
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits for the next change, and until changes have settled. `None` when the watch has died.
    pub async fn changed(&mut self) -> Option<()> {
        self.changed.recv().await?;
        let rest = async { while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.changed.recv()).await {} };
        // A watch that died meanwhile is told by the next call: what changed before is read.
        let _ = tokio::time::timeout(RESTLESS, rest).await;
        Some(())
    }
}

/// A single file is watched by its folder: editors replace files, and a watch on the old one would see nothing more.
fn watched(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if path.is_file() && !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) if path.is_file() => PathBuf::from("."),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn changes_are_told_once_and_reading_is_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "a: 1\n").unwrap();
        let mut watch = FolderWatch::new(dir.path()).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/b.yaml"), "b: 1\n").unwrap();
        let wait = Duration::from_secs(20);
        tokio::time::timeout(wait, watch.changed()).await.unwrap().unwrap();
        fs::read(dir.path().join("a.yaml")).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), watch.changed()).await.is_err());
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        tokio::time::timeout(wait, watch.changed()).await.unwrap().unwrap();
    }

    #[test]
    fn a_missing_folder_says_which() {
        let error = FolderWatch::new(Path::new("/no/such/folder")).err().unwrap().to_string();
        assert!(error.contains("/no/such/folder"), "{error}");
    }

    #[test]
    fn a_falco_rules_file_among_the_rules_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("falco.yaml"), "- list: shells\n  items: [sh]\n").unwrap();
        let rules = Compilation::read(dir.path(), None);
        assert_eq!(rules.errors(), 0);
        assert!(rules.messages.iter().any(|m| m.line.contains("falco.yaml") && m.line.contains("kubectl eyas import")));
    }
}
