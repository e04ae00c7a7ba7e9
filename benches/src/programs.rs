//! The time that the kernel's programs take, as the kernel itself counts it: steadier than the difference of two loops, but with the
//! counter's own clock in each run.
use crate::{agent::Agent, loops::Loop, table::Figure};
use anyhow::{Context, Result};
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};
use std::{collections::BTreeMap, path::Path};

/// Our programs are called so (agent-ebpf); those of another agent on this machine would be counted, too.
const OURS: &str = "on_";

/// Nanoseconds and runs of each of our programs so far.
fn totals() -> Result<BTreeMap<String, (f64, f64)>> {
    let mut all = BTreeMap::new();
    for program in loaded_programs() {
        let program = program.context("reading a loaded program")?;
        let Some(name) = program.name_as_str().filter(|name| name.starts_with(OURS)) else { continue };
        let (time, runs) = all.entry(name.to_owned()).or_insert((0.0, 0.0));
        *time += program.run_time().as_nanos() as f64;
        *runs += program.run_count() as f64;
    }
    Ok(all)
}

/// One round of each loop under one agent: nanoseconds a call of all programs together, and of each.
///
/// # Errors
/// The agent cannot run here, the kernel does not count (Linux 5.8), or a loop fails.
pub fn figures(release: &Path, rules: &Path, loops: &mut [Loop]) -> Result<Vec<Figure>> {
    let agent = Agent::start(release, rules)?;
    // Counts as long as it is held.
    let _counting = enable_stats(Stats::RunTime).context("asking the kernel to count the time of programs")?;
    let mut figures = Vec::new();
    for l in loops {
        agent.settle()?;
        let before = totals()?;
        l.round_of_thread()?;
        let (mut sum, mut parts) = (0.0, Vec::new());
        for (name, (time, runs)) in totals()? {
            let (time_before, runs_before) = before.get(&name).copied().unwrap_or_default();
            let per_call = |n: f64| n / f64::from(l.calls);
            let (time, runs) = (per_call(time - time_before), per_call(runs - runs_before));
            sum += time;
            // What other processes do meanwhile is in it, too: too little to be told.
            if runs >= 0.5 {
                parts.push(format!("{name} {time:.0} in {runs:.1} runs"));
            }
        }
        figures.push(Figure::told(format!("{}: in the kernel's programs ({})", l.name, parts.join(", ")), sum, "ns"));
    }
    Ok(figures)
}
