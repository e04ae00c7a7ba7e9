//! Processes as /proc tells them. Parsers are pure and bounded.
use super::{Credentials, ExecInfo, Ids, Key, Process, streams};

use agent_abi::record::ARGS_MAX;
use std::{io::Read as _, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

/// What is used of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub name: Box<[u8]>,
    pub ppid: u32,
    pub pgid: u32,
    pub sid: u32,
    pub tty: u32,
    pub ticks: u64,
    pub zombie: bool,
}

/// The name may hold anything, parentheses and spaces too: it ends at the last `)`.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|b| *b == b'(')?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let name = text.get(open + 1..close)?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<i64>().ok();
    let id = |n: usize| number(n).and_then(|v| u32::try_from(v).ok());
    Some(Stat {
        name: name.into(),
        zombie: matches!(*fields.first()?, "Z" | "X"),
        ppid: id(1)?,
        // Kernel threads of other namespaces have -1 here.
        pgid: id(2).unwrap_or_default(),
        sid: id(3).unwrap_or_default(),
        tty: number(4)?.unsigned_abs().try_into().ok()?,
        ticks: fields.get(19)?.parse().ok()?,
    })
}

/// What is used of `/proc/PID/status` (proc_pid_status(5)).
pub(super) fn parse_status(text: &str) -> (Credentials, Ids) {
    let (mut c, mut ids) = (Credentials::default(), Ids::default());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = |n: usize| value.split_ascii_whitespace().nth(n).and_then(|v| v.parse().ok());
        let last = || value.split_ascii_whitespace().last().and_then(|v| v.parse().ok()).unwrap_or_default();
        let mask = || u64::from_str_radix(value.trim(), 16).unwrap_or_default();
        match key {
            "Uid" => (c.uid, c.euid) = (number(0).unwrap_or_default(), number(1).unwrap_or_default()),
            "Gid" => (c.gid, c.egid) = (number(0).unwrap_or_default(), number(1).unwrap_or_default()),
            "CapInh" => c.cap_inheritable = mask(),
            "CapPrm" => c.cap_permitted = mask(),
            "CapEff" => c.cap_effective = mask(),
            "NSpid" => ids.vpid = last(),
            "NSpgid" => ids.vpgid = last(),
            "NSsid" => ids.vsid = last(),
            _ => {}
        }
    }
    (c, ids)
}

/// Reads a file of /proc, at most `max` bytes of it.
fn read(path: &Path, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(max as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The pid of the parent and the start in ticks.
pub(super) fn stat(proc: &Path, pid: u32) -> Option<Stat> {
    parse_stat(&read(&proc.join(pid.to_string()).join("stat"), 4096)?)
}

/// A living process. `None` when it is gone or not to be read. Its container is not looked up.
pub(super) fn process(proc: &Path, pid: u32) -> Option<Process> {
    let dir = proc.join(pid.to_string());
    let stat = parse_stat(&read(&dir.join("stat"), 4096)?)?;
    let status = String::from_utf8_lossy(&read(&dir.join("status"), 16 << 10)?).into_owned();
    let (mut credentials, mut ids) = parse_status(&status);
    let loginuid = read(&dir.join("loginuid"), 32).and_then(|b| String::from_utf8(b).ok()?.trim().parse().ok());
    credentials.loginuid = loginuid.filter(|uid| *uid != u32::MAX);
    (ids.sid, ids.pgid, ids.tty) = (stat.sid, stat.pgid, stat.tty);
    ids.pid_ns = std::fs::metadata(dir.join("ns/pid")).map_or(0, |m| u32::try_from(m.ino()).unwrap_or_default());
    let mut exec = ExecInfo { seeded: true, ..ExecInfo::default() };
    // One byte more tells whether it was cut.
    let mut args = read(&dir.join("cmdline"), ARGS_MAX + 1).unwrap_or_default();
    exec.truncated = args.len() > ARGS_MAX;
    args.truncate(ARGS_MAX);
    exec.args = args.into();
    let exe = dir.join("exe");
    if let Ok(target) = std::fs::read_link(&exe) {
        let path = target.as_os_str().as_bytes();
        exec.memfd = path.starts_with(b"/memfd:");
        exec.deleted = !exec.memfd && path.ends_with(b" (deleted)");
        exec.exepath = path.strip_suffix(b" (deleted)").unwrap_or(path).into();
    }
    if let Ok(meta) = std::fs::metadata(&exe) {
        let nanos = |s: i64, ns: i64| u64::try_from(s.saturating_mul(1_000_000_000).saturating_add(ns)).unwrap_or(0);
        exec.ino = meta.ino();
        exec.mtime = nanos(meta.mtime(), meta.mtime_nsec());
        exec.ctime = nanos(meta.ctime(), meta.ctime_nsec());
    }
    let cwd = std::fs::read_link(dir.join("cwd")).map(|p| p.as_os_str().as_bytes().into()).unwrap_or_default();
    let key = Key::from_ticks(pid, stat.ticks);
    Some(Process {
        key,
        start: key.start(),
        // The parent's start is looked up by the table.
        parent: Key { pid: stat.ppid, ticks: 0 },
        name: stat.name,
        exec: Arc::new(exec),
        cwd,
        streams: Arc::new(streams::of_proc(&dir)),
        credentials,
        ids,
        container: None,
        cgroup: 0,
        cgroup_path: Arc::default(),
        exited: None,
        unknown: false,
    })
}

/// All process ids in /proc.
pub(super) fn pids(proc: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const REST: &str = " S 1 42 43 34816 42 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";

    #[test]
    fn stat_with_any_name() {
        let stat = parse_stat(format!("42 (a) (b c)){REST}").as_bytes()).unwrap();
        assert_eq!(&*stat.name, b"a) (b c)");
        assert_eq!((stat.ppid, stat.pgid, stat.sid, stat.tty, stat.ticks), (1, 42, 43, 34816, 987_654));
    }

    #[test]
    fn status_takes_the_innermost_namespace() {
        let text = "Uid:\t1000\t0\t0\t0\nGid:\t5\t6\t6\t6\nNSpid:\t812\t7\nNSpgid:\t812\t7\nNSsid:\t812\t1\nCapEff:\t00000000000000ff\n";
        let (c, ids) = parse_status(text);
        assert_eq!((c.uid, c.euid, c.gid, c.egid, c.cap_effective), (1000, 0, 5, 6, 0xff));
        assert_eq!((ids.vpid, ids.vpgid, ids.vsid), (7, 7, 1));
    }

    #[test]
    fn this_process() {
        let me = process(Path::new("/proc"), std::process::id()).unwrap();
        assert!(me.exec.seeded && me.exec.exepath.starts_with(b"/") && !me.exec.exe().is_empty());
        assert_eq!(me.credentials.uid, rustix::process::getuid().as_raw());
        // getsid(2) itself: 0 where the session's leader is outside of this pid namespace, which rustix's type cannot say.
        // SAFETY: getsid takes a number and touches no memory of ours.
        let sid = unsafe { libc::getsid(0) };
        assert_eq!(i64::from(me.ids.sid), i64::from(sid));
        assert_eq!(&*me.cwd, std::env::current_dir().unwrap().as_os_str().as_bytes());
        assert!(process(Path::new("/proc"), u32::MAX).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
            let _ = parse_status(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_name_is_taken_whole(name in proptest::collection::vec(1u8.., 0..16)) {
            let text = [b"42 (".as_slice(), &name, b")", REST.as_bytes()].concat();
            prop_assert_eq!(&*parse_stat(&text).unwrap().name, name.as_slice());
        }
    }
}
