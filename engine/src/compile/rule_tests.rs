//! The `events` tests of a rule, run when it is compiled.
use super::{outcome::FailedTest, outline::outline};
use crate::{
    plan::{HitOutcome, Plan, Scratch},
    ruleset::{Rule, Ruleset, SCHEMA_VERSION},
    source::{Expect, RuleSource, RuleTest, Sources},
    testing::{MapEvent, explain},
};
use std::{ops::ControlFlow, sync::Arc};

/// Runs tests; the first that fails. Every event of a test must match, or none may.
pub fn run(rule: &Rule, tests: &[RuleTest]) -> Option<FailedTest> {
    let mut first = None;
    each(rule, tests, &mut |failed| {
        first = Some(failed);
        ControlFlow::Break(())
    });
    first
}

/// Every event of a rule's tests that does not do as expected, where `compile` tells the first only. Empty also where the
/// condition itself does not compile.
#[must_use]
pub fn failed_tests(source: &RuleSource, sources: &Sources) -> Vec<FailedTest> {
    let mut failures = Vec::new();
    if let Some(part) = outline(source, sources) {
        let rule = Rule {
            id: source.meta.id.clone(),
            uid: String::new(),
            generation: source.meta.generation,
            title: source.title.clone(),
            description: String::new(),
            condition: part.without_tenancy().expr(),
            output: source.output.clone(),
            priority: source.priority,
            tags: Vec::new(),
            state: source.state,
            unavailable_fields: Vec::new(),
        };
        each(&rule, &source.tests, &mut |failed| {
            failures.push(failed);
            ControlFlow::Continue(())
        });
    }
    failures
}

/// Calls back with each failure until told to stop.
fn each(rule: &Rule, tests: &[RuleTest], found: &mut dyn FnMut(FailedTest) -> ControlFlow<()>) {
    if tests.is_empty() {
        return;
    }
    let failed = |index: usize, event: Option<usize>, message: String| FailedTest {
        index,
        name: tests.get(index).map(|t| t.name.clone()).unwrap_or_default(),
        event,
        message,
    };
    let plan = match Plan::new(Arc::new(alone(rule))) {
        Ok(plan) => plan,
        Err(error) => {
            let _ = found(failed(0, None, error.to_string()));
            return;
        }
    };
    let mut scratch = Scratch::default();
    for (index, test) in tests.iter().enumerate() {
        if test.events.is_empty() && found(failed(index, None, "the test has no events".to_owned())).is_break() {
            return;
        }
        for (at, map) in test.events.iter().enumerate() {
            let told = match MapEvent::from_map(map) {
                Err(error) => Some(format!("the event cannot be: {error}")),
                Ok(event) => {
                    let mut matched = false;
                    plan.evaluate(&event, 0, &mut scratch, &mut |hit| matched |= hit.outcome == HitOutcome::Matched);
                    let (expected, seen) = if matched { ("no match", "a match") } else { ("a match", "none") };
                    (matched != (test.expect == Expect::Match)).then(|| {
                        let why = explain(&rule.condition, &event);
                        format!("expected {expected}, found {seen}; {why}")
                    })
                }
            };
            if told.is_some_and(|message| found(failed(index, Some(at), message)).is_break()) {
                return;
            }
        }
    }
}

fn alone(rule: &Rule) -> Ruleset {
    Ruleset {
        schema: SCHEMA_VERSION,
        revision: String::new(),
        rules: vec![rule.clone()],
        exceptions: Vec::new(),
        routes: Vec::new(),
    }
}
