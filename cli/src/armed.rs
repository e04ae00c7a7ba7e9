//! Which of the rules that were read nodes would evaluate, for the last lines of `check`.
use crate::problems::{Checked, is_rule, plural};
use engine::{event::Hook, plan::Plan, ruleset::Rule};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};

/// Most rules that are named.
const MAX_NAMED: usize = 5;

/// Numbers of rules, and names where something is to be done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Armed {
    /// DetectionRules that were read.
    rules: usize,
    /// Would be armed on every node.
    armed: usize,
    /// Are not sound.
    refused: usize,
    /// Are disabled.
    disabled: usize,
    /// Sound, and yet no event that a hook supplies can match them.
    never_armed: Vec<String>,
    /// Name fields that no hook supplies.
    with_unavailable_fields: Vec<String>,
}

impl Armed {
    /// Of rules that were compiled. `None`: there are none, or they cannot be planned.
    pub fn of(checked: &Checked) -> Option<Self> {
        let outcomes = || checked.compiled.outcomes.iter().filter(|outcome| is_rule(outcome));
        let ruleset = &checked.compiled.ruleset;
        let plan = Plan::new(Arc::new(ruleset.clone())).ok()?;
        let fed: BTreeSet<usize> = Hook::ALL.iter().flat_map(|hook| plan.rules_of(*hook)).copied().collect();
        let names = |rules: Vec<&Rule>| rules.into_iter().map(|rule| rule.id.to_string()).collect::<Vec<_>>();
        let never = ruleset.rules.iter().enumerate().filter(|(n, _)| !fed.contains(n)).map(|(_, rule)| rule);
        let sound = outcomes().filter(|outcome| outcome.accepted).count();
        let armed = Self {
            rules: outcomes().count(),
            armed: fed.len(),
            refused: outcomes().count() - sound,
            // A sound rule is in the ruleset unless it is disabled.
            disabled: sound.saturating_sub(ruleset.rules.len()),
            never_armed: names(never.collect()),
            with_unavailable_fields: names(ruleset.rules.iter().filter(|r| !r.unavailable_fields.is_empty()).collect()),
        };
        (armed.rules > 0).then_some(armed)
    }
}

impl std::fmt::Display for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} would be armed", plural(self.rules, "rule"), self.armed)?;
        let numbers = [(self.refused, "refused"), (self.disabled, "disabled")];
        for (number, what) in numbers.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, ", {number} {what}")?;
        }
        let lists = [
            (&self.never_armed, "never, since no event that a hook supplies yet can match"),
            (&self.with_unavailable_fields, "with fields that no hook supplies yet"),
        ];
        for (names, what) in lists.into_iter().filter(|(names, _)| !names.is_empty()) {
            let told: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = if names.len() > MAX_NAMED { ", ..." } else { "" };
            write!(f, ", {} {what} ({}{more})", names.len(), told.join(", "))?;
        }
        Ok(())
    }
}
