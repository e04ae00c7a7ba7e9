//! What became of each object.
use crate::{diagnostic::Diagnostic, ruleset::Ruleset, source::ObjectRef};
use serde::{Deserialize, Serialize};

/// A ruleset and what became of each object that it was made from.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What nodes evaluate.
    pub ruleset: Ruleset,
    /// One per object, sorted by kind and identity.
    pub outcomes: Vec<Outcome>,
}

/// Kind of a source object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ObjectKind {
    Library,
    Rule,
    Exception,
    Route,
}

impl ObjectKind {
    /// The Kubernetes kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Library => "RuleLibrary",
            Self::Rule => "DetectionRule",
            Self::Exception => "Exception",
            Self::Route => "OutputRoute",
        }
    }
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its kind.
    pub kind: ObjectKind,
    /// Which.
    pub id: ObjectRef,
    /// The generation that was judged.
    pub generation: i64,
    /// It compiles and its tests pass.
    pub accepted: bool,
    /// When it is not accepted: the generation that stays in force.
    pub kept_generation: Option<i64>,
    /// Errors (when not accepted) and warnings. A name that an older object has already is told with code `Conflict`.
    pub diagnostics: Vec<Diagnostic>,
    /// The first test that failed.
    pub failed_test: Option<FailedTest>,
    /// Fields that no hook supplies yet, which a rule names: comparisons with them are false, outputs show `<NA>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable_fields: Vec<String>,
    /// The rule in force can match no event that a hook supplies, so that it is armed nowhere; and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inert: Option<Inert>,
}

/// Why no event can match a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inert {
    /// It depends on fields that no hook supplies yet.
    Fields,
    /// It is about event types that no hook supplies yet.
    EventTypes,
    /// Its parts exclude each other.
    Contradiction,
}

/// A rule test that did not go as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTest {
    /// Index in `tests`.
    pub index: usize,
    /// The test's name, may be empty.
    pub name: String,
    /// Index in the test's events; `None` when the test itself is malformed.
    pub event: Option<usize>,
    /// One sentence: expected, seen, and which part of the condition decided.
    pub message: String,
}

impl std::fmt::Display for FailedTest {
    /// `test "by name", event 2: expected a match, found none; ...`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = format!("tests[{}]", self.index);
        if self.name.is_empty() || self.name == place {
            f.write_str(&place)?;
        } else {
            write!(f, "test {:?}", self.name)?;
        }
        match self.event {
            Some(event) => write!(f, ", event {}: {}", event + 1, self.message),
            None => write!(f, ": {}", self.message),
        }
    }
}
