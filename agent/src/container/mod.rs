//! Which container a process runs in, from the path of its cgroup.
//!
//! [`parse`] is pure: a cgroup path as the kernel says it -> runtime, container id, pod UID. It knows the name forms of the
//! CRI (cgroupfs and systemd drivers), Docker, Podman, CRI-O, LXC, ECS and plain containerd. [`ids::Containers`] remembers
//! what each cgroup (by its kernel id) turned out to be, so that a path is parsed once.
//!
//! Invariants: the innermost container wins (Docker in a pod is Docker's container, of that pod); helpers that the runtime
//! runs on the host (`conmon`) are no container; nothing but a well-formed id is ever taken for one.
mod ids;
mod name;

pub use ids::{Containers, HOST_ID};
pub use name::{parse, parse_proc_file};

use std::sync::Arc;

/// What runs a container. The words are those of `container.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd, by the CRI, nerdctl or ctr.
    Containerd,
    /// CRI-O.
    Crio,
    /// Docker or Moby.
    Docker,
    /// Podman.
    Podman,
    /// LXC.
    Lxc,
}

impl Runtime {
    /// The value of `container.type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
        }
    }
}

/// A container as its cgroup names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// Full id: 64 hex digits with the CRI, Docker and Podman; a name with ctr and LXC.
    pub id: Box<str>,
    /// UID of the pod, with dashes, where the path has it.
    pub pod_uid: Option<Box<str>>,
    /// The cgroup below which the kubelet keeps its pods, where the path is whole and has it: empty on most nodes.
    pub kubelet: Option<Box<str>>,
}

impl Container {
    /// The first twelve characters: `container.id`.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.char_indices().nth(12).map_or(&self.id, |(end, _)| self.id.get(..end).unwrap_or(&self.id))
    }
}

/// A container shared by the processes in it; `None` is the host.
pub type ContainerRef = Option<Arc<Container>>;
