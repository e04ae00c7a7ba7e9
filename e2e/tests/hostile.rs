//! Bad bytes where the ruleset should be: the last good one stays, and the reason is shown.
use anyhow::{Context, Result, ensure};
use crds::SYSTEM_NAMESPACE;
use e2e::{Case, case, limit, until, until::Seen};
use serde_json::{Value, json};

const SYSTEM: &str = SYSTEM_NAMESPACE;

async fn scale(t: &Case, replicas: &str) -> Result<()> {
    t.kubectl(&["-n", SYSTEM, "scale", "deployment/eyas-operator", &format!("--replicas={replicas}")]).await?;
    if replicas == "0" {
        let gone = [
            "-n",
            SYSTEM,
            "wait",
            "--for=delete",
            "pod",
            "-l",
            "app.kubernetes.io/name=eyas-operator",
            "--timeout=40s",
        ];
        t.kubectl(&gone).await?;
    } else {
        t.kubectl(&["-n", SYSTEM, "rollout", "status", "deployment/eyas-operator", "--timeout=60s"]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_configmap_changes_nothing_but_the_status() -> Result<()> {
    case("hostile", async |t| {
        let (name, file) = (format!("hostile-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(
            &name,
            &format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}"),
            "Warning",
        )
        .await?;
        let good = t.settled().await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        // Without the operator, which would put the ConfigMap right again.
        scale(t, "0").await?;
        let outcome = corrupt(t, &name, &file, &good, &pod).await;
        scale(t, "1").await?;
        outcome?;
        // The operator publishes what is right, and the complaint goes away.
        let node = t.nodes().await?.into_iter().next().context("no node")?;
        until("the error is gone", limit(30.0), async || {
            let status = t.node_agent(&node).await?.status.unwrap_or_default();
            Ok(Seen::when(status.ruleset_error.is_empty(), (), status.ruleset_error))
        })
        .await?;
        Ok(())
    })
    .await
}

async fn corrupt(t: &Case, name: &str, file: &str, good: &str, pod: &e2e::pod::Pod) -> Result<()> {
    let map: Value =
        serde_json::from_str(&t.kubectl(&["-n", SYSTEM, "get", "configmap", "eyas-ruleset", "-o", "json"]).await?)?;
    let key = map["binaryData"].as_object().and_then(|b| b.keys().next()).context("no binaryData")?.clone();
    let schema = map["data"]["schema"].as_str().context("no schema")?;
    let cases = [
        ("a wrong checksum", json!({"data": {"revision": "bad-1", "checksum": "0".repeat(64)}})),
        // The bytes 0 to 7 and their right sum: not even compressed.
        (
            "bytes that are no ruleset",
            json!({"data": {"revision": "bad-2", "checksum": "8a851ff82ee7048ad09ec3847f1ddf44944104d2cbd17ef4e3db22c6785a0d45"}, "binaryData": {key: "AAECAwQFBgc="}}),
        ),
        ("an unknown schema version", json!({"data": {"revision": "bad-3", "schema": format!("{schema}9")}})),
    ];
    let node = t.nodes().await?.into_iter().next().context("no node")?;
    let mut reported = 0;
    for (what, patch) in cases {
        let last = t.node_agent(&node).await?.status.unwrap_or_default().ruleset_error;
        t.kubectl(&["-n", SYSTEM, "patch", "configmap", "eyas-ruleset", "--type=merge", "-p", &patch.to_string()])
            .await?;
        let (said, _) = until(&format!("{what} is told"), limit(10.0), async || {
            let status = t.node_agent(&node).await?.status.unwrap_or_default();
            ensure!(status.revision == good, "the agent took revision {}", status.revision);
            let new = !status.ruleset_error.is_empty() && status.ruleset_error != last;
            Ok(Seen::when(new, status.ruleset_error.clone(), status.ruleset_error))
        })
        .await?;
        println!("{what}: {said}");
        pod.open(file, 1, "0").await?;
        reported += 1;
        t.until_reported(name, reported, 8.0).await?;
    }
    Ok(())
}
