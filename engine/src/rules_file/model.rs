//! What rules files define, all overrides applied.
use super::place::{Files, Joined, Named, Place, Problem};
use crate::{priority::Priority, source::InlineException};

/// What became of an object on its way through the files: "condition appended to" in `local_rules.yaml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub what: String,
    /// File and line of the object that asked for it.
    pub by: String,
}

/// Where an object was defined, in the order of all definitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Number of its first definition.
    pub index: usize,
    /// Number of the last definition or append: what a macro may name was defined before.
    pub last: usize,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its name.
    pub name: String,
    /// Its items as written, names of other lists among them.
    pub items: Vec<String>,
    /// Comments that belong to it, without their `#`.
    pub comments: Vec<String>,
    /// What later files did to it.
    pub changes: Vec<Change>,
    /// Why it cannot be used.
    pub refused: Option<String>,
    pub(super) place: Place,
    pub(super) stamp: Stamp,
}

/// A macro.
#[derive(Clone, Debug)]
pub struct Macro {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub condition: Joined,
    /// Comments that belong to it, without their `#`.
    pub comments: Vec<String>,
    /// What later files did to it.
    pub changes: Vec<Change>,
    /// Why it cannot be used.
    pub refused: Option<String>,
    pub(super) place: Place,
    pub(super) stamp: Stamp,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, spaces and all.
    pub name: String,
    /// `desc`.
    pub description: String,
    /// `condition`, without its exceptions.
    pub condition: Joined,
    /// `output`.
    pub output: Joined,
    /// `priority`.
    pub priority: Priority,
    /// `tags`, each once.
    pub tags: Vec<String>,
    /// `source`, `syscall` by default.
    pub source: String,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// Whether a condition about every event type is worth a warning.
    pub warn_evttypes: bool,
    /// Whether a field that is not known skips the rule instead of refusing it.
    pub skip_if_unknown_filter: bool,
    /// Its exceptions.
    pub exceptions: Vec<RuleException>,
    /// Comments that belong to it, without their `#`.
    pub comments: Vec<String>,
    /// What later files did to it.
    pub changes: Vec<Change>,
    /// Why it cannot be used. A reason that is no error (an unknown source) is a warning among the problems.
    pub refused: Option<String>,
    /// In its condition text an `or` stands outside of parentheses. Falco appends exceptions as text, so there they
    /// bind to the last part only; they are then kept as text here too.
    pub open_or: bool,
    pub(super) place: Place,
}

/// An exception of a rule, in one form whatever form it was written in.
#[derive(Clone, Debug)]
pub struct RuleException {
    /// Name, fields, one operator per field, tuples of values.
    pub inline: InlineException,
    /// `fields` is a single name, so that `values` is a list of plain values.
    pub single: bool,
    pub(super) place: Place,
}

/// Everything that was loaded.
pub struct Loaded {
    /// Lists in the order of their first definition.
    pub lists: Vec<List>,
    /// Macros, likewise.
    pub macros: Vec<Macro>,
    /// Rules, likewise.
    pub rules: Vec<Rule>,
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
    pub(super) files: Files,
}

impl List {
    pub(super) fn named(&self) -> Named {
        Named { kind: "list", name: self.name.clone() }
    }
}

impl Macro {
    pub(super) fn named(&self) -> Named {
        Named { kind: "macro", name: self.name.clone() }
    }
}

impl Rule {
    /// The condition; with the exceptions as Falco pastes them behind it where they cannot stand on their own.
    #[must_use]
    pub fn whole_condition(&self) -> String {
        super::judge::whole_condition(self).text
    }

    pub(super) fn named(&self) -> Named {
        Named { kind: "rule", name: self.name.clone() }
    }
}
