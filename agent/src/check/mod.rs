//! `eyas-agent check`: what this kernel can do for us, tried and not guessed, and what to do about what it cannot.
//!
//! ```text
//! facts (architecture, type information, capabilities, options, pid namespace) -.
//! load -> attach, hook by hook -> canaries -> ring -> fired? -------------------+-> Report -> text | json, exit status
//! ```
//! Invariant: `fires` is told of a hook only when its canary came through the ring.
mod facts;

use crate::{
    output::Format,
    probe::{Backend, HookStatus, KernelFilter, Options, Probe, ProbeError, Ring},
};
use engine::event::Hook;
use facts::Fact;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Shown below `check --help`.
pub const EXIT: &str = "\
Loads and attaches every program, and sets off each hook once by a harmless call of its own. Nothing is left behind.

Exit status: 0 all is well, 1 something is missing (each with what to do), 2 it could not be tried, such as without rights.";

/// Bytes of the ring: canaries are few.
const RING: usize = 256 << 10;
/// How long canaries may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often they are set off before a hook counts as silent.
const TURNS: usize = 3;

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HookReport {
    hook: &'static str,
    backend: &'static str,
    /// The kernel took the program and it is attached.
    loads: bool,
    /// Its canary came through the ring.
    fires: bool,
    /// By what means, or why not.
    why: String,
    /// What to do; empty when there is nothing.
    fix: String,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    kernel: String,
    /// Whether nothing is missing.
    ok: bool,
    facts: Vec<Fact>,
    hooks: Vec<HookReport>,
    /// Why hooks could not be tried at all; empty when they were.
    error: String,
}

/// The exit status: see [`EXIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    Missing,
    NotTried,
}

/// Tries everything, tells it on stdout.
pub(crate) fn run(format: Format) -> Verdict {
    let (report, verdict) = examine();
    match format {
        // Plain data: serialising cannot fail.
        Format::Json => anstream::println!("{:#}", serde_json::to_value(&report).unwrap_or_default()),
        Format::Text => report.print(),
    }
    verdict
}

fn examine() -> (Report, Verdict) {
    let mut facts = facts::before();
    let uname = rustix::system::uname();
    let kernel = format!("{} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    let (hooks, error, tried) = match try_hooks() {
        Ok((hooks, slow_reads)) => {
            facts.push(facts::reads(slow_reads.as_deref()));
            (hooks, String::new(), true)
        }
        Err(error) => {
            let tried = !matches!(error, ProbeError::NotAllowed { .. });
            (Vec::new(), error.to_string(), tried)
        }
    };
    if !error.is_empty() || hooks.iter().any(|h| !h.loads) {
        facts.extend(facts::options());
    }
    let ok = error.is_empty() && hooks.iter().all(|h| h.loads && h.fires) && facts.iter().all(Fact::is_well);
    let verdict = if ok {
        Verdict::Well
    } else if tried {
        Verdict::Missing
    } else {
        Verdict::NotTried
    };
    (Report { kernel, ok, facts, hooks, error }, verdict)
}

/// Loads, attaches and sets off every hook; with it [`Probe::slow_reads`].
fn try_hooks() -> Result<(Vec<HookReport>, Option<String>), ProbeError> {
    let mut probe = Probe::load(&Options { ring_size: RING, ..Options::default() })?;
    let filter_of = |hooks: &[Hook]| KernelFilter {
        generation: 1,
        types: hooks.iter().flat_map(|hook| hook.event_types()).collect(),
        // No class admits anything: nothing comes but canaries, and the life cycle.
        ..KernelFilter::default()
    };
    let mut refused: Vec<(Hook, String)> = Vec::new();
    for hook in Hook::ALL {
        if let Err(error) = probe.widen(&filter_of(&[*hook])) {
            refused.push((*hook, error.to_string()));
        }
    }
    let attached: Vec<Hook> =
        Hook::ALL.iter().copied().filter(|hook| !refused.iter().any(|(refused, _)| refused == hook)).collect();
    probe.narrow(&filter_of(&attached))?;
    let mut trouble = String::new();
    if let Some(mut ring) = probe.take_ring()? {
        for _ in 0..TURNS {
            if let Err(error) = probe.fire_canaries() {
                trouble = error.to_string();
            }
            if all_fired(&probe, &mut ring) {
                break;
            }
        }
    }
    let report = |status: HookStatus| {
        let refused = refused.iter().find(|(hook, _)| *hook == status.hook).map(|(_, why)| why.as_str());
        hook_report(&status, refused, &trouble)
    };
    Ok((probe.hook_status().into_iter().map(report).collect(), probe.slow_reads().map(str::to_owned)))
}

