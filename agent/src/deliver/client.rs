//! The HTTPS client to the router: one POST, and what its answer means.
//!
//! The token is read anew for each request (the kubelet renews the file), the CA comes by a watch and a change makes a new
//! client. The router is found by the environment that Kubernetes gives (no DNS needed), under its certificate's name.
use reqwest::{Certificate, Client, header::RETRY_AFTER, redirect};
use router::batch::{Batch, KEPT_HEADER};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio::sync::watch;

/// For a whole request.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most characters of an answer that go into a message.
const MAX_REASON: usize = 200;

/// Where the router is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name in its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its address; without it the name is looked up.
    pub address: Option<SocketAddr>,
}

impl Endpoint {
    /// From `EYAS_ROUTER_SERVICE_HOST` and `_PORT` as Kubernetes sets them, else by name.
    #[must_use]
    pub fn from_environment(system_namespace: &str, var: impl Fn(&str) -> Option<String>) -> Self {
        let port = var("EYAS_ROUTER_SERVICE_PORT").and_then(|p| p.parse().ok()).unwrap_or(8443);
        let host = var("EYAS_ROUTER_SERVICE_HOST").and_then(|h| h.parse().ok());
        Self {
            host: format!("eyas-router.{system_namespace}.svc"),
            port,
            address: host.map(|ip| SocketAddr::new(ip, port)),
        }
    }
}

/// How to reach the router.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Projected service-account token with audience `eyas-router`.
    pub token_file: PathBuf,
    /// PEM of the CA that signed its certificate (ConfigMap `eyas-router-ca`, key `ca.crt`).
    pub ca: watch::Receiver<Option<String>>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Try again, not before this.
    #[error("{0}")]
    Retry(String, Duration),
    /// The router will never take this body.
    #[error("the router refused a batch: {0}")]
    Refused(String),
}

/// See the module.
#[derive(Debug)]
pub struct RouterClient {
    access: Access,
    url: String,
    client: Option<Client>,
}

impl RouterClient {
    /// Nothing is read or connected yet.
    #[must_use]
    pub fn new(access: Access) -> Self {
        let url = format!("https://{}:{}/v1/batches", access.endpoint.host, access.endpoint.port);
        Self { access, url, client: None }
    }

    /// Sends one batch; up to which of this agent's batches the router has counters on its disk.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&mut self, batch: &Batch) -> Result<u64, SendError> {
        let again = |why: String| SendError::Retry(why, Duration::ZERO);
        let body = serde_json::to_vec(batch).map_err(|e| SendError::Refused(e.to_string()))?;
        let token = tokio::fs::read_to_string(&self.access.token_file).await.map_err(|e| {
            again(format!("cannot read the token for the router from {}: {e}", self.access.token_file.display()))
        })?;
        let client = self.client()?;
        let request =
            client.post(&self.url).bearer_auth(token.trim()).header("content-type", "application/json").body(body);
        let mut answer = request.send().await.map_err(|e| again(causes(&e)))?;
        let status = answer.status();
        if status.is_success() {
            let kept = answer.headers().get(KEPT_HEADER).and_then(|v| v.to_str().ok()?.parse().ok());
            return Ok(kept.unwrap_or(batch.seq));
        }
        let after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        let text = answer.chunk().await.ok().flatten().unwrap_or_default();
        let reason: String = String::from_utf8_lossy(&text).trim().chars().take(MAX_REASON).collect();
        let message = format!("the router answered {}: {reason}", status.as_u16());
        match status.as_u16() {
            400 | 413 | 422 => Err(SendError::Refused(message)),
            _ => Err(SendError::Retry(message, Duration::from_secs(after.unwrap_or(0)).min(TIMEOUT))),
        }
    }

    fn client(&mut self) -> Result<Client, SendError> {
        let again = |why: String| SendError::Retry(why, Duration::ZERO);
        let changed = self.access.ca.has_changed().unwrap_or(false);
        if let (Some(client), false) = (&self.client, changed) {
            return Ok(client.clone());
        }
        let pem = self.access.ca.borrow_and_update().clone();
        let pem = pem.ok_or_else(|| again("the router's CA (ConfigMap eyas-router-ca) is not there yet".to_owned()))?;
        let certificates = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|e| again(format!("ConfigMap eyas-router-ca holds no certificate: {e}")))?;
        let mut builder = Client::builder()
            .user_agent(concat!("eyas-agent/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .tls_certs_only(certificates);
        if let Some(address) = self.access.endpoint.address {
            builder = builder.resolve(&self.access.endpoint.host, address);
        }
        let client = builder.build().map_err(|e| again(format!("cannot set up TLS to the router: {}", causes(&e))))?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

/// An error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_the_router_is() {
        let var = |name: &str| match name {
            "EYAS_ROUTER_SERVICE_HOST" => Some("10.96.7.7".to_owned()),
            "EYAS_ROUTER_SERVICE_PORT" => Some("9443".to_owned()),
            _ => None,
        };
        let endpoint = Endpoint::from_environment("eyas-system", var);
        assert_eq!(endpoint.host, "eyas-router.eyas-system.svc");
        assert_eq!(endpoint.address, Some(SocketAddr::from(([10, 96, 7, 7], 9443))));
        let nothing = Endpoint::from_environment("eyas-system", |_| None);
        assert_eq!((nothing.port, nothing.address), (8443, None));
    }
}
