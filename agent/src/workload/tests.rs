//! Objects in, lookups out.
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value, json};

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

/// A pod `web-<n>` of namespace `shop` with one running container.
fn running(uid: &str, container_id: &str) -> Pod {
    pod(json!({
        "metadata": {"name": format!("web-{uid}"), "namespace": "shop", "uid": uid, "labels": {"app": "web"}},
        "spec": {"serviceAccountName": "cart", "containers": [{"name": "app", "image": "localhost/web:1"}]},
        "status": {"containerStatuses": [{"name": "app", "containerID": format!("containerd://{container_id}"),
            "image": "localhost/web:1", "imageID": "sha256:0a", "ready": true, "restartCount": 0}]},
    }))
}

#[test]
fn everything_a_field_needs_is_taken_from_the_object() {
    let meta = pod_meta(&pod(json!({
        "metadata": {
            "name": "web-5d4f8c7b9-x2x", "namespace": "shop", "uid": "u1",
            "labels": {"app": "web", "pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9", "uid": "r", "controller": true}],
        },
        "spec": {
            "serviceAccountName": "cart", "hostNetwork": true,
            "volumes": [{"name": "host", "hostPath": {"path": "/var/log/"}}, {"name": "tmp", "emptyDir": {}}],
            "initContainers": [{"name": "setup", "image": "localhost/setup:1"}],
            "containers": [{
                "name": "app", "image": "localhost/web:1", "securityContext": {"privileged": true},
                "volumeMounts": [{"name": "host", "mountPath": "/logs", "subPath": "web", "readOnly": true}, {"name": "tmp", "mountPath": "/tmp"}],
            }],
            "ephemeralContainers": [{"name": "debugger", "image": "localhost/busybox:1"}],
        },
        "status": {
            "podIPs": [{"ip": "10.1.2.3"}, {"ip": "fd00::3"}],
            "containerStatuses": [{
                "name": "app", "containerID": "containerd://aa", "image": "localhost/web:1", "imageID": "docker-pullable://localhost/web@sha256:0a",
                "ready": true, "restartCount": 1,
                "lastState": {"terminated": {"exitCode": 1, "containerID": "containerd://99"}},
            }],
            "ephemeralContainerStatuses": [{"name": "debugger", "containerID": "cri-o://bb", "image": "", "imageID": "", "ready": false, "restartCount": 0}],
        },
    })))
    .unwrap();
    insta::assert_debug_snapshot!(meta);
}

#[test]
fn a_static_pod_is_found_by_the_uid_in_its_cgroups() {
    let mut writer = Writer::new();
    let mut mirror = running("mirror", "c1");
    mirror.metadata.annotations = Some([("kubernetes.io/config.hash".to_owned(), "f00d".to_owned())].into());
    writer.apply(&mirror).unwrap();
    assert_eq!(writer.index().by_pod_uid("f00d").unwrap().uid, "mirror");
    assert_eq!(writer.index().by_pod_uid("mirror").unwrap().uid, "mirror");
}

#[test]
fn an_object_without_uid_is_refused_and_harms_nothing() {
    let mut writer = Writer::new();
    let bad = pod(json!({"metadata": {"name": "x", "namespace": "y"}}));
    assert_eq!(writer.apply(&bad).unwrap_err().to_string(), "pod object without metadata.uid: ignored");
    assert_eq!(writer.index().version(), 0);
}

#[test]
fn standalone_knows_nothing_and_waits_for_nothing() {
    let index = Index::standalone();
    assert!(index.synced());
    assert!(index.by_container("any").is_none());
}

#[test]
fn not_synced_before_the_first_list_is_whole() {
    let mut writer = Writer::new();
    let index = writer.index();
    writer.begin_list();
    writer.apply(&running("u1", "c1")).unwrap();
    assert!(!index.synced());
    assert!(index.by_container("c1").is_some(), "what is listed is visible at once");
    writer.end_list(0);
    assert!(index.synced());
}

#[test]
fn a_pod_gone_is_found_for_a_minute() {
    let mut writer = Writer::new();
    let index = writer.index();
    writer.apply(&running("u1", "c1")).unwrap();
    assert_eq!(writer.delete(&running("u1", "c1"), 100), Some("u1".to_owned()));
    assert_eq!(writer.delete(&running("u1", "c1"), 101), None, "told once");
    writer.sweep(159);
    assert!(index.by_container("c1").is_some());
    writer.sweep(160);
    assert!(index.by_container("c1").is_none());
    assert!(index.by_pod_uid("u1").is_none());
}

