//! The name forms of cgroups.
use super::{Container, Runtime};

/// Longest id that is taken (containerd allows 76 bytes).
const MAX_ID: usize = 128;

/// Prefixes before `-<id>` in a scope of systemd's driver (or a folder of CRI-O and Podman under cgroupfs).
const PREFIXES: [(&str, Runtime); 5] = [
    ("cri-containerd", Runtime::Containerd),
    ("crio", Runtime::Crio),
    ("docker", Runtime::Docker),
    ("libpod", Runtime::Podman),
    ("nerdctl", Runtime::Containerd),
];

/// Namespaces of containerd whose containers may have any name: `/k8s.io/<id>`.
const CONTAINERD_NAMESPACES: [&str; 4] = ["k8s.io", "default", "moby", "buildkit"];

/// The container that a cgroup path belongs to, `None` for the host. The path may be absolute or only its innermost part.
#[must_use]
pub fn parse(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
    let (depth, runtime, id) = (0..parts.len()).rev().find_map(|i| {
        let part = parts.get(i)?;
        let parent = i.checked_sub(1).and_then(|p| parts.get(p)).copied();
        let (runtime, id) = container_of(part, parent, path.starts_with('/') && i == 1)?;
        Some((i, runtime, id))
    })?;
    let pod_uid = parts.get(..=depth)?.iter().rev().find_map(|p| pod_uid(p));
    let kubelet = pod_uid.as_ref().and_then(|_| kubelet(path));
    Some(Container { runtime, id: id.into(), pod_uid, kubelet })
}

/// What stands before `/kubepods` (`/kubepods.slice`, `/kubelet-kubepods.slice`). A path that was cut, or that begins outside of the
/// reader's cgroup namespace, does not tell.
fn kubelet(path: &str) -> Option<Box<str>> {
    if !path.starts_with('/') || path.contains("/../") {
        return None;
    }
    let at = path.find("kubepods")?;
    let end = path.get(..at)?.rfind('/')?;
    path.get(..end).map(Into::into)
}

/// The container in the text of `/proc/PID/cgroup`. Any hierarchy that names one will do; unified (`0::`) is asked first.
#[must_use]
pub fn parse_proc_file(text: &str) -> Option<Container> {
    let paths = || text.lines().filter_map(|l| l.splitn(3, ':').nth(2).map(|p| (l.starts_with("0::"), p)));
    let unified = paths().filter(|(u, _)| *u).find_map(|(_, p)| parse(p));
    unified.or_else(|| paths().filter(|(u, _)| !*u).find_map(|(_, p)| parse(p)))
}

fn container_of<'a>(part: &'a str, parent: Option<&str>, second_of_two: bool) -> Option<(Runtime, &'a str)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    // systemd's driver under a cgroupfs kubelet leaves `SLICE:cri-containerd:ID` as a folder.
    if let Some((rest, id)) = name.rsplit_once(':')
        && is_hash(id)
    {
        let prefix = rest.rsplit(':').next()?;
        return PREFIXES.iter().find(|(p, _)| *p == prefix).map(|(_, r)| (*r, id));
    }
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix).and_then(|r| r.strip_prefix('-'))
            && is_hash(id)
        {
            return Some((runtime, id));
        }
    }
    if let Some(id) = part.strip_prefix("lxc.payload.")
        && is_name(id)
    {
        return Some((Runtime::Lxc, id));
    }
    let parent = parent?;
    if is_hash(part) {
        let runtime = match parent {
            "docker" | "ecs" => Some(Runtime::Docker),
            "actions_job" => Some(Runtime::Docker),
            _ if pod_uid(parent).is_some() || second_of_two => Some(Runtime::Containerd),
            _ if CONTAINERD_NAMESPACES.contains(&parent) => Some(Runtime::Containerd),
            // An ECS task: /ecs/TASK/ID.
            _ if parent.len() >= 32 && parent.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') => {
                Some(Runtime::Docker)
            }
            _ => None,
        };
        return runtime.map(|r| (r, part));
    }
    if second_of_two && is_name(part) {
        if CONTAINERD_NAMESPACES.contains(&parent) {
            return Some((Runtime::Containerd, part));
        }
        if parent == "lxc" || parent == "lxc.payload" {
            return Some((Runtime::Lxc, part));
        }
    }
    None
}

/// The UID in `pod<uid>` or `...-pod<uid_with_underscores>.slice`. Static pods have 32 hex digits without dashes.
fn pod_uid(part: &str) -> Option<Box<str>> {
    let uid = match part.strip_suffix(".slice").or_else(|| part.split_once(".slice:").map(|(s, _)| s)) {
        Some(slice) => slice.rsplit_once("-pod").map(|(_, uid)| uid)?,
        None => part.strip_prefix("pod")?,
    };
    let hex = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|b| matches!(b, b'-' | b'_')).count();
    (hex == 32 && hex + dashes == uid.len()).then(|| uid.replace('_', "-").into())
}

