//! The cluster parts of the agent against a real API server (`EYAS_TEST_KUBECONFIG`, with the CRDs applied), by way of a
//! proxy that can be cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
mod support;

use agent::{
    cluster,
    detect::TotalsHandle,
    handover::Duty,
    report::{ReportSink, Writes},
    run::seams::{AlertSink, Origin, RulesetEvent, Seams},
    status,
};
use crds::{ClusterPolicyReport, NodeAgent, PolicyReport, ruleset_map};
use engine::ruleset::{Ruleset, SCHEMA_VERSION};
use futures::StreamExt;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use support::{World, alert, eventually};
use tokio::sync::mpsc;

/// A running agent without its kernel side.
struct Agent {
    pods: agent::workload::Index,
    reports: ReportSink,
    writes: Arc<Writes>,
    router_ca: tokio::sync::watch::Receiver<Option<String>>,
    seams: Seams,
    rulesets: mpsc::Receiver<RulesetEvent>,
}

impl Agent {
    fn start(world: &World, state: &Path) -> Self {
        let (sender, rulesets) = mpsc::channel(8);
        let seams = Seams {
            node: world.node.as_str().into(),
            agent: uuid::Uuid::new_v4(),
            rulesets: sender,
            pods: agent::workload::Index::standalone(),
            status: status::Handle::default(),
            totals: TotalsHandle::default(),
            state_dir: Some(state.to_owned()),
            duty: Duty::default(),
            pages: Default::default(),
            shutdown: Default::default(),
            tasks: Default::default(),
        };
        let watched = cluster::watch(&world.agent, &world.namespace, &seams);
        let (pods, router_ca) = (watched.pods.clone(), watched.router_ca.clone());
        let (reports, writes) = watched.tell(&world.agent, &seams);
        Self { pods, reports, writes, router_ca, seams, rulesets }
    }

    fn matched(&self, world: &World, pod: Option<&Pod>, count: u64) {
        self.reports.submit(&Arc::new(alert(&world.node, pod, count)));
    }

    async fn stop(self) {
        self.seams.shutdown.cancel();
        self.seams.tasks.close();
        tokio::time::timeout(Duration::from_secs(3), self.seams.tasks.wait()).await.unwrap();
    }

    async fn ruleset(&mut self) -> RulesetEvent {
        tokio::time::timeout(Duration::from_secs(20), self.rulesets.recv()).await.unwrap().unwrap()
    }

