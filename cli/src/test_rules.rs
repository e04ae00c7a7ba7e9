//! `test PATH...`: the rules' own tests, a line a rule.
use crate::{
    args::{Output, TestArgs, Verdict},
    problems::{Checked, Located, check, is_rule, plural, print_json},
};
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use engine::compile::Outcome;
use serde_json::json;
use std::io::Write as _;

/// What became of one rule.
struct Line<'c> {
    outcome: &'c Outcome,
    tests: usize,
    events: usize,
}

/// Runs it.
///
/// # Errors
/// A path cannot be read, or the output cannot be written.
pub fn run(args: &TestArgs) -> Result<Verdict> {
    let checked = check(&args.paths, &args.system.system_namespace)?;
    let lines = lines(&checked);
    let broken = checked.problems.iter().any(Located::is_error);
    match args.output {
        Output::Json => {
            let rules: Vec<_> = lines
                .iter()
                .map(|line| {
                    json!({
                        "rule": line.outcome.id, "ok": line.outcome.accepted, "tests": line.tests,
                        "events": line.events, "failed": line.outcome.failed_test,
                    })
                })
                .collect();
            print_json(&json!({"ok": !broken, "rules": rules}))?;
        }
        Output::Text => text(&checked, &lines)?,
    }
    Ok(Verdict::of(!broken))
}

fn lines(checked: &Checked) -> Vec<Line<'_>> {
    let outcomes = checked.compiled.outcomes.iter().filter(|o| is_rule(o));
    let lines = outcomes.map(|outcome| {
        let rule = checked.loaded.rules.iter().find(|r| {
            let meta = &r.object.metadata;
            meta.name.as_deref() == Some(outcome.id.name.as_str())
                && meta.namespace.as_deref() == Some(outcome.id.namespace.as_str())
        });
        let tests = rule.map_or(&[][..], |r| &r.object.spec.tests);
        Line { outcome, tests: tests.len(), events: tests.iter().map(|t| t.events.len()).sum() }
    });
    lines.collect()
}

fn text(checked: &Checked, lines: &[Line<'_>]) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let paint = |color: AnsiColor| Style::new().fg_color(Some(color.into())).bold();
    let (good, bad, dull) = (paint(AnsiColor::Green), paint(AnsiColor::Red), paint(AnsiColor::Yellow));
    for line in lines {
        let Line { outcome, tests, events } = line;
        let (style, word) = match (outcome.accepted, *tests) {
            (false, _) => (bad, "FAIL"),
            (true, 0) => (dull, "none"),
            (true, _) => (good, "ok  "),
        };
        let what = format!("{}, {}", plural(*tests, "test"), plural(*events, "event"));
        writeln!(out, "{style}{word}{style:#} {:<44} {what}", outcome.id.to_string())?;
    }
    for problem in checked.problems.iter().filter(|p| p.is_error()) {
        writeln!(out, "\n{}", problem.render())?;
    }
    let failed = lines.iter().filter(|l| !l.outcome.accepted).count();
    let (tests, events) = lines.iter().fold((0, 0), |(t, e), l| (t + l.tests, e + l.events));
    let untested = lines.iter().filter(|l| l.tests == 0).count();
    let mut last = format!("{}: {}, {}", plural(lines.len(), "rule"), plural(tests, "test"), plural(events, "event"));
    if untested > 0 {
        last.push_str(&format!("; {} without tests", plural(untested, "rule")));
    }
    last.push_str(&if failed == 0 {
        "; all passed".to_owned()
    } else {
        format!("; {} failed", plural(failed, "rule"))
    });
    writeln!(out, "\n{last}")?;
    Ok(())
}