fn is_hash(s: &str) -> bool {
    s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_name(s: &str) -> bool {
    s.len() <= MAX_ID
        && s.starts_with(|c: char| c.is_ascii_alphanumeric())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

    fn fill(path: &str) -> String {
        path.replace("{id}", ID).replace("{uid}", UID).replace("{uid_}", &UID.replace('-', "_"))
    }

    #[rstest]
    #[case::cri_cgroupfs("/kubepods/burstable/pod{uid}/{id}", Runtime::Containerd, true)]
    #[case::cri_guaranteed("/kubepods/pod{uid}/{id}", Runtime::Containerd, true)]
    #[case::innermost_only("pod{uid}/{id}", Runtime::Containerd, true)]
    #[case::crio_cgroupfs("/kubepods/besteffort/pod{uid}/crio-{id}", Runtime::Crio, true)]
    #[case::cri_systemd(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid_}.slice/cri-containerd-{id}.scope",
        Runtime::Containerd,
        true
    )]
    #[case::crio_systemd("/kubepods.slice/kubepods-pod{uid_}.slice/crio-{id}.scope", Runtime::Crio, true)]
    #[case::docker_systemd_pod("/kubepods.slice/kubepods-pod{uid_}.slice/docker-{id}.scope", Runtime::Docker, true)]
    #[case::mixed_drivers(
        "/system.slice/containerd.service/kubepods-burstable-pod{uid_}.slice:cri-containerd:{id}",
        Runtime::Containerd,
        true
    )]
    #[case::kind(
        "/docker/{id}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{uid_}.slice/cri-containerd-{id}.scope",
        Runtime::Containerd,
        true
    )]
    #[case::systemd_inside("/kubepods/burstable/pod{uid}/{id}/init.scope", Runtime::Containerd, true)]
    #[case::docker_in_pod("/kubepods/burstable/pod{uid}/{id}/docker/{id}", Runtime::Docker, true)]
    #[case::docker_cgroupfs("/docker/{id}", Runtime::Docker, false)]
    #[case::docker_systemd("/system.slice/docker-{id}.scope", Runtime::Docker, false)]
    #[case::podman("/machine.slice/libpod-{id}.scope", Runtime::Podman, false)]
    #[case::podman_split("/machine.slice/libpod-{id}.scope/container", Runtime::Podman, false)]
    #[case::podman_cgroupfs("/libpod_parent/libpod-{id}", Runtime::Podman, false)]
    #[case::ctr_cri_namespace("/k8s.io/{id}", Runtime::Containerd, false)]
    #[case::ctr_other_namespace("/mine/{id}", Runtime::Containerd, false)]
    #[case::nerdctl("/system.slice/nerdctl-{id}.scope", Runtime::Containerd, false)]
    #[case::ecs("/ecs/0123456789abcdef0123456789abcdef/{id}", Runtime::Docker, false)]
    #[case::outside_our_cgroup_namespace("/../../kubepods/pod{uid}/{id}", Runtime::Containerd, true)]
    fn forms(#[case] path: &str, #[case] runtime: Runtime, #[case] in_pod: bool) {
        let found = parse(&fill(path)).unwrap();
        assert_eq!((found.runtime, &*found.id), (runtime, ID));
        assert_eq!(found.pod_uid.as_deref(), in_pod.then_some(UID));
        assert_eq!(found.short_id(), "0123456789ab");
    }

    #[rstest]
    #[case::ctr_named("/default/web-1", "web-1")]
    #[case::lxc("/lxc/box", "box")]
    #[case::lxc_payload("/lxc.payload.box/system.slice/cron.service", "box")]
    fn names(#[case] path: &str, #[case] id: &str) {
        assert_eq!(&*parse(path).unwrap().id, id);
    }

    #[test]
    fn static_pod_uid() {
        let path = format!("/kubepods/burstable/pod{}/{ID}", "0123456789abcdef0123456789abcdef");
        assert_eq!(parse(&path).unwrap().pod_uid.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    }

    #[rstest]
    #[case("/")]
    #[case("")]
    #[case("/user.slice/user-0.slice/session-1.scope")]
    #[case("/system.slice/ssh.service")]
    #[case("/system.slice/containerd.service")]
    #[case("/process_api/9290749a7c689ee00bff9fdfa0e59939")]
    #[case("/kubepods/burstable/pod{uid}")]
    #[case("/kubepods.slice/kubepods-pod{uid_}.slice/crio-conmon-{id}.scope")]
    #[case("/machine.slice/libpod-conmon-{id}.scope")]
    #[case("/docker/buildx")]
    #[case("/lxc.monitor.box")]
    #[case("/some/deep/folder/{id}")]
    #[case("/default")]
    fn host(#[case] path: &str) {
        assert_eq!(parse(&fill(path)), None);
    }

    #[test]
    fn proc_files_of_v1_v2_and_hybrid() {
        let v2 = fill("0::/kubepods.slice/kubepods-pod{uid_}.slice/cri-containerd-{id}.scope\n");
        let v1 = fill("12:cpu,cpuacct:/kubepods/pod{uid}/{id}\n1:name=systemd:/kubepods/pod{uid}/{id}\n");
        let hybrid = fill("4:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/system.slice/docker.service\n");
        assert_eq!(&*parse_proc_file(&v2).unwrap().id, ID);
        assert_eq!(parse_proc_file(&v1).unwrap().pod_uid.as_deref(), Some(UID));
        assert_eq!(parse_proc_file(&hybrid).unwrap().runtime, Runtime::Docker);
        assert_eq!(parse_proc_file("4:memory:/\n0::/\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(path in "[a-f0-9/:.{}\\-_pod\u{e9}slice]{0,200}") {
            if let Some(c) = parse(&path) {
                prop_assert!(path.contains(&*c.id));
                prop_assert!(!c.id.is_empty() && c.id.len() <= MAX_ID);
                prop_assert!(c.short_id().chars().count() <= 12);
            }
            let _ = parse_proc_file(&path);
        }

        #[test]
        fn an_id_is_found_below_any_prefix(prefix in "(/[a-z.]{1,12}){0,6}", id in "[0-9a-f]{64}", deeper in "(/[a-z]{1,8}\\.service){0,3}") {
            let found = parse(&format!("{prefix}/docker-{id}.scope{deeper}")).unwrap();
            prop_assert_eq!(&*found.id, id.as_str());
        }
    }
}