#[test]
fn a_new_list_tells_which_pods_went_while_the_watch_was_away() {
    let mut writer = Writer::new();
    for uid in ["u1", "u2"] {
        writer.apply(&running(uid, uid)).unwrap();
    }
    writer.begin_list();
    writer.apply(&running("u2", "u2")).unwrap();
    assert!(writer.index().by_pod_uid("u1").is_some(), "in sight during the list");
    assert_eq!(writer.end_list(5), ["u1"]);
    assert_eq!(writer.alive(), ["u2".to_owned()].into());
    assert_eq!(writer.end_list(6), Vec::<String>::new());
}

#[test]
fn the_instance_before_a_restart_is_still_found() {
    let mut writer = Writer::new();
    let index = writer.index();
    writer.apply(&running("u1", "c1")).unwrap();
    writer.apply(&running("u1", "c2")).unwrap();
    assert_eq!(index.by_container("c1").unwrap().0.name, "web-u1");
    assert_eq!(index.by_container("c2").unwrap().0.name, "web-u1");
    writer.apply(&running("u1", "c3")).unwrap();
    assert!(index.by_container("c1").is_none(), "only one instance back");
    assert!(index.by_container("c2").is_some());
}

#[test]
fn an_update_of_nothing_we_keep_is_no_change() {
    let mut writer = Writer::new();
    assert_eq!(writer.apply(&running("u1", "c1")).unwrap(), Change::Visible);
    let version = writer.index().version();
    let mut same = running("u1", "c1");
    same.metadata.resource_version = Some("7".to_owned());
    assert_eq!(writer.apply(&same).unwrap(), Change::None);
    assert_eq!(writer.index().version(), version);
}

#[test]
fn pods_beyond_the_bound_are_counted() {
    let mut writer = Writer::new();
    for n in 0..=MAX_PODS {
        writer.apply(&running(&format!("u{n}"), &format!("c{n}"))).unwrap();
    }
    assert_eq!(writer.refused(), 1);
    assert!(writer.index().by_container(&format!("c{MAX_PODS}")).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Apply(u8, u8),
    Delete(u8),
    List(Vec<(u8, u8)>),
    Sweep(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..3_u8).prop_map(|(pod, instance)| Step::Apply(pod, instance)),
        2 => (0..6_u8).prop_map(Step::Delete),
        1 => proptest::collection::vec((0..6_u8, 0..3_u8), 0..6).prop_map(Step::List),
        1 => (0..200_u8).prop_map(Step::Sweep),
    ]
}

proptest! {
    /// Whatever comes in whatever order: each live pod is found by UID and by its current container, and nothing is found
    /// that was never applied or is gone for longer than the grace time.
    #[test]
    fn lookups_agree_with_a_plain_model(steps in proptest::collection::vec(step(), 0..60)) {
        let mut writer = Writer::new();
        let index = writer.index();
        let mut now = 0;
        let mut model: std::collections::BTreeMap<u8, (u8, Option<i64>)> = Default::default();
        let object = |n: u8, instance: u8| running(&format!("u{n}"), &format!("c{n}.{instance}"));
        for step in steps {
            match step {
                Step::Apply(n, instance) => {
                    writer.apply(&object(n, instance)).unwrap();
                    model.insert(n, (instance, None));
                }
                Step::Delete(n) => {
                    writer.delete(&object(n, 0), now);
                    if let Some((_, gone @ None)) = model.get_mut(&n) { *gone = Some(now); }
                }
                Step::List(pods) => {
                    writer.begin_list();
                    let mut seen = std::collections::BTreeSet::new();
                    for (n, instance) in pods {
                        writer.apply(&object(n, instance)).unwrap();
                        model.insert(n, (instance, None));
                        seen.insert(n);
                    }
                    writer.end_list(now);
                    for (n, (_, gone)) in &mut model {
                        if gone.is_none() && !seen.contains(n) { *gone = Some(now); }
                    }
                }
                Step::Sweep(seconds) => {
                    now += i64::from(seconds);
                    writer.sweep(now);
                    model.retain(|_, (_, gone)| gone.is_none_or(|at| now - at < LOOKUP_GRACE_SECONDS));
                }
            }
            for n in 0..6_u8 {
                let found = index.by_pod_uid(&format!("u{n}"));
                prop_assert_eq!(found.is_some(), model.contains_key(&n));
                if let Some((instance, _)) = model.get(&n) {
                    let by_container = index.by_container(&format!("c{n}.{instance}"));
                    prop_assert_eq!(by_container.map(|(pod, at)| (pod.uid.clone(), at)), Some((format!("u{n}"), 0)));
                } else {
                    for instance in 0..3 {
                        let found = index.by_container(&format!("c{n}.{instance}"));
                        prop_assert!(found.is_none());
                    }
                }
            }
        }
    }
}
