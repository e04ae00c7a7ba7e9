//! Objects from a folder tree of YAML, without an API server: standalone agents and the command line.
//!
//! ```text
//! walk (files) -> documents -> tree (values with positions) -> check (the schema) -> objects
//! ```
//! Invariants: bad YAML is one problem with file, line and column and takes no other document with it; an object that
//! the schema refuses is still there by name, with its problems, so that its last good form can stay in force; hidden
//! files and kinds that are not ours are left alone; everything read is bounded.
mod check;
mod document;
mod origin;
mod tree;
mod walk;

pub use origin::{Located, Origin, Place};
pub use tree::Position;
pub use walk::{MAX_FILE, MAX_FILES, MAX_TOTAL};

use crate::{DetectionRule, Exception, OutputRoute, RuleLibrary, source};
use engine::{
    compile::ObjectKind,
    diagnostic::Diagnostic,
    source::{Meta, ObjectRef, Sources},
};
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// DetectionRules.
    pub rules: Vec<Located<DetectionRule>>,
    /// RuleLibraries.
    pub libraries: Vec<Located<RuleLibrary>>,
    /// Exceptions.
    pub exceptions: Vec<Located<Exception>>,
    /// OutputRoutes.
    pub routes: Vec<Located<OutputRoute>>,
    /// What belongs to no object: unreadable files, bad YAML, objects without a name, names that are there twice.
    pub problems: Vec<Problem>,
    /// How many files were read.
    pub files: usize,
    /// How many documents are not ours and were left alone.
    pub foreign: usize,
    /// Falco rules files, by path and text: no objects, and left alone here.
    pub rules_files: Vec<(PathBuf, String)>,
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub at: Position,
    /// What, with the line of the file as its text.
    pub diagnostic: Diagnostic,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Position { line, column } = self.at;
        write!(f, "{}:{line}:{column}: {}", self.path.display(), self.diagnostic.message)?;
        if let Some(suggestion) = &self.diagnostic.suggestion {
            write!(f, "; {suggestion}")?;
        }
        Ok(())
    }
}

/// Reads every object at or below `paths`. Never fails: what cannot be read is in `problems`.
#[must_use]
pub fn load<P: AsRef<Path>>(paths: &[P]) -> Loaded {
    let mut loaded = Loaded::default();
    let paths: Vec<PathBuf> = paths.iter().map(|p| p.as_ref().to_owned()).collect();
    walk::read(&paths, |(path, text)| match text {
        Ok(text) => {
            loaded.files += 1;
            if engine::rules_file::is_rules_file(&text) {
                loaded.foreign += 1;
                loaded.rules_files.push((path, text));
                return;
            }
            document::read_file(&path, &text, &mut loaded);
        }
        Err(error) => loaded.problems.push(Problem {
            diagnostic: source::problem("", "", error.to_string()),
            path,
            at: Position { line: 1, column: 1 },
        }),
    });
    loaded
}

/// The objects in one text, as [`load`] reads a file. `path` is for messages only.
#[must_use]
pub fn load_text(path: &Path, text: &str) -> Loaded {
    let mut loaded = Loaded { files: 1, ..Loaded::default() };
    document::read_file(path, text, &mut loaded);
    loaded
}

impl Loaded {
    /// Everything as the engine's sources, each with what was found wrong so far.
    #[must_use]
    pub fn sources(&self, system_namespace: &str) -> Sources {
        fn each<T, S>(items: &[Located<T>], convert: impl Fn(&T) -> S, meta: impl Fn(&mut S) -> &mut Meta) -> Vec<S> {
            let one = |item: &Located<T>| {
                let mut source = convert(&item.object);
                let meta = meta(&mut source);
                meta.origin = item.origin.to_string();
                if !item.problems.is_empty() {
                    // The schema's answer covers the same words with a better place.
                    meta.problems = item.problems.iter().map(|(_, p)| p.clone()).collect();
                }
                source
            };
            items.iter().map(one).collect()
        }
        Sources {
            system_namespace: system_namespace.to_owned(),
            rules: each(&self.rules, source::rule, |s| &mut s.meta),
            libraries: each(&self.libraries, source::library, |s| &mut s.meta),
            exceptions: each(&self.exceptions, |e| source::exception(e, system_namespace), |s| &mut s.meta),
            routes: each(&self.routes, |r| source::route(r, system_namespace), |s| &mut s.meta),
        }
    }

    /// Where in a file a diagnostic of an object points.
    #[must_use]
    pub fn place(&self, kind: ObjectKind, id: &ObjectRef, diagnostic: &Diagnostic) -> Option<Place> {
        match kind {
            ObjectKind::Rule => origin::place(&self.rules, id, diagnostic),
            ObjectKind::Library => origin::place(&self.libraries, id, diagnostic),
            ObjectKind::Exception => origin::place(&self.exceptions, id, diagnostic),
            ObjectKind::Route => origin::place(&self.routes, id, diagnostic),
        }
    }

    /// A line of the document that an object was read from, by its number in the file.
    #[must_use]
    pub fn line(&self, kind: ObjectKind, id: &ObjectRef, line: usize) -> Option<&str> {
        let origin = match kind {
            ObjectKind::Rule => origin::of(&self.rules, id),
            ObjectKind::Library => origin::of(&self.libraries, id),
            ObjectKind::Exception => origin::of(&self.exceptions, id),
            ObjectKind::Route => origin::of(&self.routes, id),
        };
        Some(origin?.line(Position { line, column: 1 }))
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len() + self.libraries.len() + self.exceptions.len() + self.routes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
