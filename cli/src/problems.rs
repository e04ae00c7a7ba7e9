//! What is wrong in files, gathered from reading and from compiling, in the order of the files.
use crate::load::{Read, load};
use anyhow::Result;
use crds::files::Loaded;
use engine::{
    compile::{Compiled, FailedTest, ObjectKind, Outcome, compile},
    diagnostic::{Diagnostic, Origin, Severity, Span, render, render_at},
    source::{ObjectRef, Sources},
};
use serde::Serialize;
use std::{collections::HashSet, io::Write, path::PathBuf};

/// Code of a rule test that did not go as expected.
pub const TEST_FAILED: &str = "EYAS_TEST_FAILED";

/// What to do about a field without a value.
const MISSING: &str = "a field that the event does not give is missing, and no comparison with it holds; give it";

/// One problem with its place in a file.
#[derive(Debug, Serialize)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the file, from 1; of folded text, the column where it begins.
    pub column: usize,
    /// Kind of the object, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Name of the rule, macro or list of a rules file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is wrong.
    #[serde(flatten)]
    pub diagnostic: Diagnostic,
}

/// Objects of files, compiled.
pub struct Checked {
    /// What was read.
    pub loaded: Loaded,
    /// What became of it.
    pub compiled: Compiled,
    /// Falco rules files that were among the files.
    pub rules_files: Option<engine::rules_file::Loaded>,
    /// Everything that is wrong, in the order of files and lines.
    pub problems: Vec<Located>,
}

/// Reads and compiles what is at or below some paths.
///
/// # Errors
/// A path does not exist.
pub fn check(paths: &[PathBuf], system: &str) -> Result<Checked> {
    let read = load(paths)?;
    let sources = read.sources(system);
    Ok(check_read(read, &sources))
}

/// Compiles what was read.
pub fn check_read(read: Read, sources: &Sources) -> Checked {
    let compiled = compile(sources, None);
    // What is wrong with these is told at its place in the rules files instead.
    let of_files = read.of_rules_files(&sources.system_namespace).unwrap_or_default();
    let of_files: HashSet<(ObjectKind, &ObjectRef)> = (of_files.rules.iter().map(|r| (ObjectKind::Rule, &r.meta.id)))
        .chain(of_files.libraries.iter().map(|l| (ObjectKind::Library, &l.meta.id)))
        .collect();
    let Read { loaded, rules_files } = read;
    let mut problems: Vec<Located> = loaded
        .problems
        .iter()
        .map(|p| Located {
            file: p.path.clone(),
            line: p.at.line,
            column: p.at.column,
            kind: None,
            object: None,
            name: None,
            diagnostic: p.diagnostic.clone(),
        })
        .collect();
    for outcome in compiled.outcomes.iter().filter(|o| !of_files.contains(&(o.kind, &o.id))) {
        problems.extend(outcome.diagnostics.iter().cloned().map(|d| locate(&loaded, outcome, d)));
        problems.extend(outcome.failed_test.as_ref().map(|test| failed_test(&loaded, outcome, test)));
    }
    for problem in rules_files.iter().flat_map(|rules| &rules.problems) {
        let (file, line, column) = (PathBuf::from(&problem.file), problem.line, problem.column);
        let (kind, name) = problem.object.as_ref().map(|object| (object.kind, object.name.clone())).unzip();
        let diagnostic = problem.diagnostic.clone();
        problems.push(Located { file, line, column, kind, object: None, name, diagnostic });
    }
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Checked { loaded, compiled, rules_files, problems }
}

impl Checked {
    /// What is wrong with one rule.
    pub fn problems_of<'c>(&'c self, rule: &'c ObjectRef) -> impl Iterator<Item = &'c Located> {
        let kind = ObjectKind::Rule.as_str();
        self.problems.iter().filter(move |p| p.kind == Some(kind) && p.object.as_ref() == Some(rule))
    }

