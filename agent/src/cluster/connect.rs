//! Which API server, as whom, and which namespace is ours.
use kube::{Client, Config};
use std::time::Duration;

/// Longest wait for a connection. The default of 30 s would make every retry that long.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence on a connection. A watch gets a bookmark about every minute: after two that did not come the server is
/// gone without a word (its machine, or the network).
const SILENCE: Duration = Duration::from_secs(150);

/// The cluster cannot be spoken to as configured. That the API server does not answer is none of these.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a usable kubeconfig nor a service account.
    #[error("no way to the API server: {0}; in a pod this comes from its service account, elsewhere set KUBECONFIG")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used (certificates, URL).
    #[error("cannot set up the connection to the API server: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// Namespace of Eyas: that of the agent's pod (`POD_NAMESPACE`), else `eyas-system`.
#[must_use]
pub fn namespace() -> String {
    let own = std::env::var("POD_NAMESPACE").ok().filter(|name| !name.is_empty());
    own.unwrap_or_else(|| crds::SYSTEM_NAMESPACE.to_owned())
}

/// A client by `KUBECONFIG` or the pod's service account (whose token is read again when it was renewed). Nothing is
/// connected yet.
///
/// # Errors
/// The configuration is missing or wrong.
pub async fn connect() -> Result<Client, ConnectError> {
    // Fails only when another part has installed the same provider already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = Config::infer().await.map_err(|error| ConnectError::Config(Box::new(error)))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
}
