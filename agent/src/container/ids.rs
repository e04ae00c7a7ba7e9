//! What each cgroup turned out to be.
use super::{Container, ContainerRef, parse, parse_proc_file};
use crate::probe::Sides;
use agent_abi::map::OTHER_HIERARCHY;
use foldhash::HashMap;
use std::{path::Path, sync::Arc};

/// `container.id` outside of containers.
pub const HOST_ID: &str = "host";

/// Most cgroups remembered. A node has at most a few thousand; when more were seen over time, all are forgotten and
/// learned again as their processes act.
const MAX_CGROUPS: usize = agent_abi::map::MAX_SIDES as usize;

/// Longest `/proc/PID/cgroup` that is read, in bytes.
const MAX_PROC_FILE: u64 = 64 << 10;

/// Containers by cgroup (as records number it) and by container id. Owned by the detect thread.
#[derive(Debug, Default)]
pub struct Containers {
    by_cgroup: HashMap<u64, ContainerRef>,
    by_id: HashMap<Box<str>, std::sync::Weak<Container>>,
    hybrid: bool,
    evicted: u64,
    sides: Option<Sides>,
}

impl Containers {
    /// Knows nothing yet. `/proc/1/cgroup` tells whether version 1 hierarchies are in use.
    #[must_use]
    pub fn new(proc: &Path) -> Self {
        let hierarchies = std::fs::read_to_string(proc.join("1/cgroup")).unwrap_or_default();
        Self { hybrid: hierarchies.lines().any(|l| !l.starts_with("0::")), ..Self::default() }
    }

    /// From now on the kernel is told which cgroups are containers'.
    pub fn tell(&mut self, sides: Sides) {
        self.sides = Some(sides);
    }

    /// Version 1 hierarchies are in use: the unified one may not have what they have.
    #[must_use]
    pub fn hybrid(&self) -> bool {
        self.hybrid
    }

    /// How many cgroups are known now.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.by_cgroup.len()
    }

    /// Cgroups forgotten to make room, since start.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes over what is known from elsewhere.
    pub fn note(&mut self, cgroup: u64, container: &ContainerRef) {
        self.remember(cgroup, container);
    }

    /// What is known of a cgroup: `None` when nothing is.
    #[must_use]
    pub fn known(&self, cgroup: u64) -> Option<ContainerRef> {
        self.by_cgroup.get(&cgroup).cloned()
    }

    /// Learns a cgroup by its path. `None`: the path names no container, which for a path that was cut proves nothing.
    pub fn learn(&mut self, cgroup: u64, path: &[u8]) -> ContainerRef {
        if let Some(known) = self.known(cgroup) {
            return known;
        }
        let found = std::str::from_utf8(path).ok().and_then(parse).map(|c| self.share(c));
        if found.is_some() || path.starts_with(b"/") {
            self.remember(cgroup, &found);
        }
        found
    }

    /// Learns by what `/proc/PID/cgroup` says of a living process. `Err` when it cannot be read: the process is gone.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn learn_from_proc(&mut self, proc: &Path, pid: u32, cgroup: Option<u64>) -> std::io::Result<ContainerRef> {
        use std::io::Read as _;
        let mut text = String::new();
        let file = std::fs::File::open(proc.join(pid.to_string()).join("cgroup"))?;
        file.take(MAX_PROC_FILE).read_to_string(&mut text)?;
        let found = parse_proc_file(&text).map(|c| self.share(c));
        if let Some(cgroup) = cgroup {
            self.remember(cgroup, &found);
        }
        Ok(found)
    }

    fn remember(&mut self, cgroup: u64, found: &ContainerRef) {
        // The root of a hierarchy may be anybody's. Where version 1 hierarchies are in use, the unified one may not have what they
        // have: that it names no container says nothing then.
        let unified = cgroup & OTHER_HIERARCHY == 0;
        if cgroup & !OTHER_HIERARCHY <= 1 || (self.hybrid && unified && found.is_none()) {
            return;
        }
        if self.by_cgroup.len() >= MAX_CGROUPS && !self.by_cgroup.contains_key(&cgroup) {
            self.evicted += self.by_cgroup.len() as u64;
            self.by_cgroup.clear();
            if let Some(sides) = &mut self.sides {
                sides.forget();
            }
        }
        let before = self.by_cgroup.insert(cgroup, found.clone());
        if let Some(sides) = &mut self.sides
            && before.is_none_or(|before| before.is_some() != found.is_some())
        {
            sides.tell(cgroup, found.is_some());
        }
    }

    /// One shared value per container, whatever number of cgroups it has.
    fn share(&mut self, container: Container) -> Arc<Container> {
        if let Some(known) = self.by_id.get(&container.id).and_then(std::sync::Weak::upgrade)
            && (known.kubelet.is_some() || container.kubelet.is_none())
            && (known.runtime, &known.pod_uid) == (container.runtime, &container.pod_uid)
        {
            return known;
        }
        if self.by_id.len() >= MAX_CGROUPS {
            self.by_id.retain(|_, c| c.strong_count() > 0);
        }
        let shared = Arc::new(container);
        self.by_id.insert(shared.id.clone(), Arc::downgrade(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const PATH: &str = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_container_is_shared_by_its_cgroups() {
        let mut containers = Containers::default();
        let one = containers.learn(7, PATH.as_bytes()).unwrap();
        let two = containers.learn(8, format!("{PATH}/init.scope").as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(containers.known(7), Some(Some(one)));
        assert_eq!(containers.known(9), None);
    }

    #[test]
    fn the_host_is_known_only_from_a_whole_path_and_never_from_the_root_cgroup() {
        let mut containers = Containers::default();
        assert_eq!(containers.learn(7, b"deep/er"), None);
        assert_eq!(containers.known(7), None);
        assert_eq!(containers.learn(7, b"/system.slice/ssh.service"), None);
        assert_eq!(containers.known(7), Some(None));
        assert_eq!(containers.learn(1, b"/"), None);
        assert_eq!(containers.known(1), None);
    }

    #[test]
    fn however_many_come_and_go_a_bounded_number_is_known_and_the_rest_is_counted() {
        let mut containers = Containers::default();
        let most = MAX_CGROUPS as u64;
        for number in 2..2 + 2 * most {
            let path = format!("/docker/{number:064x}");
            let found = containers.learn(number, path.as_bytes()).unwrap();
            assert_eq!(*found.id, path[8..]);
            assert!(containers.remembered() as u64 <= most && containers.by_id.len() as u64 <= most + 1);
        }
        // One that is known already needs no room.
        containers.learn(1 + 2 * most, format!("/docker/{:064x}", 1 + 2 * most).as_bytes());
        assert_eq!((containers.evicted(), containers.remembered() as u64), (most, most));
    }

    #[test]
    fn our_own_process_is_readable() {
        let mut containers = Containers::default();
        containers.learn_from_proc(Path::new("/proc"), std::process::id(), None).unwrap();
        assert!(containers.learn_from_proc(Path::new("/proc"), u32::MAX, None).is_err());
    }
}
