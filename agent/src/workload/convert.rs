//! A Pod object of the API to [`PodMeta`].
use super::model::{ContainerKind, ContainerMeta, Mount, Owner, PodMeta};
use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod, PodSpec, SecurityContext, VolumeMount},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use std::collections::BTreeMap;

/// Annotation in which kubelet keeps the UID that it gave a static pod before its mirror existed. The pod's cgroups are
/// named by it (kubelet: `pkg/kubelet/types`, `ConfigHashAnnotationKey`).
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Label by which a Deployment tells its ReplicaSets apart; the ReplicaSet's name is `<deployment>-<hash>`.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The object lacks what identifies a pod. The API server never sends this.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("pod object without {0}: ignored")]
pub struct NoIdentity(&'static str);

/// Takes what we need from a Pod.
///
/// # Errors
/// [`NoIdentity`] when name, namespace or UID is missing.
pub fn pod_meta(pod: &Pod) -> Result<PodMeta, NoIdentity> {
    let meta = &pod.metadata;
    let labels = meta.labels.clone().unwrap_or_default();
    let uid = meta.uid.clone().ok_or(NoIdentity("metadata.uid"))?;
    let config_hash = meta.annotations.as_ref().and_then(|all| all.get(CONFIG_HASH)).filter(|hash| **hash != uid);
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    Ok(PodMeta {
        namespace: meta.namespace.clone().ok_or(NoIdentity("metadata.namespace"))?,
        name: meta.name.clone().ok_or(NoIdentity("metadata.name"))?,
        uid,
        config_hash: config_hash.cloned(),
        owner: owner(meta.owner_references.as_deref().unwrap_or_default(), &labels),
        labels,
        service_account: spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
        ips: status
            .and_then(|s| s.pod_ips.as_ref())
            .map(|ips| ips.iter().map(|ip| ip.ip.clone()).filter(|ip| !ip.is_empty()).collect())
            .unwrap_or_default(),
        host_network: spec.and_then(|s| s.host_network).unwrap_or(false),
        host_pid: spec.and_then(|s| s.host_pid).unwrap_or(false),
        host_ipc: spec.and_then(|s| s.host_ipc).unwrap_or(false),
        containers: spec.map(|spec| containers(pod, spec)).unwrap_or_default(),
    })
}

fn owner(references: &[OwnerReference], labels: &BTreeMap<String, String>) -> Option<Owner> {
    let controller = references.iter().find(|r| r.controller == Some(true))?;
    if controller.kind == "ReplicaSet"
        && let Some(deployment) = labels
            .get(POD_TEMPLATE_HASH)
            .and_then(|hash| controller.name.strip_suffix(hash.as_str()))
            .and_then(|name| name.strip_suffix('-'))
    {
        return Some(Owner { kind: "Deployment".to_owned(), name: deployment.to_owned() });
    }
    Some(Owner { kind: controller.kind.clone(), name: controller.name.clone() })
}

/// The parts that the three kinds of container share.
struct Declared<'a> {
    kind: ContainerKind,
    name: &'a str,
    image: Option<&'a str>,
    security: Option<&'a SecurityContext>,
    mounts: Option<&'a [VolumeMount]>,
    status: Option<&'a [ContainerStatus]>,
}

fn containers(pod: &Pod, spec: &PodSpec) -> Vec<ContainerMeta> {
    let host_paths: BTreeMap<&str, &str> = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| Some((volume.name.as_str(), volume.host_path.as_ref()?.path.as_str())))
        .collect();
    let status = pod.status.as_ref();
    let init = spec.init_containers.iter().flatten().map(|c| Declared {
        kind: ContainerKind::Init,
        name: &c.name,
        image: c.image.as_deref(),
        security: c.security_context.as_ref(),
        mounts: c.volume_mounts.as_deref(),
        status: status.and_then(|s| s.init_container_statuses.as_deref()),
    });
    let main = spec.containers.iter().map(|c| Declared {
        kind: ContainerKind::Main,
        name: &c.name,
        image: c.image.as_deref(),
        security: c.security_context.as_ref(),
        mounts: c.volume_mounts.as_deref(),
        status: status.and_then(|s| s.container_statuses.as_deref()),
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|c| Declared {
        kind: ContainerKind::Ephemeral,
        name: &c.name,
        image: c.image.as_deref(),
        security: c.security_context.as_ref(),
        mounts: c.volume_mounts.as_deref(),
        status: status.and_then(|s| s.ephemeral_container_statuses.as_deref()),
    });
    init.chain(main).chain(ephemeral).map(|declared| container(&declared, &host_paths)).collect()
}

fn container(declared: &Declared<'_>, host_paths: &BTreeMap<&str, &str>) -> ContainerMeta {
    let status = declared.status.into_iter().flatten().find(|status| status.name == declared.name);
    let previous = status
        .and_then(|s| s.last_state.as_ref())
        .and_then(|state| state.terminated.as_ref())
        .and_then(|terminated| terminated.container_id.as_deref());
    ContainerMeta {
        id: status.and_then(|s| s.container_id.as_deref()).and_then(without_scheme),
        previous_id: previous.and_then(without_scheme),
        name: declared.name.to_owned(),
        image: declared.image.unwrap_or_default().to_owned(),
        image_id: status.and_then(|s| without_scheme(&s.image_id)).unwrap_or_default(),
        kind: declared.kind,
        privileged: declared.security.and_then(|s| s.privileged).unwrap_or(false),
        mounts: declared.mounts.into_iter().flatten().map(|mount| self::mount(mount, host_paths)).collect(),
    }
}

fn mount(mount: &VolumeMount, host_paths: &BTreeMap<&str, &str>) -> Mount {
    let host_path = host_paths.get(mount.name.as_str()).map(|base| match mount.sub_path.as_deref() {
        Some(sub) if !sub.is_empty() => format!("{}/{sub}", base.trim_end_matches('/')),
        _ => (*base).to_owned(),
    });
    Mount {
        volume: mount.name.clone(),
        host_path,
        destination: mount.mount_path.clone(),
        read_only: mount.read_only.unwrap_or(false),
    }
}

/// `containerd://abc` is `abc`; an empty id is none.
fn without_scheme(id: &str) -> Option<String> {
    let bare = id.split_once("://").map_or(id, |(_, bare)| bare);
    (!bare.is_empty()).then(|| bare.to_owned())
}
