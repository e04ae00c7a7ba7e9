//! What is kept of a pod: only what a field, an exception or a report needs.
use std::collections::BTreeMap;

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMeta {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID. Of a static pod this is the UID of the mirror pod; see `config_hash`.
    pub uid: String,
    /// UID that cgroups of a static pod carry (annotation `kubernetes.io/config.hash`), where it differs from `uid`.
    pub config_hash: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Service account; `default` where the API server filled it in.
    pub service_account: String,
    /// The workload that made it: a ReplicaSet is followed to its Deployment by name.
    pub owner: Option<Owner>,
    /// Addresses, the primary one first; empty until the sandbox has them.
    pub ips: Vec<String>,
    /// Shares the node's network namespace.
    pub host_network: bool,
    /// Shares the node's process namespace.
    pub host_pid: bool,
    /// Shares the node's IPC namespace.
    pub host_ipc: bool,
    /// Init, main and ephemeral containers, in this order.
    pub containers: Vec<ContainerMeta>,
}

impl PodMeta {
    /// The container with this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerMeta> {
        self.containers.iter().find(|container| container.name == name)
    }
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// How a container is declared in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// `spec.containers`.
    Main,
    /// `spec.initContainers`, sidecars among them.
    Init,
    /// `spec.ephemeralContainers` (kubectl debug).
    Ephemeral,
}

impl ContainerKind {
    /// The name in fields and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Init => "init",
            Self::Ephemeral => "ephemeral",
        }
    }
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerMeta {
    /// Runtime id without its scheme (64 hex digits with containerd); `None` until it was started once.
    pub id: Option<String>,
    /// Id of the instance before the last restart: its last events may still arrive.
    pub previous_id: Option<String>,
    /// Name in the pod spec.
    pub name: String,
    /// Image reference as the spec names it.
    pub image: String,
    /// What the reference resolved to (`repository@sha256:...`, without scheme); empty until started.
    pub image_id: String,
    /// Main, init or ephemeral.
    pub kind: ContainerKind,
    /// `securityContext.privileged`.
    pub privileged: bool,
    /// Every volume mount.
    pub mounts: Vec<Mount>,
}

/// A volume mount of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Volume name.
    pub volume: String,
    /// Path on the node for a hostPath volume, else `None`.
    pub host_path: Option<String>,
    /// Path in the container.
    pub destination: String,
    /// Mounted read-only.
    pub read_only: bool,
}
