//! `test PATH...`: the rules' own tests, a line a rule, and for each event that failed which part of the condition decided.
use crate::{
    args::{Output, TestArgs, Verdict},
    load::load,
    names,
    problems::{Checked, Located, TEST_FAILED, check_read, failed_test, is_rule, plural, print_json},
    style::{BAD, DULL, GOOD},
};
use anyhow::{Result, bail};
use engine::{
    compile::{FailedTest, Outcome, failed_tests},
    source::RuleSource,
};
use serde_json::json;
use std::io::Write as _;

/// What became of one rule.
struct Line<'c> {
    rule: &'c RuleSource,
    outcome: &'c Outcome,
    /// Every event that failed, with its place.
    failures: Vec<(FailedTest, Located)>,
}

/// Runs it.
///
/// # Errors
/// A path cannot be read, no rule has the name that was asked for, or the output cannot be written.
pub fn run(args: &TestArgs) -> Result<Verdict> {
    let read = load(&args.paths)?;
    let sources = read.sources(&args.system.system_namespace);
    let checked = check_read(read, &sources);
    if let Some(name) = &args.rule
        && let Err(error) = names::find(&sources.rules, name)
    {
        bail!(error);
    }
    let wanted = |rule: &RuleSource| args.rule.as_ref().is_none_or(|name| names::is_called(rule, name));
    let outcomes = checked.compiled.outcomes.iter().filter(|outcome| is_rule(outcome));
    let lines: Vec<Line<'_>> = outcomes
        .filter_map(|outcome| {
            let rule = sources.rules.iter().find(|rule| rule.meta.id == outcome.id).filter(|rule| wanted(rule))?;
            let failures = if outcome.failed_test.is_some() { failed_tests(rule, &sources) } else { Vec::new() };
            let place = |failed: FailedTest| {
                let located = failed_test(&checked.loaded, outcome, &failed);
                (failed, located)
            };
            Some(Line { rule, outcome, failures: failures.into_iter().map(place).collect() })
        })
        .collect();
    // What else is wrong. With --rule, only with that rule.
    let problems: Vec<&Located> = checked
        .problems
        .iter()
        .filter(|p| p.is_error() && p.diagnostic.code != TEST_FAILED)
        .filter(|p| args.rule.is_none() || lines.iter().any(|line| p.object.as_ref() == Some(&line.outcome.id)))
        .collect();
    let good = problems.is_empty() && lines.iter().all(|line| line.outcome.accepted);
    match args.output {
        Output::Json => print_json(&json!({
            "ok": good,
            "rules": lines.iter().map(Line::json).collect::<Vec<_>>(),
            "problems": problems,
        }))?,
        Output::Text => text(&checked, &lines, &problems)?,
    }
    Ok(Verdict::of(good))
}

impl Line<'_> {
    fn events(&self) -> usize {
        self.rule.tests.iter().map(|test| test.events.len()).sum()
    }

    fn json(&self) -> serde_json::Value {
        let failures = self.failures.iter().map(|(failed, place)| {
            json!({
                "test": failed.name, "index": failed.index, "event": failed.event, "message": failed.message,
                "file": place.file, "line": place.line, "column": place.column,
            })
        });
        json!({
            "rule": self.outcome.id, "name": self.rule.title, "ok": self.outcome.accepted,
            "tests": self.rule.tests.len(), "events": self.events(), "failures": failures.collect::<Vec<_>>(),
        })
    }
}

fn text(checked: &Checked, lines: &[Line<'_>], problems: &[&Located]) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for line in lines {
        let tests = line.rule.tests.len();
        let (style, word) = match (line.outcome.accepted, tests) {
            (false, _) => (BAD, "FAIL"),
            (true, 0) => (DULL, "none"),
            (true, _) => (GOOD, "ok  "),
        };
        let what = format!("{}, {}", plural(tests, "test"), plural(line.events(), "event"));
        writeln!(out, "{style}{word}{style:#} {:<44} {what}", line.outcome.id.to_string())?;
        for (failed, place) in &line.failures {
            writeln!(out, "     {}:{}:{}: {failed}", place.file.display(), place.line, place.column)?;
        }
    }
    for problem in problems {
        writeln!(out, "\n{}", problem.render())?;
    }
    if lines.is_empty() && problems.is_empty() {
        let files = plural(checked.loaded.files, "file");
        writeln!(out, "no DetectionRule in {files}: nothing was tested")?;
        return Ok(());
    }
    let failed = lines.iter().filter(|line| !line.outcome.accepted).count();
    let (tests, events) = lines.iter().fold((0, 0), |(t, e), line| (t + line.rule.tests.len(), e + line.events()));
    let untested = lines.iter().filter(|line| line.rule.tests.is_empty()).count();
    let mut last = format!("{}: {}, {}", plural(lines.len(), "rule"), plural(tests, "test"), plural(events, "event"));
    if untested > 0 {
        last.push_str(&format!("; {} without tests", plural(untested, "rule")));
    }
    last.push_str(&match failed {
        0 if tests == 0 => String::new(),
        0 => "; all passed".to_owned(),
        _ => format!("; {} failed", plural(failed, "rule")),
    });
    writeln!(out, "\n{last}")?;
    Ok(())
}
