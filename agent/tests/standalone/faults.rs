//! What happens to the agent when it is killed, stopped, starved of descriptors or disk, or flooded with processes.
use crate::agent::{Agent, Scene, adds_up, count, rule};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const MATCHES: &str = "eyas_rule_matches_total{rule=\"eyas-system/marked\"}";
const LOST: &str = "eyas_rule_lost_events_total{rule=\"eyas-system/marked\"}";

fn pid(agent: &Agent) -> Pid {
    Pid::from_child(&agent.child)
}

/// Opens a file until told to stop, some ten thousand times a second; how often.
fn opener(file: PathBuf, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut opens = 0;
        while !stop.load(Relaxed) {
            (0..100).for_each(|_| drop(File::open(&file).unwrap()));
            opens += 100;
            std::thread::sleep(Duration::from_millis(5));
        }
        opens
    })
}

#[test]
fn sigterm_under_load_drains_reports_and_ends_soon() {
    let Some(scene) = Scene::new("sigterm") else { return };
    scene.write("a.yaml", &scene.open_rule("Ended"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let stop = Arc::new(AtomicBool::new(false));
    let opens = opener(scene.file(), stop.clone());
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    kill_process(pid(&agent), Signal::TERM).unwrap();
    let status = agent.child.wait().unwrap();
    let took = begun.elapsed();
    stop.store(true, Relaxed);
    let opens = opens.join().unwrap();
    let mut told = 0;
    while let Ok((_, alert)) = agent.alerts.recv_timeout(Duration::from_secs(5)) {
        told += count(&alert);
    }
    println!("SIGTERM under load: ended after {took:?}, {told} of {opens} opens told");
    // Promised are 2 s; the machine may be busy with other things.
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
    assert!(told > 0 && told <= opens);
    let log = agent.log();
    assert!(log.contains(" events in ") && log.contains("nothing lost"), "{log}");
    assert!(log.contains(&format!("{told} matches of 1 rules")), "{told} told:\n{log}");
}

#[test]
fn killed_it_comes_back_with_its_rules_and_tells_the_gap() {
    let Some(scene) = Scene::new("sigkill") else { return };
    scene.write("a.yaml", &scene.open_rule("Kept"));
    let state = format!("--state={}", scene.dir.path().join("state").display());
    let mut agent = scene.start(&[&state]);
    agent.ready();
    let revision = agent.status()["revision"].clone();
    agent.until("a sign of life", |_| scene.dir.path().join("state/alive").exists().then_some(()));
    let stop = Arc::new(AtomicBool::new(false));
    let opens = opener(scene.file(), stop.clone());
    std::thread::sleep(Duration::from_millis(300));
    let killed = jiff::Timestamp::now();
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    stop.store(true, Relaxed);
    opens.join().unwrap();
    // Its rules cannot be read any more: those on the disk are armed.
    scene.write("a.yaml", "kind: [\n");
    let mut agent = scene.start(&[&state]);
    agent.ready();
    let status = agent.status();
    assert_eq!(status["revision"], revision);
    let time = |of: &str| status["blind"][of].as_str().unwrap_or_default().parse::<jiff::Timestamp>().unwrap();
    let (from, to) = (time("from"), time("to"));
    // A start takes less than a second: whole ones would put its end before the kill (once in a million it is one).
    assert!(to.as_microsecond() % 1_000_000 != 0, "{to}");
    let early = killed - jiff::SignedDuration::from_secs(10);
    assert!(early < from && from < killed + jiff::SignedDuration::from_secs(1) && killed < to, "{from} {killed} {to}");
    assert_eq!(agent.metric(MATCHES), 0, "counters begin anew, and what was missed is no match");
    (0..10).for_each(|_| drop(File::open(scene.file()).unwrap()));
    agent.until("ten matches", |a| (a.metric(MATCHES) == 10).then_some(()));
    adds_up(&mut agent);
    assert_eq!(agent.metric(LOST), 0);
}

#[test]
fn stopped_under_load_it_charges_what_it_lost_and_goes_on() {
    let Some(scene) = Scene::new("sigstop") else { return };
    let seconds = std::env::var("EYAS_STOPPED_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    // Without those that fail: their paths are not known, and a loss of them would be charged as well.
    scene.write("a.yaml", &scene.open_rule("Stopped").replace("and fd.name", "and fd.num >= 0 and fd.name"));
    let mut agent = scene.start(&["--ring-size=256K"]);
    agent.ready();
    let stop = Arc::new(AtomicBool::new(false));
    let opens = opener(scene.file(), stop.clone());
    std::thread::sleep(Duration::from_millis(300));
    kill_process(pid(&agent), Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(seconds));
    kill_process(pid(&agent), Signal::CONT).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    stop.store(true, Relaxed);
    let opens = opens.join().unwrap();
    agent.until("every open as a match or a loss", |a| (a.metric(MATCHES) + a.metric(LOST) >= opens).then_some(()));
    adds_up(&mut agent);
    let (matches, lost) = (agent.metric(MATCHES), agent.metric(LOST));
    println!("stopped for {seconds} s: of {opens} opens {matches} matched, {lost} charged as lost");
    assert!(lost > 0 && matches > 0);
    assert_eq!(matches + lost, opens, "{matches} + {lost}");
    let conditions = agent.status()["conditions"].clone();
    let dropping = conditions.as_array().unwrap().iter().find(|c| c["type"] == "Dropping").unwrap().clone();
    assert_eq!(dropping["status"], "True", "{dropping}");
    assert_eq!(agent.get("/readyz").unwrap().0, 200);
    let (status, _, alerts) = agent.stop();
    assert!(status.success());
    assert_eq!(alerts.iter().map(count).sum::<u64>(), matches, "every match is in an alert");
}

#[test]
fn without_descriptors_it_goes_on_detecting_and_recovers() {
    let Some(scene) = Scene::new("nofile") else { return };
    scene.write("a.yaml", &scene.open_rule("Before"));
    let mut agent = scene.start(&[]);
    agent.ready();
    // It has those of its parent. The upper bound stays: not every root may raise it again.
    let before = getrlimit(Resource::Nofile);
    prlimit(Some(pid(&agent)), Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    let file = scene.file();
    drop(File::open(&file).unwrap());
    assert_eq!(agent.next_alert().1["rule"], "Before");
    // Neither read nor armed now; nothing is taken away.
    scene.write("a.yaml", &scene.open_rule("Between"));
    agent.until("the failure to read the rules", |a| a.log().contains("Too many open files").then_some(()));
    std::thread::sleep(Duration::from_millis(1500));
    drop(File::open(&file).unwrap());
    assert_eq!(agent.next_alert().1["rule"], "Before");
    prlimit(Some(pid(&agent)), Resource::Nofile, before).unwrap();
    agent.until("the pages again", |a| a.get("/healthz").map(|_| ()));
    scene.write("a.yaml", &scene.open_rule("After"));
    agent.until("the new rule", |a| {
        drop(File::open(&file).unwrap());
        let alert = a.alerts.recv_timeout(Duration::from_millis(200)).ok()?.1;
        (alert["rule"] == "After").then_some(())
    });
    adds_up(&mut agent);
    assert_eq!(agent.metric(LOST), 0);
    let (status, ..) = agent.stop();
    assert!(status.success(), "{}", agent.log());
}

/// A small file system in memory.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(at).status();
        done.is_ok_and(|s| s.success()).then(|| Self(at.to_owned()))
    }

    /// Leaves no page free.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn with_a_full_disk_it_goes_on_and_says_so() {
    let Some(scene) = Scene::new("diskfull") else { return };
    let state = scene.dir.path().join("state");
    let Some(small) = Small::mount(&state) else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    small.fill();
    scene.write("a.yaml", &scene.open_rule("Full"));
    let mut agent = scene.start(&[&format!("--state={}", state.display())]);
    agent.ready();
    drop(File::open(scene.file()).unwrap());
    assert_eq!(agent.next_alert().1["rule"], "Full");
    let said = ["the ruleset is not kept for the next start", "No space left on device"];
    agent.until("the failure in the log", |a| said.iter().all(|s| a.log().contains(s)).then_some(()));
    assert!(fs::metadata(state.join("ruleset.state")).is_err(), "half a file is left");
    assert_eq!(agent.get("/readyz").unwrap().0, 200);
    small.free();
    let before = agent.status()["revision"].as_str().unwrap().to_owned();
    scene.write("a.yaml", &scene.open_rule("Room"));
    agent.armed_other_than(&before);
    agent.until("the ruleset on disk", |_| state.join("ruleset.state").exists().then_some(()));
    let (status, ..) = agent.stop();
    assert!(status.success(), "{}", agent.log());
}

/// A process that does nothing but end, in the memory of its parent; false if there can be none.
fn vfork_and_end() -> bool {
    let pid: i64;
    // SAFETY: the child goes on in this frame only to call _exit (60 of asm/unistd_64.h), before its parent does.
    unsafe {
        std::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f", "mov eax, 60", "xor edi, edi", "syscall", "2:",
            inout("rax") libc::SYS_vfork => pid, out("rcx") _, out("r11") _, out("rdi") _,
        );
    }
    // SAFETY: our child; no status is asked for.
    pid > 0 && unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) } == pid as i32
}

