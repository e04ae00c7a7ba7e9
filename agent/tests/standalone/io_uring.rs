//! A rule that sees what a process does through an io_uring, in the real agent.
use super::agent::{Scene, rule};
use io_uring::{IoUring, opcode, types};
use std::{ffi::CString, os::unix::ffi::OsStrExt as _};

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
    let mut ring = match IoUring::new(2) {
        Ok(ring) => ring,
        Err(error) => return println!("skipped: this kernel gives no ring: {error}"),
    };
    let text = CString::new(path.as_os_str().as_bytes()).unwrap();
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), text.as_ptr()).build();
    // SAFETY: the text lives until the request has ended.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    assert!(ring.completion().next().unwrap().result() >= 0);
    let (_, alert) = agent.next_alert();
    let fields = &alert["output_fields"];
    assert_eq!((&fields["fd.name"], &fields["evt.type"]), (&path.display().to_string().into(), &"openat".into()));
    assert_eq!((&fields["evt.res"], &fields["fd.num"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(fields["eyas.io_uring"], true);
    assert!(fields["evt.args"].as_str().unwrap().starts_with("fd=<NA> dirfd=-100 name=/"), "{fields}");
}
