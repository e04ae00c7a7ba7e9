//! Two agents with one state folder: one watches, the other takes over, and each event is told by one of them.
use crate::agent::{Agent, Scene, count, rule};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Threads that open: some thousand numbered names a second that are not there, and one file again and again.
struct Openers {
    stop: Arc<AtomicBool>,
    /// How many each has opened.
    done: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<()>>,
}

const NUMBERED: usize = 2;

impl Openers {
    fn start(file: &Path) -> Self {
        let mut all = Self { stop: Arc::default(), done: Vec::new(), threads: Vec::new() };
        for n in 0..NUMBERED {
            let dir = file.to_owned();
            all.thread(move |i| drop(File::open(PathBuf::from(format!("{}.{n}.{i}", dir.display())))), 1);
        }
        let file = file.to_owned();
        all.thread(move |_| drop(File::open(&file).unwrap()), 5);
        all
    }

    fn thread(&mut self, open: impl Fn(u64) + Send + 'static, at_once: u64) {
        let (stop, done) = (self.stop.clone(), Arc::<AtomicU64>::default());
        self.done.push(done.clone());
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Relaxed) {
                for _ in 0..at_once {
                    let n = done.load(Relaxed);
                    open(n);
                    done.store(n + 1, Relaxed);
                }
                std::thread::sleep(Duration::from_micros(900));
            }
        }));
    }

    /// How many of each.
    fn stop(mut self) -> Vec<u64> {
        self.stop.store(true, Relaxed);
        self.threads.drain(..).for_each(|t| t.join().unwrap());
        self.done.iter().map(|n| n.load(Relaxed)).collect()
    }
}

/// How often each path was told.
#[derive(Default)]
struct Told(BTreeMap<String, u64>);

impl Told {
    fn take(&mut self, alert: &Value) {
        if let Some(path) = alert["output_fields"]["fd.name"].as_str() {
            *self.0.entry(path.to_owned()).or_default() += count(alert);
        }
    }

    fn read(&mut self, agent: &mut Agent) {
        while let Ok((_, alert)) = agent.alerts.recv_timeout(Duration::from_millis(500)) {
            self.take(&alert);
        }
    }

    fn of(&self, file: &Path, thread: usize) -> Vec<u64> {
        let name = format!("{}.{thread}.", file.display());
        let mut all: Vec<_> =
            self.0.iter().filter_map(|(p, n)| Some((p.strip_prefix(&name)?.parse::<u64>().unwrap(), *n))).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, n)| n).collect()
    }
}

fn numbered(scene: &Scene) -> String {
    let condition = format!("evt.type in (open, openat, openat2) and fd.name contains {}", scene.nonce);
    rule("marked", "Marked", &condition, "opened %fd.name by %proc.name")
}

fn state(scene: &Scene) -> String {
    format!("--state={}", scene.dir.path().join("state").display())
}

fn pid(agent: &Agent) -> Pid {
    Pid::from_child(&agent.child)
}

/// The second agent, standing by.
fn second(scene: &Scene, first: &Agent) -> Agent {
    let mut second = scene.start(&[&state(scene)]);
    second.ready();
    let status = second.status();
    assert_eq!(status["standingBy"]["for"], first.child.id(), "{status}");
    let ready = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").unwrap().clone();
    assert_eq!((ready["status"].as_str(), ready["reason"].as_str()), (Some("True"), Some("StandingBy")));
    let log = second.log();
    assert!(log.contains("another agent watches") && log.contains(&first.child.id().to_string()), "{log}");
    second
}

fn took_over(agent: &mut Agent) {
    agent.until("the takeover", |a| (a.metric("eyas_standing_by") == 0).then_some(()));
}

