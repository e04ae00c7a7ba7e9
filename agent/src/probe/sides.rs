//! Tells the kernel on which side of the containers' border the processes of a cgroup are, as user space has learned it.
//!
//! Invariant: the kernel is told only what holds for every process of that cgroup; of others it does not know, and then sends
//! all that either side wants.
use agent_abi::map::{SIDE_CONTAINER, SIDE_HOST};
use aya::maps::{Array, HashMap, MapData};

/// The map of sides. There is one writer.
pub struct Sides {
    /// By cgroup.
    pub(super) sides: HashMap<MapData, u64, u64>,
    /// How often they have changed, in the kernel's own copy: what a processor has noted from before is then not used any more.
    pub(super) changes: Array<MapData, u64>,
}

impl std::fmt::Debug for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sides").finish_non_exhaustive()
    }
}

impl Sides {
    /// The processes of `cgroup` (as records number it) are in a container, or not.
    pub fn tell(&mut self, cgroup: u64, in_container: bool) {
        let side = if in_container { SIDE_CONTAINER } else { SIDE_HOST };
        match self.sides.insert(cgroup, side, 0) {
            Ok(()) => self.changed(),
            // It costs time, not events: what is not told passes.
            Err(error) => tracing::debug!(cgroup, %error, "the kernel is not told on which side a cgroup is"),
        }
    }

    /// Takes everything back.
    pub fn forget(&mut self) {
        let told: Vec<u64> = self.sides.keys().filter_map(Result::ok).collect();
        for cgroup in told {
            let _ = self.sides.remove(&cgroup);
        }
        self.changed();
    }

    /// After each change.
    fn changed(&mut self) {
        let changes = self.changes.get(&0, 0);
        if let Err(error) = changes.and_then(|changes| self.changes.set(0, changes.wrapping_add(1), 0)) {
            // Unlike what is not told, this could cost events: of a cgroup whose side has changed or was taken back.
            tracing::warn!(%error, "the kernel may go by an old side of a cgroup and leave out events of it; start the agent again");
        }
    }
}
