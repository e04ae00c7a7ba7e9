//! The engine alone: how many events one core evaluates.
use crate::table::Figure;
use anyhow::{Result, ensure};
use engine::{
    compile::compile,
    plan::{Plan, Scratch},
    source::Sources,
    testing::MapEvent,
};
use indexmap::IndexMap;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Instant};

/// Evaluations that are timed.
const TIMES: u32 = 400_000;

/// Figures with the default rules, and with 1,000 rules.
///
/// # Errors
/// The rules cannot be read or planned.
pub fn figures(rules: &Path) -> Result<Vec<Figure>> {
    let loaded = crds::files::load(&[rules]);
    let sources = loaded.sources(crds::SYSTEM_NAMESPACE);
    let few = per_event(&sources)?;
    let many = crds::files::load_text(Path::new("many.yaml"), &many(1000));
    let many = per_event(&many.sources(crds::SYSTEM_NAMESPACE))?;
    let mut second = Figure::told("events that one core evaluates, default rules", 1e9 / few, "a second");
    second.more_is_better = true;
    Ok(vec![
        Figure::told("one event, default rules, evaluation alone", few, "ns"),
        second,
        Figure::at_most("one event, 1,000 rules, evaluation alone", many, 5000.0, "ns"),
    ])
}

/// An open, an exec and a connect of everyday, in turns.
fn events() -> Result<Vec<MapEvent>> {
    let maps = [
        json!({"evt.type": "openat", "evt.is_open_read": true, "fd.typechar": "f", "fd.num": 3, "fd.name": "/usr/lib/x86_64-linux-gnu/libc.so.6",
               "fd.directory": "/usr/lib/x86_64-linux-gnu", "proc.name": "nginx", "container.id": "host"}),
        json!({"evt.type": "execve", "proc.name": "grep", "proc.exepath": "/usr/bin/grep", "proc.cmdline": "grep -r x", "proc.args": "-r x",
               "proc.pname": "make", "container.id": "3ad7b26ded6d", "proc.is_exe_upper_layer": false}),
        json!({"evt.type": "connect", "fd.sip": "10.96.0.1", "fd.sport": 443, "fd.l4proto": "tcp", "fd.typechar": "4",
               "proc.name": "curl", "container.id": "3ad7b26ded6d"}),
    ];
    maps.into_iter()
        .map(|map| {
            let map: IndexMap<String, Value> = serde_json::from_value(map)?;
            MapEvent::from_map(&map).map_err(|error| anyhow::anyhow!("{error}"))
        })
        .collect()
}

fn per_event(sources: &Sources) -> Result<f64> {
    let compiled = compile(sources, None);
    ensure!(!compiled.ruleset.rules.is_empty(), "no rule compiles");
    let plan = Plan::new(Arc::new(compiled.ruleset))?;
    let events = events()?;
    let mut scratch = Scratch::default();
    let mut hits = 0_u64;
    let start = Instant::now();
    for i in 0..TIMES {
        if let Some(event) = events.get(i as usize % events.len()) {
            plan.evaluate(event, 0, &mut scratch, &mut |_| hits += 1);
        }
    }
    let taken = start.elapsed();
    std::hint::black_box(hits);
    Ok(taken.as_secs_f64() * 1e9 / f64::from(TIMES))
}

/// Rules of three kinds in equal parts: a path, a process name, an address; as YAML documents.
#[must_use]
pub fn many(number: usize) -> String {
    let rules = (0..number).map(|i| {
        let condition = match i % 3 {
            0 => format!("evt.type in (open, openat, openat2) and fd.name startswith /srv/app-{i}/ and evt.is_open_write = true"),
            1 => format!("evt.type in (execve, execveat) and proc.name = tool-{i} and container.id != host"),
            _ => format!("evt.type = connect and fd.sip = 198.51.{}.{} and proc.pname = agent-{i}", i / 250, i % 250),
        };
        json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": format!("r{i}"), "namespace": "eyas-system"},
            "spec": {"condition": condition, "output": "x", "priority": "Notice"},
        })
        .to_string()
    });
    rules.collect::<Vec<_>>().join("\n---\n")
}
