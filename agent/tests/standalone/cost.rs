//! What the agent says that it costs, and how it keeps to a budget.
use crate::agent::{Scene, count, rule};
use std::{
    fs::{self, File},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Levels rise in three steps of 3 s, and fall in three of 5 s or more.
const LONG: Duration = Duration::from_secs(120);

fn on_open(name: &str, priority: &str, path: &str) -> String {
    let condition = format!("evt.type in (open, openat, openat2) and fd.name endswith {path}");
    rule(name, name, &condition, "opened %fd.name").replace("priority: Warning", &format!("priority: {priority}"))
}

/// Opens files in turns until told to stop: 1,000 of the first for one of the second, some tens of thousands a second.
fn flood(files: [PathBuf; 2], stop: Arc<AtomicBool>) -> std::thread::JoinHandle<[u64; 2]> {
    std::thread::spawn(move || {
        let mut opened = [0, 0];
        while !stop.load(Relaxed) {
            for _ in 0..1000 {
                File::open(&files[0]).unwrap();
            }
            File::open(&files[1]).unwrap();
            opened = [opened[0] + 1000, opened[1] + 1];
            std::thread::sleep(Duration::from_millis(10));
        }
        opened
    })
}

#[test]
fn what_it_costs_is_told() {
    let Some(scene) = Scene::new("cost") else { return };
    scene.write("a.yaml", &scene.open_rule("Cost"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let pid = agent.child.id();
    let (status, resident) = agent.until("the cost in status", |a| {
        let status = a.status();
        let used: f64 = status["cpuPercent"].as_str()?.parse().unwrap();
        let page = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kib: u64 = page.lines().find(|l| l.starts_with("VmRSS:"))?.split_whitespace().nth(1)?.parse().unwrap();
        (used > 0.0).then_some((status, kib << 10))
    });
    let told = status["memoryBytes"].as_u64().unwrap();
    assert!(told > resident / 2 && told < resident * 2, "{told} told, {resident} resident");
    assert_eq!(status["shedLevel"], 0);
    assert!(status.get("cpuBudgetPercent").is_none());
    let metrics = agent.get("/metrics").unwrap().1;
    for name in
        ["eyas_agent_cpu_seconds_total ", "eyas_agent_cpu_ratio ", "eyas_agent_resident_bytes ", "eyas_shed_level 0"]
    {
        assert!(metrics.contains(&format!("\n{name}")), "no {name} in\n{metrics}");
    }
    agent.stop();
    assert!(agent.log().contains(" s of processor time ("), "{}", agent.log());
}

#[test]
fn over_its_budget_it_sheds_what_is_under_warning_and_takes_it_back() {
    let Some(scene) = Scene::new("budget") else { return };
    let files = ["low", "high"].map(|end| scene.dir.path().join(format!("{}.{end}", scene.nonce)));
    files.iter().for_each(|file| fs::write(file, "x").unwrap());
    scene.write("low.yaml", &on_open("low", "Notice", ".low"));
    scene.write("high.yaml", &on_open("high", "Warning", ".high"));
    let mut agent = scene.start(&["--cpu-budget=8"]);
    agent.ready();
    let (before, stop) = (agent.hook("open", "shed"), Arc::new(AtomicBool::new(false)));
    let flooding = flood(files.clone(), stop.clone());
    let wait =
        |what: &str, agent: &mut crate::agent::Agent, level: u64, more: &dyn Fn(&crate::agent::Agent) -> bool| {
            let end = Instant::now() + LONG;
            // The pages cost processor time, too.
            while agent.status()["shedLevel"] != level || !more(agent) {
                assert!(Instant::now() < end, "{what}: {}\n{}", agent.status(), agent.log());
                std::thread::sleep(Duration::from_millis(500));
            }
        };
    wait("nothing is shed", &mut agent, 3, &|a| a.hook("open", "shed") > before + 1000);
    let status = agent.status();
    let shedding = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Shedding").unwrap();
    assert_eq!((&shedding["status"], &shedding["reason"]), (&"True".into(), &"OverCpuBudget".into()));
    assert_eq!(status["cpuBudgetPercent"], "8");
    stop.store(true, Relaxed);
    let [low, high] = flooding.join().unwrap();
    let lost = |a: &crate::agent::Agent, rule: &str| {
        a.metric(&format!("eyas_rule_lost_events_total{{rule=\"eyas-system/{rule}\"}}"))
    };
    agent.until("the loss to be charged", |a| (lost(a, "low") >= 1000).then_some(()));
    assert_eq!(lost(&agent, "high"), 0, "of Warning nothing is shed");
    // At rest the level is taken back.
    wait("the level stays", &mut agent, 0, &|_| true);
    let shed = agent.hook("open", "shed");
    let matches = agent.metric("eyas_rule_matches_total{rule=\"eyas-system/low\"}");
    files.iter().for_each(|file| drop(File::open(file).unwrap()));
    agent.until("the Notice rule to match again", |a| {
        (a.metric("eyas_rule_matches_total{rule=\"eyas-system/low\"}") > matches).then_some(())
    });
    assert_eq!(agent.hook("open", "shed"), shed);
    let (_, _, alerts) = agent.stop();
    let told = |rule: &str| -> u64 { alerts.iter().filter(|a| a["rule"] == rule).map(count).sum() };
    println!(
        "{low} opens for the Notice rule, {} told; {high} for the Warning rule, {} told",
        told("low"),
        told("high")
    );
    assert_eq!(told("high"), high + 1);
    assert!(told("low") < low);
}
