//! The compiler's answer in words: for `kubectl describe` whole, with line, column and caret; for others in one line.
use engine::{
    compile::{ObjectKind, Outcome},
    diagnostic::{Diagnostic, Severity, render},
};

/// Most problems told about one object.
const MAX_TOLD: usize = 5;

/// The reason of Accepted.
pub(super) fn reason(outcome: &Outcome) -> &'static str {
    if outcome.accepted {
        return if outcome.diagnostics.is_empty() { "Compiled" } else { "CompiledWithWarnings" };
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

/// Everything, each problem with its place and caret. A failed test comes first: beside it there are only warnings.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut parts: Vec<String> = outcome.failed_test.iter().map(ToString::to_string).collect();
    parts.extend(outcome.diagnostics.iter().take(MAX_TOLD).map(|d| render(d, false)));
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
