//! Diagnostics as compile makes them: a part of an object, a place in its text, a code.
use crate::diagnostic::{Diagnostic, Severity, Span};

/// Falco's codes, and two of our own.
pub mod code {
    pub use crate::syntax::CONDITION_CODE as CONDITION;
    /// The output template.
    pub const OUTPUT: &str = "LOAD_ERR_COMPILE_OUTPUT";
    /// The object is not what it should be.
    pub const VALIDATE: &str = "LOAD_ERR_VALIDATE";
    /// A value compared with `<NA>`.
    pub const NA: &str = "LOAD_UNSAFE_NA_CHECK";
    /// The rule is evaluated for every event.
    pub const NO_EVTTYPE: &str = "LOAD_NO_EVTTYPE";
    /// A deprecated field.
    pub const DEPRECATED: &str = "LOAD_DEPRECATED_ITEM";
    /// A local macro that nothing uses.
    pub const UNUSED_MACRO: &str = "LOAD_UNUSED_MACRO";
    /// A local list that nothing uses.
    pub const UNUSED_LIST: &str = "LOAD_UNUSED_LIST";
    /// Two inline exceptions of one name.
    pub const EXCEPTION_NAME: &str = "LOAD_EXCEPTION_NAME_NOT_UNIQUE";
    /// A field or an event type that no hook supplies yet.
    pub const UNAVAILABLE: &str = "EYAS_UNAVAILABLE";
    /// No event that a hook supplies can match.
    pub const NEVER: &str = "EYAS_NEVER_MATCHES";
    /// A selector that selects nothing.
    pub const SELECTS_NOTHING: &str = "EYAS_SELECTS_NOTHING";
    /// An older object has the name already.
    pub const CONFLICT: &str = "Conflict";
}

/// A text of an object and which part of it that is: what diagnostics point into.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub part: &'a str,
    pub text: &'a str,
}

impl Place<'_> {
    pub fn error(&self, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: code.to_owned(),
            part: self.part.to_owned(),
            message: message.into(),
            suggestion: None,
            text: self.text.to_owned(),
            span,
        }
    }

    pub fn warning(&self, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(code, span, message) }
    }

    /// All of the text.
    pub fn whole(&self) -> Span {
        Span { start: 0, end: u32::try_from(self.text.len()).unwrap_or(u32::MAX) }
    }

    /// The first place of a word in the text, else its beginning.
    pub fn find(&self, word: &str) -> Span {
        let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.text.find(word).map_or(Span::default(), |at| Span { start: to_u32(at), end: to_u32(at + word.len()) })
    }
}

pub trait Suggest {
    fn suggest(self, suggestion: Option<impl Into<String>>) -> Self;
}

impl Suggest for Diagnostic {
    fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

pub fn has_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}
