//! The operator against a real API server: from `kubectl apply` to the ConfigMap and back to status.
//!
//! One test with stages, since operators on one API server would write each other's status. Needs `EYAS_TEST_KUBECONFIG`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod support;

use crds::{Condition, DetectionRule, Exception, OutputRoute, RuleLibrary, conditions};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use support::{Cluster, eventually, second};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_apply_to_armed_and_back() {
    let Some(cluster) = Cluster::connect().await else { return };
    let operator = cluster.operator("first");
    let agent = cluster.agent();
    eventually("the first ruleset", Duration::from_secs(10), async || cluster.ruleset().await).await;

    a_new_rule_is_armed_within_two_seconds(&cluster).await;
    counters_of_the_router_stay(&cluster).await;
    a_bad_edit_keeps_the_good_one(&cluster).await;
    bad_rules_say_where_and_harm_no_other(&cluster).await;
    a_burst_is_few_writes(&cluster).await;
    other_kinds_have_status(&cluster).await;
    an_exception_expires(&cluster).await;
    an_altered_ruleset_is_written_anew(&cluster).await;

    // kill -9, and the same name again: goes on at once, with the last good form of the bad rule.
    operator.kill();
    let operator = cluster.operator("first");
    cluster.apply::<DetectionRule>(&cluster.system, "after", rule("proc.name = after")).await;
    ready(&cluster, "after", SOON).await;
    let kept = generation_in_force(&cluster, "edited").await;
    assert_eq!(kept, Some(1), "the last good generation survives a restart");

    // Another one waits, and takes over as soon as the first gives the lease back.
    let second = cluster.operator("second");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, took) = operator.terminate();
    assert!(status.success() && took < SOON, "{status} after {took:?}");
    cluster.apply::<DetectionRule>(&cluster.system, "taken-over", rule("proc.name = over")).await;
    ready(&cluster, "taken-over", SOON).await;

    drop(second);
    agent.abort();
    cluster.clean().await;
}

fn rule(condition: &str) -> serde_json::Value {
    json!({"condition": format!("evt.type = execve and {condition}"), "output": "ran %proc.name", "priority": "Notice"})
}

async fn get(cluster: &Cluster, name: &str) -> DetectionRule {
    cluster.api::<DetectionRule>(&cluster.system).get(name).await.unwrap()
}

/// Waits until the rule's condition of that type says so, about its current generation.
async fn says(cluster: &Cluster, name: &str, type_: &str, status: &str, within: Duration) -> (Condition, Duration) {
    let what = format!("{name}: {type_}={status}");
    eventually(&what, within, async || {
        let rule = get(cluster, name).await;
        let current = rule.status.as_ref()?.observed_generation == rule.metadata.generation;
        let found = conditions::find(&rule.status.as_ref()?.conditions, type_)?.clone();
        (current && found.status == status).then_some(found)
    })
    .await
}

async fn ready(cluster: &Cluster, name: &str, within: Duration) -> Duration {
    says(cluster, name, "Ready", "True", within).await.1
}

async fn generation_in_force(cluster: &Cluster, name: &str) -> Option<i64> {
    cluster.ruleset().await?.rules.iter().find(|r| r.id.name == name).map(|r| r.generation)
}

async fn a_new_rule_is_armed_within_two_seconds(cluster: &Cluster) {
    cluster.apply::<DetectionRule>(&cluster.system, "edited", rule("proc.name = one")).await;
    let took = ready(cluster, "edited", Duration::from_secs(2)).await;
    println!("apply to Ready: {took:?}");
    let status = get(cluster, "edited").await.status.unwrap();
    assert_eq!(status.armed.as_deref(), Some("1/1"));
}

/// Two writers of one status, each with its own fields: the edit that follows makes the operator write again.
async fn counters_of_the_router_stay(cluster: &Cluster) {
    let body = json!({
        "apiVersion": "eyas.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "edited"},
        "status": {"matches": {"total": 7}, "suppressed": 2},
    });
    let rules = cluster.api::<DetectionRule>(&cluster.system);
    let params = PatchParams::apply(crds::ROUTER_MANAGER).force();
    rules.patch_status("edited", &params, &Patch::Apply(body)).await.unwrap();
    assert!(conditions::is_true(&get(cluster, "edited").await.status.unwrap().conditions, "Ready"));
}

async fn a_bad_edit_keeps_the_good_one(cluster: &Cluster) {
    cluster.apply::<DetectionRule>(&cluster.system, "edited", rule("proc.nam = one")).await;
    let (accepted, _) = says(cluster, "edited", "Accepted", "False", SOON).await;
    for part in ["condition:1:23", "^^^^^^^^", "did you mean proc.name?", "generation 1, the last good one"] {
        assert!(accepted.message.contains(part), "no {part:?} in:\n{}", accepted.message);
    }
    assert_eq!(says(cluster, "edited", "Armed", "True", SOON).await.0.reason, "LastGoodArmed");
    assert_eq!(says(cluster, "edited", "Stalled", "True", SOON).await.0.reason, "InvalidCondition");
    assert_eq!(generation_in_force(cluster, "edited").await, Some(1));
    let status = get(cluster, "edited").await.status.unwrap();
    assert_eq!((status.matches.map(|m| m.total), status.suppressed), (Some(7), Some(2)));
}

