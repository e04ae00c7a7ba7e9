//! An Exception silences, counts what it silences, and ends at its time.
use anyhow::{Result, ensure};
use crds::{Exception, SYSTEM_NAMESPACE};
use e2e::{case, limit, until, until::Seen};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_for_a_service_account_counts_what_it_suppresses_and_expires() -> Result<()> {
    case("exception", async |t| {
        let (name, file) = (format!("exception-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(&name, &format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}"), "Warning").await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        pod.open(&file, 3, "0").await?;
        t.until_reported(&name, 3, 8.0).await?;

        let expires = Timestamp::now() + SignedDuration::from_secs(20);
        let exception = json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "Exception",
            "metadata": {"name": format!("quiet-{}", t.nonce), "namespace": SYSTEM_NAMESPACE},
            "spec": {
                "rules": [name], "reason": "the backup reads it", "owner": "team-e2e", "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "match": {"serviceAccounts": [format!("{}/default", t.namespace)]},
            },
        });
        t.apply(&exception.to_string()).await?;
        let exceptions: Api<Exception> = Api::namespaced(t.client.clone(), SYSTEM_NAMESPACE);
        let read = async || anyhow::Ok(exceptions.get(&format!("quiet-{}", t.nonce)).await?.status.unwrap_or_default());
        until("the Exception is Ready", limit(5.0), async || {
            let status = read().await?;
            Ok(Seen::when(status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"), (), format!("{status:?}")))
        })
        .await?;
        t.settled().await?;
        pod.open(&file, 7, "0").await?;
        until("7 suppressed in its status", limit(40.0), async || {
            let status = read().await?;
            Ok(Seen::when(status.suppressed == Some(7) && status.last_matched.is_some(), (), format!("{status:?}")))
        })
        .await?;
        ensure!(t.reported(&t.namespace, &name).await? == 3, "matches went on beside the Exception");
        let left = expires.duration_since(Timestamp::now());
        if left.is_positive() {
            tokio::time::sleep(Duration::try_from(left)?).await;
        }
        pod.open(&file, 2, "0").await?;
        t.until_reported(&name, 5, 8.0).await?;
        until("the rule counts what was suppressed too", limit(65.0), async || {
            let status = t.rule(SYSTEM_NAMESPACE, &name).await?.status.unwrap_or_default();
            Ok(Seen::when(status.suppressed == Some(7), (), format!("{:?}", status.suppressed)))
        })
        .await?;
        until("Expired is told", limit(10.0), async || {
            let status = read().await?;
            Ok(Seen::when(status.conditions.iter().any(|c| c.type_ == "Expired" && c.status == "True"), (), format!("{status:?}")))
        })
        .await?;
        Ok(())
    })
    .await
}