    async fn refusal(&mut self) -> String {
        match self.ruleset().await {
            RulesetEvent::Failed { origin: Origin::ConfigMap, reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn revision(&mut self) -> String {
        match self.ruleset().await {
            RulesetEvent::Update(update) => update.ruleset.revision.clone(),
            other => panic!("{other:?}"),
        }
    }
}

async fn count(world: &World, pod: &Pod) -> Option<u64> {
    let api = Api::<PolicyReport>::namespaced(world.admin.clone(), &world.namespace);
    let all = api.list(&ListParams::default()).await.unwrap();
    let report = all.into_iter().find(|r| r.spec.scope.as_ref().unwrap().uid == pod.uid())?;
    report.spec.results[0].properties["count"].parse().ok()
}

async fn count_is(world: &World, pod: &Pod, expected: u64) {
    eventually(&format!("a count of {expected}"), || async { count(world, pod).await == Some(expected) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_known_by_container_and_their_matches_are_reported() {
    let Some(world) = World::new("reports").await else { return };
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::start(&world, state.path());
    let pod = world.pod("web", "c1").await;
    let index = agent.pods.clone();
    eventually("the pod in the index", || async { index.by_container("c1").is_some() }).await;
    let (meta, at) = index.by_container("c1").unwrap();
    assert_eq!((meta.uid.as_str(), meta.containers[at].name.as_str()), (pod.uid().unwrap().as_str(), "app"));
    assert!(index.synced());

    for _ in 0..1000 {
        agent.matched(&world, Some(&pod), 1);
    }
    agent.matched(&world, None, 3);
    count_is(&world, &pod, 1000).await;
    let report = Api::<PolicyReport>::namespaced(world.admin.clone(), &world.namespace)
        .list(&ListParams::default().labels(&format!("eyas.dev/node={}", world.node)))
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(report.owner_references()[0].name, world.node);
    assert!(report.metadata.generation.unwrap() <= 3, "{:?} writes for 1000 matches", report.metadata.generation);
    let host = Api::<ClusterPolicyReport>::all(world.admin.clone());
    eventually("the node's report", || async {
        host.get_opt(&format!("eyas-node-{}", world.node)).await.unwrap().is_some()
    })
    .await;
    agent.stop().await;

    // A pod of another node is none of ours.
    assert!(index.by_container("c9").is_none());
    host.delete(&format!("eyas-node-{}", world.node), &DeleteParams::default()).await.unwrap();
    world.clean_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_go_on_over_restarts_and_an_api_server_that_is_away() {
    let Some(mut world) = World::new("restarts").await else { return };
    let state = tempfile::tempdir().unwrap();
    let pod = world.pod("web", "c1").await;
    let agent = Agent::start(&world, state.path());
    agent.matched(&world, Some(&pod), 5);
    count_is(&world, &pod, 5).await;
    agent.stop().await;

    // Killed while the API server is away: what was matched is only in the journal.
    world.proxy.cut();
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let agent = {
        let _inside = dying.enter();
        Agent::start(&world, state.path())
    };
    agent.matched(&world, Some(&pod), 7);
    let journal = state.path().join(agent::report::journal::FILE);
    let sevens = || std::fs::read_to_string(&journal).unwrap().matches("\"count\":7").count();
    eventually("the match in the journal", || async { sevens() == 1 }).await;
    dying.shutdown_background();
    drop(agent);

    let agent = Agent::start(&world, state.path());
    agent.matched(&world, Some(&pod), 11);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(count(&world, &pod).await, Some(5), "nothing comes through");
    world.proxy.mend();
    count_is(&world, &pod, 23).await;
    let failed = agent.writes.outcomes();
    assert!(failed.iter().any(|(outcome, n)| *outcome == "written" && *n >= 1), "{failed:?}");
    agent.stop().await;
    world.clean_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruleset_comes_from_the_config_map_and_bad_bytes_change_nothing() {
    let Some(world) = World::new("ruleset").await else { return };
    let state = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&world, state.path());
    assert!(agent.refusal().await.contains("does not exist yet"));

    let maps = Api::<ConfigMap>::namespaced(world.admin.clone(), &world.namespace);
    let params = PatchParams::apply("test").force();
    let good = ruleset_map::encode(&ruleset(), &world.namespace).unwrap().index;
    maps.patch(ruleset_map::NAME, &params, &Patch::Apply(&good)).await.unwrap();
    assert_eq!(agent.revision().await, ruleset().revision);

    let mut bad = good.clone();
    bad.binary_data = Some([(ruleset_map::KEY.to_owned(), ByteString(vec![1, 2, 3]))].into());
    maps.patch(ruleset_map::NAME, &params, &Patch::Apply(&bad)).await.unwrap();
    assert!(agent.refusal().await.contains("checksum"));
    let mut other = good.clone();
    other.data.as_mut().unwrap().insert("schema".to_owned(), "99".to_owned());
    maps.patch(ruleset_map::NAME, &params, &Patch::Apply(&other)).await.unwrap();
    assert!(agent.refusal().await.contains("schema version 99"));
    maps.patch(ruleset_map::NAME, &params, &Patch::Apply(&good)).await.unwrap();
    assert_eq!(agent.revision().await, ruleset().revision);
    maps.delete(ruleset_map::NAME, &DeleteParams::default()).await.unwrap();
    assert!(agent.refusal().await.contains("was deleted"));
    agent.stop().await;
    world.clean_up().await;
}

fn ruleset() -> Ruleset {
    let mut ruleset =
        Ruleset { schema: SCHEMA_VERSION, revision: String::new(), rules: vec![], exceptions: vec![], routes: vec![] };
    ruleset.revision = ruleset.content_revision();
    ruleset
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_agent_tells_changes_at_once_and_its_end() {
    let Some(world) = World::new("nodeagent").await else { return };
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::start(&world, state.path());
    let api = Api::<NodeAgent>::all(world.admin.clone());
    let told = |wanted: &'static str| {
        let (api, node) = (api.clone(), world.node.clone());
        async move {
            let object = api.get_opt(&node).await.unwrap();
            object.and_then(|o| o.status).is_some_and(|s| json!(s).to_string().contains(wanted))
        }
    };
    eventually("the first status", || told("no ruleset is armed yet")).await;
    assert_eq!(api.get(&world.node).await.unwrap().owner_references()[0].kind, "Node");
    agent.seams.status.failed("bad bytes");
    eventually("the reason", || told("bad bytes")).await;
    // A hundred changes in two seconds are few writes.
    let writes = writes(&api, &world.node);
    let changes = async {
        for n in 0..100 {
            agent.seams.status.failed(&format!("bytes {n}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        eventually("the last of them", || told("bytes 99")).await;
    };
    let count = tokio::select! { count = writes => count, () = changes => 0 };
    assert!(count <= 5, "{count} writes");

    api.delete(&world.node, &DeleteParams::default()).await.unwrap();
    agent.seams.status.failed("worse bytes");
    eventually("the object made anew", || told("worse bytes")).await;
    agent.stop().await;
    eventually("the last word", || told("Stopped")).await;
    api.delete(&world.node, &DeleteParams::default()).await.unwrap();
    world.clean_up().await;
}

/// Ends with the number of writes when there were more than a few.
async fn writes(api: &Api<NodeAgent>, node: &str) -> usize {
    let fields = format!("metadata.name={node}");
    let seen = api.watch(&WatchParams::default().fields(&fields), "0").await.unwrap();
    let mut seen = std::pin::pin!(seen);
    let mut count = 0;
    while let Some(event) = seen.next().await {
        // The first tells what is there.
        count += usize::from(matches!(event.unwrap(), WatchEvent::Modified(_)));
        if count > 5 {
            return count;
        }
    }
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routers_ca_is_followed() {
    let Some(world) = World::new("ca").await else { return };
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::start(&world, state.path());
    let maps = Api::<ConfigMap>::namespaced(world.admin.clone(), &world.namespace);
    for pem in ["one", "two"] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "eyas-router-ca"}, "data": {"ca.crt": pem}});
        maps.patch("eyas-router-ca", &PatchParams::apply("test").force(), &Patch::Apply(&map)).await.unwrap();
        let ca = agent.router_ca.clone();
        eventually("the CA", || async { ca.borrow().as_deref() == Some(pem) }).await;
    }
    agent.stop().await;
    world.clean_up().await;
}
