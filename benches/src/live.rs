//! `make bench-live`: what an agent with the default rules adds to single calls, with the flow of events beside it, and what it
//! loses in a storm and over reloads.
//!
//! ```text
//! pairs: each loop without an agent, then with one -> processor time added to the thread (of fork+exec: by the clock), median, least,
//!        most; the agent's own; events of the hook by outcome; once, the time of the kernel's programs as the kernel counts it
//! storm: 100,000 opens that a rule matches, at once; flood: 4,000,000 from two threads; reload: opens at a steady rate over ten
//!        edits of their rule
//! ```
//! Invariant: a round counts as the agent's only what happened between its begin and the moment when all of it was evaluated.
use crate::{
    agent::Agent,
    loops::{self, Loop},
    programs,
    table::Figure,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Starts.
const STARTS: usize = 10;
/// Opens in the storm.
const STORM: u64 = 100_000;
/// Opens of each of the flood's two threads.
const FLOOD: u64 = 2_000_000;
/// Edits under load.
const EDITS: usize = 10;
/// How an event can end, as the metric has it.
const OUTCOMES: [&str; 5] = ["seen", "filtered", "shed", "dropped", "submitted"];

/// The figures of one loop over all pairs.
#[derive(Default)]
struct Pairs {
    without: Vec<f64>,
    with: Vec<f64>,
    own: Vec<f64>,
    /// Events of its hook, summed over the rounds, as [`OUTCOMES`].
    events: [f64; 5],
}

/// Measures everything.
///
/// # Errors
/// The agent cannot run here, or a loop fails.
pub fn figures(release: &Path, rules: &Path, pairs: usize) -> Result<Vec<Figure>> {
    let mut loops = loops::all()?;
    loops.insert(2, loops::sensitive());
    let mut measured: Vec<Pairs> = loops.iter().map(|_| Pairs::default()).collect();
    let mut resident = 0.0_f64;
    for pair in 0..pairs {
        eprintln!("    pair {} of {pairs}", pair + 1);
        for (l, m) in loops.iter_mut().zip(&mut measured) {
            m.without.push(l.round_of_thread()?);
        }
        let agent = Agent::start(release, rules)?;
        for (l, m) in loops.iter_mut().zip(&mut measured) {
            under(&agent, l, m)?;
        }
        resident = resident.max(agent.resident()?);
    }
    let mut figures = vec![starts(release, rules)?];
    for (l, m) in loops.iter().zip(&measured) {
        tell(l, m, &mut figures);
    }
    eprintln!("    programs");
    figures.extend(programs::figures(release, rules, &mut loops)?);
    eprintln!("    storm");
    figures.extend(storm(release)?);
    eprintln!("    flood");
    figures.extend(flood(release)?);
    eprintln!("    reloads under load");
    figures.extend(reloads(release)?);
    figures.push(Figure::at_most("resident memory after the pairs (ring touched)", resident, 30.0, "MiB"));
    Ok(figures)
}

/// After a round the agent gets to what still waits; nobody asks it for metrics meanwhile, as each answer costs it as much as a hundred
/// events.
const REST: Duration = Duration::from_millis(200);

/// From the start of the process to its first 200 on /readyz: each hook attached, and proven by its canary.
fn starts(release: &Path, rules: &Path) -> Result<Figure> {
    let mut starts = Vec::new();
    for turn in 1..=STARTS {
        eprintln!("    start {turn} of {STARTS}");
        starts.push(Agent::start(release, rules)?.ready_after.as_secs_f64());
    }
    let (least, middle, most) = spread(&starts);
    Ok(Figure::at_most(format!("start to armed and proven ({least:.2} to {most:.2})"), middle, 0.5, "s"))
}

fn under(agent: &Agent, l: &mut Loop, m: &mut Pairs) -> Result<()> {
    agent.settle()?;
    let events = outcomes(agent, l)?;
    let before = agent.processor_nanoseconds()?;
    m.with.push(l.round_of_thread()?);
    thread::sleep(REST);
    m.own.push((agent.processor_nanoseconds()? - before) / f64::from(l.calls));
    agent.settle()?;
    for ((sum, after), before) in m.events.iter_mut().zip(outcomes(agent, l)?).zip(events) {
        *sum += after - before;
    }
    Ok(())
}

/// Events of the loop's hook so far. The agent looks at the kernel's counters twice a second: this waits until it has looked again.
fn outcomes(agent: &Agent, l: &Loop) -> Result<[f64; 5]> {
    let mut all = [0.0; 5];
    if let Some(hook) = l.hook {
        thread::sleep(Duration::from_millis(700));
        for (n, outcome) in all.iter_mut().zip(OUTCOMES) {
            let labels = [format!("hook=\"{hook}\""), format!("outcome=\"{outcome}\"")];
            *n = agent.metric("eyas_hook_events_total", &[&labels[0], &labels[1]])?;
        }
    }
    Ok(all)
}

fn tell(l: &Loop, m: &Pairs, figures: &mut Vec<Figure>) {
    // Pair by pair: what makes a machine slow for a while is in both.
    let added: Vec<f64> = m.with.iter().zip(&m.without).map(|(with, without)| with - without).collect();
    let (least, middle, most) = spread(&added);
    figures.push(Figure::told(format!("{}, without agent", l.name), spread(&m.without).1, "ns"));
    let spread_text = format!("{}: added to the program ({least:.0} to {most:.0})", l.name);
    figures.push(Figure::told(spread_text, middle, "ns"));
    let mut total = middle.max(0.0);
    // An agent makes nothing faster: where a pair says so, noise is more than what is measured, and no verdict is to be had from it.
    let is_clear = least >= 0.0;
    if l.hook.is_some() {
        let (least, own, most) = spread(&m.own);
        let text = format!("{}: the agent's processor time ({least:.0} to {most:.0})", l.name);
        figures.push(Figure::told(text, own, "ns"));
        total += own;
        let [seen, filtered, shed, dropped, submitted] = m.events;
        let text = format!("{}: events seen ({filtered} filtered, {submitted} submitted)", l.name);
        figures.push(Figure::told(text, seen, ""));
        figures.push(Figure::at_most(format!("{}: events shed or dropped", l.name), shed + dropped, 0.0, ""));
    }
    let text = format!("{}: together", l.name);
    figures.push(match l.aim {
        Some(aim) if is_clear => Figure::at_most(text, total, f64::from(aim), "ns"),
        _ => Figure::told(text, total, "ns"),
    });
}

/// Least, median, most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |n: usize| sorted.get(n).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

/// A rule of its own on opens of one file; the namespace keeps it apart from others.
fn rule(turn: usize, file: &Path) -> String {
    format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: DetectionRule\nmetadata: {{name: bench, namespace: eyas-system}}\n\
         spec:\n  condition: evt.type in (open, openat, openat2) and fd.name = {}\n  output: \"bench {turn} %fd.name\"\n  priority: Warning\n",
        file.display()
    )
}

