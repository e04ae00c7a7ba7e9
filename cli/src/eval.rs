//! `eval --rules PATH --events FILE`: recorded events through rules and exceptions, matches out.
//!
//! Deterministic: equal rules and events give equal bytes, but for exceptions that expire meanwhile.
use crate::{
    args::{EvalArgs, Output, Verdict},
    lines::{Line, Lines, MAX_LINE},
    load::is_stdin,
    problems::{Located, check, plural},
    style::{self, one_line},
};
use anyhow::{Context as _, Result, bail};
use engine::{
    event::Event as _,
    field::{Field, FieldRef},
    plan::{Hit, HitOutcome, Plan, Scratch},
    ruleset::Rule,
    source::RuleState,
    testing::MapEvent,
    value::{Lookup, Value},
};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    sync::Arc,
};

/// What went through.
#[derive(Default)]
struct Counts {
    events: usize,
    matched: usize,
    silenced: usize,
    undecided: usize,
    nothing: usize,
    bad: usize,
}

/// Runs it.
///
/// # Errors
/// A path cannot be read, both rules and events are to come from stdin, or the output cannot be written.
pub fn run(args: &EvalArgs) -> Result<Verdict> {
    let events_from_stdin = is_stdin(&args.events);
    if events_from_stdin && args.rules.iter().any(|path| is_stdin(path)) {
        bail!("rules and events cannot both come from stdin; name a file for one of them");
    }
    let checked = check(&args.rules, &args.system.system_namespace)?;
    let mut errors = anstream::stderr().lock();
    for problem in checked.problems.iter().filter(|p| p.is_error()) {
        writeln!(errors, "{}\n", problem.render())?;
    }
    let broken = checked.problems.iter().any(Located::is_error);
    let plan = Plan::new(Arc::new(checked.compiled.ruleset))?;
    let name = if events_from_stdin { "<stdin>".to_owned() } else { args.events.display().to_string() };
    let input: Box<dyn BufRead> = if events_from_stdin {
        Box::new(BufReader::new(std::io::stdin().lock()))
    } else {
        let file = File::open(&args.events).with_context(|| format!("cannot read {name}"))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let now = Timestamp::now().as_second();
    let mut lines = Lines::new(input);
    let mut out = BufWriter::new(anstream::stdout().lock());
    let (mut counts, mut scratch) = (Counts::default(), Scratch::default());
    while let Some((number, line)) = lines.next().with_context(|| format!("cannot read {name}"))? {
        let event = match read(line) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(error) => {
                counts.bad += 1;
                // What matched before comes first where both streams go to one place.
                out.flush()?;
                writeln!(errors, "{name}:{number}: {error}")?;
                continue;
            }
        };
        let mut hits: Vec<Hit> = Vec::new();
        plan.evaluate(&event, now, &mut scratch, &mut |hit| hits.push(hit));
        hits.sort_by_key(|hit| hit.rule);
        counts.add(&hits);
        if hits.is_empty() && args.all {
            match args.output {
                Output::Json => writeln!(out, "{}", json!({"line": number, "outcome": "none"}))?,
                Output::Text => writeln!(out, "{name}:{number}: no match")?,
            }
        }
        for hit in hits {
            let found = Found { plan: &plan, event: &event, hit, number };
            match args.output {
                Output::Json => writeln!(out, "{}", found.json())?,
                Output::Text => writeln!(out, "{name}:{}", found.text())?,
            }
        }
        // Whoever pipes events in one by one sees each answer at once.
        if events_from_stdin {
            out.flush()?;
        }
    }
    out.flush()?;
    writeln!(errors, "{}", counts.summary(plan.ruleset().rules.len()))?;
    Ok(Verdict::of(!broken && counts.bad == 0))
}

/// The event of a line; `None`: the line is empty.
fn read(line: Line<'_>) -> Result<Option<MapEvent>, String> {
    let bytes = match line {
        Line::TooLong => return Err(format!("longer than {MAX_LINE} bytes")),
        Line::Bytes(bytes) if bytes.trim_ascii().is_empty() => return Ok(None),
        Line::Bytes(bytes) => bytes,
    };
    parse(bytes).map(Some)
}

/// An event from JSON: a map from field names to values.
///
/// # Errors
/// Why it is none, in one sentence.
pub fn parse(json: &[u8]) -> Result<MapEvent, String> {
    let fields: IndexMap<String, Json> = serde_json::from_slice(json).map_err(|error| {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let at = match (error.line(), error.column()) {
            (_, 0) => String::new(),
            (0 | 1, column) => format!(" at column {column}"),
            (line, column) => format!(" at line {line}, column {column}"),
        };
        let example = r#"{"evt.type": "openat", "fd.name": "/etc/shadow"}"#;
        format!("no event: {what}{at}; write one JSON object, such as {example}")
    })?;
    MapEvent::from_map(&fields).map_err(|error| format!("the event cannot be: {error}"))
}

