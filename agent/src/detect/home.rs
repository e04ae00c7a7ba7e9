//! Containers of another node's kubelet that runs on this same kernel, as with kind: they are that node's agent's business.
//!
//! A kubelet puts its pods below a cgroup of its own. Where pods that the API says are on this node lie below one, a pod
//! that it does not tell of and that lies below another kubelet's is another node's. Without both there is no verdict: the
//! event is judged. What is left out is counted and told once per cgroup.
use crate::{container::Container, workload};

/// Most cgroups of kubelets remembered, ours and others'.
const MAX_ROOTS: usize = 16;

/// The cgroups below which pods of this node lie, and those of others that were told of.
#[derive(Debug, Default)]
pub(super) struct Home {
    own: Vec<Box<str>>,
    told: Vec<Box<str>>,
    /// Events of others' containers.
    pub foreign: u64,
}

impl Home {
    /// Knows the cgroup of the agent's own pod, where it is in one.
    pub fn of_this_process() -> Self {
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = crate::container::parse_proc_file(&text).and_then(|container| container.kubelet);
        Self { own: own.into_iter().collect(), ..Self::default() }
    }

    /// Whether an event of this container is another node's; counts it then.
    pub fn is_foreign(&mut self, container: Option<&Container>, pods: &workload::Index) -> bool {
        let Some(Container { kubelet: Some(root), pod_uid: Some(uid), .. }) = container else { return false };
        if self.own.contains(root) {
            return false;
        }
        if pods.by_pod_uid(uid).is_some() {
            if self.own.len() < MAX_ROOTS {
                self.own.push(root.clone());
            }
            return false;
        }
        if self.own.is_empty() {
            return false;
        }
        self.foreign += 1;
        if !self.told.contains(root) && self.told.len() < MAX_ROOTS {
            tracing::warn!(cgroup = %root, "pods of another node run on this kernel; they are left to that node's agent");
            self.told.push(root.clone());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const UID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

    fn container(root: &str, uid: &str) -> Container {
        crate::container::parse(&format!("{root}/kubepods/burstable/pod{uid}/{}", "ab".repeat(32))).unwrap()
    }

    #[test]
    fn only_what_lies_beside_a_known_pod_of_ours_is_another_nodes() {
        let mut writer = workload::Writer::new();
        let pods = writer.index();
        let mut home = Home::default();
        let other = UID.replace('1', "2");
        let (ours, late, foreign) = (container("/n1", UID), container("/n1", &other), container("/n2", &other));
        assert!(!home.is_foreign(Some(&foreign), &pods), "nothing is known of us yet");
        let pod = serde_json::json!({"metadata": {"name": "a", "namespace": "b", "uid": UID}});
        writer.apply(&serde_json::from_value(pod).unwrap()).unwrap();
        assert!(!home.is_foreign(Some(&ours), &pods));
        assert!(!home.is_foreign(Some(&late), &pods), "of our kubelet: the API will tell of it");
        assert!(home.is_foreign(Some(&foreign), &pods));
        assert!(!home.is_foreign(None, &pods));
        let docker = crate::container::parse(&format!("/docker/{}", "ab".repeat(32))).unwrap();
        assert!(!home.is_foreign(Some(&docker), &pods));
        assert_eq!(home.foreign, 1);
    }
}
