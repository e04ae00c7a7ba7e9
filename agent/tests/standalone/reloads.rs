//! Rules that change again and again under a steady flow of numbered opens: each open is matched once, by the old or the new rules.
//!
//! EYAS_RELOADS: how many changes (20; `make test-long`: 1,000).
use super::agent::{Scene, adds_up, count, rule};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Opens with one number, which are told as one alert or two: singly they would be more alerts than any queue takes.
const GROUP: u64 = 20;
/// Opens a second.
const RATE: u64 = 10_000;

/// A folder as the kubelet makes it of a ConfigMap: files are links through `..data`, and one rename replaces all that is behind it.
struct ConfigMap {
    at: PathBuf,
    versions: usize,
}

impl ConfigMap {
    fn new(at: PathBuf, text: &str) -> Self {
        symlink("..data/a.yaml", at.join("a.yaml")).unwrap();
        let mut map = Self { at, versions: 0 };
        map.replace(text);
        map
    }

    fn replace(&mut self, text: &str) {
        let folder = |version: usize| format!("..version_{version}");
        let new = self.at.join(folder(self.versions));
        fs::create_dir(&new).unwrap();
        fs::write(new.join("a.yaml"), text).unwrap();
        symlink(folder(self.versions), self.at.join("..data_tmp")).unwrap();
        fs::rename(self.at.join("..data_tmp"), self.at.join("..data")).unwrap();
        if let Some(old) = self.versions.checked_sub(1) {
            fs::remove_dir_all(self.at.join(folder(old))).unwrap();
        }
        self.versions += 1;
    }
}

/// Opens the file until told to stop; the number is in the mode, which a plain read ignores. How many groups.
fn opener(file: &Path, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    let path = CString::new(file.as_os_str().as_bytes()).unwrap();
    std::thread::spawn(move || {
        let (begun, mut groups) = (Instant::now(), 0);
        while !stop.load(Relaxed) {
            while groups * GROUP * 1_000_000 < begun.elapsed().as_micros() as u64 * RATE && !stop.load(Relaxed) {
                for _ in 0..GROUP {
                    // By hand, as open(3) leaves the mode out where it is not asked for.
                    // SAFETY: a C string; the descriptor is closed at once.
                    unsafe {
                        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, groups);
                        libc::close(fd as i32);
                    }
                }
                groups += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        groups
    })
}

#[derive(Default)]
struct Told {
    by_group: BTreeMap<u64, u64>,
    versions: BTreeSet<String>,
    over_a_change: BTreeMap<u64, BTreeSet<String>>,
}

impl Told {
    fn add(&mut self, alert: &Value) {
        let mode = alert["output_fields"]["evt.arg.mode"].as_str().unwrap();
        let group = u64::from_str_radix(mode, 8).unwrap();
        *self.by_group.entry(group).or_default() += count(alert);
        let version = alert["rule"].as_str().unwrap().to_owned();
        self.over_a_change.entry(group).or_default().insert(version.clone());
        self.versions.insert(version);
    }
}

#[test]
fn each_open_is_matched_once_however_often_the_rules_change() {
    let Some(scene) = Scene::new("reloads") else { return };
    let changes: usize = std::env::var("EYAS_RELOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let file = scene.file().canonicalize().unwrap();
    let condition = format!("evt.type in (open, openat, openat2) and fd.num >= 0 and fd.name = {}", file.display());
    let version = |n: usize| rule("marked", &format!("Version {n}"), &condition, "\"%fd.name %evt.arg.mode\"");
    let mut map = ConfigMap::new(scene.rules(), &version(0));
    let mut agent = scene.start(&[]);
    agent.ready();
    let stop = Arc::new(AtomicBool::new(false));
    let opener = opener(&file, stop.clone());
    let (begun, mut told, mut slowest) = (Instant::now(), Told::default(), Duration::ZERO);
    let mut revision = agent.armed_other_than("");
    for change in 1..=changes {
        let at = Instant::now();
        map.replace(&version(change));
        revision = agent.armed_other_than(&revision);
        slowest = slowest.max(at.elapsed());
        agent.alerts.try_iter().for_each(|(_, alert)| told.add(&alert));
    }
    let took = begun.elapsed();
    std::thread::sleep(Duration::from_millis(100));
    stop.store(true, Relaxed);
    let groups = opener.join().unwrap();
    let opens = groups * GROUP;
    let matches = "eyas_rule_matches_total{rule=\"eyas-system/marked\"}";
    agent.until("all matches", |a| (a.metric(matches) + a.hook("open", "dropped") >= opens).then_some(()));
    adds_up(&mut agent);
    let (lost, unsent) =
        (agent.hook("open", "dropped") + agent.hook("open", "shed"), agent.metric("eyas_alerts_lost_total"));
    let unread = agent.metric("eyas_stdout_lost_total");
    let matches = agent.metric(matches);
    let (status, _, rest) = agent.stop();
    assert!(status.success(), "{}", agent.log());
    rest.iter().for_each(|alert| told.add(alert));
    let split = told.over_a_change.values().filter(|versions| versions.len() > 1).count();
    println!(
        "{changes} changes of the rules in {took:.1?}, the slowest took {slowest:.2?}; {opens} opens, {matches} matches by {} versions, \
         {split} groups by two of them",
        told.versions.len()
    );
    assert_eq!((lost, unsent), (0, 0), "events lost, alerts lost");
    assert_eq!(matches, opens, "each is matched once");
    // On a busy machine this test itself reads too slowly: what was not printed is told, and no open is told twice.
    let all: u64 = told.by_group.values().sum();
    assert_eq!(all + unread, opens, "{all} told, {unread} not printed");
    let right = |told: u64| if unread == 0 { told == GROUP } else { told <= GROUP };
    let wrong: Vec<_> =
        (0..groups).map(|g| (g, told.by_group.get(&g).copied().unwrap_or(0))).filter(|(_, n)| !right(*n)).collect();
    assert!(
        wrong.is_empty(),
        "{} groups of {GROUP} were told otherwise, the first: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
    assert!(
        told.versions.len() > changes / 2,
        "only {} of {changes} versions were in force long enough",
        told.versions.len()
    );
}
