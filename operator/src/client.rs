//! The connection to the API server, for both of this binary's commands.
use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::path::Path;

/// A client by `kubeconfig`, else by KUBECONFIG or ~/.kube/config, else by the pod's service account.
///
/// # Errors
/// None of them is there, or it is malformed.
pub async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    // The process-wide TLS provider; a second call finds it set, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| format!("kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.context("kubeconfig")?
        }
        None => {
            Config::infer().await.context("no API server: give --kubeconfig, or run in a pod with a service account")?
        }
    };
    tracing::info!(server = %config.cluster_url, "API server");
    Client::try_from(config).context("API server")
}
