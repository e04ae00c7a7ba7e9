//! Who fills the ring pays for it.
use crate::support::{everything, live_with, tid};
use agent::probe::{
    KernelFilter, Options, Tables,
    record::{Body, decode},
};
use engine::{
    event::Hook,
    plan::kernel::{Class, KernelFilters, Texts},
    priority::Priority,
};
use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

/// A new control group in each hierarchy that records may tell.
fn groups() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let roots = mounts.lines().filter_map(|line| {
        let [_, at, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        (kind == "cgroup2" || kind == "cgroup" && options.split(',').any(|o| o == "memory")).then(|| PathBuf::from(at))
    });
    let made = roots.map(|root| root.join(format!("eyas-test-flood-{}", std::process::id())));
    made.filter(|group| fs::create_dir(group).is_ok()).collect()
}

#[test]
fn the_flood_of_one_control_group_leaves_room_for_the_others() {
    let groups = groups();
    if groups.is_empty() {
        println!("skipped: no control group can be made here");
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let texts = Texts { exact: [path.as_bytes().to_vec()].into(), ..Texts::default() };
    let mut classes = vec![Vec::new(); Hook::ALL.len()];
    classes[Hook::Open as usize].push(Class { path: Some(texts), ..Class::everything() });
    let classes = Arc::new(Tables::new(&KernelFilters::of(classes), |_| Priority::Emergency));
    let options = Options { ring_size: 1 << 20, exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&KernelFilter { classes, ..everything(1) }, &options) else { return };

    // Far more than the ring holds, and nobody reads.
    let flood = "for group; do echo $$ > \"$group/cgroup.procs\" || exit 99; done; \
                 i=0; while [ $i -lt 30000 ]; do : < \"$F\"; i=$((i+1)); done";
    let mut command = Command::new("sh");
    let done = command.args(["-c", flood, "sh"]).args(&groups).env("F", path).status().unwrap();
    for group in &groups {
        fs::remove_dir(group).unwrap();
    }
    assert!(done.success(), "{done}");
    for _ in 0..20 {
        File::open(path).unwrap();
    }
    let opens = live.probe.counters().unwrap()[Hook::Open as usize];
    assert!(opens.dropped > 10_000, "the flood is more than the ring holds: {opens:?}");
    let (tid, mut mine) = (tid(), 0);
    live.ring.drain(usize::MAX, &mut |bytes| {
        let record = decode(bytes).unwrap();
        mine += u32::from(matches!(record.body, Body::Open(_)) && record.header.tid == tid);
    });
    assert_eq!(mine, 20);
}
