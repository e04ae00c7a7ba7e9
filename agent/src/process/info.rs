//! What is known of a process.
use super::Held;
use crate::{container::ContainerRef, probe::record::Layer};
use std::sync::{Arc, OnceLock};

/// Nanoseconds in a clock tick of /proc (USER_HZ is 100 on all architectures that we support).
const TICK: u64 = 10_000_000;

/// Names a process for the time the node is up. /proc tells start times in clock ticks only, so ticks are what is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Start since boot, in clock ticks.
    pub ticks: u64,
}

impl Key {
    /// From a record's start time in nanoseconds since boot.
    #[must_use]
    pub const fn new(pid: u32, start: u64) -> Self {
        Self { pid, ticks: start / TICK }
    }

    /// From `/proc/PID/stat`.
    #[must_use]
    pub const fn from_ticks(pid: u32, ticks: u64) -> Self {
        Self { pid, ticks }
    }

    /// Start in nanoseconds since boot, to the tick.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.ticks * TICK
    }
}

/// What a process executed last. Shared with children until they execute something themselves.
#[derive(Debug, Default)]
pub struct ExecInfo {
    /// Path of the executable; empty for kernel threads.
    pub exepath: Box<[u8]>,
    /// Arguments with a NUL after each.
    pub args: Box<[u8]>,
    /// Learned from /proc, not from the exec itself.
    pub seeded: bool,
    /// Something was cut at its bound.
    pub truncated: bool,
    /// Layer of the executable; `None` where not known (seeded).
    pub layer: Option<Layer>,
    /// The executable is a memfd.
    pub memfd: bool,
    /// Its file has no name any more.
    pub deleted: bool,
    /// Its inode number.
    pub ino: u64,
    /// Its modification, nanoseconds since 1970.
    pub mtime: u64,
    /// Its status change, nanoseconds since 1970.
    pub ctime: u64,
    /// `proc.args`, made when first asked for.
    pub(super) joined: OnceLock<Box<[u8]>>,
}

impl ExecInfo {
    /// The arguments, one by one; the first is `argv[0]`.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        let args = self.args.strip_suffix(b"\0").unwrap_or(&self.args);
        let all = args.split(|b| *b == 0);
        all.take(if self.args.is_empty() { 0 } else { usize::MAX })
    }

    /// `argv[0]`.
    #[must_use]
    pub fn exe(&self) -> &[u8] {
        self.arguments().next().unwrap_or_default()
    }

    /// The arguments after the first, separated by spaces.
    #[must_use]
    pub fn joined(&self) -> &[u8] {
        self.joined.get_or_init(|| {
            let mut joined = Vec::with_capacity(self.args.len());
            for (n, arg) in self.arguments().skip(1).enumerate() {
                if n > 0 {
                    joined.push(b' ');
                }
                joined.extend_from_slice(arg);
            }
            joined.into()
        })
    }
}

/// Users and capabilities, as of the last exec or fork.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub euid: u32,
    pub egid: u32,
    /// `None`: nobody logged in.
    pub loginuid: Option<u32>,
    pub cap_permitted: u64,
    pub cap_inheritable: u64,
    pub cap_effective: u64,
}

/// Ids in sessions, groups and namespaces; those with `v` are inside the process' pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub struct Ids {
    pub sid: u32,
    pub pgid: u32,
    pub vpid: u32,
    pub vpgid: u32,
    pub vsid: u32,
    /// 0: the parent is outside of the namespace.
    pub pvpid: u32,
    /// Controlling terminal as /proc/PID/stat encodes it; 0 for none.
    pub tty: u32,
    /// Inode number of the pid namespace; 0 where not known.
    pub pid_ns: u32,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Which.
    pub key: Key,
    /// Start in nanoseconds since boot; exact where a record told it.
    pub start: u64,
    /// Its parent; pid 0 for none.
    pub parent: Key,
    /// The kernel's name of its first thread (at most 15 bytes).
    pub name: Box<[u8]>,
    /// What it runs.
    pub exec: Arc<ExecInfo>,
    /// Working directory, as of the last exec.
    pub cwd: Arc<[u8]>,
    /// Standard input, output and error.
    pub streams: Arc<[Held; 3]>,
    /// Users and capabilities.
    pub credentials: Credentials,
    /// Ids.
    pub ids: Ids,
    /// Container; `None` on the host.
    pub container: ContainerRef,
    /// Cgroup id that `container` was found by.
    pub cgroup: u64,
    /// Path of the cgroup, where known.
    pub cgroup_path: Arc<[u8]>,
    /// When it ended, nanoseconds since boot.
    pub exited: Option<u64>,
    /// Neither its exec nor /proc was seen: only what its events say is known.
    pub unknown: bool,
}

impl Process {
    /// `proc.cmdline`: its name and its arguments after the first.
    #[must_use]
    pub fn command_line(&self) -> Vec<u8> {
        with_args(&self.name, self.exec.joined())
    }
}

/// `first` and, unless there are none, the arguments.
#[must_use]
pub(crate) fn with_args(first: &[u8], args: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(first.len() + 1 + args.len());
    line.extend_from_slice(first);
    if !args.is_empty() {
        line.push(b' ');
        line.extend_from_slice(args);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(args: &[u8]) -> ExecInfo {
        ExecInfo { args: args.into(), ..ExecInfo::default() }
    }

    #[test]
    fn arguments_split_at_nul() {
        let e = exec(b"sh\0-c\0\0echo hi\0");
        assert_eq!(e.arguments().collect::<Vec<_>>(), [&b"sh"[..], b"-c", b"", b"echo hi"]);
        assert_eq!((e.exe(), e.joined()), (&b"sh"[..], &b"-c  echo hi"[..]));
        assert_eq!(exec(b"cut-of").joined(), b"");
        assert_eq!(exec(b"cut-of").exe(), b"cut-of");
        assert_eq!(exec(b"").arguments().count(), 0);
        assert_eq!(exec(b"\0").arguments().count(), 1);
    }

    #[test]
    fn start_times_of_records_and_proc_agree() {
        assert_eq!(Key::new(7, 12_345_678_901), Key::from_ticks(7, 1234));
    }
}
