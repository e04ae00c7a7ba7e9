//! The whole measurement.
use crate::{
    agent::Agent,
    evaluate, live,
    loops::{self, Loop},
    table::{self, Figure},
};
use anyhow::{Result, ensure};
use clap::Parser;
use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Measures what Eyas costs on this machine with the default rules. Nothing else should run meanwhile.
#[derive(Debug, Parser)]
pub struct Args {
    /// Turns of each loop without and with the agent; the median counts.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// The rules to arm.
    #[arg(long, default_value = "manifests/rules")]
    pub rules: PathBuf,
    /// Only the engine: no agent, no root.
    #[arg(long, conflicts_with = "live")]
    pub engine_only: bool,
    /// Only the live kernel, in more detail: single calls in pairs, a storm, reloads under load (`make bench-live`).
    #[arg(long)]
    pub live: bool,
}

/// Runs it and prints the table.
///
/// # Errors
/// The agent cannot run here, or a loop fails.
pub fn run(args: &Args) -> Result<()> {
    let release = env::var_os("EYAS_RELEASE").map_or_else(|| PathBuf::from("target/release"), PathBuf::from);
    if args.live {
        ensure!(rustix::process::geteuid().is_root(), "loading eBPF programs needs root");
        println!("{}", table::render(&live::figures(&release, &args.rules, args.rounds)?));
        return Ok(());
    }
    let mut figures = evaluate::figures(&args.rules)?;
    if args.engine_only {
        println!("{}", table::render(&figures));
        return Ok(());
    }
    ensure!(rustix::process::geteuid().is_root(), "loading eBPF programs needs root");
    figures.extend(life(&release, &args.rules)?);
    figures.extend(costs(&release, &args.rules, args.rounds)?);
    println!("{}", table::render(&figures));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Start, reload and memory.
fn life(release: &Path, rules: &Path) -> Result<Vec<Figure>> {
    let mut starts = Vec::new();
    for turn in 0..5 {
        progress(&format!("start {}", turn + 1));
        starts.push(Agent::start(release, rules)?.ready_after.as_secs_f64());
    }
    let copy = tempfile::TempDir::new()?;
    for entry in fs::read_dir(rules)? {
        let entry = entry?;
        fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    let agent = Agent::start(release, copy.path())?;
    let mut reloads = Vec::new();
    for turn in 0..5 {
        progress(&format!("reload {}", turn + 1));
        let before = agent.revision()?;
        let start = Instant::now();
        fs::write(copy.path().join("bench.yaml"), extra_rule(turn))?;
        while agent.revision()? == before {
            ensure!(start.elapsed() < Duration::from_secs(10), "an edited rule is not armed after 10 s");
            thread::sleep(Duration::from_millis(2));
        }
        reloads.push(start.elapsed().as_secs_f64());
    }
    Ok(vec![
        Figure::at_most("start to armed and proven", median(starts), 0.5, "s"),
        Figure::at_most("file written to armed", median(reloads), 1.0, "s"),
    ])
}

fn extra_rule(turn: usize) -> String {
    format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: DetectionRule\nmetadata: {{name: bench, namespace: eyas-system}}\n\
         spec: {{condition: 'evt.type = execve and proc.name = bench-{turn}', output: bench, priority: Notice}}\n"
    )
}

/// What is added to each loop, and the agent's own work for it.
fn costs(release: &Path, rules: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let mut loops = loops::all()?;
    let mut without = vec![Vec::new(); loops.len()];
    let mut with = without.clone();
    let mut work = without.clone();
    let mut resident = 0.0_f64;
    let mut lost = 0.0;
    for round in 0..rounds {
        progress(&format!("round {} of {rounds}", round + 1));
        for (l, times) in loops.iter_mut().zip(&mut without) {
            times.push(l.round()?);
        }
        let agent = Agent::start(release, rules)?;
        for ((l, times), work) in loops.iter_mut().zip(&mut with).zip(&mut work) {
            let (time, own) = under(&agent, l)?;
            times.push(time);
            work.push(own);
        }
        resident = resident.max(agent.resident()?);
        lost += agent.metric("eyas_hook_events_total", &["outcome=\"dropped\""])?
            + agent.metric("eyas_hook_events_total", &["outcome=\"shed\""])?;
    }
    let mut figures = Vec::new();
    for (((l, without), with), work) in loops.iter().zip(without).zip(with).zip(work) {
        let (bare, added, work) = (median(without.clone()), median(with) - median(without), median(work));
        figures.push(Figure::told(format!("{}, without agent", l.name), bare, "ns"));
        figures.push(Figure::told(format!("{}: added to the program", l.name), added, "ns"));
        if l.hook.is_some() {
            figures.push(Figure::told(format!("{}: the agent's processor time", l.name), work, "ns"));
        }
        let total = added.max(0.0) + if l.hook.is_some() { work } else { 0.0 };
        let aim = l.aim.map_or(f64::INFINITY, f64::from);
        figures.push(Figure::at_most(format!("{}: together", l.name), total, aim, "ns"));
    }
    figures.push(Figure::at_most("resident memory after that (ring touched)", resident, 30.0, "MiB"));
    figures.push(Figure::at_most("events lost meanwhile", lost, 0.0, ""));
    Ok(figures)
}

/// One round under an agent: nanoseconds per call, and the agent's nanoseconds for each of them.
fn under(agent: &Agent, l: &mut Loop) -> Result<(f64, f64)> {
    agent.settle()?;
    let before = agent.processor_time()?;
    let time = l.round()?;
    agent.settle()?;
    // Asking for metrics is a small part of this; it is not taken off.
    let used = agent.processor_time()? - before;
    Ok((time, used * 1e9 / f64::from(l.calls)))
}

fn progress(what: &str) {
    eprintln!("    {what}");
}
