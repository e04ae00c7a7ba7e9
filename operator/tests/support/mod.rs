//! A real API server, the real binary, and an agent's half of the conversation.
use crds::{NodeAgent, NodeAgentSpec, ruleset_map};
use engine::ruleset::Ruleset;
use k8s_openapi::{
    api::{
        authentication::v1::TokenRequest,
        core::v1::{ConfigMap, Namespace, Node, ServiceAccount},
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Names the kubeconfig of a cluster that tests may write to.
pub const KUBECONFIG: &str = "EYAS_TEST_KUBECONFIG";

/// A cluster with our definitions, and a namespace of this test's own that plays eyas-system.
pub struct Cluster {
    pub client: Client,
    pub kubeconfig: String,
    /// The kubeconfig that operators run with.
    pub operators: String,
    pub system: String,
    pub node: String,
}

impl Cluster {
    /// `None`, with the reason printed, where there is no API server to try it on.
    pub async fn connect() -> Option<Self> {
        let Ok(kubeconfig) = std::env::var(KUBECONFIG) else {
            eprintln!("skipped: {KUBECONFIG} names no kubeconfig; make cluster prints one");
            return None;
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let file = Kubeconfig::read_from(&kubeconfig).expect("kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("kubeconfig");
        let client = Client::try_from(config).expect("client");
        let id = std::process::id();
        let name = format!("eyas-test-{id}");
        let mut cluster = Self { client, kubeconfig, operators: String::new(), system: name.clone(), node: name };
        if cluster.other_operator().await {
            eprintln!("skipped: an operator leads in eyas-system there; two would write each other's status");
            return None;
        }
        cluster.install().await;
        cluster.operators = cluster.least_privilege().await;
        Some(cluster)
    }

    async fn other_operator(&self) -> bool {
        let api: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(self.client.clone(), "eyas-system");
        let lease = api.get_opt("eyas-operator").await.expect("lease");
        lease.and_then(|l| l.spec).and_then(|s| s.holder_identity).is_some_and(|h| !h.is_empty())
    }

    async fn install(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for crd in crds::definitions() {
            let name = crd.metadata.name.clone().expect("name");
            api.patch(&name, &params(), &Patch::Apply(&crd)).await.expect("definition");
            eventually("established", Duration::from_secs(10), async || {
                let status = api.get(&name).await.ok()?.status?;
                status.conditions?.iter().any(|c| c.type_ == "Established" && c.status == "True").then_some(())
            })
            .await;
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        for name in [self.system.clone(), self.tenant()] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            namespaces.patch(&name, &params(), &Patch::Apply(namespace)).await.expect("namespace");
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}});
        nodes.patch(&self.node, &params(), &Patch::Apply(node)).await.expect("node");
    }

    /// Another namespace, of a tenant.
    pub fn tenant(&self) -> String {
        format!("{}-team", self.system)
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies an object as a person would.
    pub async fn apply<K>(&self, namespace: &str, name: &str, spec: serde_json::Value) -> K
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Serialize
            + DeserializeOwned
            + Clone
            + Debug,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams::apply("kubectl").force();
        self.api::<K>(namespace).patch(name, &params, &Patch::Apply(object)).await.expect("applied")
    }

    /// The ruleset that is published.
    pub async fn ruleset(&self) -> Option<Ruleset> {
        let map = self.api::<ConfigMap>(&self.system).get_opt(ruleset_map::NAME).await.ok()??;
        ruleset_map::decode(&map, &BTreeMap::new()).ok()
    }

    /// A kubeconfig with the rights of the operator's service account in `manifests`, and no others.
    async fn least_privilege(&self) -> String {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base/operator-rbac.yaml");
        // In this test's namespace, and under names that are no one else's.
        let text = std::fs::read_to_string(manifest).expect("manifest").replace("eyas-system", &self.system);
        let documents: Vec<DynamicObject> = serde_saphyr::from_multiple(&text).expect("YAML");
        for mut object in documents {
            let types = object.types.clone().expect("kind");
            let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
            let mut name = object.metadata.name.clone().expect("name");
            let api: Api<DynamicObject> = if types.kind.starts_with("Cluster") {
                name = self.cluster_name();
                if types.kind == "ClusterRoleBinding" {
                    object.data["roleRef"]["name"] = name.clone().into();
                }
                Api::all_with(self.client.clone(), &resource)
            } else {
                Api::namespaced_with(self.client.clone(), &self.system, &resource)
            };
            object.metadata.name = Some(name.clone());
            api.patch(&name, &params(), &Patch::Apply(&object)).await.expect("RBAC");
        }
        let request = TokenRequest::default();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.system);
        let token =
            accounts.create_token_request("eyas-operator", &PostParams::default(), &request).await.expect("token");
        let mut file = Kubeconfig::read_from(&self.kubeconfig).expect("kubeconfig");
        for user in &mut file.auth_infos {
            let token = token.status.as_ref().map(|s| s.token.clone().into());
            user.auth_info = Some(AuthInfo { token, ..AuthInfo::default() });
        }
        let path = std::env::temp_dir().join(format!("{}.conf", self.system));
        std::fs::write(&path, serde_json::to_string(&file).expect("JSON")).expect("kubeconfig");
        path.display().to_string()
    }

    fn cluster_name(&self) -> String {
        format!("{}-operator", self.system)
    }

    /// Starts the operator, under a name for its lease, with the rights that `manifests` give it.
    pub fn operator(&self, identity: &str) -> Operator {
        let child = Command::new(env!("CARGO_BIN_EXE_eyas-operator"))
            .args(["run", "--listen", "127.0.0.1:0", "--namespace", &self.system])
            .args(["--kubeconfig", &self.operators, "--identity", identity])
            .stdout(Stdio::null())
            .spawn()
            .expect("eyas-operator");
        Operator { child }
    }

    /// An agent's half: arms each ruleset that it can read, and says so in its NodeAgent.
    pub fn agent(&self) -> JoinHandle<()> {
        let (client, system, node) = (self.client.clone(), self.system.clone(), self.node.clone());
        tokio::spawn(async move {
            let agents: Api<NodeAgent> = Api::all(client.clone());
            let params = PatchParams::apply(crds::AGENT_MANAGER).force();
            agents.patch(&node, &params, &Patch::Apply(NodeAgent::new(&node, NodeAgentSpec {}))).await.expect("agent");
            let maps: Api<ConfigMap> = Api::namespaced(client, &system);
            let mut armed = String::new();
            loop {
                let map = maps.get_opt(ruleset_map::NAME).await.ok().flatten();
                let ruleset = map.and_then(|m| ruleset_map::decode(&m, &BTreeMap::new()).ok());
                if let Some(ruleset) = ruleset.filter(|r| r.revision != armed) {
                    let status = json!({
                        "apiVersion": "eyas.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": node},
                        "status": {"revision": ruleset.revision, "lastHeartbeat": second(Timestamp::now())},
                    });
                    if agents.patch_status(&node, &params, &Patch::Apply(status)).await.is_ok() {
                        armed = ruleset.revision;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    /// Leaves nothing behind but the definitions.
    pub async fn clean(self) {
        let delete = DeleteParams::default();
        let _ = Api::<NodeAgent>::all(self.client.clone()).delete(&self.node, &delete).await;
        let _ = Api::<Node>::all(self.client.clone()).delete(&self.node, &delete).await;
        let _ = std::fs::remove_file(&self.operators);
        let _ = Api::<ClusterRole>::all(self.client.clone()).delete(&self.cluster_name(), &delete).await;
        let _ = Api::<ClusterRoleBinding>::all(self.client.clone()).delete(&self.cluster_name(), &delete).await;
        for namespace in [self.system.clone(), self.tenant()] {
            let list = kube::api::ListParams::default();
            let _ = self.api::<crds::DetectionRule>(&namespace).delete_collection(&delete, &list).await;
            let _ = self.api::<crds::Exception>(&namespace).delete_collection(&delete, &list).await;
            let _ = self.api::<crds::OutputRoute>(&namespace).delete_collection(&delete, &list).await;
            let _ = self.api::<crds::RuleLibrary>(&namespace).delete_collection(&delete, &list).await;
            let _ = Api::<Namespace>::all(self.client.clone()).delete(&namespace, &delete).await;
        }
    }
}

/// A running operator; killed when dropped.
pub struct Operator {
    child: Child,
}

impl Operator {
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGTERM; the exit status and how long it took.
    pub fn terminate(mut self) -> (std::process::ExitStatus, Duration) {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        (self.child.wait().expect("wait"), began.elapsed())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer; how long it took, and the answer.
pub async fn eventually<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return (answer, began.elapsed());
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// RFC 3339 in whole seconds, as Kubernetes stores it.
pub fn second(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).expect("time").to_string()
}

fn params() -> PatchParams {
    PatchParams::apply("eyas-test").force()
}