#[test]
fn a_storm_of_processes_is_bounded_and_no_child_gets_a_wrong_parent() {
    const CHILDREN: u64 = 20_000;
    let Some(scene) = Scene::new("storm") else { return };
    let name = format!("storm{}", std::process::id());
    let condition = format!("evt.type in (open, openat) and fd.name endswith {}", scene.nonce);
    scene.write(
        "a.yaml",
        &rule("marked", "Storm", &condition, "\"%proc.name of %proc.pname %proc.ppid of %proc.aname[2]\""),
    );
    let mut agent = scene.start(&[]);
    agent.ready();
    let perl = String::from_utf8(Command::new("sh").args(["-c", "command -v perl"]).output().unwrap().stdout).unwrap();
    let program = scene.dir.path().join(&name);
    symlink(perl.trim(), &program).unwrap();
    // Four at a time: children open the file and end.
    let script = format!(
        "for my $n (1..{CHILDREN}) {{ wait if $n > 4; my $p = fork; die unless defined $p; \
         if (!$p) {{ open my $f, q(<), $ARGV[0] or die; exit 0 }} }} 1 while wait > 0;"
    );
    let begun = Instant::now();
    let mut storm = Command::new(&program).args(["-e", &script]).arg(scene.file()).spawn().unwrap();
    let (parent, mut most) = (storm.id(), 0);
    // Meanwhile as many that only end, faster than perl forks.
    let short = std::thread::spawn(|| {
        let begun = Instant::now();
        (0..CHILDREN).all(|_| vfork_and_end()).then(|| begun.elapsed())
    });
    while storm.try_wait().unwrap().is_none() {
        most = most.max(agent.metric("eyas_processes"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let (took, short) = (begun.elapsed(), short.join().unwrap());
    assert!(storm.wait().unwrap().success());
    agent.until("every child's match", |a| (a.metric(MATCHES) + a.metric(LOST) >= CHILDREN).then_some(()));
    adds_up(&mut agent);
    most = most.max(agent.metric("eyas_processes"));
    let (evicted, lost) = (agent.metric("eyas_process_evictions_total"), agent.metric(LOST));
    println!("{CHILDREN} processes in {took:?}: at most {most} in the table, {evicted} evicted, {lost} opens lost");
    // 16,384 that have ended, and those that run.
    assert!(most < 16_384 + 4_000, "{most} processes in the table");
    // Half a second and more of that time is for the agent, which looks every second.
    if short.is_some_and(|took| took < Duration::from_secs(8)) {
        assert!(evicted > 0, "more have ended within 10 s than are kept");
    } else {
        println!(
            "no evictions are asked for: this machine is too slow for more to end within 10 s than are kept ({short:?})"
        );
    }
    let (_, _, alerts) = agent.stop();
    assert_eq!(alerts.iter().map(count).sum::<u64>() + lost, CHILDREN);
    let fields =
        |a: &Value| ["proc.name", "proc.pname", "proc.ppid", "proc.aname[2]"].map(|f| a["output_fields"][f].clone());
    let first = fields(&alerts[0]);
    assert_eq!(first[..3], [Value::from(name.as_str()), name.as_str().into(), parent.into()]);
    assert!(first[3].is_string(), "{first:?}");
    for alert in &alerts {
        assert_eq!(fields(alert), first, "a wrong ancestor");
    }
}