async fn bad_rules_say_where_and_harm_no_other(cluster: &Cluster) {
    cluster.apply::<DetectionRule>(&cluster.system, "syntax", rule("and proc.name = x")).await;
    let failing = json!({
        "condition": "evt.type = execve and proc.name = x", "output": "x", "priority": "Notice",
        "tests": [{"name": "must match", "expect": "Match", "events": [{"evt.type": "execve", "proc.name": "y"}]}],
    });
    cluster.apply::<DetectionRule>(&cluster.system, "failing-test", failing).await;
    cluster.apply::<DetectionRule>(&cluster.system, "good", rule("proc.name = good")).await;
    ready(cluster, "good", SOON).await;
    let (syntax, _) = says(cluster, "syntax", "Accepted", "False", SOON).await;
    assert!(syntax.message.contains("condition:1:23"), "{}", syntax.message);
    let (test, _) = says(cluster, "failing-test", "Accepted", "False", SOON).await;
    assert_eq!(test.reason, "TestFailed");
    let sentence = "test \"must match\", event 1: expected a match, found none; `proc.name = x` was false: proc.name=y";
    assert_eq!(test.message, sentence);
}

async fn a_burst_is_few_writes(cluster: &Cluster) {
    let version = async || {
        let map = cluster.api::<ConfigMap>(&cluster.system).get("eyas-ruleset").await.unwrap();
        map.metadata.resource_version.unwrap()
    };
    let (mut writes, mut last) = (0, version().await);
    for i in 0..100 {
        cluster
            .apply::<DetectionRule>(&cluster.system, &format!("burst-{i}"), rule(&format!("proc.name = b{i}")))
            .await;
        let now = version().await;
        writes += usize::from(now != last);
        last = now;
    }
    let took = ready(cluster, "burst-99", Duration::from_secs(10)).await;
    println!("100 rules: {writes} writes of the ruleset while they came, the last Ready after {took:?}");
    assert!(writes <= 10, "{writes} writes");
    eventually("all of them", SOON, async || {
        let rules = cluster.ruleset().await?.rules;
        (rules.iter().filter(|r| r.id.name.starts_with("burst-")).count() == 100).then_some(())
    })
    .await;
    // Status comes to rest: nothing is written when nothing changes.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let list = async || {
        let list = cluster.api::<DetectionRule>(&cluster.system).list(&kube::api::ListParams::default()).await;
        let mut versions: Vec<_> =
            list.unwrap().items.into_iter().map(|r| (r.metadata.name, r.metadata.resource_version)).collect();
        versions.sort();
        versions
    };
    let before = list().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(before, list().await, "status is written although nothing changes");
}

async fn other_kinds_have_status(cluster: &Cluster) {
    let tenant = cluster.tenant();
    let macros = json!({"macros": [{"name": "m_test", "condition": "proc.name = m"}]});
    cluster.apply::<RuleLibrary>(&tenant, "words", macros.clone()).await;
    cluster.apply::<OutputRoute>(&tenant, "out", json!({"stdout": {}})).await;
    let blind = json!({"reason": "a tenant that wants too much", "match": {"namespaces": ["kube-system"]}});
    cluster.apply::<Exception>(&tenant, "greedy", blind).await;
    eventually("library ready", SOON, async || {
        let status = cluster.api::<RuleLibrary>(&tenant).get("words").await.ok()?.status?;
        (conditions::is_true(&status.conditions, "Ready") && status.macros == Some(1)).then_some(())
    })
    .await;
    eventually("route ready", SOON, async || {
        let status = cluster.api::<OutputRoute>(&tenant).get("out").await.ok()?.status?;
        conditions::is_true(&status.conditions, "Ready").then_some(())
    })
    .await;
    eventually("tenant refused", SOON, async || {
        let status = cluster.api::<Exception>(&tenant).get("greedy").await.ok()?.status?;
        let accepted = conditions::find(&status.conditions, "Accepted")?;
        (accepted.status == "False" && accepted.message.contains("its own namespace")).then_some(())
    })
    .await;
    // Of two libraries with one name the newer is in conflict.
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.apply::<RuleLibrary>(&tenant, "again", macros).await;
    eventually("conflict", SOON, async || {
        let status = cluster.api::<RuleLibrary>(&tenant).get("again").await.ok()?.status?;
        conditions::is_true(&status.conditions, "Conflict").then_some(())
    })
    .await;
}

async fn an_exception_expires(cluster: &Cluster) {
    let end = Timestamp::now() + Duration::from_secs(4);
    let spec = json!({"rules": ["good"], "reason": "known", "expiresAt": second(end)});
    cluster.apply::<Exception>(&cluster.system, "short", spec).await;
    let says = async |type_: &str| {
        let status = cluster.api::<Exception>(&cluster.system).get("short").await.ok()?.status?;
        conditions::is_true(&status.conditions, type_).then_some(())
    };
    eventually("in force", SOON, async || says("Ready").await).await;
    eventually("expired", Duration::from_secs(8), async || says("Expired").await).await;
    assert_eq!(says("Ready").await, None);
    assert!(Timestamp::now() >= Timestamp::from_second(end.as_second()).unwrap());
}

async fn an_altered_ruleset_is_written_anew(cluster: &Cluster) {
    let maps = cluster.api::<ConfigMap>(&cluster.system);
    let good = cluster.ruleset().await.unwrap().revision;
    let patch = json!({"data": {"checksum": "0"}});
    maps.patch("eyas-ruleset", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let same = async || cluster.ruleset().await.filter(|r| r.revision == good);
    eventually("healed", SOON, same).await;
    maps.delete("eyas-ruleset", &DeleteParams::default()).await.unwrap();
    eventually("made anew", SOON, same).await;
}
