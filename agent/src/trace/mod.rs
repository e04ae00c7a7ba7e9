//! `eyas-agent trace`: every event as it comes with its fields, for people who write rules.
//!
//! ```text
//! kernel (all classes open) -> ring -> watch (process table, View) -> line -> Printer (bounded) -> stdout
//! ```
//! Invariants: memory is bounded by the ring, the process table and the printer's queue; own events are left out; at the end
//! what was seen = printed + of other processes + left out in the kernel + lost, and each of these is told.
mod line;
mod printer;
mod watch;

use crate::{
    output::Format,
    probe::{KernelFilter, Options, Probe},
    run,
};
use anyhow::Context as _;
use clap::Args;
use engine::{
    event::{EventType, Hook},
    field::FieldRef,
};
use line::Lines;
use printer::Printer;
use std::{path::Path, time::Instant};
use tokio_util::sync::CancellationToken;
use watch::{End, Watch};

/// Shown below `trace --help`.
pub const EXAMPLES: &str = "\
Each line is an event with its fields, named as conditions name them: what you see is what a rule can ask for. Nothing is
filtered, so a busy machine yields thousands of lines a second; name hooks, or a process.

Examples:
  eyas-agent trace --hook exec                      programs that are started
  eyas-agent trace --hook open --pid $$             what this shell opens
  eyas-agent trace --field proc.cmdline --field fd.name
  eyas-agent trace -o json -n 1000 > events.jsonl   every field of a thousand events; then try a rule on them:
  kubectl eyas eval --rules my-rule.yaml --events events.jsonl

Ctrl-C ends with what was seen, printed and lost. exec, fork and exit are read in any case, since processes are known by them.";

/// Arguments of `trace`.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// Only events of this hook, such as open, connect, exec; may be repeated. Default: all hooks.
    #[arg(long, value_name = "HOOK", value_parser = hook)]
    pub hook: Vec<Hook>,
    /// Only events of this process (all of its threads, not its children).
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
    /// Only this field of each event; may be repeated. Default: text shows those that rules use most, json all that there are.
    #[arg(long, value_name = "FIELD", value_parser = field)]
    pub field: Vec<FieldRef>,
    /// How events are printed. text: FIELD=VALUE for people, long values cut; json: one object of fields a line, whole.
    #[arg(short, long, value_enum, default_value_t = Format::Text, hide_possible_values = true, value_name = "text|json")]
    pub output: Format,
    /// End after so many events.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Bytes of the ring between kernel and agent (also 16M, 512K).
    #[arg(long, value_name = "BYTES", default_value = "8M", value_parser = crate::cli::size)]
    pub ring_size: usize,
}

fn hook(name: &str) -> Result<Hook, String> {
    if let Some(hook) = Hook::ALL.iter().find(|hook| hook.as_str() == name) {
        return Ok(*hook);
    }
    let of_type = EventType::ALL.iter().find(|t| t.as_str() == name).map(|t| t.hook().as_str());
    let hint = of_type.map_or_else(String::new, |hook| format!("; events of type {name} come with --hook {hook}"));
    let names: Vec<&str> = Hook::ALL.iter().map(|hook| hook.as_str()).collect();
    Err(format!("no such hook{hint}; hooks are {}", names.join(", ")))
}

fn field(name: &str) -> Result<FieldRef, String> {
    FieldRef::parse(name).map_err(|error| match error.suggestion() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

/// Prints events until Ctrl-C, SIGTERM, `--count` or the end of stdout's reader.
///
/// # Errors
/// The kernel side cannot be loaded or attached, there is no such process, a hook that was asked for cannot be served.
pub fn run(args: &TraceArgs) -> anyhow::Result<()> {
    if let Some(pid) = args.pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
        anyhow::bail!("--pid {pid}: there is no such process; `ps -e` lists those that there are");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = runtime.block_on(async { run::stop_signal() })?;
    let begun = Instant::now();
    let mut probe = Probe::load(&Options { ring_size: args.ring_size, ..Options::default() })?;
    let hooks = wanted(args, &probe)?;
    let ring = probe.take_ring()?.context("the ring is taken already")?;
    let all = KernelFilter::everything(1, hooks.iter().copied());
    probe.widen(&all)?;
    let printer = Printer::start()?;
    let watch = Watch::new(ring, Lines::new(args.output, &args.field)?, printer, &hooks, args.pid, args.count);
    let quiet = CancellationToken::new();
    let watching = watch.spawn(End { stop: stop.clone(), quiet: quiet.clone() })?;
    // From here on events come.
    probe.narrow(&all)?;
    anstream::eprintln!("eyas-agent: tracing {}; Ctrl-C ends", names(&hooks));
    runtime.block_on(stop.cancelled());
    let detached = probe.detach();
    quiet.cancel();
    let seen = watching.join().map_err(|_| anyhow::anyhow!("the thread that reads events has failed"))?;
    detached?;
    for line in seen.summary(&probe.counters()?, &hooks, begun.elapsed()) {
        anstream::eprintln!("eyas-agent: {line}");
    }
    Ok(())
}

/// The hooks to attach: those asked for, which must be there, or all that this kernel serves.
fn wanted(args: &TraceArgs, probe: &Probe) -> anyhow::Result<Vec<Hook>> {
    let status = probe.hook_status();
    let refused =
        |hook: Hook| status.iter().find(|s| s.hook == hook && s.backend == crate::probe::Backend::Unavailable);
    for hook in &args.hook {
        if let Some(status) = refused(*hook) {
            anyhow::bail!("--hook {}: this kernel cannot serve it: {}", hook.as_str(), status.reason);
        }
    }
    let asked = |hook: &Hook| if args.hook.is_empty() { refused(*hook).is_none() } else { args.hook.contains(hook) };
    Ok(Hook::ALL.iter().copied().filter(asked).collect())
}

fn names(hooks: &[Hook]) -> String {
    if hooks.len() == Hook::ALL.len() {
        return "all hooks".to_owned();
    }
    let names: Vec<&str> = hooks.iter().map(|hook| hook.as_str()).collect();
    format!("hook{} {}", if hooks.len() == 1 { "" } else { "s" }, names.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_hook_that_is_none_names_those_that_are() {
        assert_eq!(hook("open"), Ok(Hook::Open));
        let error = hook("openat").unwrap_err();
        assert!(error.contains("--hook open;") && error.contains("exec, fork, exit, open, connect"), "{error}");
        assert!(hook("nonsense").unwrap_err().starts_with("no such hook; hooks are exec"));
        assert!(field("fd.nam").unwrap_err().contains("fd.name"));
    }
}