/// An agent with that rule alone, the folder and the file.
fn alone(release: &Path) -> Result<(Agent, tempfile::TempDir, std::path::PathBuf)> {
    let dir = tempfile::TempDir::new()?;
    let (rules, file) = (dir.path().join("rules"), dir.path().join("marked"));
    fs::create_dir(&rules)?;
    fs::write(&file, "x")?;
    let file = file.canonicalize()?;
    fs::write(rules.join("bench.yaml"), rule(0, &file))?;
    Ok((Agent::start(release, &rules)?, dir, file))
}

fn matches(agent: &Agent) -> Result<f64> {
    agent.metric("eyas_rule_matches_total", &["eyas-system/bench"])
}

fn lost(agent: &Agent) -> Result<f64> {
    let lost = |outcome: &str| agent.metric("eyas_hook_events_total", &["hook=\"open\"", outcome]);
    Ok(lost("outcome=\"dropped\"")? + lost("outcome=\"shed\"")? + agent.metric("eyas_queue_lost_total", &[])?)
}

fn storm(release: &Path) -> Result<Vec<Figure>> {
    let (agent, _dir, file) = alone(release)?;
    agent.settle()?;
    let begin = Instant::now();
    for _ in 0..STORM {
        drop(File::open(&file)?);
    }
    let took = begin.elapsed().as_secs_f64();
    agent.settle()?;
    Ok(vec![
        Figure::told("storm: 100,000 alerting opens took", took, "s"),
        Figure::at_most("storm: opens without a counted match", STORM as f64 - matches(&agent)?, 0.0, ""),
        Figure::at_most("storm: events lost", lost(&agent)?, 0.0, ""),
    ])
}

fn flood(release: &Path) -> Result<Vec<Figure>> {
    let (agent, _dir, file) = alone(release)?;
    agent.settle()?;
    let begin = Instant::now();
    let open = || -> std::io::Result<()> {
        for _ in 0..FLOOD {
            drop(File::open(&file)?);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let other = scope.spawn(open);
        open().and(other.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread of the flood panicked"))))
    })?;
    let rate = (2 * FLOOD) as f64 / begin.elapsed().as_secs_f64();
    agent.settle()?;
    let (matches, lost) = (matches(&agent)?, lost(&agent)?);
    Ok(vec![
        Figure::told("flood: alerting opens a second, 4,000,000 of them", rate, ""),
        Figure::at_most("flood: events shed or dropped", lost, 0.0, ""),
        Figure::at_most("flood: opens neither matched nor told as lost", (2 * FLOOD) as f64 - matches - lost, 0.0, ""),
        Figure::told("flood: resident memory after it", agent.resident()?, "MiB"),
    ])
}

fn reloads(release: &Path) -> Result<Vec<Figure>> {
    let (agent, dir, file) = alone(release)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (told, opened) = (Arc::clone(&stop), file.clone());
    let opener = thread::spawn(move || -> Result<u64> {
        let mut opens = 0;
        while !told.load(Relaxed) {
            for _ in 0..100 {
                drop(File::open(&opened)?);
            }
            opens += 100;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(opens)
    });
    let (begin, mut slowest) = (Instant::now(), 0.0_f64);
    for turn in 1..=EDITS {
        let (before, start) = (agent.revision()?, Instant::now());
        let aside = dir.path().join("aside");
        fs::write(&aside, rule(turn, &file))?;
        fs::rename(&aside, dir.path().join("rules/bench.yaml"))?;
        while agent.revision()? == before {
            ensure!(start.elapsed() < Duration::from_secs(10), "an edited rule is not armed after 10 s");
            thread::sleep(Duration::from_millis(5));
        }
        slowest = slowest.max(start.elapsed().as_secs_f64());
    }
    stop.store(true, Relaxed);
    let opens = opener.join().ok().context("the thread that opens has failed")??;
    let rate = opens as f64 / begin.elapsed().as_secs_f64();
    agent.settle()?;
    Ok(vec![
        Figure::told("reload under load: opens a second", rate, ""),
        Figure::at_most("reload under load: slowest of ten edits, file written to armed", slowest, 1.0, "s"),
        Figure::at_most("reload under load: opens without a match", opens as f64 - matches(&agent)?, 0.0, ""),
        Figure::at_most("reload under load: events lost", lost(&agent)?, 0.0, ""),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_both_ends_and_the_middle() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert!(spread(&[]).1.is_nan());
    }
}