impl Counts {
    fn add(&mut self, hits: &[Hit]) {
        self.events += 1;
        let any = |wanted: fn(HitOutcome) -> bool| hits.iter().any(|hit| wanted(hit.outcome));
        // An event counts for the most that became of it.
        let count = if any(|o| o == HitOutcome::Matched) {
            &mut self.matched
        } else if any(|o| matches!(o, HitOutcome::Suppressed { .. })) {
            &mut self.silenced
        } else if hits.is_empty() {
            &mut self.nothing
        } else {
            &mut self.undecided
        };
        *count += 1;
    }

    fn summary(&self, rules: usize) -> String {
        let mut text = format!(
            "{} against {}: {} matched, {} silenced by exceptions, {} matched nothing",
            plural(self.events, "event"),
            plural(rules, "rule"),
            self.matched,
            self.silenced,
            self.nothing
        );
        if self.undecided > 0 {
            text.push_str(&format!(", {} undecided", self.undecided));
        }
        if self.bad > 0 {
            text.push_str(&format!("; {} without an event", plural(self.bad, "line")));
        }
        text
    }
}

/// A rule that an event matched.
struct Found<'p> {
    plan: &'p Plan,
    event: &'p MapEvent,
    hit: Hit,
    number: usize,
}

impl Found<'_> {
    fn rule(&self) -> &Rule {
        &self.plan.ruleset().rules[self.hit.rule]
    }

    fn suppressed_by(&self) -> Option<String> {
        match self.hit.outcome {
            HitOutcome::Suppressed { exception } => Some(self.plan.ruleset().exceptions[exception].id.to_string()),
            HitOutcome::Matched | HitOutcome::Pending => None,
        }
    }

    fn text(&self) -> String {
        let rule = self.rule();
        let paint = style::priority(rule.priority);
        let output = one_line(&self.plan.template(self.hit.rule).render(self.event));
        let name = if rule.title == rule.id.name { String::new() } else { format!("{}, ", rule.title) };
        let mut text = format!("{}: {paint}{} {output}{paint:#} [{name}{}]", self.number, rule.priority, rule.id);
        if rule.state == RuleState::Shadow {
            text.push_str(" (Shadow: counted, never sent)");
        }
        match (self.hit.outcome, self.suppressed_by()) {
            (_, Some(exception)) => text.push_str(&format!(" silenced by Exception {exception}")),
            (HitOutcome::Pending, _) => text.push_str(" undecided: it depends on a field that is not known yet"),
            _ => {}
        }
        text
    }

    /// Falco's shape, as `eyas-agent run -o json` prints it, without what only a live event has (uuid, and time and
    /// hostname where the event gives none); and what only this command knows: `line`, `outcome`.
    fn json(&self) -> Json {
        let rule = self.rule();
        let template = self.plan.template(self.hit.rule);
        let message = template.render(self.event);
        let time = self.time();
        let clock =
            time.as_ref().and_then(|time| time.get(11..29)).map(|clock| format!("{clock}: ")).unwrap_or_default();
        let suppressed_by = self.suppressed_by();
        let outcome = match self.hit.outcome {
            HitOutcome::Matched => "matched",
            HitOutcome::Suppressed { .. } => "suppressed",
            HitOutcome::Pending => "undecided",
        };
        let mut json = json!({
            "line": self.number,
            "outcome": outcome,
            "rule": rule.title,
            "priority": rule.priority.as_str(),
            "source": "syscall",
            "output": format!("{clock}{} {message}", rule.priority),
            "message": message,
            "output_fields": template.values(self.event),
            "tags": rule.tags,
            "eyas": {"policy": rule.id.to_string(), "revision": self.plan.ruleset().revision, "state": rule.state},
        });
        if let Some(time) = time {
            json["time"] = time.into();
        }
        if let Some(host) = self.host() {
            json["hostname"] = host.into();
        }
        if let Some(exception) = suppressed_by {
            json["eyas"]["suppressed_by"] = exception.into();
        }
        json
    }

    /// When the event says that it happened, in RFC 3339 with nine digits.
    fn time(&self) -> Option<String> {
        let fields = [Field::EvtRawtime, Field::EvtTime, Field::EvtTimeIso8601, Field::EvtDatetime];
        let nanoseconds = fields.into_iter().find_map(|field| match self.event.field(&FieldRef::plain(field)) {
            Lookup::Value(Value::Uint(nanoseconds)) => Some(nanoseconds),
            _ => None,
        })?;
        let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()?;
        Some(format!("{time:.9}"))
    }

    fn host(&self) -> Option<String> {
        [Field::K8sNodeName, Field::EvtHostname].into_iter().find_map(|field| {
            match self.event.field(&FieldRef::plain(field)) {
                Lookup::Value(Value::Str(name)) => Some(String::from_utf8_lossy(&name).into_owned()),
                _ => None,
            }
        })
    }
}