fn all_fired(probe: &Probe, ring: &mut Ring) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        while ring.drain(usize::MAX, &mut |_| {}) > 0 {}
        if probe.hook_status().iter().all(|h| h.last_proven.is_some() || !h.attached) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        ring.wait(Duration::from_millis(5));
    }
}

fn hook_report(status: &HookStatus, refused: Option<&str>, trouble: &str) -> HookReport {
    let loads = status.backend != Backend::Unavailable && refused.is_none();
    let fires = loads && status.last_proven.is_some();
    let mut why = refused.map_or_else(|| status.reason.clone(), str::to_owned);
    let fix = if !loads {
        "a kernel with CONFIG_BPF_EVENTS=y and CONFIG_FTRACE_SYSCALLS=y; if it has both, please report this with the output of \
         `RUST_LOG=agent=debug eyas-agent check`"
    } else if !fires {
        why = if trouble.is_empty() { format!("{why}, but its canary did not come back") } else { trouble.to_owned() };
        "run it in the initial pid namespace (in a pod: hostPID: true); seccomp may also forbid the call that sets it off"
    } else {
        ""
    };
    let (hook, backend) = (status.hook.as_str(), status.backend.as_str());
    HookReport { hook, backend, loads, fires, why, fix: fix.to_owned() }
}

impl Report {
    fn print(&self) {
        let yes = |b: bool| if b { "yes" } else { "no" };
        anstream::println!("Linux {}\n", self.kernel);
        for fact in &self.facts {
            anstream::println!("{:<9} {:<24} {}", fact.state.as_str(), fact.what, fact.found);
            if !fact.fix.is_empty() {
                anstream::println!("{:<9} {:<24} to do: {}", "", "", fact.fix);
            }
        }
        if !self.hooks.is_empty() {
            anstream::println!("\n{:<12} {:<12} {:<6} {:<6} WHY", "HOOK", "BACK END", "LOADS", "FIRES");
        }
        for h in &self.hooks {
            anstream::println!("{:<12} {:<12} {:<6} {:<6} {}", h.hook, h.backend, yes(h.loads), yes(h.fires), h.why);
            if !h.fix.is_empty() {
                anstream::println!("{:<39} to do: {}", "", h.fix);
            }
        }
        let bad = self.hooks.iter().filter(|h| !h.fires).count() + self.facts.iter().filter(|f| !f.is_well()).count();
        anstream::println!();
        let last = match (self.error.as_str(), self.ok) {
            ("", true) => format!("All is well: each of {} hooks was loaded and has fired.", self.hooks.len()),
            ("", false) => format!("{bad} things are missing; what to do stands beside each."),
            (error, _) => format!("No hook could be tried: {error}"),
        };
        anstream::println!("{last}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_hook_that_does_not_fire_says_what_to_do() {
        let status = |backend, last_proven| HookStatus {
            hook: Hook::Open,
            backend,
            reason: "by a tracepoint".into(),
            attached: true,
            last_proven,
        };
        let well = hook_report(&status(Backend::Baseline, Some(SystemTime::now())), None, "");
        assert_eq!((well.loads, well.fires, well.why.as_str(), well.fix.as_str()), (true, true, "by a tracepoint", ""));
        let silent = hook_report(&status(Backend::Baseline, None), None, "");
        assert!(silent.loads && !silent.fires && silent.why.contains("canary") && silent.fix.contains("hostPID"));
        let refused = hook_report(&status(Backend::Unavailable, None), None, "");
        assert!(!refused.loads && !refused.fires && refused.fix.contains("CONFIG_BPF_EVENTS"));
        let unattached = hook_report(&status(Backend::Baseline, None), Some("no such tracepoint"), "");
        assert!(!unattached.loads && unattached.why == "no such tracepoint");
    }
}
