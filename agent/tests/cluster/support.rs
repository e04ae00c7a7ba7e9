//! A node, a namespace and pods on a real API server, seen by the agent through a proxy.
use engine::{priority::Priority, source::ObjectRef};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use router::alert::Alert;
use serde_json::json;
use std::{
    fmt::Debug,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpStream};

/// Where the kubeconfig of a disposable API server is.
const KUBECONFIG: &str = "EYAS_TEST_KUBECONFIG";

pub struct World {
    pub admin: Client,
    /// By way of `proxy`.
    pub agent: Client,
    pub proxy: Proxy,
    pub node: String,
    pub namespace: String,
}

impl World {
    /// `None` (and a line that says so) without an API server.
    pub async fn new(test: &str) -> Option<Self> {
        let Ok(path) = std::env::var(KUBECONFIG) else {
            eprintln!("skipped: {KUBECONFIG} names no kubeconfig of a disposable API server");
            return None;
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let admin = Client::try_from(config.clone()).unwrap();
        let host = config.cluster_url.host().unwrap().to_owned();
        let proxy = Proxy::start(format!("{host}:{}", config.cluster_url.port_u16().unwrap_or(443))).await;
        let mut through = config;
        through.cluster_url = format!("https://{}", proxy.address).parse().unwrap();
        through.tls_server_name = Some(host);
        through.connect_timeout = Some(Duration::from_secs(2));
        let agent = Client::try_from(through).unwrap();
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("eyas-{test}-{}", &nonce[..8]);
        let world = Self { admin, agent, proxy, node: name.clone(), namespace: name };
        let node: Node = object(json!({"metadata": {"name": world.node}}));
        Api::all(world.admin.clone()).create(&PostParams::default(), &node).await.unwrap();
        let namespace: Namespace = object(json!({"metadata": {"name": world.namespace}}));
        Api::all(world.admin.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        Some(world)
    }

    /// A pod on the node, with one container that has this id.
    pub async fn pod(&self, name: &str, container: &str) -> Pod {
        let api = Api::<Pod>::namespaced(self.admin.clone(), &self.namespace);
        let pod = object(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": self.node, "automountServiceAccountToken": false,
                "tolerations": [{"operator": "Exists"}], "containers": [{"name": "app", "image": "localhost/web:1"}]},
        }));
        api.create(&PostParams::default(), &pod).await.unwrap();
        let status = json!({"status": {"containerStatuses": [{"name": "app", "containerID": format!("containerd://{container}"),
            "image": "localhost/web:1", "imageID": "", "ready": true, "restartCount": 0}]}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap()
    }

    pub async fn clean_up(self) {
        let now = DeleteParams::default().grace_period(0);
        let pods = Api::<Pod>::namespaced(self.admin.clone(), &self.namespace);
        pods.delete_collection(&now, &Default::default()).await.unwrap();
        let namespaces = Api::<Namespace>::all(self.admin.clone());
        namespaces.delete(&self.namespace, &now).await.unwrap();
        // Only where the test did not delete it.
        let _ = Api::<crds::NodeAgent>::all(self.admin.clone()).delete(&self.node, &now).await;
        Api::<Node>::all(self.admin.clone()).delete(&self.node, &now).await.unwrap();
    }
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// An alert about a container of the pod, `None`: about the host.
pub fn alert(node: &str, pod: Option<&Pod>, count: u64) -> Alert {
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    Alert {
        id: uuid::Uuid::new_v4(),
        node: node.to_owned(),
        time: now,
        rule: "Read sensitive file".to_owned(),
        policy: ObjectRef { namespace: "eyas-system".to_owned(), name: "read-sensitive-file".to_owned() },
        priority: Priority::Warning,
        tags: vec![],
        source: "syscall".to_owned(),
        output: "cat read /etc/shadow".to_owned(),
        output_fields: serde_json::Map::new(),
        fingerprint: "0011223344556677".to_owned(),
        count,
        last_time: now,
        revision: "r".to_owned(),
        container: None,
        pod: pod.map(|pod| router::alert::Pod {
            namespace: pod.metadata.namespace.clone().unwrap(),
            name: pod.metadata.name.clone().unwrap(),
            uid: pod.metadata.uid.clone().unwrap(),
            service_account: String::new(),
        }),
        metadata_missing: false,
    }
}

/// Waits until something holds, or fails the test after half a minute.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} did not come within 30 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("{what}: after {:?}", start.elapsed());
}

/// Passes bytes on until it is cut: then every connection ends and none is taken.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    open: Arc<tokio::sync::watch::Sender<bool>>,
}

impl Proxy {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(tokio::sync::watch::Sender::new(true));
        let switch = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut cut = switch.subscribe();
                if !*cut.borrow_and_update() {
                    continue;
                }
                let to = to.clone();
                tokio::spawn(async move {
                    let (mut near, mut far) = (near, TcpStream::connect(to).await.unwrap());
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    pub fn cut(&mut self) {
        self.open.send_replace(false);
    }

    pub fn mend(&mut self) {
        self.open.send_replace(true);
    }
}
