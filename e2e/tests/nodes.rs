//! Several nodes: each agent tells of its own pods only, and can write only what is its own.
use anyhow::{Context, Result, ensure};
use crds::{ClusterPolicyReport, SYSTEM_NAMESPACE};
use e2e::{case, cluster::Scripts, limit, pod::Pod, until, until::Seen};
use kube::{Api, Client, Config, ResourceExt, api::PostParams, config::AuthInfo};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn each_node_reports_only_its_own_pods() -> Result<()> {
    let Some(scripts) = e2e::gate::cluster("nodes").then(|| Scripts::find("nodes")).flatten() else { return Ok(()) };
    case("nodes", async |t| {
        scripts.run("node.sh", &["2"]).await?;
        scripts.run("images.sh", &["2", "eyas", "busybox"]).await?;
        let outcome = on_two_nodes(t).await;
        scripts.run("node.sh", &["2", "down"]).await?;
        t.kubectl(&["delete", "na", "node2", "--ignore-not-found"]).await?;
        outcome
    })
    .await
}

async fn on_two_nodes(t: &e2e::Case) -> Result<()> {
    until("the agent of node2 is armed", limit(60.0), async || {
        let revision = e2e::case::revision(&t.node_agent("node2").await?)?;
        Ok(Seen::when(!revision.is_empty(), (), "no revision"))
    })
    .await?;
    let (name, file) = (format!("nodes-{}", t.nonce), format!("/tmp/{}", t.nonce));
    t.apply_rule(&name, &format!("evt.type in (open, openat) and fd.name = {file}"), "Warning").await?;
    let (rule, _) = t.condition((SYSTEM_NAMESPACE, &name), ("Ready", "True"), 15.0).await?;
    ensure!(rule.status.and_then(|s| s.armed).as_deref() == Some("2/2"));
    for node in ["node1", "node2"] {
        let pod = Pod::start(&t.cluster, &t.namespace, &format!("on-{node}"), json!({"nodeName": node})).await?;
        pod.sh(&format!(": > {file}")).await?;
    }
    t.until_reported(&name, 2, 10.0).await?;
    // A second writer would show as a second report, a wrong label or a match counted twice.
    tokio::time::sleep(limit(6.0)).await;
    let results = t.results(&t.namespace, &name).await?;
    ensure!(results.len() == 2, "{} results for two pods", results.len());
    for (report, _) in results {
        let pod = report.spec.scope.clone().and_then(|s| s.name).context("scope")?;
        let node = report.labels().get("eyas.dev/node").cloned().unwrap_or_default();
        ensure!(pod == format!("on-{node}"), "{node} reports {pod}");
    }
    t.until_matches((SYSTEM_NAMESPACE, &name), 2, 40.0).await?;
    // Neither node took the other's pods for processes of its own host.
    let hosts: Api<ClusterPolicyReport> = Api::all(t.client.clone());
    for report in hosts.list(&Default::default()).await? {
        ensure!(report.spec.results.iter().all(|r| r.policy != name), "{} tells of a pod", report.name_any());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_agents_has_no_gap_and_tells_nothing_twice() -> Result<()> {
    case("upgrade", async |t| {
        let node = t.nodes().await?.into_iter().next().context("no node")?;
        let (name, file) = (format!("upgrade-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(&name, &format!("evt.type in (open, openat) and fd.name = {file} and evt.is_open_read = true"), "Warning").await?;
        let pod = Pod::start(&t.cluster, &t.namespace, "reader", json!({"nodeName": node})).await?;
        pod.sh(&format!("> {file}")).await?;
        let before = t.agent_pod(&node).await?.name_any();
        let read = format!(
            "i=0; while [ ! -e /tmp/stop ]; do for n in 1 2 3 4 5; do : < {file}; done; i=$((i+5)); usleep 3000; done; echo $i"
        );
        let (reads, upgraded) = tokio::join!(pod.sh(&read), async {
            tokio::time::sleep(limit(2.0)).await;
            let agents = ["-n", SYSTEM_NAMESPACE, "rollout"];
            let outcome = async {
                t.kubectl(&[&agents[..], &["restart", "daemonset/eyas-agent"]].concat()).await?;
                t.kubectl(&[&agents[..], &["status", "daemonset/eyas-agent", "--timeout=120s"]].concat()).await?;
                // The old one's end is not waited for by that.
                let label = "app.kubernetes.io/name=eyas-agent";
                until("one agent", limit(30.0), async || {
                    let pods = t.kubectl(&["-n", SYSTEM_NAMESPACE, "get", "pods", "-l", label, "-o", "name"]).await?;
                    let nodes = t.nodes().await?.len();
                    Ok(Seen::when(pods.lines().count() == nodes, (), pods))
                })
                .await
            }
            .await;
            tokio::time::sleep(limit(2.0)).await;
            pod.sh("> /tmp/stop").await?;
            outcome
        });
        upgraded?;
        let reads: u64 = reads?.trim().parse().context("how many reads")?;
        let now = t.agent_pod(&node).await?.name_any();
        ensure!(now != before, "the agent is the same: {now}");
        println!("{reads} reads while {before} handed over to {now}");
        t.until_reported(&name, reads, 20.0).await?;
        t.until_matches((SYSTEM_NAMESPACE, &name), i64::try_from(reads)?, 60.0).await?;
        // More would be told twice.
        tokio::time::sleep(limit(5.0)).await;
        let reported = t.reported(&t.namespace, &name).await?;
        ensure!(reported == reads, "{reported} reported of {reads}");
        let status = t.node_agent(&node).await?.status.context("no status")?;
        ensure!(status.blind.is_none(), "blind: {:?}", status.blind);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_token_writes_nothing_of_another_node() -> Result<()> {
    case("admission", async |t| {
        let node = t.nodes().await?.into_iter().next().context("no node")?;
        let agent = t.agent_pod(&node).await?;
        // A token as the kubelet gives it: bound to the agent's pod, hence to its node.
        let uid = agent.uid().context("uid")?;
        let bound = [
            "--bound-object-kind=Pod",
            &format!("--bound-object-name={}", agent.name_any()),
            &format!("--bound-object-uid={uid}"),
        ];
        let token =
            t.kubectl(&[&["-n", SYSTEM_NAMESPACE, "create", "token", "eyas-agent"], &bound[..]].concat()).await?;
        let mut config = Config::infer().await?;
        config.auth_info = AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() };
        let as_agent = Client::try_from(config)?;

        let agents: Api<crds::NodeAgent> = Api::all(as_agent.clone());
        ensure!(agents.get(&node).await?.metadata.name == Some(node.clone()), "the agent cannot read its own");
        let foreign = |name: &str| {
            serde_json::from_value::<crds::NodeAgent>(json!({
                "apiVersion": "eyas.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": name}, "spec": {},
            }))
        };
        let refused = agents.create(&PostParams::default(), &foreign("another-node")?).await;
        let error = refused.err().context("a NodeAgent of another node was accepted")?;
        ensure!(error.to_string().contains("node"), "refused for another reason: {error}");

        let reports: Api<crds::PolicyReport> = Api::namespaced(as_agent.clone(), &t.namespace);
        let report = |node: &str| {
            serde_json::from_value::<crds::PolicyReport>(json!({
                "apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
                "metadata": {"name": format!("eyas-forged-{}", t.nonce), "labels": {"eyas.dev/node": node}},
            }))
        };
        let refused = reports.create(&PostParams::default(), &report("another-node")?).await;
        ensure!(refused.is_err(), "a report of another node was accepted");
        // The same for its own node is accepted: it was the node that was refused, not the agent.
        reports.create(&PostParams::default(), &report(&node)?).await?;
        // And nothing else at all: no rule, no secret.
        let rules: Api<crds::DetectionRule> = Api::namespaced(as_agent.clone(), SYSTEM_NAMESPACE);
        ensure!(rules.list(&Default::default()).await.is_err(), "the agent may list rules");
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(as_agent, SYSTEM_NAMESPACE);
        ensure!(secrets.list(&Default::default()).await.is_err(), "the agent may list secrets");
        Ok(())
    })
    .await
}
