//! Parts die: agent, operator, API server. What was matched is not lost, and what could not be seen is said.
use anyhow::{Context, Result, ensure};
use crds::SYSTEM_NAMESPACE;
use e2e::{Case, case, cluster::Scripts, limit, until, until::Seen};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use std::{fs, time::Duration};

const SYSTEM: &str = SYSTEM_NAMESPACE;

/// Kills a container of a pod from outside, as the kernel's OOM killer would: SIGKILL to its process, found by its command line and its
/// pod's UID in its cgroup.
fn kill_container(pod_uid: &str, binary: &str) -> Result<()> {
    let mut killed = 0;
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let first = command.split(|b| *b == 0).next().unwrap_or_default();
        if cgroup.contains(pod_uid) && first.ends_with(binary.as_bytes()) {
            let pid = rustix::process::Pid::from_raw(pid).context("a pid")?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            killed += 1;
        }
    }
    ensure!(killed == 1, "{killed} processes '{binary}' in pod {pod_uid}");
    Ok(())
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.map_or(0, |s| s.iter().map(|c| c.restart_count).sum())
}

async fn system_pod(t: &Case, app: &str) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(t.client.clone(), SYSTEM);
    let list = pods.list(&ListParams::default().labels(&format!("app.kubernetes.io/name={app}"))).await?;
    list.items.into_iter().find(|p| p.metadata.deletion_timestamp.is_none()).with_context(|| format!("no pod of {app}"))
}

/// Waits until a pod's container has been started again after `before` restarts and is ready.
async fn back(t: &Case, app: &str, before: i32) -> Result<Duration> {
    let what = format!("{app} is back");
    let (_, took) = until(&what, limit(45.0), async || {
        let pod = system_pod(t, app).await?;
        let ready = pod
            .status
            .as_ref()
            .and_then(|s| s.conditions.as_ref())
            .is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        Ok(Seen::when(ready && restarts(&pod) > before, (), format!("ready {ready}, restarts {}", restarts(&pod))))
    })
    .await?;
    Ok(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_arms_again_and_loses_no_match_it_had_made() -> Result<()> {
    case("killagent", async |t| {
        let (name, file) = (format!("killed-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(
            &name,
            &format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}"),
            "Error",
        )
        .await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        pod.open(&file, 25, "0").await?;
        // The report's first write has happened; what follows is within the five seconds in which it is not written again.
        t.until_reported(&name, 25, 10.0).await?;
        let agent = system_pod(t, "eyas-agent").await?;
        kill_container(agent.metadata.uid.as_deref().context("uid")?, "eyas-agent")?;
        let took = back(t, "eyas-agent", restarts(&agent)).await?;
        println!("the agent is ready again {took:?} after its death");
        pod.open(&file, 5, "0").await?;
        // Counts go on from where they were.
        t.until_reported(&name, 30, 10.0).await?;
        t.until_matches((SYSTEM, &name), 30, 40.0).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operator_and_router_go_on_where_they_were() -> Result<()> {
    case("killoperator", async |t| {
        let (name, file) = (format!("kept-{}", t.nonce), format!("/tmp/{}", t.nonce));
        let condition = format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}");
        t.armed_rule(&name, &condition, "Error").await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        pod.open(&file, 3, "0").await?;
        t.until_matches((SYSTEM, &name), 3, 35.0).await?;
        for app in ["eyas-operator", "eyas-router"] {
            let victim = system_pod(t, app).await?;
            kill_container(victim.metadata.uid.as_deref().context("uid")?, "eyas-operator")?;
            pod.open(&file, 3, "0").await?;
            let took = back(t, app, restarts(&victim)).await?;
            println!("{app} is ready again {took:?} after its death");
        }
        t.until_reported(&name, 9, 10.0).await?;
        t.until_matches((SYSTEM, &name), 9, 65.0).await?;
        // It still compiles, with the same leader election.
        t.apply_rule(&name, &format!("{condition} and proc.name != none"), "Error").await?;
        t.condition((SYSTEM, &name), ("Ready", "True"), 30.0).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_for_half_a_minute_nothing_matched_is_lost() -> Result<()> {
    let Some(scripts) = e2e::gate::cluster("apiserver").then(|| Scripts::find("apiserver")).flatten() else {
        return Ok(());
    };
    case("apiserver", async |t| {
        let (name, file) = (format!("away-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(&name, &format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}"), "Error").await?;
        let pod = t.pod("main").await?;
        let mut before = Vec::new();
        for app in ["eyas-agent", "eyas-operator", "eyas-router"] {
            before.push((app, restarts(&system_pod(t, app).await?)));
        }
        // One shell does it all, as kubectl exec needs the API server: 3 opens a second for 45 s.
        let script = format!(": > {file}; (i=0; while [ $i -lt 45 ]; do : < {file}; : < {file}; : < {file}; sleep 1; i=$((i+1)); done) > /dev/null 2>&1 &");
        pod.sh(&script).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        scripts.run("part.sh", &["kill", "kube-apiserver"]).await?;
        tokio::time::sleep(Duration::from_secs(30)).await;
        scripts.run("part.sh", &["start", "kube-apiserver"]).await?;
        t.until_reported(&name, 135, 60.0).await?;
        t.until_matches((SYSTEM, &name), 135, 65.0).await?;
        for (app, before) in before {
            let now = restarts(&system_pod(t, app).await?);
            // Losing its lease may end the operator once; a storm of restarts it must not be.
            ensure!(now <= before + 1, "{app} restarted {} times without the API server", now - before);
        }
        Ok(())
    })
    .await
}
