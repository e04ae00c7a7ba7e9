//! Settings of the webhook destination, checked once.
use crate::{destination::Secret, network::Reach};
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{collections::BTreeMap, time::Duration};

/// Default header of the signature over the body.
pub const SIGNATURE: &str = "x-eyas-signature";

/// Headers that HTTP itself or this destination sets.
const RESERVED: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "idempotency-key",
    "x-eyas-timestamp",
];

/// Shape of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Our own, a message per request.
    #[default]
    Eyas,
    /// Falco's, an alert per request.
    Falco,
}

/// Signs bodies.
#[derive(Clone, Debug, PartialEq)]
pub struct Signing {
    /// The key.
    pub key: Secret,
    /// The header that carries the signature over the body.
    pub header: HeaderName,
}

/// Settings.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Where to. May hold a secret: never print more than its origin.
    pub url: Url,
    /// Shape of the body.
    pub format: Format,
    /// Signing, if wanted.
    pub signing: Option<Signing>,
    /// Headers to add. Values may be secret.
    pub headers: HeaderMap,
    /// For one whole request.
    pub timeout: Duration,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_bundle: Option<String>,
    /// Which addresses may be reached.
    pub reach: Reach,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url.origin().ascii_serialization())
            .field("format", &self.format)
            .field("signed", &self.signing.is_some())
            .field("timeout", &self.timeout)
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL, or not one over HTTP.
    #[error("the webhook's URL is not valid ({0}); write it as https://host/path")]
    Url(String),
    /// Not an HTTP header.
    #[error("{0:?} cannot be used as a header")]
    Header(String),
    /// A header that is not the user's to set.
    #[error("the header {0:?} is set by the router itself")]
    Reserved(String),
}

/// Checks a URL. The error does not repeat it: it may come from a Secret.
///
/// # Errors
/// [`ConfigError::Url`].
pub fn check_url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text.trim()).map_err(|e| ConfigError::Url(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::Url(format!("its scheme is {}", url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ConfigError::Url("it names no host".to_owned()));
    }
    Ok(url)
}

/// Checks the headers to add.
///
/// # Errors
/// The first that cannot be used.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<HeaderMap, ConfigError> {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConfigError::Header(name.clone()))?;
        if RESERVED.contains(&key.as_str()) {
            return Err(ConfigError::Reserved(name.clone()));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| ConfigError::Header(name.clone()))?;
        value.set_sensitive(true);
        out.insert(key, value);
    }
    Ok(out)
}
