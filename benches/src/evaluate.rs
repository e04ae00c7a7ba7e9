//! The engine alone: how many events one core evaluates.
//!
//! Over the events of [`crate::node`], whose fields cost nothing to ask for. Events of `testing` would do as well for the
//! count of matches, but not for time: they hash each field's name and copy values, which is most of what was measured so.
use crate::{
    node, stable,
    table::Figure,
    variety::{self, compiled},
};
use anyhow::{Result, ensure};
use engine::{
    plan::{Plan, Scratch},
    source::Sources,
};
use std::{path::Path, sync::Arc, time::Instant};

/// Evaluations that are timed.
const TIMES: u32 = 400_000;

/// Figures with Falco's stable rules (where they are), the default rules, and 1,000 rules.
///
/// # Errors
/// The rules cannot be read or planned.
pub fn figures(rules: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    match stable::rules() {
        Ok(sources) => {
            let stable = per_event(&sources)?;
            figures.push(Figure::at_most("one event, Falco's stable rules, evaluation alone", stable, 300.0, "ns"));
        }
        Err(reason) => eprintln!("    skipped: Falco's stable rules: {reason}"),
    }
    let few = per_event(&crds::files::load(&[rules]).sources(crds::SYSTEM_NAMESPACE))?;
    let many = per_event(&variety::rules(1000))?;
    let mut second = Figure::told("events that one core evaluates, default rules", 1e9 / few, "a second");
    second.more_is_better = true;
    figures.extend([
        Figure::at_most("one event, default rules, evaluation alone", few, 300.0, "ns"),
        second,
        Figure::at_most("one event, 1,000 rules, evaluation alone", many, 5000.0, "ns"),
    ]);
    Ok(figures)
}

fn per_event(sources: &Sources) -> Result<f64> {
    let compiled = compiled(sources)?;
    ensure!(!compiled.ruleset.rules.is_empty(), "no rule compiles");
    let plan = Plan::new(Arc::new(compiled.ruleset))?;
    let events = node::events();
    let mut scratch = Scratch::default();
    let mut hits = 0_u64;
    let start = Instant::now();
    for event in events.iter().cycle().take(TIMES as usize) {
        plan.evaluate(event, 0, &mut scratch, &mut |_| hits += 1);
    }
    let taken = start.elapsed();
    ensure!(hits == 0, "the events are meant to match nothing");
    Ok(taken.as_secs_f64() * 1e9 / f64::from(TIMES))
}
