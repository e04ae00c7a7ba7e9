#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    detect::TotalsHandle,
    handover::{Cut, Note, mark},
};
use agent_abi::{
    Wire as _,
    record::{self as wire, ExecBody, OpenBody, RecordHeader, hook},
};
use engine::{
    compile::compile,
    priority::Priority,
    source::{Definitions, Meta, ObjectRef, RuleSource, RuleState, Sources},
};
use proptest::prelude::*;

const UID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
const SECOND: u64 = 1_000_000_000;

fn rule(name: &str, condition: &str, output: &str, state: RuleState) -> RuleSource {
    RuleSource {
        meta: Meta { id: ObjectRef { namespace: "eyas-system".into(), name: name.into() }, ..Meta::default() },
        title: name.to_owned(),
        description: String::new(),
        condition: condition.to_owned(),
        output: output.to_owned(),
        priority: Priority::Warning,
        tags: vec![],
        state,
        definitions: Definitions::default(),
        exceptions: vec![],
        tenant_exceptions: None,
        tests: vec![],
    }
}

struct Scene {
    detector: Detector,
    alerts: mpsc::Receiver<Arc<Alert>>,
    totals: TotalsHandle,
    pods: workload::Writer,
    status: status::Handle,
}

impl Scene {
    /// In a cluster whose first list of pods is in and has none.
    fn new(rules: Vec<RuleSource>) -> Self {
        let mut pods = workload::Writer::new();
        pods.begin_list();
        pods.end_list(0);
        let (sender, alerts) = mpsc::channel(100);
        let (totals, status) = (TotalsHandle::default(), status::Handle::default());
        let detector = Detector::new(Parts {
            store: Arc::default(),
            node: "node-1".into(),
            pods: pods.index(),
            await_pods: true,
            status: status.clone(),
            alerts: sender,
            duty: Duty::default(),
            proc: Path::new("/nonexistent"),
        });
        let mut scene = Self { detector, alerts, totals, pods, status };
        scene.arm(1, rules);
        scene
    }

    fn arm(&mut self, generation: u32, rules: Vec<RuleSource>) {
        let sources = Sources { system_namespace: "eyas-system".into(), rules, ..Sources::default() };
        let compiled = compile(&sources, None);
        assert!(compiled.outcomes.iter().all(|o| o.accepted), "{:?}", compiled.outcomes);
        let armed = Armed::new(generation, Arc::new(compiled.ruleset), &self.totals).unwrap();
        self.detector.store.swap_in(&Arc::new(armed));
    }

    fn record(&mut self, bytes: &[u8]) {
        self.detector.begin();
        self.detector.record(bytes);
    }

    /// As if a second had passed.
    fn tick(&mut self) {
        self.detector.last = [Instant::now().checked_sub(Duration::from_secs(2)).unwrap(); 3];
        // Comparing with /proc would end all processes of this test.
        self.detector.last[2] = Instant::now();
        self.detector.tick();
    }

    fn told(&mut self) -> Vec<Arc<Alert>> {
        std::iter::from_fn(|| self.alerts.try_recv().ok()).collect()
    }

    fn pod(&mut self, namespace: &str) {
        let pod = serde_json::json!({
            "metadata": {"name": "web-0", "namespace": namespace, "uid": UID, "labels": {"app": "web"}},
            "spec": {"serviceAccountName": "web", "containers": [{"name": "main", "image": "nginx:1"}]},
            "status": {"containerStatuses": [{"name": "main", "image": "nginx:1", "imageID": "", "ready": true,
                "restartCount": 0, "containerID": format!("containerd://{}", "ab".repeat(32))}]},
        });
        self.pods.apply(&serde_json::from_value(pod).unwrap()).unwrap();
    }

    fn matches(&self, name: &str) -> u64 {
        self.totals.snapshot().rules.iter().find(|r| r.id.name == name).unwrap().matches
    }
}

fn header(hook: u8, event_type: u8, pid: u32, generation: u32) -> RecordHeader {
    RecordHeader {
        time: 100 * SECOND,
        start_time: 50 * SECOND,
        classes: u64::MAX,
        cgroup: 40,
        pid,
        tid: pid,
        generation,
        hook,
        event_type,
        ..RecordHeader::zeroed()
    }
}

fn exec(pid: u32, args: &[u8], cgroup: &str) -> Vec<u8> {
    let mut comm = [0; 16];
    let name = args.split(|b| *b == 0).next().unwrap();
    comm[..name.len()].copy_from_slice(name);
    let body = ExecBody {
        comm,
        ppid: 1,
        cgroup_len: u16::try_from(cgroup.len()).unwrap(),
        path_len: 6,
        args_len: u16::try_from(args.len()).unwrap(),
        ..ExecBody::zeroed()
    };
    let header = header(hook::EXEC, wire::event::EXECVE, pid, 1);
    [header.as_bytes(), body.as_bytes(), cgroup.as_bytes(), b"/bin/x", args].concat()
}