    /// File and line that an object was read from.
    pub fn place(&self, kind: ObjectKind, id: &ObjectRef) -> Option<String> {
        let whole = Diagnostic {
            severity: Severity::Warning,
            code: String::new(),
            part: String::new(),
            message: String::new(),
            suggestion: None,
            text: String::new(),
            span: Span::default(),
        };
        let place = self.loaded.place(kind, id, &whole)?;
        Some(format!("{}:{}", place.path.display(), place.at.line))
    }
}

/// A failed test with the place of the event that failed.
pub fn failed_test(loaded: &Loaded, outcome: &Outcome, test: &FailedTest) -> Located {
    let part = match test.event {
        Some(event) => format!("tests[{}].events[{event}]", test.index),
        None => format!("tests[{}]", test.index),
    };
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        code: TEST_FAILED.to_owned(),
        part,
        message: test.to_string(),
        suggestion: test.message.ends_with(" has no value").then(|| MISSING.to_owned()),
        text: String::new(),
        span: Span::default(),
    };
    let mut located = locate(loaded, outcome, diagnostic);
    // The event as it stands in the file, in one line.
    let line = loaded.line(outcome.kind, &outcome.id, located.line).unwrap_or_default();
    let start = line.char_indices().nth(located.column - 1).map_or(line.len(), |(at, _)| at);
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    located.diagnostic.span = Span { start: at(start), end: at(line.trim_end().len()) };
    line.clone_into(&mut located.diagnostic.text);
    located
}

fn locate(loaded: &Loaded, outcome: &Outcome, diagnostic: Diagnostic) -> Located {
    let place = loaded.place(outcome.kind, &outcome.id, &diagnostic);
    let (file, line, column) = place.map_or((PathBuf::new(), 1, 1), |p| (p.path, p.at.line, p.at.column));
    let (kind, object) = (Some(outcome.kind.as_str()), Some(outcome.id.clone()));
    Located { file, line, column, kind, object, name: None, diagnostic }
}

impl Located {
    /// Whether the object cannot be used.
    pub fn is_error(&self) -> bool {
        self.diagnostic.severity == Severity::Error
    }

    /// With the text and a caret, for people.
    pub fn render(&self) -> String {
        if self.file.as_os_str().is_empty() {
            // A condition from the command line.
            return render(&self.diagnostic, true);
        }
        let whose = self.object.as_ref().map(ToString::to_string).or_else(|| self.name.clone());
        let note = self.kind.zip(whose).map(|(kind, object)| match self.diagnostic.part.as_str() {
            "" => format!("in {kind} {object}"),
            part => format!("in {part} of {kind} {object}"),
        });
        let path = self.file.display().to_string();
        // The text's own first line, so that the lines shown are the file's.
        let first_line = (self.line + 1).saturating_sub(self.diagnostic.line_column().0).max(1);
        render_at(&self.diagnostic, &Origin { path: &path, first_line, note: note.as_deref() }, true)
    }
}

/// What there is in how many files, for the last line.
pub fn count(checked: &Checked) -> String {
    let of_rules = checked.loaded.rules_files.len();
    let files = checked.loaded.files - of_rules;
    let objects = format!("{} in {}", plural(checked.loaded.len(), "object"), plural(files, "file"));
    let Some(rules) = &checked.rules_files else { return objects };
    let [a, b, c] = [(rules.rules.len(), "rule"), (rules.macros.len(), "macro"), (rules.lists.len(), "list")]
        .map(|(n, what)| plural(n, what));
    let rules = format!("{a}, {b}, {c} in {}", plural(of_rules, "Falco file"));
    if files == 0 { rules } else { format!("{objects}; {rules}") }
}

/// A number of things.
pub fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Writes one JSON document and a line end.
///
/// # Errors
/// Stdout cannot be written.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Whether an outcome is a rule's.
pub fn is_rule(outcome: &Outcome) -> bool {
    outcome.kind == ObjectKind::Rule
}
