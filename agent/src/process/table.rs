//! The table itself.
use super::{Credentials, ExecInfo, Held, Ids, Key, Process, proc, streams};
use crate::{
    container::{ContainerRef, Containers},
    probe::record::{Call, Exec, Fork, Header},
};
use foldhash::{HashMap, HashMapExt as _};
use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long a process that has exited is kept.
pub const EXITED_KEPT: Duration = Duration::from_secs(10);
/// Most processes kept that have exited; under a storm of short ones the oldest go sooner (and are counted).
const MAX_EXITED: usize = 16_384;
/// So many more are forgotten at once, since their children have to be looked for.
const EXITED_AT_ONCE: usize = 1024;
/// Most processes in all: Linux' own default bound on 64 bits is 4 million, but no node that we know runs this many.
const MAX_PROCESSES: usize = 262_144;
/// Longest ancestry that is walked.
const MAX_DEPTH: usize = 256;

/// What became of processes, since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// In the table now.
    pub processes: usize,
    /// Given up before their time.
    pub evicted: u64,
    /// Not in the table when they acted, found in /proc.
    pub missed: u64,
    /// Neither in the table nor in /proc any more.
    pub unknown: u64,
    /// Gone without an exit record (it was lost); found by comparing with /proc.
    pub lost_exits: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    proc: PathBuf,
    processes: HashMap<Key, Arc<Process>>,
    /// Start of the newest process with that pid.
    newest: HashMap<u32, u64>,
    /// In order of their end.
    exited: VecDeque<(u64, Key)>,
    host_mounts: Option<u32>,
    stats: Stats,
}

impl Table {
    /// An empty table that looks into this /proc.
    #[must_use]
    pub fn new(proc: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let host_mounts = std::fs::metadata(proc.join("1/ns/mnt")).ok().and_then(|m| u32::try_from(m.ino()).ok());
        Self {
            proc: proc.to_owned(),
            processes: HashMap::new(),
            newest: HashMap::new(),
            exited: VecDeque::new(),
            host_mounts,
            stats: Stats::default(),
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { processes: self.processes.len(), ..self.stats }
    }

    /// Reads all of /proc. To be called when the life-cycle hooks are attached and before their records are read: what
    /// happened meanwhile is then told by records.
    pub fn seed(&mut self, containers: &mut Containers) {
        for pid in proc::pids(&self.proc) {
            if let Some(process) = proc::process(&self.proc, pid) {
                self.add_from_proc(process, None, containers);
            }
        }
        self.link();
    }

    fn add_from_proc(&mut self, mut process: Process, cgroup: Option<u64>, containers: &mut Containers) -> Key {
        process.container = containers.learn_from_proc(&self.proc, process.key.pid, cgroup).unwrap_or_default();
        process.cgroup = cgroup.unwrap_or_default();
        let key = process.key;
        self.insert(process);
        key
    }

    /// Fills in the start times of parents that only their pid is known of.
    fn link(&mut self) {
        let keys: Vec<Key> = self.processes.values().filter(|p| p.parent.ticks == 0).map(|p| p.key).collect();
        for key in keys {
            self.link_one(key);
        }
    }

    fn link_one(&mut self, key: Key) {
        let Some(process) = self.processes.get(&key) else { return };
        let Some(ticks) = self.newest.get(&process.parent.pid).copied() else { return };
        let parent = Key { pid: process.parent.pid, ticks };
        let same_namespace = self.processes.get(&parent).filter(|p| p.ids.pid_ns == process.ids.pid_ns);
        let pvpid = same_namespace.map_or(0, |p| p.ids.vpid);
        if let Some(process) = self.processes.get_mut(&key) {
            let process = Arc::make_mut(process);
            process.parent = parent;
            process.ids.pvpid = pvpid;
        }
    }

    fn insert(&mut self, process: Process) {
        let key = process.key;
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&key) {
            self.stats.evicted += 1;
            match self.exited.pop_front() {
                Some((_, old)) => self.remove(old),
                None => return,
            }
        }
        let newest = self.newest.entry(key.pid).or_default();
        *newest = (*newest).max(key.ticks);
        self.processes.insert(key, Arc::new(process));
    }

    fn remove(&mut self, key: Key) {
        self.processes.remove(&key);
        if self.newest.get(&key.pid) == Some(&key.ticks) {
            self.newest.remove(&key.pid);
        }
    }

