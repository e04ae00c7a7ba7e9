//! What the kernel used, by both back ends: the same script under each tells the same, but where another thread rewrites the
//! arguments while the call runs: then the primary one tells what the kernel did.
use crate::{
    live::Live,
    rewrite, row,
    script::{MARK, UNSURE, script, told},
};
use agent::probe::{Backend, LoadedProgram};
use engine::event::Hook;
use std::{
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Hooks whose names, addresses and files the primary back end keeps.
const KEPT: [Hook; 14] = [
    Hook::Open,
    Hook::Connect,
    Hook::Bind,
    Hook::Send,
    Hook::Unlink,
    Hook::Rename,
    Hook::Link,
    Hook::Mkdir,
    Hook::Chmod,
    Hook::Chown,
    Hook::Mount,
    Hook::Root,
    Hook::Memfd,
    Hook::Module,
];

/// A folder of its own, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eyas-used-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn c(&self, name: &str) -> CString {
        CString::new(self.0.join(name).as_os_str().as_bytes()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether all hooks that can be are served by the primary back end, with why not.
fn is_primary(live: &Live) -> Result<(), String> {
    let status = live.probe.hook_status();
    match KEPT.iter().map(|hook| &status[*hook as usize]).find(|s| s.backend != Backend::Primary) {
        Some(status) => Err(format!("{}: {}", status.hook.as_str(), status.reason)),
        None => Ok(()),
    }
}

/// Runs the script under one back end: what came of each step, and whether it is said to be what the kernel used.
fn run(live: &mut Live, folder: &Path) -> Vec<(String, bool)> {
    let me = std::process::id();
    let mut seen = Vec::new();
    let steps = script(folder);
    // What making it has set off.
    live.find::<()>(Duration::from_millis(300), |_| None);
    for (name, step) in steps {
        let result = step();
        let (what, used) = live
            .find(Duration::from_secs(10), |r| {
                let ours = r.header.pid == me && KEPT.contains(&r.header.hook);
                let text = told(&r.body).filter(|_| ours)?;
                let is_it = r.header.hook == Hook::Send || text.contains(folder.to_str()?) || text.contains(MARK);
                is_it.then_some((text, r.header.used))
            })
            .unwrap_or_else(|| panic!("no record of {name}"));
        if (name.starts_with("open") || name.starts_with("memfd")) && result >= 0 {
            // SAFETY: a descriptor that the step has just made.
            unsafe { libc::close(result as i32) };
        }
        seen.push((format!("{name}: {what}"), used));
    }
    seen
}

#[test]
fn both_back_ends_tell_the_same() {
    let folder = Folder::new("same");
    fs::write(folder.0.join("there"), "x").unwrap();
    let Some(mut live) = Live::load_by(false) else { return };
    if let Err(why) = is_primary(&live) {
        println!("skipped: no primary back end here: {why}");
        return;
    }
    live.probe.fire_canaries().unwrap();
    live.find::<()>(Duration::from_millis(300), |_| None);
    for hook in KEPT {
        let status = &live.probe.hook_status()[hook as usize];
        assert!(status.last_proven.is_some() && status.backend == Backend::Primary, "{hook:?}: {}", status.reason);
    }
    let primary = run(&mut live, &folder.0);
    // At least the step that is said to be so.
    let unsure = live.probe.counters().unwrap()[Hook::Mount as usize].unsure;
    assert!(unsure > 0, "a mount told from the caller's memory was not counted");
    drop(live);
    let mut live = Live::load_by(true).unwrap();
    let baseline = run(&mut live, &folder.0);
    assert_eq!(primary.len(), baseline.len());
    for ((primary, used), (baseline, unused)) in primary.iter().zip(&baseline) {
        assert_eq!(primary, baseline);
        assert_eq!(*used, !primary.contains(UNSURE), "by what the kernel used or not: {primary}");
        assert!(!unused, "{baseline}");
    }
    row("both", &["the same of", &primary.len().to_string(), "calls"]);
}

#[test]
fn arguments_that_are_rewritten_while_the_call_runs() {
    let Some(mut live) = Live::load_by(false) else { return };
    let folder = Folder::new("rewritten");
    for (name, hook, case) in rewrite::CASES {
        let status = live.probe.hook_status().swap_remove(*hook as usize);
        let done = match case(&folder) {
            Ok(done) => done,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                println!("skipped: {name} with rewritten arguments: {error}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let found = live.find(Duration::from_secs(10), |r| {
            let text = told(&r.body).filter(|_| r.header.tid == done.tid && r.header.hook == *hook)?;
            let is_in = |name: &&String| !name.is_empty() && text.contains(name.as_str());
            let name = [&done.used, &done.rewritten].into_iter().find(is_in)?;
            Some((name.clone(), r.header.used))
        });
        let what = match &found {
            Some((name, _)) if *name == done.used => "what the kernel used",
            Some(_) => "what the caller wrote there later",
            None => "nothing",
        };
        row("rewritten", &[name, status.backend.as_str(), what]);
        if status.backend == Backend::Primary {
            let unsure = live.probe.counters().unwrap()[*hook as usize].unsure;
            assert_eq!(
                found,
                Some((done.used, true)),
                "{name}: {}; {unsure} that could not be kept; programs that the kernel left out, and how often: {:?}",
                status.reason,
                left_out(&mut live)
            );
        } else {
            println!("{name}: {}", status.reason);
            assert!(found.is_some() || done.rewritten.is_empty(), "no record of {name}");
        }
    }
}

/// Programs that the kernel did not run, since it preempted a run of the same one.
fn left_out(live: &mut Live) -> Vec<(&'static str, u64)> {
    let missed = |p: &LoadedProgram| p.missed.filter(|n| *n > 0).map(|n| (p.name, n));
    live.probe.programs().iter().filter_map(missed).collect()
}
