//! Containers that come and go: each match names its own container and its own ancestors, and what the agent keeps of them is bounded.
//!
//! EYAS_CONTAINERS: how many in all (1,000; of more than 16,384 some have to be forgotten).
use super::{
    agent::{Scene, adds_up, count, rule},
    container::Container,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// As the agent bounds them: `agent_abi::map::MAX_SIDES`, and the processes that have ended beside those of this machine.
const MOST_CGROUPS: u64 = 16_384;
const MOST_PROCESSES: u64 = 16_384 + 4_000;
/// Containers that live at the same time.
const AT_ONCE: usize = 4;
/// In each one program reads the file, and below a shell another one does.
const READS: u64 = 2;
const LINE: &str = "cat \"$F\"; sh -c 'cat \"$F\"; :'";

/// What is known here of a container: its id, and the process that it began with.
struct Known {
    id: String,
    first: u32,
}

#[test]
fn each_of_a_thousand_containers_is_told_from_the_others() {
    let Some(scene) = Scene::new("containers") else { return };
    let all: usize = std::env::var("EYAS_CONTAINERS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    if Container::new(0).is_none() {
        println!("skipped: containers: control groups cannot be made here");
        return;
    }
    let folder = scene.dir.path().canonicalize().unwrap();
    let condition =
        format!("evt.type in (open, openat) and fd.num >= 0 and fd.name startswith {}/file-", folder.display());
    let output =
        "\"%fd.name %container.id %container.type %proc.name %proc.ppid %proc.pname %proc.apid[2] %proc.aname[2]\"";
    scene.write("a.yaml", &rule("marked", "Read", &condition, output));
    let mut agent = scene.start(&[]);
    agent.ready();

    let (next, known, begun) = (AtomicUsize::new(1), Mutex::new(HashMap::new()), Instant::now());
    let run = |number: usize| {
        let container = Container::new(number).unwrap();
        let file = folder.join(format!("file-{number}"));
        fs::hard_link(scene.file(), &file).unwrap();
        let mut shell =
            container.command(LINE).env("F", &file).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let first = shell.id();
        assert!(shell.wait().unwrap().success());
        fs::remove_file(&file).unwrap();
        let file = file.display().to_string();
        known.lock().unwrap().insert(file, Known { id: container.id.clone(), first });
    };
    let (mut cgroups, mut processes, mut alerts) = (0, 0, Vec::new());
    std::thread::scope(|s| {
        let workers = [(); AT_ONCE].map(|()| {
            s.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number > all {
                        return;
                    }
                    run(number);
                }
            })
        });
        while workers.iter().any(|w| !w.is_finished()) {
            cgroups = cgroups.max(agent.metric("eyas_cgroups"));
            processes = processes.max(agent.metric("eyas_processes"));
            alerts.extend(agent.alerts.try_iter().map(|(_, alert)| alert));
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    let (took, matches) = (begun.elapsed(), "eyas_rule_matches_total{rule=\"eyas-system/marked\"}");
    let wanted = all as u64 * READS;
    agent.until("all matches", |a| (a.metric(matches) + a.hook("open", "dropped") >= wanted).then_some(()));
    adds_up(&mut agent);
    cgroups = cgroups.max(agent.metric("eyas_cgroups"));
    processes = processes.max(agent.metric("eyas_processes"));
    let (forgotten, evicted) =
        (agent.metric("eyas_cgroup_evictions_total"), agent.metric("eyas_process_evictions_total"));
    let (unknown, unsent) = (agent.metric("eyas_processes_unknown_total"), agent.metric("eyas_alerts_lost_total"));
    let resident = agent.metric("eyas_agent_resident_bytes") >> 20;
    let lost = agent.hook("open", "dropped") + agent.hook("open", "shed");
    println!(
        "{all} containers in {took:.1?}: at most {cgroups} control groups and {processes} processes known, {forgotten} and {evicted} \
         forgotten, {unknown} processes unknown, {lost} opens lost, {resident} MiB resident"
    );
    let (status, _, rest) = agent.stop();
    assert!(status.success(), "{}", agent.log());
    alerts.extend(rest);

    assert!(cgroups <= MOST_CGROUPS && processes < MOST_PROCESSES);
    assert!(cgroups >= (all as u64).min(MOST_CGROUPS / 2), "control groups are counted: {cgroups}");
    assert!(forgotten > 0 || (all as u64) < MOST_CGROUPS, "more have come than are kept");
    assert_eq!((alerts.iter().map(count).sum::<u64>() + lost + unsent, lost), (wanted, 0));
    let (known, me) = (known.into_inner().unwrap(), std::process::id());
    for alert in &alerts {
        let fields = &alert["output_fields"];
        let container = &known[fields["fd.name"].as_str().unwrap()];
        assert_eq!(
            (&fields["container.id"], &fields["container.type"]),
            (&container.id.as_str().into(), &"docker".into()),
            "{alert}"
        );
        assert_eq!((&fields["proc.name"], &fields["proc.pname"]), (&"cat".into(), &"sh".into()), "{alert}");
        let (parent, above) = (&fields["proc.ppid"], &fields["proc.apid[2]"]);
        let (direct, deeper) = ((container.first.into(), me.into()), Value::from(container.first));
        assert!(
            (parent.clone(), above.clone()) == direct || *above == deeper,
            "a wrong ancestor: {alert}, {}",
            container.first
        );
    }
}