fn rounds() -> u32 {
    std::env::var("EYAS_HANDOVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

#[test]
fn handed_over_each_event_is_told_by_one_of_them() {
    let Some(scene) = Scene::new("handover") else { return };
    scene.write("a.yaml", &numbered(&scene));
    let file = scene.file();
    let mut first = scene.start(&[&state(&scene)]);
    first.ready();
    let begun = Instant::now();
    let openers = Openers::start(&file);
    let (mut told, mut matches) = (Told::default(), 0);
    for round in 0..rounds() {
        std::thread::sleep(Duration::from_millis(700));
        let mut next = second(&scene, &first);
        std::thread::sleep(Duration::from_millis(700));
        assert!(next.alerts.try_recv().is_err(), "it tells something while it stands by");
        assert_eq!(next.metric("eyas_rule_matches_total{rule=\"eyas-system/marked\"}"), 0);
        let (memory, status) = (next.metric("eyas_agent_resident_bytes") >> 20, next.status());
        println!("standing by it takes {memory} MiB and {} % of one core since its start", status["cpuPercent"]);
        let asked = Instant::now();
        kill_process(pid(&first), Signal::TERM).unwrap();
        assert!(first.child.wait().unwrap().success(), "{}", first.log());
        let ended = asked.elapsed();
        took_over(&mut next);
        println!("round {round}: the first ended after {ended:?}, the second watched after {:?}", asked.elapsed());
        told.read(&mut first);
        assert!(first.log().contains("nothing lost"), "{}", first.log());
        let status = next.status();
        assert!(status["blind"].is_null() && status["standingBy"].is_null(), "{status}");
        first = next;
    }
    std::thread::sleep(Duration::from_millis(500));
    let done = openers.stop();
    let took = begun.elapsed();
    let (status, _, rest) = first.stop();
    assert!(status.success(), "{}", first.log());
    rest.iter().for_each(|a| told.take(a));
    for (thread, opened) in done.iter().enumerate() {
        let each = if thread < NUMBERED { told.of(&file, thread) } else { vec![] };
        if thread < NUMBERED {
            let twice = each.iter().filter(|n| **n > 1).count();
            let missing = *opened - each.len() as u64;
            assert_eq!((missing, twice), (0, 0), "of {opened}: never, and more than once");
        } else {
            assert_eq!(told.0[&file.display().to_string()], *opened, "of one file opened again and again");
        }
        matches += opened;
    }
    println!("{matches} opens in {took:?} over {} handovers, each told once", rounds());
}

#[test]
fn killed_the_one_that_stands_by_goes_on_and_nothing_is_lost() {
    let Some(scene) = Scene::new("takeover") else { return };
    scene.write("a.yaml", &numbered(&scene));
    let file = scene.file();
    let mut first = scene.start(&[&state(&scene)]);
    first.ready();
    let openers = Openers::start(&file);
    std::thread::sleep(Duration::from_millis(500));
    let mut next = second(&scene, &first);
    // Longer than a sign of life is old.
    std::thread::sleep(Duration::from_millis(3000));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    took_over(&mut next);
    std::thread::sleep(Duration::from_millis(500));
    let done = openers.stop();
    let status = next.status();
    assert!(status["blind"].is_null(), "it was armed long before: {status}");
    let mut told = Told::default();
    told.read(&mut first);
    let (ended, _, rest) = next.stop();
    assert!(ended.success());
    rest.iter().for_each(|a| told.take(a));
    for (thread, opened) in done.iter().enumerate().take(NUMBERED) {
        let each = told.of(&file, thread);
        let twice = each.iter().filter(|n| **n > 1).count();
        println!("{opened} opens, {twice} of them told by both");
        assert_eq!(each.len() as u64, *opened, "some were told by neither");
        assert!(each.iter().all(|n| *n <= 2), "told more than twice");
    }
    assert!(told.0[&file.display().to_string()] >= done[NUMBERED]);
}

#[test]
fn killed_before_the_next_one_was_armed_the_gap_is_told() {
    let Some(scene) = Scene::new("toolate") else { return };
    scene.write("a.yaml", &numbered(&scene));
    let mut first = scene.start(&[&state(&scene)]);
    first.ready();
    // It has no rules yet, and so is not armed.
    let empty = scene.dir.path().join("late");
    std::fs::create_dir(&empty).unwrap();
    let other = scene.dir.path().join("state/ruleset.state");
    first.until("the state file", |_| other.exists().then_some(()));
    std::fs::remove_file(&other).unwrap();
    let mut next = Agent::start(&empty, &[&state(&scene)]);
    next.until("standing by", |a| (!a.status()["standingBy"].is_null()).then_some(()));
    assert_eq!(next.get("/readyz").unwrap().0, 503);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    took_over(&mut next);
    std::thread::sleep(Duration::from_millis(200));
    std::fs::write(empty.join("a.yaml"), numbered(&scene)).unwrap();
    next.until("the rules", |a| (a.status()["rules"]["armed"] == 1).then_some(()));
    let blind = next.status()["blind"].clone();
    assert!(blind["from"].is_string() && blind["to"].is_string(), "{blind}");
}

#[test]
fn an_agent_that_hangs_is_told_of_and_nothing_is_given_up() {
    let Some(scene) = Scene::new("hangs") else { return };
    scene.write("a.yaml", &numbered(&scene));
    let mut first = scene.start(&[&state(&scene)]);
    first.ready();
    let mut next = second(&scene, &first);
    kill_process(pid(&first), Signal::STOP).unwrap();
    // What it does not read any more the other one holds back, however long it takes.
    for n in 0..10 {
        let _ = File::open(format!("{}.0.{n}", scene.file().display()));
    }
    next.until("that it is told not to be ready", |a| {
        let (code, why) = a.get("/readyz")?;
        (code == 503 && why.contains("gave no sign of life")).then_some(())
    });
    assert_eq!(next.status()["standingBy"]["heldBack"], 10);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    next.ready();
    let mut told = Told::default();
    next.until("what was held back", |a| {
        told.read(a);
        (told.of(&scene.file(), 0) == [1; 10]).then_some(())
    });
}

#[test]
fn with_folders_of_their_own_both_tell() {
    let Some(scene) = Scene::new("apart") else { return };
    scene.write("a.yaml", &scene.open_rule("Both"));
    let mut agents = [
        scene.start(&[&state(&scene)]),
        scene.start(&[&format!("--state={}", scene.dir.path().join("other").display())]),
        scene.start(&[]),
    ];
    agents.iter_mut().for_each(Agent::ready);
    File::open(scene.file()).unwrap();
    for agent in &mut agents {
        assert_eq!(agent.next_alert().1["rule"], "Both");
        assert!(agent.status()["standingBy"].is_null());
    }
}

#[test]
fn stopped_while_it_stands_by_it_leaves_the_other_alone() {
    let Some(scene) = Scene::new("leaves") else { return };
    scene.write("a.yaml", &scene.open_rule("Kept on"));
    let mut first = scene.start(&[&state(&scene)]);
    first.ready();
    let mut next = second(&scene, &first);
    File::open(scene.file()).unwrap();
    assert_eq!(first.next_alert().1["rule"], "Kept on");
    let (ended, _, told) = next.stop();
    assert!(ended.success() && told.is_empty(), "{told:?}");
    assert!(next.log().contains("stood by and told nothing"), "{}", next.log());
    let (ended, _, told) = first.stop();
    assert!(ended.success() && told.is_empty(), "{told:?}");
}

#[test]
fn with_the_default_rules_neither_takes_the_other_for_an_attacker() {
    let Some(scene) = Scene::new("noise") else { return };
    let mut first = Agent::with_default_rules(&[&state(&scene)]);
    first.ready();
    let mut next = Agent::with_default_rules(&[&state(&scene)]);
    next.ready();
    std::thread::sleep(Duration::from_millis(500));
    kill_process(pid(&first), Signal::TERM).unwrap();
    first.child.wait().unwrap();
    took_over(&mut next);
    // A third one begins while the second watches.
    let mut third = Agent::with_default_rules(&[&state(&scene)]);
    third.ready();
    std::thread::sleep(Duration::from_millis(1500));
    let mut told: Vec<_> = first.alerts.try_iter().chain(next.alerts.try_iter()).map(|(_, alert)| alert).collect();
    told.extend(third.stop().2);
    told.extend(next.stop().2);
    let of_ours: Vec<_> = told.iter().filter(|a| a.to_string().contains("eyas-agent")).collect();
    assert!(of_ours.is_empty(), "{of_ours:#?}");
}