fn in_pod(pid: u32) -> Vec<u8> {
    exec(pid, b"sh\0-c\0id\0", &format!("/kubepods/burstable/pod{UID}/{}", "ab".repeat(32)))
}

fn open(pid: u32, path: &str, generation: u32) -> Vec<u8> {
    let body = OpenBody {
        ret: 3,
        info: wire::OPEN_RESOLVED,
        path_len: u16::try_from(path.len()).unwrap(),
        ..OpenBody::zeroed()
    };
    [header(hook::OPEN, wire::event::OPENAT, pid, generation).as_bytes(), body.as_bytes(), path.as_bytes()].concat()
}

fn opens(title: &str, path: &str) -> RuleSource {
    let condition = format!("evt.type = openat and fd.name startswith {path}");
    rule(title, &condition, "%fd.name by %proc.pid %evt.time", RuleState::Active)
}

#[test]
fn an_undecided_event_waits_for_its_pod_and_is_then_judged() {
    let mut s = Scene::new(vec![
        rule("shop", "evt.type = execve and k8s.ns.name = shop", "%proc.cmdline", RuleState::Active),
        rule("bank", "evt.type = execve and k8s.ns.name = bank", "%proc.cmdline", RuleState::Active),
        rule("any", "evt.type = execve and proc.name = sh", "%k8s.pod.name", RuleState::Active),
        rule("never", "evt.type = execve and proc.name = no and k8s.ns.name = shop", "x", RuleState::Active),
    ]);
    s.record(&in_pod(7));
    s.tick();
    assert_eq!((s.told().len(), s.detector.hold.len()), (0, 1));
    assert_eq!(s.matches("any"), 0, "counted when it goes out");
    s.pod("shop");
    s.tick();
    let mut told = s.told();
    told.sort_by(|a, b| a.rule.cmp(&b.rule));
    assert_eq!(told.iter().map(|a| a.rule.as_str()).collect::<Vec<_>>(), ["any", "shop"]);
    assert_eq!((told[0].output.as_str(), told[1].output.as_str()), ("web-0", "sh -c id"));
    let pod = told[1].pod.as_ref().unwrap();
    assert_eq!((pod.namespace.as_str(), pod.uid.as_str(), pod.service_account.as_str()), ("shop", UID, "web"));
    assert_eq!(told[1].container.as_ref().unwrap().name, "main");
    assert!(!told[1].metadata_missing);
    assert_eq!((s.matches("shop"), s.matches("bank"), s.detector.hold.len()), (1, 0, 0));
}

#[test]
fn who_waits_in_vain_goes_out_marked() {
    let mut s = Scene::new(vec![
        rule("any", "evt.type = execve and proc.name = sh", "%k8s.pod.name", RuleState::Active),
        rule("shop", "evt.type = execve and k8s.ns.name = shop", "x", RuleState::Active),
    ]);
    s.record(&in_pod(7));
    let (status, totals) = (s.status.clone(), s.totals.clone());
    s.detector.finish();
    let alert = s.alerts.try_recv().unwrap();
    assert!(alert.metadata_missing && alert.pod.is_none());
    assert_eq!((alert.rule.as_str(), alert.output.as_str()), ("any", "<NA>"));
    assert!(s.alerts.try_recv().is_err(), "what is missing is no match");
    assert_eq!(status.losses().metadata_missing.load(Relaxed), 1);
    assert_eq!(totals.snapshot().rules.iter().map(|r| r.matches).sum::<u64>(), 1);
}

#[test]
fn the_host_waits_for_nothing() {
    let mut s = Scene::new(vec![rule("all", "evt.type = execve", "%container.id %k8s.ns.name", RuleState::Active)]);
    s.record(&exec(7, b"sh\0", "/system.slice/ssh.service"));
    assert_eq!(s.told()[0].output, "host <NA>");
}

