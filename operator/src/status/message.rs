//! The compiler's answer in words: for `kubectl describe` whole, with line, column and caret; for others in one line.
use engine::{
    compile::{Inert, ObjectKind, Outcome},
    diagnostic::{Diagnostic, Severity, render},
};

/// Most problems told about one object.
const MAX_TOLD: usize = 5;
/// Most fields named in one message.
const MAX_FIELDS: usize = 20;

/// The reason of Accepted.
pub(super) fn reason(outcome: &Outcome) -> &'static str {
    if outcome.accepted {
        return match () {
            () if !outcome.unavailable_fields.is_empty() => "SomeFieldsUnavailable",
            () if !outcome.diagnostics.is_empty() => "CompiledWithWarnings",
            () => "Compiled",
        };
    }
    let Some(first) = errors(outcome).next() else {
        return if outcome.failed_test.is_some() { "TestFailed" } else { "Invalid" };
    };
    match first.code.as_str() {
        "Conflict" => "Conflict",
        code if code.contains("OUTPUT") => "InvalidOutput",
        code if code.contains("CONDITION") => "InvalidCondition",
        _ => "Invalid",
    }
}

/// Why a rule that compiles is armed nowhere, as the reason of Armed.
pub(super) const fn inert_reason(why: Inert) -> &'static str {
    match why {
        Inert::Fields => "FieldsUnavailable",
        Inert::EventTypes => "EventTypesUnavailable",
        Inert::Contradiction => "NeverMatches",
    }
}

/// The same in words.
pub(super) fn inert(outcome: &Outcome, why: Inert) -> String {
    match why {
        Inert::Fields => format!("it can match only once a hook supplies {}", fields(outcome)),
        Inert::EventTypes => "no hook of this version supplies the event types that it is about".to_owned(),
        Inert::Contradiction => "parts of its condition exclude each other: no event can match".to_owned(),
    }
}

fn fields(outcome: &Outcome) -> String {
    let names = &outcome.unavailable_fields;
    let rest = names.len().saturating_sub(MAX_FIELDS);
    let told = names.iter().take(MAX_FIELDS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if rest > 0 { format!("{told} and {rest} more") } else { told }
}

/// Everything, each problem with its place and caret. A failed test comes first: beside it there are only warnings.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut parts: Vec<String> = outcome.failed_test.iter().map(ToString::to_string).collect();
    parts.extend(outcome.diagnostics.iter().take(MAX_TOLD).map(|d| render(d, false)));
    if outcome.accepted && !outcome.unavailable_fields.is_empty() {
        parts.insert(0, format!("no hook supplies these fields yet: {}", fields(outcome)));
    }
    if outcome.diagnostics.len() > MAX_TOLD {
        parts.push(format!("and {} more", outcome.diagnostics.len() - MAX_TOLD));
    }
    if let Some(generation) = outcome.kept_generation.filter(|_| !outcome.accepted) {
        parts.push(format!("generation {generation}, the last good one, stays in force"));
    }
    if parts.is_empty() {
        return match (outcome.accepted, outcome.kind) {
            (true, ObjectKind::Rule) => "compiles, and its tests pass",
            (true, ObjectKind::Route) => "its spec is sound",
            (true, ObjectKind::Library | ObjectKind::Exception) => "compiles",
            (false, _) => "not accepted",
        }
        .to_owned();
    }
    parts.join("\n")
}

/// The first problem in one line.
pub(super) fn short(outcome: &Outcome) -> String {
    let problem = errors(outcome).next().map(Diagnostic::one_line);
    let test = || outcome.failed_test.as_ref().map(ToString::to_string);
    problem.or_else(test).unwrap_or_else(|| "not accepted".to_owned())
}

fn errors(outcome: &Outcome) -> impl Iterator<Item = &Diagnostic> {
    outcome.diagnostics.iter().filter(|d| d.severity == Severity::Error)
}
