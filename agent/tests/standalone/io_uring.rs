//! A rule that sees what a process does through an io_uring, in the real agent.
use super::agent::{Agent, Scene, rule};
use io_uring::{IoUring, opcode, types};
use std::{ffi::CString, os::unix::ffi::OsStrExt as _, path::Path};

/// Opens a file for reading through a ring; false, having said why, where this kernel gives none.
fn open_by_ring(path: &Path) -> bool {
    let mut ring = match IoUring::new(2) {
        Ok(ring) => ring,
        Err(error) => {
            println!("skipped: this kernel gives no ring: {error}");
            return false;
        }
    };
    let text = CString::new(path.as_os_str().as_bytes()).unwrap();
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), text.as_ptr()).build();
    // SAFETY: the text lives until the request has ended.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    let fd = ring.completion().next().unwrap().result();
    // SAFETY: just made, nobody else has it.
    assert_eq!(unsafe { libc::close(fd) }, 0, "{fd}");
    true
}

#[test]
fn a_file_that_is_read_through_a_ring_is_told() {
    let Some(scene) = Scene::new("ring") else { return };
    let path = scene.file();
    let condition = format!(
        "evt.type = openat and evt.is_open_read = true and (fd.num >= 0 or eyas.io_uring = true) and fd.name = {} and \
         not evt.res exists and evt.failed = false",
        path.display()
    );
    let output = "\"%fd.name %evt.type %evt.res %fd.num %eyas.io_uring %evt.args\"";
    scene.write("a.yaml", &rule("ring", "Ring", &condition, output));
    let mut agent = scene.start(&[]);
    agent.ready();
    let status = agent.status();
    let open = status["hooks"].as_array().unwrap().iter().find(|h| h["name"] == "open").unwrap().clone();
    if open["reason"].as_str().unwrap().contains("is not seen") {
        return println!("skipped: {}", open["reason"]);
    }
    if !open_by_ring(&path) {
        return;
    }
    let (_, alert) = agent.next_alert();
    let fields = &alert["output_fields"];
    assert_eq!((&fields["fd.name"], &fields["evt.type"]), (&path.display().to_string().into(), &"openat".into()));
    assert_eq!((&fields["evt.res"], &fields["fd.num"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(fields["eyas.io_uring"], true);
    assert!(fields["evt.args"].as_str().unwrap().starts_with("fd=<NA> dirfd=-100 name=/"), "{fields}");
}

/// The default rules know that a file which is asked for through a ring has no descriptor yet.
#[test]
fn a_default_rule_sees_a_sensitive_file_that_is_read_through_a_ring() {
    let Some(_scene) = Scene::new("ring-defaults") else { return };
    let mut agent = Agent::with_default_rules(&[]);
    agent.ready();
    let status = agent.status();
    let open = status["hooks"].as_array().unwrap().iter().find(|h| h["name"] == "open").unwrap().clone();
    if open["reason"].as_str().unwrap().contains("is not seen") {
        return println!("skipped: {}", open["reason"]);
    }
    if !open_by_ring(Path::new("/etc/shadow")) {
        return;
    }
    // Others may read it meanwhile.
    let me = std::fs::read_to_string("/proc/self/comm").unwrap();
    loop {
        let (_, alert) = agent.next_alert();
        let fields = &alert["output_fields"];
        if alert["rule"] == "Read sensitive file" && fields["proc.name"] == me.trim_end() {
            assert_eq!(fields["fd.name"], "/etc/shadow");
            return;
        }
    }
}
