//! `import FALCO.yaml... -o DIR`: Falco rules files become objects, one file each.
//!
//! ```text
//! files -> engine::rules_file (load, compile: what can be used, what not, why)
//!       -> objects (DetectionRule, RuleLibrary, Exception; limits of the schema) -> text (YAML with comments)
//!       -> folder (written, stale ones removed) -> report
//! ```
//! Invariants: equal input gives equal bytes; a file that is not of an import is neither changed nor removed (but by
//! `--force`); every object that is written reads back as what was meant.
mod folder;
mod limits;
mod objects;
mod report;
#[cfg(test)]
mod tests;
mod text;

use crate::args::{Output, Verdict};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use engine::rules_file::{Loaded, MAX_TOTAL, RulesText, load};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// Options of `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Falco rules files in the order that Falco would read them: later ones override earlier ones.
    #[arg(required = true, value_name = "FALCO.yaml")]
    pub files: Vec<PathBuf>,
    /// The folder to write into. Files of an earlier import that are no longer needed are removed from it.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The namespace of the objects.
    #[arg(long, default_value = crds::SYSTEM_NAMESPACE)]
    pub namespace: String,
    /// Where exceptions of rules go: they stay in their rules, or become Exception objects.
    #[arg(long, value_enum, default_value_t)]
    pub exceptions: Exceptions,
    /// Name of the RuleLibrary that macros and lists go into.
    #[arg(long, value_name = "NAME", default_value = engine::rules_file::LIBRARY)]
    pub library_name: String,
    /// Also write over files that are not of an import.
    #[arg(long)]
    pub force: bool,
    /// Form of the report.
    #[arg(long, value_enum, default_value_t)]
    pub report: Output,
}

/// Where exceptions of rules go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Exceptions {
    /// They stay in their rules.
    #[default]
    Inline,
    /// Each becomes an Exception object, whose matches are counted.
    Objects,
}

/// Runs it.
///
/// # Errors
/// A file cannot be read, the folder cannot be written, or a foreign file is in the way.
pub fn run(args: &ImportArgs) -> Result<Verdict> {
    for (what, name) in [("--namespace", &args.namespace), ("--library-name", &args.library_name)] {
        if !is_label(name) {
            bail!("{what} {name:?}: use lower-case letters, digits and hyphens, at most 63");
        }
    }
    let texts: Vec<String> = args.files.iter().map(|path| read(path)).collect::<Result<_>>()?;
    let names: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let files: Vec<RulesText<'_>> = names.iter().zip(&texts).map(|(name, text)| RulesText { name, text }).collect();
    let mut loaded = load(&files);
    loaded.compile();
    let objects = objects::make(&loaded, args);
    let written = folder::write(&args.output, &objects.files, args.force)?;
    let good = loaded.is_good() && objects.refused.iter().all(|r| !r.error);
    report::Report::new(&loaded, objects, written, args).print(args.report)?;
    Ok(Verdict::of(good))
}

fn read(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let mut bytes = Vec::new();
    file.take(MAX_TOTAL as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    String::from_utf8(bytes).ok().with_context(|| format!("{} is no UTF-8 text", path.display()))
}

/// A DNS label.
fn is_label(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 63
        && name.bytes().all(|b| fits(b) || b == b'-')
        && name.bytes().next().is_some_and(fits)
        && name.bytes().last().is_some_and(fits)
}

/// `check` of rules files: the same problems, with nothing written.
pub fn check(files: &[(PathBuf, String)]) -> Option<Loaded> {
    if files.is_empty() {
        return None;
    }
    let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    let texts: Vec<RulesText<'_>> = names.iter().zip(files).map(|(name, (_, text))| RulesText { name, text }).collect();
    let mut loaded = load(&texts);
    loaded.compile();
    Some(loaded)
}
