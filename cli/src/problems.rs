//! What is wrong in files, gathered from reading and from compiling, in the order of the files.
use anyhow::{Context as _, Result};
use crds::files::{self, Loaded};
use engine::{
    compile::{Compiled, ObjectKind, Outcome, compile},
    diagnostic::{Diagnostic, Origin, Severity, Span, render_at},
    source::ObjectRef,
};
use serde::Serialize;
use std::{io::Write, path::PathBuf};

/// Code of a rule test that did not go as expected.
const TEST_FAILED: &str = "EYAS_TEST_FAILED";

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
    for path in paths {
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let loaded = files::load(paths);
    let compiled = compile(&loaded.sources(system), None);
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
    for outcome in &compiled.outcomes {
        let failed_test = outcome.failed_test.as_ref().map(|test| Diagnostic {
            severity: Severity::Error,
            code: TEST_FAILED.to_owned(),
            part: format!("tests[{}]", test.index),
            message: match test.event {
                Some(event) => format!("test {:?}, event {}: {}", test.name, event + 1, test.message),
                None => format!("test {:?}: {}", test.name, test.message),
            },
            suggestion: None,
            text: test.name.clone(),
            span: Span::default(),
        });
        problems.extend(outcome.diagnostics.iter().cloned().chain(failed_test).map(|d| locate(&loaded, outcome, d)));
    }
    let rules_files = crate::import::check(&loaded.rules_files);
    for problem in rules_files.iter().flat_map(|rules| &rules.problems) {
        let (file, line, column) = (PathBuf::from(&problem.file), problem.line, problem.column);
        let (kind, name) = problem.object.as_ref().map(|object| (object.kind, object.name.clone())).unzip();
        let diagnostic = problem.diagnostic.clone();
        problems.push(Located { file, line, column, kind, object: None, name, diagnostic });
    }
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Ok(Checked { loaded, compiled, rules_files, problems })
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
        let whose = self.object.as_ref().map(ToString::to_string).or_else(|| self.name.clone());
        let note = self.kind.zip(whose).map(|(kind, whose)| match self.diagnostic.part.as_str() {
            "" => format!("in {kind} {whose}"),
            part => format!("in {part} of {kind} {whose}"),
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