#[test]
fn a_record_is_judged_by_the_rules_of_its_classes_only() {
    let condition = |name: &str| format!("evt.type = execve and proc.name = {name}");
    let mut scene = Scene::new(vec![
        rule("both", "evt.type = execve and proc.cmdline contains x", "o", RuleState::Active),
        rule("cat", &condition("cat"), "o", RuleState::Active),
    ]);
    let armed = scene.detector.store.newest().unwrap();
    let classes = armed.plan.kernel_filters().classes(engine::event::Hook::Exec).to_vec();
    assert_eq!(classes.len(), 2, "{classes:?}");
    let of = |rule: u32| classes.iter().position(|class| class.rules.contains(&rule)).unwrap();
    let with = |classes: u64| {
        let bytes = exec(7, b"cat\0x\0", "/");
        let (header, rest) = RecordHeader::read(&bytes).unwrap();
        [RecordHeader { classes, ..header }.as_bytes(), rest].concat()
    };
    let mut counts = |classes: u64| {
        scene.record(&with(classes));
        [scene.matches("both"), scene.matches("cat")]
    };
    assert_eq!(counts(0), [0, 0]);
    assert_eq!(counts(1 << of(0)), [1, 0]);
    assert_eq!(counts(1 << of(1)), [1, 1]);
    assert_eq!(counts(u64::MAX), [2, 2]);
    // Losses go the same way, and only to the generation's own.
    for (class, events) in [(of(0), 5), (of(1), 7)] {
        armed.charge(&crate::probe::Lost { generation: 1, hook: engine::event::Hook::Exec, class, events });
    }
    let lost: Vec<u64> = scene.totals.snapshot().rules.iter().map(|rule| rule.lost).collect();
    assert_eq!(lost, [5, 7]);
}

#[test]
fn a_record_is_judged_by_the_rules_of_its_generation() {
    let mut s = Scene::new(vec![opens("old", "/x")]);
    s.record(&exec(7, b"cat\0", "/"));
    s.arm(2, vec![opens("new", "/x")]);
    s.record(&open(7, "/x/1", 1));
    s.record(&open(7, "/x/2", 2));
    // Of a generation that is not swapped in here yet, and of one that is long gone.
    s.record(&open(7, "/x/3", 3));
    s.record(&open(7, "/x/4", 0));
    let told: Vec<_> = s.told().iter().map(|a| (a.rule.clone(), a.output_fields["fd.name"].clone())).collect();
    let expected = [("old", "/x/1"), ("new", "/x/2"), ("new", "/x/3"), ("old", "/x/4")];
    assert_eq!(told, expected.map(|(r, f)| (r.to_owned(), serde_json::Value::from(f))));
}

#[test]
fn shadow_rules_are_counted_and_not_told() {
    let shadow = RuleSource { state: RuleState::Shadow, ..opens("shadow", "/x") };
    let mut s = Scene::new(vec![shadow]);
    s.record(&open(7, "/x", 1));
    assert_eq!((s.matches("shadow"), s.told().len()), (1, 0));
}

#[test]
fn a_fingerprint_is_blind_for_pids_and_times_and_sees_the_rest() {
    let mut s = Scene::new(vec![opens("opens", "/x")]);
    for record in [open(7, "/x/a", 1), open(8, "/x/a", 1), open(7, "/x/b", 1)] {
        s.record(&record);
    }
    let told = s.told();
    // The second is folded onto the first.
    assert_eq!(told.iter().map(|a| a.count).collect::<Vec<_>>(), [1, 1]);
    assert_ne!(told[0].fingerprint, told[1].fingerprint);
    s.tick();
    let mut again = Scene::new(vec![opens("opens", "/x")]);
    again.record(&open(99, "/x/a", 1));
    assert_eq!(again.told()[0].fingerprint, told[0].fingerprint, "the same after a restart");
}

#[test]
fn what_is_no_record_is_counted() {
    let mut s = Scene::new(vec![]);
    s.record(b"garbage");
    s.record(&open(7, "/x", 1)[..90]);
    s.tick();
    assert_eq!(s.status.losses().invalid_records.load(Relaxed), 2);
    assert_eq!(s.status.losses().evaluated.load(Relaxed), 0);
}

/// A scene whose agent stands by, and its duty.
fn standing(rules: Vec<RuleSource>) -> (Scene, Duty) {
    let mut scene = Scene::new(rules);
    let duty = Duty::standing();
    scene.detector.duty = OnDuty::new(duty.clone());
    (scene, duty)
}

fn at(time: u64, path: &str) -> Vec<u8> {
    let bytes = open(7, path, 1);
    let (header, rest) = RecordHeader::read(&bytes).unwrap();
    [RecordHeader { time, ..header }.as_bytes(), rest].concat()
}

