//! What an import did: imported, changed, refused and why, and every problem of the files.
use super::{
    ImportArgs,
    folder::Written,
    objects::{Changed, Objects, Refused},
};
use crate::{
    args::Output,
    problems::{plural, print_json},
};
use anyhow::Result;
use engine::rules_file::{Loaded, Problem};
use serde::Serialize;
use std::{
    collections::{HashMap, hash_map::Entry},
    io::Write as _,
};

/// See the module.
#[derive(Serialize)]
pub struct Report<'l> {
    /// Nothing has to be mended.
    ok: bool,
    folder: String,
    imported: Imported,
    files: Files,
    changed: Vec<Changed>,
    refused: Vec<Refused>,
    problems: &'l [Problem],
}

#[derive(Serialize)]
struct Imported {
    rules: usize,
    macros: usize,
    lists: usize,
    libraries: usize,
    exceptions: usize,
}

#[derive(Serialize)]
struct Files {
    written: usize,
    unchanged: usize,
    removed: Vec<String>,
    /// Not of an import, and left alone.
    foreign: Vec<String>,
}

impl<'l> Report<'l> {
    /// Puts it together.
    pub fn new(loaded: &'l Loaded, objects: Objects, written: Written, args: &ImportArgs) -> Self {
        let Objects { rules, macros, lists, libraries, exceptions, mut changed, refused, .. } = objects;
        // What happened to one object in several steps is told once.
        let mut merged: Vec<Changed> = Vec::new();
        let mut there: HashMap<(&'static str, String), usize> = HashMap::new();
        for mut one in changed.drain(..) {
            match there.entry((one.kind, one.name.clone())) {
                Entry::Occupied(at) => merged[*at.get()].how.append(&mut one.how),
                Entry::Vacant(free) => {
                    free.insert(merged.len());
                    merged.push(one);
                }
            }
        }
        Self {
            ok: loaded.is_good() && refused.iter().all(|r| !r.error),
            folder: args.output.display().to_string(),
            imported: Imported { rules, macros, lists, libraries, exceptions },
            files: Files {
                written: written.changed,
                unchanged: written.same,
                removed: written.removed,
                foreign: written.foreign,
            },
            changed: merged,
            refused,
            problems: &loaded.problems,
        }
    }

    /// Prints it to stdout.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn print(&self, form: Output) -> Result<()> {
        if form == Output::Json {
            return print_json(self);
        }
        let mut out = anstream::stdout().lock();
        for problem in self.problems {
            writeln!(out, "{}\n", problem.render(true))?;
        }
        self.text(&mut out)
    }

    fn text(&self, out: &mut impl std::io::Write) -> Result<()> {
        let Imported { rules, macros, lists, libraries, exceptions } = &self.imported;
        let library = match libraries {
            0 => String::new(),
            1 => " (one RuleLibrary)".to_owned(),
            n => format!(" ({n} RuleLibraries)"),
        };
        let objects = match exceptions {
            0 => String::new(),
            n => format!(", {}", plural(*n, "Exception")),
        };
        let (rules, macros, lists) = (plural(*rules, "rule"), plural(*macros, "macro"), plural(*lists, "list"));
        writeln!(out, "imported  {rules}, {macros}, {lists}{library}{objects} into {}", self.folder)?;
        let Files { written, unchanged, removed, foreign } = &self.files;
        let removed_number = if removed.is_empty() { String::new() } else { format!(", {} removed", removed.len()) };
        writeln!(out, "files     {written} written, {unchanged} unchanged{removed_number}")?;
        for name in removed {
            writeln!(out, "removed   {name}")?;
        }
        for name in foreign {
            writeln!(out, "foreign   {name}: not of an import, left alone")?;
        }
        for Changed { kind, name, how } in &self.changed {
            writeln!(out, "changed   {kind} {name}: {}", how.join("; "))?;
        }
        for Refused { kind, name, place, why, error } in &self.refused {
            let word = if *error { "refused" } else { "skipped" };
            writeln!(out, "{word}   {kind} {name} ({place}): {why}")?;
        }
        let errors = self.problems.iter().filter(|p| p.is_error()).count();
        let warnings = self.problems.len() - errors;
        match (errors, warnings) {
            (0, 0) => {}
            (0, _) => writeln!(out, "{}", plural(warnings, "warning"))?,
            (_, 0) => writeln!(out, "{}", plural(errors, "error"))?,
            _ => writeln!(out, "{}, {}", plural(errors, "error"), plural(warnings, "warning"))?,
        }
        Ok(())
    }
}