    /// A process by its key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Arc<Process>> {
        self.processes.get(&key)
    }

    /// The newest process with that pid, exited or not.
    #[must_use]
    pub fn by_pid(&self, pid: u32) -> Option<&Arc<Process>> {
        self.get(Key { pid, ticks: *self.newest.get(&pid)? })
    }

    /// The parent.
    #[must_use]
    pub fn parent(&self, process: &Process) -> Option<&Arc<Process>> {
        if process.parent.pid == 0 || process.parent == process.key {
            return None;
        }
        self.get(process.parent)
    }

    /// The ancestors, nearest first.
    pub fn ancestors<'a>(&'a self, process: &Process) -> impl Iterator<Item = &'a Arc<Process>> + use<'a> {
        std::iter::successors(self.parent(process), |p| self.parent(p)).take(MAX_DEPTH)
    }

    /// The process that a record is about, from the table or from /proc.
    pub fn actor(&mut self, header: &Header, containers: &mut Containers) -> Arc<Process> {
        let key = Key::new(header.pid, header.start_time);
        if let Some(process) = self.processes.get_mut(&key) {
            if process.cgroup != header.cgroup {
                let container = container_of(header, &self.proc, process, containers);
                let process = Arc::make_mut(process);
                // The path is not told until the next exec.
                if process.cgroup != 0 {
                    process.cgroup_path = Arc::default();
                }
                process.cgroup = header.cgroup;
                process.container = container;
            }
            return Arc::clone(process);
        }
        self.miss(key, header, containers)
    }

    #[cold]
    fn miss(&mut self, key: Key, header: &Header, containers: &mut Containers) -> Arc<Process> {
        match proc::process(&self.proc, key.pid).filter(|p| p.key == key) {
            Some(process) => {
                self.stats.missed += 1;
                self.add_from_proc(process, Some(header.cgroup), containers);
                self.link_one(key);
            }
            None => {
                self.stats.unknown += 1;
                let container = containers.known(header.cgroup).unwrap_or_default();
                self.insert(Process { container, ..nobody(key, header) });
            }
        }
        // Not in only when the table is full of living processes: then it is made for this event alone.
        self.processes.get(&key).map_or_else(|| Arc::new(nobody(key, header)), Arc::clone)
    }

    /// A program was started.
    pub fn exec(&mut self, header: &Header, exec: &Exec<'_>, containers: &mut Containers) -> Arc<Process> {
        let key = Key::new(header.pid, header.start_time);
        let container = self.exec_container(header, exec, containers);
        let process = Process {
            key,
            start: header.start_time,
            parent: Key::new(exec.ppid, exec.ppid_start),
            name: exec.comm.into(),
            exec: Arc::new(ExecInfo {
                exepath: exec.path.into(),
                args: exec.args.into(),
                seeded: false,
                truncated: header.truncated,
                layer: Some(exec.layer),
                memfd: exec.memfd,
                deleted: exec.deleted,
                ino: exec.exe_ino,
                mtime: exec.exe_mtime,
                ctime: exec.exe_ctime,
                ..ExecInfo::default()
            }),
            cwd: exec.cwd.into(),
            streams: Arc::new(exec.streams.each_ref().map(Held::from)),
            credentials: Credentials {
                uid: exec.uid,
                gid: exec.gid,
                euid: exec.euid,
                egid: exec.egid,
                loginuid: exec.loginuid,
                cap_permitted: exec.cap_permitted,
                cap_inheritable: exec.cap_inheritable,
                cap_effective: exec.cap_effective,
            },
            ids: Ids {
                sid: exec.sid,
                pgid: exec.pgid,
                vpid: exec.vpid,
                vpgid: exec.vpgid,
                vsid: exec.vsid,
                pvpid: exec.pvpid,
                tty: exec.tty,
                pid_ns: exec.pid_ns,
            },
            container,
            cgroup: header.cgroup,
            cgroup_path: exec.cgroup_path.into(),
            exited: None,
            unknown: false,
        };
        let shared = Arc::new(process);
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&key) {
            self.stats.evicted += 1;
            return shared;
        }
        let newest = self.newest.entry(key.pid).or_default();
        *newest = (*newest).max(key.ticks);
        self.processes.insert(key, Arc::clone(&shared));
        shared
    }

    /// The record's path says it, or is cut, or (with version 1 hierarchies) is not the one that has the container.
    fn exec_container(&self, header: &Header, exec: &Exec<'_>, containers: &mut Containers) -> ContainerRef {
        let found = containers.learn(header.cgroup, exec.cgroup_path);
        let elsewhere = self.host_mounts.is_some_and(|host| host != exec.mnt_ns);
        let conclusive = exec.cgroup_path.starts_with(b"/") && !containers.hybrid();
        if found.is_some() || !elsewhere || conclusive {
            return found;
        }
        containers.learn_from_proc(&self.proc, header.pid, Some(header.cgroup)).unwrap_or_default()
    }

    /// A descriptor of the actor was made of another (dup and its like): it may be one of the streams.
    pub fn dup(&mut self, header: &Header, call: &Call<'_>, containers: &mut Containers) -> Arc<Process> {
        let process = self.actor(header, containers);
        let stream = usize::try_from(call.ret).ok().filter(|fd| *fd < process.streams.len());
        let (Some(fd), Some(held)) = (stream, streams::of_call(call)) else { return process };
        drop(process);
        if let Some(process) = self.processes.get_mut(&Key::new(header.pid, header.start_time)) {
            let streams = Arc::make_mut(&mut Arc::make_mut(process).streams);
            if let Some(stream) = streams.get_mut(fd) {
                *stream = held;
            }
        }
        self.actor(header, containers)
    }

    /// A process was made (threads are left out). The child starts as its maker's copy.
    pub fn fork(&mut self, header: &Header, fork: &Fork<'_>, containers: &mut Containers) {
        if fork.child_pid != fork.child_tid {
            return;
        }
        let maker = self.actor(header, containers);
        let same_namespace = maker.ids.pid_ns == fork.child_pid_ns;
        let container = if fork.child_cgroup == maker.cgroup {
            maker.container.clone()
        } else {
            containers.known(fork.child_cgroup).unwrap_or_else(|| maker.container.clone())
        };
        self.insert(Process {
            key: Key::new(fork.child_pid, fork.child_start),
            start: fork.child_start,
            parent: Key::new(fork.ppid, fork.ppid_start),
            name: fork.comm.into(),
            exec: Arc::clone(&maker.exec),
            cwd: Arc::clone(&maker.cwd),
            streams: Arc::clone(&maker.streams),
            credentials: Credentials { uid: fork.child_uid, ..maker.credentials },
            ids: Ids {
                vpid: fork.child_vpid,
                pid_ns: fork.child_pid_ns,
                pvpid: if same_namespace { maker.ids.vpid } else { 0 },
                vpgid: if same_namespace { maker.ids.vpgid } else { 0 },
                vsid: if same_namespace { maker.ids.vsid } else { 0 },
                ..maker.ids
            },
            container,
            cgroup: fork.child_cgroup,
            cgroup_path: Arc::clone(&maker.cgroup_path),
            exited: None,
            unknown: maker.unknown,
        });
    }

    /// A process has ended.
    pub fn exit(&mut self, header: &Header) {
        self.ended(Key::new(header.pid, header.start_time), header.time);
        // In a storm more end between two sweeps than should be kept.
        if self.exited.len() >= MAX_EXITED + EXITED_AT_ONCE {
            self.sweep(header.time);
        }
    }

    fn ended(&mut self, key: Key, time: u64) {
        let Some(process) = self.processes.get_mut(&key).filter(|p| p.exited.is_none()) else { return };
        Arc::make_mut(process).exited = Some(time);
        self.exited.push_back((time, key));
    }

    /// Forgets processes that exited long enough before `now` (nanoseconds since boot), and gives their children the parent
    /// that the kernel gave them.
    pub fn sweep(&mut self, now: u64) {
        let kept = u64::try_from(EXITED_KEPT.as_nanos()).unwrap_or(u64::MAX);
        let mut gone = HashSet::new();
        while let Some((time, key)) = self.exited.front().copied() {
            let old = now.saturating_sub(time) >= kept;
            if !old && self.exited.len() <= MAX_EXITED {
                break;
            }
            self.stats.evicted += u64::from(!old);
            self.exited.pop_front();
            self.remove(key);
            gone.insert(key);
        }
        if gone.is_empty() {
            return;
        }
        let orphans: Vec<Key> = self.processes.values().filter(|p| gone.contains(&p.parent)).map(|p| p.key).collect();
        for orphan in orphans {
            self.adopt(orphan);
        }
    }

    fn adopt(&mut self, orphan: Key) {
        let Some(stat) = proc::stat(&self.proc, orphan.pid).filter(|s| s.ticks == orphan.ticks) else { return };
        if let Some(process) = self.processes.get_mut(&orphan) {
            Arc::make_mut(process).parent = Key { pid: stat.ppid, ticks: 0 };
        }
        self.link_one(orphan);
    }

    /// Compares with /proc: whoever is not there any more has ended and its record was lost.
    pub fn reconcile(&mut self, now: u64) {
        let alive: HashSet<u32> = proc::pids(&self.proc).into_iter().collect();
        // A second's grace: records of the last moments are still in the ring.
        let settled = now.saturating_sub(1_000_000_000);
        let gone: Vec<Key> = self
            .processes
            .values()
            .filter(|p| p.exited.is_none() && p.start < settled)
            .filter(|p| !alive.contains(&p.key.pid) || self.newest.get(&p.key.pid) != Some(&p.key.ticks))
            .map(|p| p.key)
            .collect();
        self.stats.lost_exits += gone.len() as u64;
        for key in gone {
            self.ended(key, now);
        }
    }
}

/// Where a process is whose cgroup has changed (or was not known) since it was last looked at.
fn container_of(header: &Header, proc: &Path, process: &Process, containers: &mut Containers) -> ContainerRef {
    if let Some(known) = containers.known(header.cgroup) {
        return known;
    }
    if process.cgroup == 0 && process.exec.seeded {
        // Seeded without a cgroup id, from the same file that would be read now.
        containers.note(header.cgroup, &process.container);
        return process.container.clone();
    }
    containers.learn_from_proc(proc, header.pid, Some(header.cgroup)).unwrap_or_else(|_| process.container.clone())
}

fn nobody(key: Key, header: &Header) -> Process {
    Process {
        key,
        start: header.start_time,
        parent: Key::default(),
        name: Box::default(),
        exec: Arc::default(),
        cwd: Arc::default(),
        streams: Arc::default(),
        credentials: Credentials { uid: header.uid, gid: header.gid, ..Credentials::default() },
        ids: Ids::default(),
        container: None,
        cgroup: header.cgroup,
        cgroup_path: Arc::default(),
        exited: None,
        unknown: true,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
