//! The HTTP client of one webhook.
//!
//! Redirects are not followed (they would leave the checked address and re-send the body elsewhere), at most a little of an
//! answer is read, and names are resolved by [`Guard`], which hands out only addresses that the route may reach.
use super::{Config, request};
use crate::{
    destination::{Failure, Progress, Verdict},
    group::Message,
    network::Reach,
};
use reqwest::{
    Certificate, Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    header::RETRY_AFTER,
    redirect,
};
use std::{net::IpAddr, time::Duration};

/// Most that is read of an answer: enough for a reason, and for the connection to be used again.
const MAX_ANSWER: usize = 16 << 10;
/// Most of it that goes into status.
const MAX_REASON: usize = 200;
/// A receiver that asks for more patience than this is asked again anyway.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// `caBundle` holds no certificate.
    #[error("webhook.caBundle holds no usable PEM certificate: {0}")]
    CaBundle(String),
    /// The TLS library refused.
    #[error("cannot set up HTTPS: {0}")]
    Client(String),
}

/// The webhook destination.
#[derive(Debug)]
pub struct Service {
    config: Config,
    route: String,
    client: Client,
}

/// Resolves names and passes on only what may be reached.
struct Guard(Reach);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut open = Vec::new();
            for address in found {
                match reach.check(address.ip()) {
                    Ok(()) => open.push(address),
                    Err(closed) => refused = Some(closed),
                }
            }
            match refused {
                Some(closed) if open.is_empty() => Err(Box::new(closed) as _),
                _ => Ok(Box::new(open.into_iter()) as Addrs),
            }
        })
    }
}

impl Service {
    /// Makes the client.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new(config: &Config, route: &str) -> Result<Self, ServiceError> {
        let client = if let Some(pem) = &config.ca_bundle {
            let certificates =
                Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| ServiceError::CaBundle(e.to_string()))?;
            if certificates.is_empty() {
                return Err(ServiceError::CaBundle("it is empty".to_owned()));
            }
            builder(config).tls_certs_only(certificates).build()
        } else if config.url.scheme() == "http" {
            // No TLS: do not fail for want of the system's certificates.
            builder(config).tls_certs_only(Vec::<Certificate>::new()).build()
        } else {
            // The system's certificates, or Mozilla's where there are none, as in an image from scratch.
            builder(config).build().or_else(|_| builder(config).tls_certs_only(mozilla()).build())
        };
        let client = client.map_err(|e| ServiceError::Client(causes(&e)))?;
        Ok(Self { config: config.clone(), route: route.to_owned(), client })
    }

    /// Sends what is left of the message, request by request.
    ///
    /// # Errors
    /// The first failure; see [`crate::destination::Sender::send`].
    pub async fn send(&mut self, message: &Message, progress: &mut Progress, now: u64) -> Result<(), Failure> {
        while let Some(request) = request(&self.config, &self.route, message, progress.done(), now) {
            let alerts = request.alerts;
            match self.post(request).await {
                Ok(()) => progress.delivered += alerts,
                Err(failure) => {
                    if failure.verdict == Verdict::Refused {
                        progress.refused += alerts;
                    }
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    async fn post(&self, request: request::Request) -> Result<(), Failure> {
        // An address in the URL itself never comes to the resolver.
        let host = self.config.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            self.config.reach.check(address).map_err(|closed| Failure::retry(closed.to_string()))?;
        }
        let sent = self.client.post(self.config.url.clone()).headers(request.headers).body(request.body).send().await;
        let mut answer = sent.map_err(|e| Failure::retry(causes(&e.without_url())))?;
        let status = answer.status().as_u16();
        let after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - text.len())]);
            if text.len() >= MAX_ANSWER {
                break;
            }
        }
        match classify(status, after.as_deref()) {
            None => Ok(()),
            Some(verdict) => {
                let reason: String = String::from_utf8_lossy(&text)
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(MAX_REASON)
                    .collect();
                let reason = reason.trim();
                let colon = if reason.is_empty() { "" } else { ": " };
                Err(Failure { message: format!("the receiver answered {status}{colon}{reason}"), verdict })
            }
        }
    }
}

/// All but the trust in certificates.
fn builder(config: &Config) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("eyas/", env!("CARGO_PKG_VERSION")))
        .timeout(config.timeout)
        .connect_timeout(config.timeout)
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(2)
        .dns_resolver(Guard(config.reach.clone()));
    // A proxy would resolve and connect in our place, unchecked.
    if config.reach == Reach::Any { builder } else { builder.no_proxy() }
}

fn mozilla() -> Vec<Certificate> {
    let ders = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    ders.filter_map(|der| Certificate::from_der(der).ok()).collect()
}

/// What an answer means: `None` is taken. Statuses that speak of the bytes (400, 413, 422 and the like) are final; those
/// that a person or time can mend (authentication, wrong path, redirect, overload, server errors) are tried again.
#[must_use]
pub fn classify(status: u16, retry_after: Option<&str>) -> Option<Verdict> {
    match status {
        200..=299 => None,
        401 | 403 | 404 | 407 | 408 | 409 | 421 | 423 | 425 | 429 | 500.. | ..=399 => {
            let seconds = retry_after.and_then(|v| v.trim().parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
            Some(Verdict::Retry(seconds.min(MAX_RETRY_AFTER)))
        }
        400..=499 => Some(Verdict::Refused),
    }
}

/// An error and what caused it, in one line; `reqwest` alone says only "error sending request".
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