#[test]
fn who_stands_by_tells_nothing_and_then_what_the_other_has_not_told() {
    let (mut s, duty) =
        standing(vec![opens("opens", "/x"), RuleSource { state: RuleState::Shadow, ..opens("shadow", "/x") }]);
    let milli = 1_000_000;
    let cut = 1_000 * milli;
    let named = mark(&decode(&at(cut - 2_000, "/x/named")).unwrap());
    for (time, path) in [
        (cut - 60 * milli, "/x/before"),
        (cut + 1_000, "/x/named"),
        (cut + 2_000, "/x/not-named"),
        (cut + 60 * milli, "/x/after"),
    ] {
        s.record(&at(time, path));
    }
    s.tick();
    assert_eq!((s.told().len(), s.matches("opens"), s.matches("shadow")), (0, 0, 0));
    assert_eq!(duty.held(), 4);
    duty.take_over(Cut::of(&Note::new(cut, vec![(named, cut - 2_000)])));
    s.tick();
    // What comes only now may be of before, too.
    s.record(&at(cut - 55 * milli, "/x/late"));
    s.record(&at(cut + 70 * milli, "/x/new"));
    s.tick();
    let told: Vec<_> = s.told().iter().map(|a| a.output_fields["fd.name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["/x/not-named", "/x/after", "/x/new"]);
    assert_eq!((s.matches("opens"), s.matches("shadow"), duty.held()), (3, 3, 0));
}

#[test]
fn what_waits_for_its_pod_is_handed_over_too() {
    let (mut s, duty) =
        standing(vec![rule("any", "evt.type = execve and proc.name = sh", "%k8s.pod.name", RuleState::Active)]);
    s.record(&in_pod(7));
    s.record(&in_pod(8));
    assert_eq!((s.detector.hold.len(), duty.held()), (2, 0));
    // Both are of the first second since boot: all that was told of then is dropped, all else stays.
    duty.take_over(Cut::Since(0));
    s.tick();
    assert_eq!(s.detector.hold.len(), 2);
    s.pod("shop");
    s.tick();
    assert_eq!(s.told().iter().map(|a| a.count).sum::<u64>(), 1, "the second is folded");
    assert_eq!(s.matches("any"), 2);

    let (mut s, duty) =
        standing(vec![rule("any", "evt.type = execve and proc.name = sh", "%k8s.pod.name", RuleState::Active)]);
    s.record(&in_pod(7));
    duty.take_over(Cut::of(&Note::new(clock().0, vec![])));
    s.tick();
    assert_eq!((s.detector.hold.len(), s.matches("any")), (0, 0));
}

#[test]
fn while_it_stands_by_what_the_other_has_read_is_forgotten_and_no_match_is_kept_for_ever() {
    let (mut s, duty) = standing(vec![opens("opens", "/x")]);
    s.record(&at(SECOND, "/x/1"));
    s.tick();
    assert_eq!(duty.held(), 1);
    duty.keep_from(clock().0 + 1);
    s.tick();
    assert_eq!(duty.held(), 0);
    duty.keep_from(0);
    for n in 0..65_536 + 10 {
        s.record(&at(SECOND + n, "/x/1"));
    }
    s.tick();
    assert_eq!(duty.held(), 65_536);
    duty.take_over(Cut::Since(0));
    s.tick();
    assert_eq!((s.matches("opens"), s.status.losses().alerts.load(Relaxed)), (65_536, 10));
}

#[test]
fn at_the_end_later_events_are_left_and_those_told_are_named() {
    let mut s = Scene::new(vec![opens("opens", "/x")]);
    let duty = Duty::default();
    s.detector.duty = OnDuty::new(duty.clone());
    s.record(&at(SECOND, "/x/1"));
    duty.end_at(3 * SECOND);
    s.record(&at(2 * SECOND, "/x/2"));
    s.record(&at(3 * SECOND, "/x/3"));
    s.record(&at(3 * SECOND + 1, "/x/4"));
    s.record(&at(SECOND, "/y"));
    let mut alerts = s.alerts;
    let told = s.detector.finish();
    let names = |path: &str, time: u64| (mark(&decode(&at(time, path)).unwrap()), time);
    assert!(told.is_whole);
    assert_eq!(told.around, [names("/x/2", 2 * SECOND), names("/x/3", 3 * SECOND)]);
    assert_eq!(std::iter::from_fn(|| alerts.try_recv().ok()).count(), 3);
}

proptest! {
    /// Whatever comes when: the counts that go out and those lost add up to the matches.
    #[test]
    fn folding_loses_nothing(steps in prop::collection::vec((0u64..6, 0u64..1500), 1..200), room in 1usize..300) {
        let (sender, mut alerts) = mpsc::channel(room);
        let mut fold = Folding::new(sender);
        let mut s = Scene::new(vec![opens("opens", "/x")]);
        s.record(&open(7, "/x", 1));
        let template = s.told().remove(0);
        let mut now = Instant::now();
        let mut out = 0;
        for (key, wait) in &steps {
            now += Duration::from_millis(*wait);
            fold.matched(*key, 1, now, || Alert::clone(&template));
            if wait % 3 == 0 {
                fold.tick(now);
            }
            if wait % 5 == 0 {
                while let Ok(alert) = alerts.try_recv() {
                    out += alert.count;
                }
            }
        }
        fold.finish(Duration::ZERO);
        let lost = std::sync::atomic::AtomicU64::new(0);
        fold.report_lost(&lost);
        while let Ok(alert) = alerts.try_recv() {
            out += alert.count;
        }
        prop_assert_eq!(out + lost.into_inner(), steps.len() as u64);
    }
}
