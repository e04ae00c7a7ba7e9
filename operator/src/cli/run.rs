//! Arguments of `eyas-operator run`.
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};

/// Arguments of `eyas-operator run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Namespace that Eyas runs in. Objects there act on the whole cluster, and the ruleset is written there.
    #[arg(long, env = "POD_NAMESPACE", default_value = crds::SYSTEM_NAMESPACE)]
    pub namespace: String,
    /// Kubeconfig file. Default: the pod's service account, else KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Address of /healthz, /readyz and /metrics. Port 0 takes a free one and logs it.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Name under which this process holds the Lease. The same name after a restart takes it back at once.
    /// Default: host name and process id.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
}
