//! The clock of the machine is set back and forward while events come. Only where EYAS_MAY_SET_CLOCK says so: in the virtual machines of
//! `make test-kernels`.
use super::agent::{Agent, Scene, adds_up, count, rule};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{fs::File, process::Command, time::Duration};

/// How far a time that an alert tells may be from the clock: it is looked at every second, and what is emulated is slow.
const NEAR: SignedDuration = SignedDuration::from_secs(30);
const MATCHES: &str = "eyas_rule_matches_total{rule=\"eyas-system/marked\"}";

/// A row for scripts/test-kernels.sh.
fn row(what: &str, told: &str) {
    println!("row\tclock\t{what}\t{told}");
}

/// Sets the clock that much forward, or back.
fn set(by: SignedDuration) {
    let to = Timestamp::now() + by;
    let done = Command::new("date").arg(format!("-s@{}", to.as_second())).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!((Timestamp::now() - to).get_seconds().abs() < NEAR.as_secs(), "the clock was not set");
}

fn near(told: &Value) -> Timestamp {
    let time: Timestamp = told.as_str().unwrap_or_else(|| panic!("no time: {told}")).parse().unwrap();
    let now = Timestamp::now();
    assert!((now.duration_since(time)).abs() < NEAR, "{time} is told at {now}");
    time
}

/// Opens the file until an alert tells a time near to the clock's: those on the way may tell the one before. How many opens.
fn told_in_time(scene: &Scene, agent: &mut Agent, alerts: &mut u64) -> u64 {
    let mut opens = 0;
    agent.until("an alert with the clock's time", |a| {
        File::open(scene.file()).unwrap();
        opens += 1;
        let (_, alert) = a.alerts.recv_timeout(Duration::from_secs(5)).ok()?;
        *alerts += count(&alert);
        let time: Timestamp = alert["time"].as_str()?.parse().ok()?;
        ((Timestamp::now().duration_since(time)).abs() < NEAR).then_some(())
    });
    opens
}

#[test]
fn the_clock_may_be_set_back_and_forward() {
    if std::env::var_os("EYAS_MAY_SET_CLOCK").is_none() {
        println!("skipped: clock: it is set only in a virtual machine (make test-kernels)");
        return;
    }
    let Some(scene) = Scene::new("clock") else { return };
    let condition = format!("evt.type in (open, openat, openat2) and fd.num >= 0 and fd.name endswith {}", scene.nonce);
    scene.write("a.yaml", &rule("marked", "Clock", &condition, "\"%fd.name by %proc.name %proc.duration\""));
    let state = format!("--state={}", scene.dir.path().join("state").display());
    let mut agent = scene.start(&[&state]);
    agent.ready();
    let (mut opens, mut told) = (0, 0);
    let hour = SignedDuration::from_hours(1);
    let steps = [
        ("as it was", SignedDuration::ZERO),
        ("an hour back", -hour),
        ("an hour forward", hour),
        ("a year forward", hour * 24 * 365),
    ];
    for (what, by) in steps {
        if !by.is_zero() {
            set(by);
        }
        opens += told_in_time(&scene, &mut agent, &mut told);
        // Repeats are folded on: all of a flow comes out as counts, while the clock stays.
        let before = opens;
        for _ in 0..200 {
            File::open(scene.file()).unwrap();
            opens += 1;
        }
        let mut lines = 0;
        agent.until("the repeats", |a| {
            for (_, alert) in a.alerts.try_iter() {
                near(&alert["time"]);
                told += count(&alert);
                lines += 1;
            }
            (told == opens).then_some(())
        });
        assert!(lines < 100, "{lines} lines for {} repeats", opens - before);
        // The process table goes on: a program that starts now has the parent that it has, and ends.
        let mut child = Command::new("cat").arg(scene.file()).stdout(std::process::Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        opens += 1;
        let alert = agent.until("the child's alert", |a| {
            let found = a.alerts.try_iter().map(|(_, alert)| alert).inspect(|a| told += count(a));
            found.filter(|a| a["output_fields"]["proc.name"] == "cat").last()
        });
        near(&alert["time"]);
        let age = alert["output_fields"]["proc.duration"].as_u64().unwrap();
        assert!(Duration::from_nanos(age) < Duration::from_secs(60), "a program that just started is {age} ns old");
        // Rates are of the last minute, whatever the clock said then.
        agent.until("a rate of events", |a| {
            let rate: f64 = a.status()["eventsPerSecond"].as_str()?.parse().ok()?;
            (rate > 0.0 && rate < 1e6).then_some(())
        });
        adds_up(&mut agent);
        assert_eq!((agent.metric(MATCHES), agent.metric("eyas_alerts_lost_total")), (opens, 0), "{what}");
        assert_eq!(agent.get("/readyz").unwrap().0, 200, "{what}");
        row(what, "all told, in its time");
    }
    // A year's jump ends no process early: the table is by the time since boot.
    assert_eq!(agent.metric("eyas_process_evictions_total"), 0);
    set(-(hour * 24 * 365));
    let (status, took, _) = agent.stop();
    assert!(status.success() && took < Duration::from_secs(60), "{status} after {took:?}\n{}", agent.log());
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}
