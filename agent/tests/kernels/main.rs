//! What a kernel can do, as `make test-kernels` asks each in its turn: every program passes the verifier well below its limit, and
//! every event type of every hook comes through the ring when the call is made.
//!
//! Each fact is one line on stdout that begins with `row`, a tab, and the name of its table; scripts/test-kernels.sh puts those of all
//! kernels side by side. Loading takes seconds under emulation, so each test loads once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod live;
mod replaced;
mod rewrite;
mod script;
mod triggers;
mod used;

use agent::probe::Backend;
use live::Live;
use triggers::TRIGGERS;

/// Half of what the verifier goes through before it gives up (BPF_COMPLEXITY_LIMIT_INSNS of include/linux/bpf_verifier.h).
const MOST_INSTRUCTIONS: u32 = 500_000;

/// Prints a row of a table.
fn row(table: &str, cells: &[&str]) {
    println!("row\t{table}\t{}", cells.join("\t"));
}

#[test]
fn every_hook_fires_and_every_program_is_small() {
    let Some(mut live) = Live::load() else { return };
    let mut bad = Vec::new();
    for program in live.probe.programs() {
        let verified = program.verified.map_or("unknown".to_owned(), |n| n.to_string());
        row("verifier", &[program.name, &verified]);
        if program.verified.is_some_and(|n| n > MOST_INSTRUCTIONS) {
            bad.push(format!("{}: {verified} instructions, more than {MOST_INSTRUCTIONS}", program.name));
        }
    }
    let status = live.probe.hook_status();
    for trigger in TRIGGERS {
        let how = &status[trigger.event_type.hook() as usize];
        let (name, backend) = (trigger.event_type.as_str(), how.backend.as_str());
        let fired = if how.backend == Backend::Unavailable { Err(how.reason.clone()) } else { live.fires(trigger) };
        let told = match &fired {
            Ok(true) => "fired",
            Ok(false) => "this kernel has no such call",
            Err(why) => why,
        };
        row("hook", &[how.hook.as_str(), name, backend, told]);
        if let Err(why) = fired {
            bad.push(format!("{name} ({backend}): {why}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_event_type_has_a_trigger() {
    for event_type in engine::event::EventType::ALL {
        assert!(TRIGGERS.iter().any(|t| t.event_type == *event_type), "{} has none", event_type.as_str());
    }
}
