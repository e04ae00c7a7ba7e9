//! The `events` tests of a rule, run when it is compiled.
use super::outcome::FailedTest;
use crate::{
    plan::{HitOutcome, Plan, Scratch},
    ruleset::{Rule, Ruleset, SCHEMA_VERSION},
    source::{Expect, RuleTest},
    testing::{MapEvent, explain},
};
use std::sync::Arc;

/// Runs tests; the first that fails. Every event of a test must match, or none may.
pub fn run(rule: &Rule, tests: &[RuleTest]) -> Option<FailedTest> {
    if tests.is_empty() {
        return None;
    }
    let failed = |index: usize, event: Option<usize>, message: String| FailedTest {
        index,
        name: tests.get(index).map(|t| t.name.clone()).unwrap_or_default(),
        event,
        message,
    };
    let plan = match Plan::new(Arc::new(alone(rule))) {
        Ok(plan) => plan,
        Err(error) => return Some(failed(0, None, error.to_string())),
    };
    let mut scratch = Scratch::default();
    for (index, test) in tests.iter().enumerate() {
        if test.events.is_empty() {
            return Some(failed(index, None, "the test has no events".to_owned()));
        }
        for (at, map) in test.events.iter().enumerate() {
            let event = match MapEvent::from_map(map) {
                Ok(event) => event,
                Err(error) => return Some(failed(index, Some(at), format!("the event cannot be: {error}"))),
            };
            let mut matched = false;
            plan.evaluate(&event, 0, &mut scratch, &mut |hit| matched |= hit.outcome == HitOutcome::Matched);
            if matched == (test.expect == Expect::Match) {
                continue;
            }
            let (expected, seen) = if matched { ("no match", "a match") } else { ("a match", "none") };
            let why = explain(&rule.condition, &event);
            return Some(failed(index, Some(at), format!("expected {expected}, found {seen}; {why}")));
        }
    }
    None
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
