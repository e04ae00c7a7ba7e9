//! `explain RULE`: what a rule comes down to, and with an event, why it does or does not match.
//!
//! ```text
//! rule -> compile (problems) + outline (tree with origins) -> Facts -> text or JSON
//!                             event -> trace ---------------^
//! ```
//! - `facts`: what there is to tell, gathered from the engine.
//! - `text`, `json`: how it is told.
mod facts;
mod json;
mod text;

use crate::{
    args::{ExplainArgs, Output, Verdict},
    eval,
    load::{Read, is_stdin, load},
    names,
    problems::{check_read, print_json},
};
use anyhow::{Context as _, Result, bail};
use crds::files::MAX_FILE;
use engine::{
    priority::Priority,
    source::{Definitions, Meta, ObjectRef, RuleSource, RuleState},
    testing::MapEvent,
};
use facts::Facts;
use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// What a condition given on the command line is called.
const ON_ITS_OWN: &str = "condition";

/// Runs it.
///
/// # Errors
/// A path cannot be read, stdin is asked for twice, or the output cannot be written.
pub fn run(args: &ExplainArgs) -> Result<Verdict> {
    let event_path = args.event.as_ref().and_then(|text| text.strip_prefix('@')).map(Path::new);
    if event_path.is_some_and(is_stdin) && args.rules.iter().any(|path| is_stdin(path)) {
        bail!("rules and the event cannot both come from stdin; name a file for one of them");
    }
    let here = [PathBuf::from(".")];
    let paths = if args.rules.is_empty() && args.condition.is_none() { &here[..] } else { &args.rules };
    let read = if paths.is_empty() { Read::default() } else { load(paths)? };
    let mut sources = read.sources(&args.system.system_namespace);
    if let Some(condition) = &args.condition {
        sources.rules = vec![alone(condition, &args.system.system_namespace)];
    }
    let checked = check_read(read, &sources);
    let mut errors = anstream::stderr().lock();
    let found = match (&args.rule, &args.condition) {
        (Some(name), _) => names::find(&sources.rules, name),
        (None, _) => Ok(sources.rules.iter().collect()),
    };
    let rule = match found.as_deref() {
        Ok([rule]) => *rule,
        Ok(several) => {
            let all: Vec<_> = several.iter().map(|rule| rule.meta.id.to_string()).collect();
            writeln!(errors, "error: several rules are called so; say which: {}", all.join(", "))?;
            return Ok(Verdict::Bad);
        }
        Err(error) => {
            writeln!(errors, "error: {error}")?;
            return Ok(Verdict::Bad);
        }
    };
    let event = match args.event.as_deref().map(|text| read_event(text, event_path)).transpose()? {
        None => None,
        Some(Ok(event)) => Some(event),
        Some(Err(error)) => {
            writeln!(errors, "error: {error}")?;
            return Ok(Verdict::Bad);
        }
    };
    let Some(facts) = Facts::gather(rule, &sources, &checked, event.as_ref())? else {
        for problem in checked.problems_of(&rule.meta.id) {
            writeln!(errors, "{}\n", problem.render())?;
        }
        writeln!(errors, "error: {} does not compile, so there is nothing to explain", rule.title)?;
        return Ok(Verdict::Bad);
    };
    match args.output {
        Output::Json => print_json(&facts.json())?,
        Output::Text => anstream::stdout().lock().write_all(facts.text().as_bytes())?,
    }
    Ok(Verdict::Good)
}

/// The event, or why it is none.
fn read_event(text: &str, path: Option<&Path>) -> Result<Result<MapEvent, String>> {
    let json = match path {
        None => text.as_bytes().to_vec(),
        Some(path) if is_stdin(path) => bounded(std::io::stdin().lock(), path)?,
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            bounded(file, path)?
        }
    };
    Ok(eval::parse(&json))
}

fn bounded(input: impl std::io::Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_FILE).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// A rule of nothing but a condition.
fn alone(condition: &str, system: &str) -> RuleSource {
    RuleSource {
        meta: Meta { id: ObjectRef { namespace: system.to_owned(), name: ON_ITS_OWN.to_owned() }, ..Meta::default() },
        title: ON_ITS_OWN.to_owned(),
        description: String::new(),
        condition: condition.to_owned(),
        output: "%evt.type".to_owned(),
        priority: Priority::Debug,
        tags: Vec::new(),
        state: RuleState::Active,
        definitions: Definitions::default(),
        exceptions: Vec::new(),
        tenant_exceptions: None,
        tests: Vec::new(),
    }
}
