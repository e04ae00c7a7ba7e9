//! Far more opens than a node makes, half of them alerting at five priorities: what is lost is told to the event and charged to the
//! right rules, low priorities go first, and who floods pays for it himself.
//!
//! EYAS_FLOOD_SECONDS: how long (3; `make test-long`: 20). EYAS_FLOOD_RATE: opens a second that are tried for (200000).
use super::{
    agent::{Agent, Scene, adds_up, count, rule},
    container::Container,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

/// Tell the helper below where its files are, and where to write how many rounds it made.
const FOLDER: &str = "EYAS_FLOOD_FOLDER";
const ROUNDS: &str = "EYAS_FLOOD_ROUNDS";

/// Priorities of the rules, the most important last. Each is wanted of one file.
const PRIORITIES: [&str; 5] = ["Debug", "Informational", "Notice", "Warning", "Critical"];
/// Whose events are shed.
const UNDER_WARNING: usize = 3;
/// Opens that the neighbour makes, twenty a second.
const NEIGHBOUR: u64 = 40;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Not a test of its own: what floods, from two threads. In each round it opens each priority's file once, and as often one that
/// no rule wants.
#[test]
#[ignore = "a helper"]
fn floods() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let seconds = Duration::from_secs(number("EYAS_FLOOD_SECONDS", 3));
    let rate = number("EYAS_FLOOD_RATE", 200_000) / 2 / (2 * PRIORITIES.len() as u64);
    let flood = || {
        let (begun, mut rounds) = (Instant::now(), 0);
        while begun.elapsed() < seconds {
            while rounds < begun.elapsed().as_micros() as u64 * rate / 1_000_000 && begun.elapsed() < seconds {
                for priority in PRIORITIES {
                    File::open(folder.join(priority)).unwrap();
                    File::open(folder.join("unwanted")).unwrap();
                }
                rounds += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        rounds
    };
    let rounds: u64 = std::thread::scope(|s| [s.spawn(flood), s.spawn(flood)].map(|t| t.join().unwrap()).iter().sum());
    fs::write(std::env::var_os(ROUNDS).unwrap(), rounds.to_string()).unwrap();
}

/// A rule of that priority on successful opens of that file: of those that fail the kernel does not know the path, so that a loss
/// of any would be charged as well.
fn on_open(folder: &Path, file: &str, priority: &str) -> String {
    let path = folder.join(file);
    let condition = format!("evt.type in (open, openat, openat2) and fd.num >= 0 and fd.name = {}", path.display());
    rule(&file.to_lowercase(), file, &condition, "opened %fd.name in %container.id")
        .replace("priority: Warning", &format!("priority: {priority}"))
}

fn of_rule(agent: &Agent, metric: &str, file: &str) -> u64 {
    agent.metric(&format!("{metric}{{rule=\"eyas-system/{}\"}}", file.to_lowercase()))
}

/// What became of a flood, by priority: opens of each, matched, lost. All that must hold whatever the machine does is asserted.
fn flood(test: &str, standing: Option<Duration>) -> Option<(u64, [u64; 5], [u64; 5])> {
    let scene = Scene::new(test)?;
    let (Some(flooding), Some(neighbour)) = (Container::new(1), Container::new(2)) else {
        println!("skipped: {test}: control groups cannot be made here");
        return None;
    };
    let folder = scene.dir.path().canonicalize().unwrap();
    for file in PRIORITIES.iter().chain(&["unwanted", "Neighbour"]) {
        fs::write(folder.join(file), "x").unwrap();
    }
    for priority in PRIORITIES {
        scene.write(&format!("{priority}.yaml"), &on_open(&folder, priority, priority));
    }
    scene.write("Neighbour.yaml", &on_open(&folder, "Neighbour", "Warning"));
    let mut agent = scene.start(&[]);
    agent.ready();

    let rounds = scene.dir.path().join("rounds");
    let me = std::env::current_exe().unwrap();
    let begun = Instant::now();
    std::thread::scope(|s| {
        s.spawn(|| {
            let line = format!("exec '{}' --ignored --exact flood::floods > /dev/null", me.display());
            let mut command = flooding.command(&line);
            let command = command.env(FOLDER, &folder).env(ROUNDS, &rounds).stdin(Stdio::null());
            assert!(command.status().unwrap().success());
        });
        s.spawn(|| {
            let line = format!("i=0; while [ $i -lt {NEIGHBOUR} ]; do : < \"$F\"; i=$((i+1)); sleep 0.05; done");
            let mut command = neighbour.command(&line);
            assert!(command.env("F", folder.join("Neighbour")).stdin(Stdio::null()).status().unwrap().success());
        });
        if let Some(standing) = standing {
            std::thread::sleep(Duration::from_millis(500));
            let pid = Pid::from_child(&agent.child);
            kill_process(pid, Signal::STOP).unwrap();
            std::thread::sleep(standing);
            kill_process(pid, Signal::CONT).unwrap();
        }
    });
    let took = begun.elapsed();
    let opened: u64 = fs::read_to_string(&rounds).unwrap().parse().unwrap();
    let told = |a: &Agent, file: &str| {
        (of_rule(a, "eyas_rule_matches_total", file), of_rule(a, "eyas_rule_lost_events_total", file))
    };
    agent.until("each open as a match or a loss", |a| {
        let all = PRIORITIES.iter().all(|p| told(a, p).0 + told(a, p).1 >= opened);
        (all && told(a, "Neighbour").0 + told(a, "Neighbour").1 >= NEIGHBOUR).then_some(())
    });
    adds_up(&mut agent);
    let by_priority = PRIORITIES.map(|p| told(&agent, p));
    let (matched, lost) = (by_priority.map(|t| t.0), by_priority.map(|t| t.1));
    let (shed, dropped) = (agent.hook("open", "shed"), agent.hook("open", "dropped"));
    let rate = opened * 2 * PRIORITIES.len() as u64 * 1000 / took.as_millis() as u64;
    println!("{opened} opens of each priority, {rate}/s with those that no rule wants");
    println!("of {PRIORITIES:?} matched {matched:?}, lost {lost:?}; {shed} shed, {dropped} dropped");

    for (priority, (matched, lost)) in PRIORITIES.iter().zip(by_priority) {
        assert_eq!(matched + lost, opened, "{priority}: {matched} matches, {lost} lost");
    }
    assert!(agent.hook("open", "filtered") >= opened * PRIORITIES.len() as u64, "what no rule wants is filtered");
    assert_eq!(told(&agent, "Neighbour"), (NEIGHBOUR, 0), "the flood of one costs another one nothing");
    assert_eq!(shed + dropped, lost.iter().sum::<u64>(), "each loss is charged to the rule that wanted it");
    // A threshold may be passed between two opens of one round.
    let rounding = 500 + opened / 100;
    for (low, high) in lost.iter().zip(&lost[1..]) {
        assert!(low + rounding >= *high, "less important ones are lost first: {lost:?} of {PRIORITIES:?}");
    }
    let (status, _, alerts) = agent.stop();
    assert!(status.success(), "{}", agent.log());
    let mut counts = BTreeMap::<&str, u64>::new();
    for alert in &alerts {
        let container = if alert["rule"] == "Neighbour" { &neighbour } else { &flooding };
        assert_eq!(alert["output_fields"]["container.id"], container.id.as_str(), "{alert}");
        *counts.entry(alert["rule"].as_str().unwrap()).or_default() += count(alert);
    }
    for (priority, matched) in PRIORITIES.iter().zip(matched) {
        assert_eq!(
            counts.get(priority).copied().unwrap_or_default(),
            matched,
            "every match of {priority} is in an alert"
        );
    }
    Some((opened, matched, lost))
}

#[test]
fn a_flood_is_accounted_for_to_the_event() {
    let Some((opened, _, lost)) = flood("flooded", None) else { return };
    assert!(opened > 1000, "no flood: {opened}");
    // A debug build may be too slow for it; then the order says what goes first.
    if !cfg!(debug_assertions) {
        assert_eq!(lost[UNDER_WARNING..], [0, 0], "nothing of Warning and above is lost");
    }
}

#[test]
fn a_flood_while_the_agent_stands_still_costs_low_priorities_first() {
    let Some((opened, matched, lost)) = flood("standing", Some(Duration::from_millis(1500))) else { return };
    if lost.iter().sum::<u64>() == 0 {
        println!("skipped: standing: the machine is too slow for a flood: {opened} opens of each priority");
        return;
    }
    let (low, high) = (lost[..UNDER_WARNING].iter().sum::<u64>() / 3, lost[UNDER_WARNING..].iter().sum::<u64>() / 2);
    assert!(low > high, "{lost:?}");
    assert!(matched.iter().all(|n| *n > 0), "{matched:?}");
}
