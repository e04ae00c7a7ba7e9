//! Any bytes as what /proc tells of a process (stat, status, cgroup) and as the user databases of a container, which are its own to
//! write. The readers are taken in as source, as in `record`.
#![no_main]
#![allow(dead_code, unused_imports, reason = "taken in whole, used in part")]
use libfuzzer_sys::fuzz_target;

#[path = "../../agent/src/container/mod.rs"]
mod container;
#[path = "../../agent/src/process/info.rs"]
mod info;
#[path = "../../agent/src/process/proc.rs"]
mod proc;
#[path = "../../agent/src/probe/record/mod.rs"]
pub mod record;
#[path = "../../agent/src/process/streams.rs"]
mod streams;
#[path = "../../agent/src/users.rs"]
mod users;
use info::{Credentials, ExecInfo, Ids, Key, Process};
use streams::Held;

/// What these modules know of the kernel side; nobody is told here.
mod probe {
    pub use crate::record;

    #[derive(Debug)]
    pub struct Sides;

    impl Sides {
        pub fn tell(&mut self, _cgroup: u64, _container: bool) {}
        pub fn forget(&mut self) {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(stat) = proc::parse_stat(bytes) {
        assert!(stat.name.len() < bytes.len());
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = proc::parse_status(&text);
    for found in [container::parse(&text), container::parse_proc_file(&text)].into_iter().flatten() {
        assert!(!found.id.is_empty() && text.contains(&*found.id), "an id from nowhere: {found:?}");
        assert!(!found.short_id().is_empty() && found.id.starts_with(found.short_id()));
    }
    let (passwd, group) = bytes.split_at(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
    let database = users::Database::parse(passwd, group);
    let _ = (database.user(0), database.user(1000), database.group(0));
    let exec = ExecInfo { args: bytes.into(), ..ExecInfo::default() };
    let lengths: usize = exec.arguments().map(<[u8]>::len).sum();
    assert!(lengths <= bytes.len() && exec.joined().len() <= bytes.len());
    assert_eq!(exec.exe(), exec.arguments().next().unwrap_or_default());
});
