//! Rules in a cluster: applied, armed, refused with a reason, kept when an edit is bad, and within their tenancy.
use anyhow::{Context, Result, ensure};
use crds::SYSTEM_NAMESPACE;
use e2e::{case, limit, pod::Pod, until, until::Seen};
use serde_json::json;

const SYSTEM: &str = SYSTEM_NAMESPACE;

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_rule_is_accepted_and_armed_within_two_seconds() -> Result<()> {
    case("armed", async |t| {
        // Several times, as one slow moment of the machine says nothing: the median counts.
        let mut times = Vec::new();
        for i in 0..5 {
            let name = format!("armed-{}-{i}", t.nonce);
            t.apply_rule(&name, &format!("evt.type = execve and proc.name = never-{}", t.nonce), "Notice").await?;
            let (rule, took) = t.condition((SYSTEM, &name), ("Ready", "True"), 10.0).await?;
            let status = rule.status.context("status")?;
            let nodes = t.nodes().await?.len();
            ensure!(status.armed.as_deref() == Some(&format!("{nodes}/{nodes}")), "armed is {:?}", status.armed);
            for condition in ["Accepted", "Armed"] {
                ensure!(status.conditions.iter().any(|c| c.type_ == condition && c.status == "True"));
            }
            times.push(took);
        }
        times.sort();
        println!("apply to Ready: median {:?}, longest {:?}", times[2], times[4]);
        ensure!(times[2] < limit(2.0), "the median of {times:?} is over the limit");
        let wait = ["-n", SYSTEM, "wait", "--for=condition=Ready", &format!("dr/armed-{}-0", t.nonce), "--timeout=5s"];
        t.kubectl(&wait).await?;
        let row = t.kubectl(&["-n", SYSTEM, "get", "dr", &format!("armed-{}-0", t.nonce)]).await?;
        for column in ["PRIORITY", "STATE", "READY", "ARMED", "VERIFIED", "MATCHES", "LAST"] {
            ensure!(row.contains(column), "no column {column}:\n{row}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_rule_says_where_and_what_instead_and_harms_no_other() -> Result<()> {
    case("badrule", async |t| {
        let good = format!("good-{}", t.nonce);
        t.armed_rule(&good, &format!("evt.type = execve and proc.name = never-{}", t.nonce), "Notice").await?;
        let field = format!("field-{}", t.nonce);
        t.apply_rule(&field, "evt.type = open and fd.nam = /etc/shadow", "Warning").await?;
        let (rule, took) = t.condition((SYSTEM, &field), ("Accepted", "False"), 2.0).await?;
        println!("refused after {took:?}");
        let said = t.kubectl(&["-n", SYSTEM, "describe", "dr", &field]).await?;
        for part in ["fd.nam", "did you mean", "fd.name", "^"] {
            ensure!(said.contains(part), "describe does not say '{part}':\n{said}");
        }
        ensure!(rule.status.context("status")?.conditions.iter().any(|c| c.type_ == "Stalled" && c.status == "True"));
        let syntax = format!("syntax-{}", t.nonce);
        t.apply_rule(&syntax, "evt.type = open and (fd.name = /etc/shadow", "Warning").await?;
        t.condition((SYSTEM, &syntax), ("Accepted", "False"), 2.0).await?;
        let said = t.kubectl(&["-n", SYSTEM, "describe", "dr", &syntax]).await?;
        ensure!(said.contains('^') && said.contains("1:") || said.contains("line 1"), "no place:\n{said}");
        // All others stay armed: ours, and each of the default rules.
        let (rule, _) = t.condition((SYSTEM, &good), ("Ready", "True"), 5.0).await?;
        ensure!(rule.metadata.generation == Some(1));
        t.kubectl(&["-n", SYSTEM, "wait", "--for=condition=Ready", "dr/read-sensitive-file", "--timeout=5s"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_rule_edited_into_a_bad_one_stays_in_force() -> Result<()> {
    case("badedit", async |t| {
        let (name, file) = (format!("edited-{}", t.nonce), format!("/tmp/{}", t.nonce));
        let good = format!("evt.type in (open, openat) and fd.name = {file}");
        t.armed_rule(&name, &good, "Warning").await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!("touch {file}; cat {file}")).await?;
        until("the first matches", limit(5.0), async || {
            let now = t.reported(&t.namespace, &name).await?;
            Ok(Seen::when(now > 0, (), now))
        })
        .await?;
        t.apply_rule(&name, &good.replace("fd.name", "fd.nam"), "Warning").await?;
        t.condition((SYSTEM, &name), ("Accepted", "False"), 5.0).await?;
        let before = t.reported(&t.namespace, &name).await?;
        pod.sh(&format!("cat {file}")).await?;
        until("the last good generation still matches", limit(6.0), async || {
            let now = t.reported(&t.namespace, &name).await?;
            Ok(Seen::when(now > before, (), now))
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_rule_and_exception_act_on_its_own_pods_only() -> Result<()> {
    case("tenant", async |t| {
        let other = format!("{}-other", t.namespace);
        t.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}).to_string()).await?;
        let file = format!("/tmp/{}", t.nonce);
        let condition = format!("evt.type in (open, openat) and fd.name = {file}");
        let (of_tenant, of_system) = (format!("tenant-{}", t.nonce), format!("system-{}", t.nonce));
        t.apply_rule_in(&t.namespace, &of_tenant, &condition, "Warning").await?;
        t.armed_rule(&of_system, &condition, "Warning").await?;
        t.condition((&t.namespace, &of_tenant), ("Ready", "True"), 10.0).await?;
        let own = t.pod("own").await?;
        let foreign = Pod::start(&t.cluster, &other, "foreign", json!({})).await?;
        let touch = format!(": > {file}");
        for pod in [&own, &foreign] {
            pod.sh(&touch).await?;
        }
        t.until_reported(&of_system, 1, 6.0).await?;
        t.until_reported(&of_tenant, 1, 6.0).await?;
        until("the system rule sees the other namespace", limit(6.0), async || {
            let now = t.reported(&other, &of_system).await?;
            Ok(Seen::when(now == 1, (), now))
        })
        .await?;
        ensure!(t.reported(&other, &of_tenant).await? == 0, "a tenant's rule saw another namespace's pod");

        // The tenant silences the system rule for its own pods (Warning: allowed), and only for them.
        let exception = json!({
            "apiVersion": "eyas.dev/v1alpha1", "kind": "Exception", "metadata": {"name": "quiet"},
            "spec": {"rules": [of_system], "match": {"podSelector": {}}, "reason": "known"},
        });
        t.apply(&exception.to_string()).await?;
        let wait = ["-n", &t.namespace, "wait", "--for=condition=Ready", "ex/quiet", "--timeout=10s"];
        t.kubectl(&wait).await?;
        t.settled().await?;
        for pod in [&own, &foreign] {
            pod.sh(&touch).await?;
        }
        until("the other namespace's second match", limit(8.0), async || {
            let now = t.reported(&other, &of_system).await?;
            Ok(Seen::when(now == 2, (), now))
        })
        .await?;
        t.until_reported(&of_tenant, 2, 8.0).await?;
        ensure!(t.reported(&t.namespace, &of_system).await? == 1, "the tenant's Exception did nothing");
        Ok(())
    })
    .await
}
