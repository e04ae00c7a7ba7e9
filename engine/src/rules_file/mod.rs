//! Falco rules files: what they define together, and what is wrong with them.
//!
//! ```text
//! texts -> yaml (trees with places) -> item, exceptions, versions (one object) -> collect (appends, overrides, in order)
//!       -> judge (names, order, what nothing uses) -> Loaded
//! Loaded -> sources (rules with stable names, one library) -> compile -> problems at their place in the files
//! ```
//! Invariants: any text is read without panic in bounded memory; an object with a mistake changes nothing and takes no
//! other with it; every problem has its file, line and column, and Falco's code. Lists and macros stay names: conditions
//! are judged by [`crate::compile`], the same machinery as for objects.
mod code;
mod collect;
mod comments;
mod exceptions;
mod item;
mod judge;
mod model;
mod names;
mod place;
mod sources;
#[cfg(test)]
mod tests;
mod versions;
mod yaml;

pub use model::{Change, List, Loaded, Macro, Rule, RuleException};
pub use names::object_names;
pub use place::{Joined, Named, Problem};
pub use sources::LIBRARY;

use collect::{Collector, Entry};
use comments::Comments;
use place::{File, Files, Finding, Place, push};
use yaml::{Node, Range, Tree, to_u32};

/// Most bytes in all files together.
pub const MAX_TOTAL: usize = 64 << 20;

/// A rules file to load.
#[derive(Clone, Copy, Debug)]
pub struct RulesText<'a> {
    /// What messages call it: its path.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// Whether a text is a rules file rather than an object: a list stands at its top.
#[must_use]
pub fn is_rules_file(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', '%']) && line.trim_end() != "---");
    let first = first.map(|line| line.strip_prefix("--- ").unwrap_or(line).trim_start());
    first.is_some_and(|line| line.starts_with("- ") || line.trim_end() == "-" || line.starts_with('['))
}

/// Loads rules files in their order. Never fails: what is wrong is among the problems of the result.
#[must_use]
pub fn load(texts: &[RulesText<'_>]) -> Loaded {
    let (mut problems, mut collector) = (Vec::new(), Collector::default());
    let mut files = Files::default();
    let (mut bytes, mut nodes) = (0_usize, yaml::MAX_NODES);
    for RulesText { name, text } in texts {
        bytes = bytes.saturating_add(text.len());
        let file = files.files.len();
        let fits = bytes <= MAX_TOTAL;
        files.files.push(File::new(name, if fits { text } else { "" }));
        if !fits {
            let message = format!("more than {MAX_TOTAL} bytes of rules in all; this file is not read");
            let place = Place { file, at: Range::default() };
            push(&mut problems, files.problem(place, None, Finding::error(code::YAML_PARSE, message)));
            continue;
        }
        let parsed = yaml::parse(&files.files[file].text, &mut nodes);
        for mistake in &parsed.mistakes {
            let place = Place { file, at: Range { start: mistake.at, end: mistake.at.saturating_add(1) } };
            let finding = Finding::error(code::YAML_PARSE, format!("bad YAML: {}", mistake.message));
            let finding = finding.hint_if(yaml_hint(&files, place, &mistake.message));
            push(&mut problems, files.problem(place, None, finding));
        }
        let comments = Comments::new(&files.files[file], &parsed.comments);
        for document in &parsed.documents {
            for node in entries(document, file, &files, &mut problems) {
                let comments = comments.of(&files.files[file], node);
                collector.take(Entry { files: &files, file, node, comments }, &mut problems);
            }
        }
    }
    let Collector { lists, macros, rules, .. } = collector;
    let mut loaded = Loaded {
        lists: lists.into_values().collect(),
        macros: macros.into_values().collect(),
        rules: rules.into_values().collect(),
        problems,
        files,
    };
    judge::judge(&mut loaded);
    loaded.sort_problems();
    loaded
}

/// The entries of a document.
fn entries<'n>(document: &'n Node, file: usize, files: &Files, problems: &mut Vec<Problem>) -> Vec<&'n Node> {
    if document.is_null() {
        return Vec::new();
    }
    if let Some(items) = document.list() {
        return items.iter().filter(|item| !item.is_null()).collect();
    }
    let hint = match document.tree {
        Tree::Map(_) => "begin each entry with a hyphen: - rule: NAME",
        _ => "entries are - rule: ..., - macro: ... and - list: ...",
    };
    let message = format!("a rules file is a list of entries, and this is {}", document.what());
    let start = document.at.start;
    let place = Place { file, at: Range { start, end: start.saturating_add(1) } };
    push(problems, files.problem(place, None, Finding::error(code::YAML_VALIDATE, message).hint(hint)));
    Vec::new()
}

/// What commonly is behind a mistake in YAML.
fn yaml_hint(files: &Files, place: Place, message: &str) -> Option<&'static str> {
    let file = files.files.get(place.file)?;
    let (start, end) = file.line_range(file.line(place.at.start));
    let line = file.text.get(start..end)?;
    if message.contains("tab") || line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces; YAML takes no tabs");
    }
    if message.contains("anchor") {
        return Some("`*` begins an alias in YAML; put the value in quotes");
    }
    if message.contains("quote") {
        return Some("close the quote; inside of single quotes write '' for one");
    }
    if line.matches(": ").count() > 1 {
        return Some("a text with `: ` in it needs quotes, or a block: `key: >` and the text indented below");
    }
    if message.contains("repeat") || message.contains("more than") || message.contains("nested") {
        return None;
    }
    Some("look at the indentation of this line and the one before; all keys of an entry begin in one column")
}

impl Loaded {
    /// Whether nothing that was defined has to be refused.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }

    pub(crate) fn sort_problems(&mut self) {
        let order = |problem: &Problem| self.files.files.iter().position(|file| file.name == problem.file);
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_cached_key(|p| (order(p), p.line, p.column));
        problems.dedup();
        self.problems = problems;
    }

    /// File and line where a rule is defined.
    #[must_use]
    pub fn rule_line(&self, rule: &Rule) -> String {
        self.files.name_line(rule.place)
    }

    /// File and line where a macro is defined.
    #[must_use]
    pub fn macro_line(&self, definition: &Macro) -> String {
        self.files.name_line(definition.place)
    }

    /// File and line where a list is defined.
    #[must_use]
    pub fn list_line(&self, list: &List) -> String {
        self.files.name_line(list.place)
    }

    /// The names of the files, in their order.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.files.iter().map(|file| file.name.as_str())
    }

    /// The name of the file that a rule was first written in.
    #[must_use]
    pub fn rule_file(&self, rule: &Rule) -> &str {
        self.files.files.get(rule.place.file).map_or("", |file| &file.name)
    }
}
