//! container.* and k8s.*: the cgroup, and the pod as the API tells it.
//!
//! Outside of containers `container.id` and the like are `host`, as in Falco, and all else is missing. Inside, what comes
//! from the pod is pending until the pod is known, or until waiting is over.
use super::{Surroundings, View};
use crate::{
    container::{Container, HOST_ID},
    workload::{ContainerMeta, Mount, PodMeta},
};
use engine::{
    field::{Arg, Field},
    value::{Lookup, Value},
};
use std::sync::Arc;

/// What is known of the pod that a container is of.
#[derive(Clone, Debug)]
pub enum PodState {
    /// It is of no pod, or the pod is not known and not waited for.
    None,
    /// Its pod has not arrived yet.
    Pending,
    /// The pod is known, this container in it not yet.
    Partly(Arc<PodMeta>),
    /// All is known; the container by its index, `None` when it is not waited for any more.
    Known(Arc<PodMeta>, Option<usize>),
}

impl PodState {
    /// The pod.
    #[must_use]
    pub fn pod(&self) -> Option<&PodMeta> {
        match self {
            Self::Partly(pod) | Self::Known(pod, _) => Some(pod),
            Self::None | Self::Pending => None,
        }
    }

    /// The container in the pod.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerMeta> {
        match self {
            Self::Known(pod, Some(index)) => pod.containers.get(*index),
            _ => None,
        }
    }
}

pub(super) fn pod_of(container: Option<&Container>, around: &Surroundings<'_>, waiting_is_over: bool) -> PodState {
    let Some(container) = container else { return PodState::None };
    if let Some((pod, index)) = around.pods.by_container(&container.id) {
        return PodState::Known(pod, Some(index));
    }
    let Some(uid) = &container.pod_uid else {
        // Docker, Podman, ctr: nobody will tell of it. While the first list is not in, a CRI name form says it may be.
        return PodState::None;
    };
    match around.pods.by_pod_uid(uid) {
        Some(pod) if waiting_is_over => PodState::Known(pod, None),
        Some(pod) => PodState::Partly(pod),
        None if waiting_is_over || !around.await_pods => PodState::None,
        None => PodState::Pending,
    }
}

fn truth(b: bool) -> Lookup<'static> {
    Lookup::Value(Value::Bool(b))
}

/// Empty text is missing.
fn some(text: &str) -> Lookup<'_> {
    if text.is_empty() { Lookup::Missing } else { text.into() }
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field, arg: Option<&Arg>) -> Option<Lookup<'a>> {
    use Field as F;
    let by_cgroup = |of: fn(&Container) -> &str| match view.container() {
        None => Some(HOST_ID.into()),
        Some(container) => Some(of(container).into()),
    };
    match field {
        F::ContainerId => return by_cgroup(Container::short_id),
        F::ContainerFullId => return by_cgroup(|c| &c.id),
        F::ContainerType => return by_cgroup(|c| c.runtime.as_str()),
        F::EyasPodPending => return Some(truth(view.final_ && view.container().is_some_and(|c| lacks_pod(view, c)))),
        F::ContainerName if view.container().is_none() => return Some(HOST_ID.into()),
        _ => {}
    }
    let name = field.def().name;
    if name.starts_with("container.host_") || (name.starts_with("k8s.") && field != F::K8sNodeName) {
        return Some(of_pod(view, |pod| pod_field(pod, field, arg)));
    }
    if !name.starts_with("container.") {
        return None;
    }
    Some(match view.pod() {
        PodState::Pending | PodState::Partly(_) => Lookup::Pending,
        state => state.container().map_or(Lookup::Missing, |c| container_field(c, field, arg)),
    })
}

/// Whether it is of a pod that is not known.
fn lacks_pod(view: &View<'_>, container: &Container) -> bool {
    container.pod_uid.is_some() && view.around.await_pods && view.pod().container().is_none()
}

fn of_pod<'a>(view: &'a View<'_>, value: impl FnOnce(&'a PodMeta) -> Lookup<'a>) -> Lookup<'a> {
    match view.pod() {
        PodState::Pending => Lookup::Pending,
        state => state.pod().map_or(Lookup::Missing, value),
    }
}

fn pod_field<'a>(pod: &'a PodMeta, field: Field, arg: Option<&Arg>) -> Lookup<'a> {
    use Field as F;
    match (field, arg) {
        (F::K8sNsName, _) => some(&pod.namespace),
        (F::K8sPodName, _) => some(&pod.name),
        (F::K8sPodUid | F::K8sPodId, _) => some(&pod.uid),
        (F::K8sPodLabel, Some(Arg::Key(key))) => pod.labels.get(key).map(String::as_str).into(),
        (F::K8sPodLabels, _) => {
            let labels: Vec<String> = pod.labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
            labels.join(", ").into()
        }
        (F::K8sSaName | F::K8sPodSaName, _) => some(&pod.service_account),
        (F::K8sPodOwnerKind, _) => pod.owner.as_ref().map(|o| o.kind.as_str()).into(),
        (F::K8sPodOwnerName, _) => pod.owner.as_ref().map(|o| o.name.as_str()).into(),
        (F::ContainerHostPid, _) => truth(pod.host_pid),
        (F::ContainerHostNetwork, _) => truth(pod.host_network),
        (F::ContainerHostIpc, _) => truth(pod.host_ipc),
        _ => Lookup::Missing,
    }
}

