//! Problems found in what people wrote, with place, code and suggestion.
use serde::{Deserialize, Serialize};

/// A half-open range of bytes in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object cannot be used.
    Error,
    /// It can, but look here.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Falco's code, such as `LOAD_ERR_COMPILE_CONDITION`.
    pub code: String,
    /// Which part of the object: `condition`, `output`, `macros[is_shell]`, `tests[0]`...
    pub part: String,
    /// One sentence, without the place.
    pub message: String,
    /// "did you mean fd.name?"; what to do.
    pub suggestion: Option<String>,
    /// The whole text of that part.
    pub text: String,
    /// Where in `text`.
    pub span: Span,
}

impl Diagnostic {
    /// Line and column, each from 1; the column counts characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        self.line_column_at(self.span.start)
    }

    /// Where it ends: the line and column of the first character after it.
    #[must_use]
    pub fn end_line_column(&self) -> (usize, usize) {
        self.line_column_at(self.span.end.max(self.span.start))
    }

    fn line_column_at(&self, at: u32) -> (usize, usize) {
        let before = self.text.get(..(at as usize).min(self.text.len())).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}

impl Diagnostic {
    /// One line: `condition:1:9: error LOAD_ERR_COMPILE_CONDITION: unknown field fd.nam; did you mean fd.name?`
    #[must_use]
    pub fn one_line(&self) -> String {
        let (line, column) = self.line_column();
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let suggestion = self.suggestion.as_ref().map(|s| format!("; {s}")).unwrap_or_default();
        format!("{}:{line}:{column}: {severity} {}: {}{suggestion}", self.part, self.code, self.message)
    }
}

/// Where the text of a diagnostic stands, for people.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// A file, or the part of an object.
    pub path: &'a str,
    /// The line there that the text begins in, from 1.
    pub first_line: usize,
    /// More about the place, such as which object it is.
    pub note: Option<&'a str>,
}

/// The problem with its text and a caret, for people. The place is told as part, line and column.
#[must_use]
pub fn render(diagnostic: &Diagnostic, color: bool) -> String {
    render_at(diagnostic, &Origin { path: &diagnostic.part, first_line: 1, note: None }, color)
}

/// The same, with the place that the text has in a file.
#[must_use]
pub fn render_at(diagnostic: &Diagnostic, origin: &Origin<'_>, color: bool) -> String {
    use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let text = diagnostic.text.as_str();
    let start = border(text, diagnostic.span.start as usize);
    let end = border(text, diagnostic.span.end as usize).max(start);
    let caret = AnnotationKind::Primary.span(start..end);
    let snippet = Snippet::source(text).path(origin.path).line_start(origin.first_line);
    let mut group = title.element(snippet.annotation(caret));
    if let Some(note) = origin.note {
        group = group.element(Level::NOTE.message(note));
    }
    if let Some(suggestion) = &diagnostic.suggestion {
        group = group.element(Level::HELP.message(suggestion.as_str()));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// The character border at or before a byte, within the text: spans read from elsewhere may say anything.
fn border(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    //! The whole picture that people see.
    use super::*;

    #[test]
    fn the_caret_stands_below_the_place() {
        let text = "evt.type = open\nand fd.nam = x".to_owned();
        let mut problem = Diagnostic {
            severity: Severity::Error,
            code: "LOAD_ERR_COMPILE_CONDITION".to_owned(),
            part: "condition".to_owned(),
            message: "unknown field fd.nam".to_owned(),
            suggestion: Some("did you mean fd.name?".to_owned()),
            text,
            span: Span { start: 20, end: 26 },
        };
        insta::assert_snapshot!(render(&problem, false), @r"
        error[LOAD_ERR_COMPILE_CONDITION]: unknown field fd.nam
         --> condition:2:5
          |
        2 | and fd.nam = x
          |     ^^^^^^
          |
          = help: did you mean fd.name?
        ");
        assert_eq!((problem.line_column(), problem.end_line_column()), ((2, 5), (2, 11)));
        // Nonsense does not panic.
        problem.span = Span { start: 900, end: 3 };
        assert!(render(&problem, true).contains("unknown field"));
    }
}
