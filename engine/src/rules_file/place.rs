//! Places in the files: from bytes to line and column, from a value back to its source, and problems that show both.
use super::yaml::{Range, to_u32};
use crate::diagnostic::{Diagnostic, Severity, Span, render_at};
use granit_parser::ScalarStyle;
use serde::Serialize;

/// Most problems that are told.
const MAX_PROBLEMS: usize = 1000;
/// Longest line that is shown from its beginning.
const MAX_LINE: usize = 4096;

/// A place in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: usize,
    pub at: Range,
}

/// Which object of a rules file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `rule`, `macro` or `list`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// Something wrong in a rules file, with the line as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name of the file, as given.
    pub file: String,
    /// Line in it, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The object, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Named>,
    /// What is wrong. Its text is the line of the file.
    #[serde(flatten)]
    pub diagnostic: Diagnostic,
}

impl Problem {
    /// Whether the object cannot be used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.diagnostic.severity == Severity::Error
    }

    /// With the line and a caret, for people.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let note = self.object.as_ref().map(|object| match self.diagnostic.part.as_str() {
            "" => format!("in {} {}", object.kind, object.name),
            part => format!("in {part} of {} {}", object.kind, object.name),
        });
        let origin = crate::diagnostic::Origin { path: &self.file, first_line: self.line, note: note.as_deref() };
        render_at(&self.diagnostic, &origin, color)
    }
}

/// A file with its lines.
pub struct File {
    pub name: String,
    pub text: String,
    /// Where each line begins.
    lines: Vec<u32>,
}

impl File {
    pub fn new(name: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| to_u32(i + 1));
        Self { name: name.to_owned(), text: text.to_owned(), lines: [0].into_iter().chain(breaks).collect() }
    }

    /// The line of a byte, from 0.
    pub fn line(&self, at: u32) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// The bytes of a line, without its end.
    pub fn line_range(&self, line: usize) -> (usize, usize) {
        let start = self.lines.get(line).map_or(self.text.len(), |at| *at as usize);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |at| *at as usize);
        let text = self.text.get(start..end).unwrap_or_default();
        (start, start + text.trim_end_matches(['\n', '\r']).len())
    }

    pub fn slice(&self, at: Range) -> &str {
        self.text.get(at.start as usize..at.end as usize).unwrap_or_default()
    }
}

/// The files, and what is wrong in them.
#[derive(Default)]
pub struct Files {
    pub files: Vec<File>,
}

/// A problem before it has its place.
pub struct Finding<'a> {
    pub severity: Severity,
    pub code: &'a str,
    pub part: &'a str,
    pub message: String,
    pub suggestion: Option<String>,
}

impl<'a> Finding<'a> {
    pub fn error(code: &'a str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, part: "", message: message.into(), suggestion: None }
    }

    pub fn warning(code: &'a str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub fn part(self, part: &'a str) -> Self {
        Self { part, ..self }
    }

    pub fn hint(self, suggestion: impl Into<String>) -> Self {
        self.hint_if(Some(suggestion))
    }

    pub fn hint_if(self, suggestion: Option<impl Into<String>>) -> Self {
        Self { suggestion: suggestion.map(Into::into), ..self }
    }
}

impl Files {
    /// `file:line` of a place.
    pub fn name_line(&self, place: Place) -> String {
        let Some(file) = self.files.get(place.file) else { return String::new() };
        format!("{}:{}", file.name, file.line(place.at.start) + 1)
    }

    /// A problem at a place: its first line is shown.
    pub fn problem(&self, place: Place, object: Option<Named>, finding: Finding<'_>) -> Problem {
        let Some(file) = self.files.get(place.file) else { return self.nowhere(object, finding) };
        let start = border(&file.text, place.at.start as usize);
        // Beyond the last character: at the end of what is there.
        let start = if start >= file.text.len() { file.text.trim_end().len() } else { start };
        let line = file.line(to_u32(start));
        let (mut from, mut to) = file.line_range(line);
        let end = border(&file.text, place.at.end as usize).clamp(start, to.max(start));
        let column = file.text[from..start].chars().count() + 1;
        if to - from > MAX_LINE {
            // A line too long to show: what is around the place.
            from = border(&file.text, start.saturating_sub(MAX_LINE / 4).max(from));
            to = border(&file.text, (start + MAX_LINE / 4).min(to));
        }
        let text = file.text.get(from..to).unwrap_or_default().to_owned();
        let span = Span { start: to_u32(start - from), end: to_u32(end.min(to).max(start) - from) };
        self.build(file.name.clone(), line + 1, column, object, finding, text, span)
    }

    /// A problem of a file as a whole.
    fn nowhere(&self, object: Option<Named>, finding: Finding<'_>) -> Problem {
        self.build(String::new(), 1, 1, object, finding, String::new(), Span::default())
    }

    #[expect(clippy::too_many_arguments, clippy::unused_self, reason = "the one place that makes problems")]
    fn build(
        &self,
        file: String,
        line: usize,
        column: usize,
        object: Option<Named>,
        finding: Finding<'_>,
        text: String,
        span: Span,
    ) -> Problem {
        let Finding { severity, code, part, message, suggestion } = finding;
        let (code, part) = (code.to_owned(), part.to_owned());
        let diagnostic = Diagnostic { severity, code, part, message, suggestion, text, span };
        Problem { file, line, column, object, diagnostic }
    }
}

