//! `eyas-agent check` on the running kernel, with and without rights.
use crate::agent::binary;
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

/// Exit status and report of a check run by this command line, of which `{}` is the agent.
fn check(by: &[&str], agent: &str) -> (Option<i32>, Value) {
    let mut words = by.iter().copied().chain([agent, "check", "-o", "json"]);
    let done = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let report = serde_json::from_slice(&done.stdout);
    (done.status.code(), report.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr))))
}

/// The names of facts that are missing; each has what to do.
fn missing(report: &Value) -> Vec<&str> {
    let facts = report["facts"].as_array().unwrap().iter().filter(|f| f["state"] == "missing");
    facts.inspect(|f| assert_ne!(f["fix"], "", "{f}")).map(|f| f["what"].as_str().unwrap()).collect()
}

#[test]
fn with_all_rights_every_hook_is_loaded_and_has_fired() {
    let (code, report) = check(&[], &binary());
    if !missing(&report).is_empty() {
        println!("skipped: this machine lacks {:?}", missing(&report));
        return;
    }
    let hooks = report["hooks"].as_array().unwrap();
    let names: Vec<_> = hooks.iter().map(|h| h["hook"].as_str().unwrap()).collect();
    assert_eq!(names, engine::event::Hook::ALL.iter().map(|h| h.as_str()).collect::<Vec<_>>());
    for hook in hooks {
        assert_eq!((&hook["loads"], &hook["fires"], &hook["fix"]), (&true.into(), &true.into(), &"".into()), "{hook}");
        assert!(hook["why"].as_str().is_some_and(|why| !why.is_empty()), "{hook}");
    }
    assert_eq!((code, &report["ok"]), (Some(0), &true.into()), "{report}");
    let text = Command::new(binary()).arg("check").output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("All is well: each of") && text.contains("io_uring"), "{text}");
}

#[test]
fn without_rights_it_says_which_are_missing() {
    if !rustix::process::geteuid().is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: needs root and setpriv to give rights up");
        return;
    }
    // Where everybody may execute it.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("eyas-agent");
    fs::copy(binary(), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let (code, report) = check(&nobody, copy);
    assert_eq!(code, Some(2), "{report}");
    assert_eq!(missing(&report), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"]);
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("missing: CAP_BPF, CAP_PERFMON"), "{error}");
    // With the rights to load but not to read other users' processes, hooks fire and one thing is missing.
    let some = [&nobody[..], &["--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"]].concat();
    let (code, report) = check(&some, copy);
    assert_eq!((code, missing(&report)), (Some(1), vec!["CAP_SYS_PTRACE"]), "{report}");
    assert!(report["hooks"].as_array().unwrap().iter().all(|h| h["fires"] == true), "{report}");
}

#[test]
fn in_another_pid_namespace_it_says_that_canaries_cannot_come_back() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc"];
    if !Command::new("unshare").args(&unshare[1..]).arg("true").status().is_ok_and(|s| s.success()) {
        println!("skipped: no pid namespace can be made here");
        return;
    }
    let (code, report) = check(&unshare, &binary());
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(missing(&report), ["initial pid namespace"]);
    let open = report["hooks"].as_array().unwrap().iter().find(|h| h["hook"] == "open").unwrap();
    assert_eq!((&open["loads"], &open["fires"]), (&true.into(), &false.into()));
    assert!(open["fix"].as_str().unwrap().contains("hostPID"), "{open}");
}
