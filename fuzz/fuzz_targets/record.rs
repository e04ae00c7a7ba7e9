//! Any bytes as a record of the ring: refused with a reason, or borrowed from within them. The decoder is taken in as source: the
//! agent as a whole builds the eBPF programs, which this needs not.
#![no_main]
#![allow(dead_code, reason = "taken in whole, used in part")]
use libfuzzer_sys::fuzz_target;

#[path = "../../agent/src/probe/record/mod.rs"]
mod record;
use record::{Body, decode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = decode(bytes) else { return };
    let parts: Vec<&[u8]> = match &record.body {
        Body::Exec(e) => vec![e.path, e.file, e.args, e.cwd, e.cgroup_path, e.comm],
        Body::FailedExec(e) => vec![e.file, e.args],
        Body::Fork(f) => vec![f.comm],
        Body::Exit(_) => vec![],
        Body::Open(o) => vec![o.path, o.base],
        Body::Connect(c) => vec![c.unix_path],
        Body::Call(c) => vec![c.path.path, c.path.base, c.path2.path, c.path2.base, c.text],
    };
    let all = bytes.as_ptr_range();
    // What is not there is borrowed from nowhere.
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let part = part.as_ptr_range();
        assert!(part.start >= all.start && part.end <= all.end, "borrowed from outside");
    }
    // One byte less or more is no record: its parts fill it exactly.
    assert!(decode(&bytes[..bytes.len() - 1]).is_err(), "taken though it is cut off");
    assert!(decode(&[bytes, b"\0"].concat()).is_err(), "taken with a byte too many");
});