/// Whether what is found from here on is only counted: looking for its place and a suggestion would cost too much.
pub fn is_full(problems: &[Problem]) -> bool {
    problems.len() > MAX_PROBLEMS
}

/// An error that is not told any more.
pub fn push_untold(problems: &mut [Problem]) {
    if let Some(last) = problems.last_mut() {
        last.diagnostic.severity = Severity::Error;
    }
}

/// Adds a problem; beyond the bound only errors count, and one line says so.
pub fn push(problems: &mut Vec<Problem>, problem: Problem) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem);
    } else if problems.len() == MAX_PROBLEMS {
        let message = format!("more than {MAX_PROBLEMS} problems; mend these first");
        problems.push(Problem { diagnostic: Diagnostic { message, ..problem.diagnostic }, ..problem });
    } else if problem.is_error()
        && let Some(last) = problems.last_mut()
    {
        last.diagnostic.severity = Severity::Error;
    }
}

/// The character border at or before a byte, within the text.
fn border(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A text that was put together from values of the files, and how to find the way back.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// The text.
    pub text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    /// Where it begins in the text.
    at: usize,
    place: Place,
    /// How it is written; `None`: it was made from what is there.
    style: Option<ScalarStyle>,
}

impl Joined {
    pub(super) fn new(text: &str, place: Place, style: ScalarStyle) -> Self {
        Self { text: text.to_owned(), pieces: vec![Piece { at: 0, place, style: Some(style) }] }
    }

    /// Joins with one space.
    pub(super) fn append(&mut self, other: &Self) {
        let shift = self.text.len() + 1;
        self.text.push(' ');
        self.text.push_str(&other.text);
        self.pieces.extend(other.pieces.iter().map(|piece| Piece { at: piece.at + shift, ..piece.clone() }));
    }

    /// Adds text that something at a place was turned into.
    pub(super) fn push_made(&mut self, text: &str, place: Place) {
        self.pieces.push(Piece { at: self.text.len(), place, style: None });
        self.text.push_str(text);
    }

    /// White space at both ends removed.
    pub(super) fn trimmed(mut self) -> Self {
        let cut = self.text.len() - self.text.trim_start().len();
        if cut == 0 {
            self.text.truncate(self.text.trim_end().len());
            return self;
        }
        // The way back goes by words: white space before the first does not matter.
        self.text = self.text.trim().to_owned();
        for piece in &mut self.pieces {
            piece.at = piece.at.saturating_sub(cut);
        }
        self
    }

    /// Whether text that was appended begins at a byte.
    pub(super) fn is_seam(&self, at: usize) -> bool {
        self.pieces.iter().skip(1).any(|piece| piece.at == at)
    }

    /// Where a span of the text stands in the files.
    pub(super) fn place(&self, files: &Files, span: Span) -> Option<Place> {
        let (start, end) = (span.start as usize, span.end as usize);
        let index = self.pieces.partition_point(|piece| piece.at <= start).checked_sub(1)?;
        let piece = &self.pieces[index];
        let Some(style) = piece.style else { return Some(piece.place) };
        let stop = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.at);
        let value = self.text.get(piece.at..stop).unwrap_or_default();
        let source = files.files.get(piece.place.file)?.slice(piece.place.at);
        let target = start.min(stop) - piece.at;
        let Some(from) = follow(source, style, value, target) else { return Some(piece.place) };
        let last = end.min(stop).saturating_sub(1).max(start).saturating_sub(piece.at);
        let length = value.get(last..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let to = if end > start { follow(source, style, value, last).map_or(from, |at| at + length) } else { from };
        let base = piece.place.at.start as usize;
        let at = Range { start: to_u32(base + from), end: to_u32(base + to.max(from)) };
        Some(Place { file: piece.place.file, at })
    }
}

/// Where the character at byte `target` of a value stands in its source. `None`: the source says something else.
fn follow(source: &str, style: ScalarStyle, value: &str, target: usize) -> Option<usize> {
    let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    let mut at = match source.chars().next() {
        Some('|' | '>') if block => source.find('\n').map_or(source.len(), |line| line + 1),
        Some('"' | '\'') if quoted => 1,
        _ => 0,
    };
    for (offset, c) in value.char_indices() {
        if c.is_whitespace() {
            if offset >= target {
                return Some(at);
            }
            continue;
        }
        // White space is folded, so only words are followed.
        at += spaces(&source[at..], style);
        if offset >= target {
            return Some(at);
        }
        let rest = &source[at..];
        let next = rest.chars().next()?;
        at += match (style, next) {
            (ScalarStyle::DoubleQuoted, '\\') => match rest.as_bytes().get(1)? {
                b'x' => 4,
                b'u' => 6,
                b'U' => 10,
                _ => 1 + rest[1..].chars().next()?.len_utf8(),
            },
            (ScalarStyle::SingleQuoted, '\'') => 2,
            _ if next == c => c.len_utf8(),
            _ => return None,
        };
        source.get(at..)?;
    }
    Some(at)
}

/// White space of a source that folding may have changed, escaped line ends and blanks among it.
fn spaces(source: &str, style: ScalarStyle) -> usize {
    let mut at = 0;
    loop {
        let rest = &source[at..];
        at += rest.len() - rest.trim_start().len();
        let rest = &source.as_bytes()[at..];
        let escaped = style == ScalarStyle::DoubleQuoted
            && matches!(rest, [b'\\', b'n' | b'r' | b't' | b'v' | b' ' | b'\n' | b'\t', ..]);
        if !escaped {
            return at;
        }
        at += 2;
    }
}