fn container_field<'a>(c: &'a ContainerMeta, field: Field, arg: Option<&Arg>) -> Lookup<'a> {
    use Field as F;
    let key = match arg {
        Some(Arg::Key(key)) => key.as_str(),
        _ => "",
    };
    let by_destination = || mount(c, key, |m, glob| matches(glob, &m.destination));
    let mode = |m: &Mount| if m.read_only { "ro" } else { "rw" };
    match field {
        F::ContainerName => some(&c.name),
        F::ContainerKind => c.kind.as_str().into(),
        F::ContainerImage => some(&c.image),
        F::ContainerImageId => some(&c.image_id),
        F::ContainerImageRepository => some(image(&c.image).repository),
        F::ContainerImageTag => image(&c.image).tag.into(),
        F::ContainerImageDigest => image(&c.image).digest.or_else(|| image(&c.image_id).digest).into(),
        F::ContainerPrivileged => truth(c.privileged),
        F::ContainerMounts => {
            let all: Vec<String> = c.mounts.iter().map(describe).collect();
            all.join(",").into()
        }
        F::ContainerMount => by_destination().map(describe).into(),
        F::ContainerMountSource => by_destination().map(source).into(),
        F::ContainerMountDest => {
            mount(c, key, |m, glob| matches(glob, source(m))).map(|m| m.destination.as_str()).into()
        }
        F::ContainerMountMode => by_destination().map(mode).into(),
        F::ContainerMountRdwr => by_destination().map(|m| if m.read_only { "false" } else { "true" }).into(),
        F::ContainerMountPropagation => by_destination().map(|_| "private").into(),
        _ => Lookup::Missing,
    }
}

fn source(mount: &Mount) -> &str {
    mount.host_path.as_deref().unwrap_or(&mount.volume)
}

fn describe(m: &Mount) -> String {
    let (mode, writable) = if m.read_only { ("ro", "false") } else { ("rw", "true") };
    format!("{}:{}:{mode}:{writable}:private", source(m), m.destination)
}

/// By number, or the first that fits.
fn mount<'a>(c: &'a ContainerMeta, key: &str, fits: impl Fn(&Mount, &[u8]) -> bool) -> Option<&'a Mount> {
    match key.parse::<usize>() {
        Ok(n) => c.mounts.get(n),
        Err(_) => c.mounts.iter().find(|m| fits(m, key.as_bytes())),
    }
}

/// A shell pattern of `*` and `?` over the whole text; linear in text times number of stars.
fn matches(pattern: &[u8], text: &str) -> bool {
    let (text, mut p, mut t, mut star) = (text.as_bytes(), 0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// An image reference taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Image<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// `[registry[:port]/]path[:tag][@digest]`: a colon after the last slash begins a tag.
fn image(reference: &str) -> Image<'_> {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => Image { repository, tag: Some(tag), digest },
        _ => Image { repository: rest, tag: None, digest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn images_come_apart() {
        let parts = |r| {
            let i = image(r);
            (i.repository, i.tag, i.digest)
        };
        assert_eq!(parts("nginx"), ("nginx", None, None));
        assert_eq!(parts("nginx:1.27"), ("nginx", Some("1.27"), None));
        assert_eq!(parts("localhost:5000/a/b"), ("localhost:5000/a/b", None, None));
        assert_eq!(parts("r.io:5000/a:v1@sha256:00"), ("r.io:5000/a", Some("v1"), Some("sha256:00")));
    }

    #[test]
    fn patterns() {
        assert!(matches(b"/proc*", "/proc/sys") && matches(b"*", "") && matches(b"/a?c", "/abc"));
        assert!(!matches(b"/proc", "/proc/sys") && !matches(b"", "x") && matches(b"a*b*c", "aXbXbc"));
    }

    proptest! {
        #[test]
        fn a_reference_can_be_put_together_again(reference in "[a-z0-9:/@.]{0,40}") {
            let i = image(&reference);
            let mut whole = i.repository.to_owned();
            if let Some(tag) = i.tag { whole = format!("{whole}:{tag}"); }
            if let Some(digest) = i.digest { whole = format!("{whole}@{digest}"); }
            prop_assert_eq!(whole, reference);
        }

        #[test]
        fn a_text_matches_itself_with_stars_put_in(text in "[a-c/]{0,12}", at in 0usize..12) {
            let mut pattern = text.clone();
            pattern.insert(at.min(text.len()), '*');
            prop_assert!(matches(pattern.as_bytes(), &text));
        }
    }
}
