//! Pods to misbehave in.
use crate::cluster::Cluster;
use anyhow::Result;
use k8s_openapi::api::core::v1;
use kube::Api;
use serde_json::{Value, json};

/// A running pod of `localhost/busybox:1`.
pub struct Pod {
    cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Pod {
    /// Starts it and waits until it runs. `spec` is merged over the pod's spec.
    ///
    /// # Errors
    /// It does not run within 60 s.
    pub async fn start(cluster: &Cluster, namespace: &str, name: &str, spec: Value) -> Result<Self> {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                }],
            },
        });
        if let (Some(Value::Object(into)), Value::Object(from)) = (pod.get_mut("spec"), spec) {
            into.extend(from);
        }
        // The controller makes a new namespace's account a moment after the namespace.
        // After an API server that was away, the controllers come back when their back-off lets them.
        let accounts = ["-n", namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=120s"];
        cluster.kubectl(&accounts).await?;
        cluster.kubectl_with(&["apply", "-f", "-"], Some(&pod.to_string())).await?;
        let ready = ["-n", namespace, "wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=120s"];
        cluster.kubectl(&ready).await?;
        let pods: Api<v1::Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let uid = pods.get(name).await?.metadata.uid.unwrap_or_default();
        Ok(Self { cluster: cluster.clone(), namespace: namespace.to_owned(), name: name.to_owned(), uid })
    }

    /// `kubectl exec` of a command; its output.
    ///
    /// # Errors
    /// The command fails.
    pub async fn exec(&self, command: &[&str]) -> Result<String> {
        let args = [&["-n", &self.namespace, "exec", &self.name, "--"], command].concat();
        self.cluster.kubectl(&args).await
    }

    /// A shell in it.
    ///
    /// # Errors
    /// The script fails.
    pub async fn sh(&self, script: &str) -> Result<String> {
        self.exec(&["sh", "-c", script]).await
    }

    /// Opens a file for reading a known number of times, from one shell without any further process; in bursts of 1,000 with a pause of
    /// `pause` (as sleep(1) takes it) between them.
    ///
    /// # Errors
    /// The shell fails.
    pub async fn open(&self, path: &str, times: u32, pause: &str) -> Result<()> {
        let script = format!(
            "i=0; while [ $i -lt {times} ]; do : < {path}; i=$((i+1)); [ $((i % 1000)) = 0 ] && [ {pause} != 0 ] && sleep {pause}; done; true"
        );
        self.sh(&script).await.map(drop)
    }
}
