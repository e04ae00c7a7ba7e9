//! The cluster of KUBECONFIG, by kubectl as people use it and by kube-rs where tests read many things quickly.
use crate::gate;
use anyhow::{Context, Result, bail, ensure};
use crds::{DetectionRule, NodeAgent, SYSTEM_NAMESPACE};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, ResourceExt},
};
use std::{env, path::PathBuf, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

/// A connection to the cluster.
#[derive(Clone)]
pub struct Cluster {
    /// For typed access.
    pub client: Client,
}

impl Cluster {
    /// Connects as KUBECONFIG says.
    ///
    /// # Errors
    /// There is no such cluster, or it does not answer.
    pub async fn connect() -> Result<Self> {
        let client = Client::try_default().await.context("the cluster of KUBECONFIG")?;
        client.apiserver_version().await.context("the API server of KUBECONFIG does not answer")?;
        Ok(Self { client })
    }

    /// Runs kubectl; its standard output.
    ///
    /// # Errors
    /// It fails; its standard error is in the error.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, None).await
    }

    /// Runs kubectl with standard input.
    ///
    /// # Errors
    /// As `kubectl`.
    pub async fn kubectl_with(&self, args: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new("kubectl")
            .args(args)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("kubectl")?;
        if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A rule as it is now.
    ///
    /// # Errors
    /// There is none, or the API server does not answer.
    pub async fn rule(&self, namespace: &str, name: &str) -> Result<DetectionRule> {
        Ok(Api::namespaced(self.client.clone(), namespace).get(name).await?)
    }

    /// What an agent says of itself.
    ///
    /// # Errors
    /// There is none, or the API server does not answer.
    pub async fn node_agent(&self, node: &str) -> Result<NodeAgent> {
        Ok(Api::all(self.client.clone()).get(node).await?)
    }

    /// The agent's pod on a node.
    ///
    /// # Errors
    /// There is none.
    pub async fn agent_pod(&self, node: &str) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        let list = pods
            .list(
                &ListParams::default()
                    .labels("app.kubernetes.io/name=eyas-agent")
                    .fields(&format!("spec.nodeName={node}")),
            )
            .await?;
        list.items.into_iter().find(|p| p.metadata.deletion_timestamp.is_none()).context("no agent on the node")
    }

    /// The names of the nodes.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn nodes(&self) -> Result<Vec<String>> {
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(self.client.clone());
        Ok(nodes.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
    }

    /// How many requests the API server has answered for a resource by verbs that write, by its own count.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn writes(&self, resource: &str) -> Result<u64> {
        let page = self.kubectl(&["get", "--raw", "/metrics"]).await?;
        let metrics = crate::agent::Metrics(page);
        let resource = format!("resource=\"{resource}\"");
        let total: f64 = ["APPLY", "PATCH", "PUT", "POST", "DELETE", "UPDATE"]
            .iter()
            .map(|verb| metrics.sum("apiserver_request_total", &[&resource, &format!("verb=\"{verb}\"")]))
            .sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Ok(total as u64)
    }
}

/// The scripts of e2e/cluster, for tests that stop parts of the cluster or add nodes. None with a cluster that is not ours.
pub struct Scripts(PathBuf);

impl Scripts {
    /// The scripts, if the cluster was made by them.
    #[must_use]
    pub fn find(test: &str) -> Option<Self> {
        if env::var_os("CLUSTER_DIR").is_none() {
            gate::skipped(test, "the cluster is not one of e2e/cluster, so its parts cannot be stopped");
            return None;
        }
        Some(Self(gate::root().join("e2e/cluster")))
    }

    /// Runs one.
    ///
    /// # Errors
    /// It fails.
    pub async fn run(&self, script: &str, args: &[&str]) -> Result<()> {
        let output = Command::new(self.0.join(script)).args(args).stdin(Stdio::null()).output().await?;
        ensure!(output.status.success(), "{script} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
