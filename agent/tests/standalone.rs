//! The agent alone, on the running kernel: what is seen, what is told, what is counted, what survives.
//!
//! Needs root and a kernel that takes the programs; says `skipped` elsewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "standalone/agent.rs"]
mod agent;
#[path = "standalone/calls.rs"]
mod calls;
#[path = "standalone/check.rs"]
mod check;
#[path = "standalone/clock.rs"]
mod clock;
#[path = "standalone/container.rs"]
mod container;
#[path = "standalone/containers.rs"]
mod containers;
#[path = "standalone/cost.rs"]
mod cost;
#[path = "standalone/defaults.rs"]
mod defaults;
#[path = "standalone/failed_exec.rs"]
mod failed_exec;
#[path = "standalone/faults.rs"]
mod faults;
#[path = "standalone/flood.rs"]
mod flood;
#[path = "standalone/handover.rs"]
mod handover;
#[path = "standalone/io_uring.rs"]
mod io_uring;
#[path = "standalone/reloads.rs"]
mod reloads;
#[path = "standalone/removals.rs"]
mod removals;
#[path = "standalone/streams.rs"]
mod streams;
#[path = "standalone/trace.rs"]
mod trace;
#[path = "standalone/truth.rs"]
mod truth;

use agent::{Scene, count, rule};
use std::{
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

fn open(path: &Path) {
    File::open(path).unwrap();
}

#[test]
fn a_match_is_told_within_a_second_and_the_end_is_clean() {
    let Some(scene) = Scene::new("told") else { return };
    scene.write("a.yaml", &scene.open_rule("Marked open"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let mut best = Duration::MAX;
    let mut alert = serde_json::Value::Null;
    // Another process may hold the processor for long on a loaded machine, but not three times.
    for _ in 0..3 {
        let at = Instant::now();
        open(&scene.file());
        let (seen, value) = agent.next_alert();
        best = best.min(seen.duration_since(at));
        alert = value;
        if best < Duration::from_secs(1) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert!(best < Duration::from_secs(1), "told after {best:?}");
    let path = scene.file().display().to_string();
    assert_eq!(alert["rule"], "Marked open");
    assert_eq!(alert["priority"], "Warning");
    assert_eq!(alert["source"], "syscall");
    assert_eq!(alert["output_fields"]["fd.name"], path);
    assert!(alert["output"].as_str().unwrap().contains(&format!("Warning opened {path} by ")), "{alert}");
    assert_eq!(alert["eyas"]["revision"], agent.status()["revision"]);
    assert_eq!(alert["eyas"]["policy"], "eyas-system/marked");
    assert_eq!(alert["eyas"]["fingerprint"].as_str().unwrap().len(), 16);
    assert!(agent.metric("eyas_rule_matches_total{rule=\"eyas-system/marked\"}") >= 1);
    assert_eq!(agent.get("/healthz").unwrap().0, 200);
    let (status, took, _) = agent.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "ended after {took:?}");
    let log = agent.log();
    assert!(log.contains(" events in ") && log.contains("Marked open"), "no summary:\n{log}");
}

#[test]
fn repeats_are_folded_and_none_is_lost() {
    let Some(scene) = Scene::new("folded") else { return };
    scene.write("a.yaml", &scene.open_rule("Folded"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let file = scene.file();
    (0..1000).for_each(|_| open(&file));
    let (status, _, alerts) = agent.stop();
    assert!(status.success());
    assert_eq!(alerts.iter().map(count).sum::<u64>(), 1000);
    assert!(alerts.len() < 20, "{} lines for 1000 repeats", alerts.len());
    assert_eq!(count(&alerts[0]), 1, "the first goes out at once");
    let one = &alerts[0]["eyas"]["fingerprint"];
    assert!(alerts.iter().all(|a| a["eyas"]["fingerprint"] == *one));
}

#[test]
fn no_event_is_lost_while_a_rule_is_edited() {
    let Some(scene) = Scene::new("edited") else { return };
    scene.write("a.yaml", &scene.open_rule("Version 0"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let stop = Arc::new(AtomicBool::new(false));
    let (told, file) = (stop.clone(), scene.file());
    let begun = Instant::now();
    let opener = std::thread::spawn(move || {
        let mut opens = 0u64;
        // 20,000 a second; on a loaded machine fewer, and so longer, up to as many as of one second.
        let enough = |opens| told.load(Ordering::Relaxed) && opens >= 20_000;
        while !enough(opens) && begun.elapsed() < Duration::from_secs(60) {
            if u128::from(opens) < begun.elapsed().as_millis() * 20 {
                (0..100).for_each(|_| open(&file));
                opens += 100;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        opens
    });
    let mut revision = agent.armed_other_than("");
    for version in 1..=4 {
        std::thread::sleep(Duration::from_millis(300));
        scene.write("a.yaml", &scene.open_rule(&format!("Version {version}")));
        revision = agent.armed_other_than(&revision);
    }
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let opens = opener.join().unwrap();
    let rate = opens * 1000 / u64::try_from(begun.elapsed().as_millis()).unwrap();
    let (status, _, alerts) = agent.stop();
    assert!(status.success(), "{}", agent.log());
    let by_version =
        |v: usize| -> u64 { alerts.iter().filter(|a| a["rule"] == format!("Version {v}")).map(count).sum() };
    let counts: Vec<u64> = (0..=4).map(by_version).collect();
    println!("{opens} opens at {rate}/s over four reloads, matched by version: {counts:?}");
    assert!(opens >= 20_000, "the flow was too thin: {rate}/s");
    assert!(counts.iter().all(|n| *n > 0), "every version was in force for a while: {counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), opens, "old or new rule for each, never neither");
}

#[test]
fn under_a_flood_every_event_is_accounted_for() {
    let Some(scene) = Scene::new("flood") else { return };
    scene.write("a.yaml", &scene.open_rule("Flooded"));
    let mut agent = scene.start(&["--ring-size=65536"]);
    agent.ready();
    let (marked, other) = (scene.file(), scene.dir.path().join("other"));
    std::fs::write(&other, "x").unwrap();
    for _ in 0..100_000 {
        open(&marked);
        open(&other);
    }
    let hooks = ["exec", "fork", "exit", "open", "connect"];
    // At rest: other processes act too, so it is asked until one moment is quiet.
    let (seen, dropped) = agent.until("sums that add up", |a| {
        let sums = hooks.map(|h| ["seen", "filtered", "shed", "dropped", "submitted"].map(|o| a.hook(h, o)));
        let submitted: u64 = sums.iter().map(|s| s[4]).sum();
        let evaluated = a.metric("eyas_events_evaluated_total") + a.metric("eyas_queue_lost_total");
        let adds_up = sums.iter().all(|s| s[0] == s[1..].iter().sum::<u64>()) && submitted == evaluated;
        (adds_up && sums[3][0] >= 200_000).then_some((sums[3][0], sums[3][3] + sums[3][2]))
    });
    let matches = agent.metric("eyas_rule_matches_total{rule=\"eyas-system/marked\"}");
    let lost = agent.metric("eyas_rule_lost_events_total{rule=\"eyas-system/marked\"}");
    println!("{seen} opens seen, {dropped} dropped, {matches} of 100000 matched");
    assert!(matches <= 100_000 && matches + dropped >= 100_000, "{matches} matches, {dropped} dropped");
    assert_eq!(lost, dropped, "losses are charged to the rule that wanted the hook");
    let conditions = agent.status()["conditions"].clone();
    let dropping = conditions.as_array().unwrap().iter().find(|c| c["type"] == "Dropping").unwrap().clone();
    let expected = if dropped * 1000 > seen { "True" } else { "False" };
    assert_eq!(dropping["status"], expected, "{dropping}");
    let (_, _, alerts) = agent.stop();
    assert_eq!(alerts.iter().map(count).sum::<u64>(), matches, "every match is in an alert");
}

#[test]
fn a_bad_edit_harms_nobody_and_says_where() {
    let Some(scene) = Scene::new("badedit") else { return };
    scene.write("a.yaml", &scene.open_rule("Good"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let file = scene.file();
    scene.write("a.yaml", &scene.open_rule("Good").replace("fd.name endswith", "fd.nam endswith"));
    let failing = agent.until("the failing rule", |a| {
        let failing = a.status()["rules"]["failing"][0].clone();
        failing.is_object().then_some(failing)
    });
    assert_eq!(failing["rule"], "eyas-system/marked");
    let reason = failing["reason"].as_str().unwrap();
    assert!(reason.contains("fd.nam") && reason.contains("fd.name") && reason.contains("last good form"), "{reason}");
    open(&file);
    assert_eq!(agent.next_alert().1["rule"], "Good");
    assert_eq!(agent.get("/readyz").unwrap().0, 200);
    // A file that is no YAML takes nothing away either.
    scene.write("a.yaml", "kind: [\n");
    agent.until("the problem in the log", |a| a.log().contains("a.yaml:").then_some(()));
    std::thread::sleep(Duration::from_millis(1200));
    open(&file);
    assert_eq!(agent.next_alert().1["rule"], "Good");
    // Mended, it is taken.
    scene.write("a.yaml", &scene.open_rule("Mended"));
    agent.until("the mended rule", |a| {
        open(&file);
        let alert = a.alerts.recv_timeout(Duration::from_millis(200)).ok()?.1;
        (alert["rule"] == "Mended").then_some(())
    });
}

#[test]
fn hooks_come_and_go_with_the_rules() {
    let Some(scene) = Scene::new("hooks") else { return };
    let exec = format!("evt.type = execve and proc.args contains {}", scene.nonce);
    scene.write("a.yaml", &rule("started", "Started", &exec, "started %proc.cmdline"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let attached = |a: &agent::Agent, name: &str| {
        let status = a.status();
        let hooks = status["hooks"].as_array().unwrap();
        hooks.iter().find(|h| h["name"] == name).unwrap()["attached"].as_bool().unwrap()
    };
    assert!(attached(&agent, "exec") && !attached(&agent, "open") && !attached(&agent, "connect"));
    let before = agent.status()["revision"].as_str().unwrap().to_owned();
    scene.write("b.yaml", &scene.open_rule("Opened"));
    let both = agent.armed_other_than(&before);
    agent.ready();
    assert!(attached(&agent, "open"));
    open(&scene.file());
    assert_eq!(agent.next_alert().1["rule"], "Opened");
    std::fs::remove_file(scene.rules().join("b.yaml")).unwrap();
    agent.armed_other_than(&both);
    agent.until("open to be detached", |a| (!attached(a, "open")).then_some(()));
    let echo = std::process::Command::new("/bin/echo").arg(&scene.nonce).output().unwrap();
    assert!(echo.status.success());
    let alert = agent.next_alert().1;
    assert_eq!(alert["rule"], "Started");
    assert_eq!(alert["output_fields"]["proc.cmdline"], format!("echo {}", scene.nonce));
}

#[test]
fn a_rule_that_asks_for_every_hook_is_told() {
    let Some(scene) = Scene::new("everyhook") else { return };
    scene.write("a.yaml", &scene.open_rule("Opened"));
    scene.write("b.yaml", &rule("all", "All", &format!("proc.name = {}", scene.nonce), "by %proc.name"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let status = agent.status();
    assert_eq!(status["rules"]["everyHook"], serde_json::json!(["eyas-system/all"]));
    assert!(
        status["hooks"].as_array().unwrap().iter().all(|h| h["attached"] == true || h["backend"] == "none"),
        "{status}"
    );
    std::fs::remove_file(scene.rules().join("b.yaml")).unwrap();
    agent.armed_other_than(status["revision"].as_str().unwrap());
    assert!(agent.status()["rules"].get("everyHook").is_none());
}

#[test]
fn exceptions_suppress_and_are_counted() {
    let Some(scene) = Scene::new("except") else { return };
    scene.write("a.yaml", &scene.open_rule("Excepted"));
    scene.write(
        "e.yaml",
        "apiVersion: eyas.dev/v1alpha1\nkind: Exception\nmetadata: {name: cat, namespace: eyas-system}\n\
         spec: {rules: [Excepted], match: {processes: [cat]}, reason: cats may}\n",
    );
    let mut agent = scene.start(&[]);
    agent.ready();
    let read = |by: &str| {
        let done = std::process::Command::new(by).arg(scene.file()).output().unwrap();
        assert!(done.status.success());
    };
    read("cat");
    read("cat");
    read("head");
    let alert = agent.next_alert().1;
    assert_eq!(alert["output_fields"]["proc.name"], "head", "{alert}");
    agent.until("two suppressions", |a| {
        (a.metric("eyas_exception_suppressed_total{exception=\"eyas-system/cat\"}") == 2).then_some(())
    });
    assert_eq!(agent.metric("eyas_rule_matches_total{rule=\"eyas-system/marked\"}"), 1);
}

#[test]
fn the_last_good_ruleset_survives_and_a_damaged_one_is_told() {
    let Some(scene) = Scene::new("state") else { return };
    scene.write("a.yaml", &scene.open_rule("Kept"));
    let state = scene.dir.path().join("state");
    let arg = format!("--state={}", state.display());
    let mut agent = scene.start(&[&arg]);
    agent.ready();
    let revision = agent.status()["revision"].clone();
    agent.until("the state file", |_| state.join("ruleset.state").exists().then_some(()));
    agent.stop();

    // The folder has become unreadable: what was good is armed from the disk.
    scene.write("a.yaml", "kind: [\n");
    let mut agent = scene.start(&[&arg]);
    agent.ready();
    assert_eq!(agent.status()["revision"], revision);
    open(&scene.file());
    assert_eq!(agent.next_alert().1["rule"], "Kept");
    agent.stop();

    for damage in ["", "eyas-ruleset 1 00 3\nabc", "\0\0\0garbage", "eyas-ruleset 99 00 0\n"] {
        let path = state.join("ruleset.state");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, damage).unwrap();
        scene.write("a.yaml", &scene.open_rule("Kept"));
        let mut agent = scene.start(&[&arg]);
        agent.ready();
        assert!(agent.log().contains("ruleset.state"), "{damage:?} was passed over:\n{}", agent.log());
        assert_eq!(agent.status()["revision"], revision);
        agent.stop();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    }
}

#[test]
fn used_wrongly_it_says_so_and_exits_with_2() {
    let run = |args: &[&str]| std::process::Command::new(agent::binary()).args(args).output().unwrap();
    let missing = run(&["run", "--rules", "/no/such/folder"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such/folder"));
    assert_eq!(run(&["run", "--ring-size=x"]).status.code(), Some(2));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    assert!(run(&["--version"]).status.success());
    let help = String::from_utf8_lossy(&run(&["--help"]).stdout).into_owned();
    assert!(help.contains("Examples:") && help.contains("eyas-agent run"), "{help}");
}
