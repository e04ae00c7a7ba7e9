//! Message to HTTP request. Pure: time and key come in.
use super::{Config, Format};
use crate::{alert::Alert, format, group::Message};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::Sha256;
use std::{collections::BTreeMap, fmt::Write};

const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-eyas-timestamp");
const TIMESTAMP_SIGNATURE: HeaderName = HeaderName::from_static("x-eyas-timestamp-signature");

/// One POST.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// All headers but those that HTTP itself sets.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// How many alerts of the message it carries.
    pub alerts: usize,
}

#[derive(Serialize)]
struct Envelope<'a> {
    version: &'static str,
    id: uuid::Uuid,
    route: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    group: &'a BTreeMap<String, String>,
    alerts: &'a [Alert],
}

/// The next request for a message of which `done` alerts are dealt with; `None`: nothing is left. `now` is seconds since 1970.
#[must_use]
pub fn request(config: &Config, route: &str, message: &Message, done: usize, now: u64) -> Option<Request> {
    let rest = message.alerts.get(done..).filter(|rest| !rest.is_empty())?;
    let (id, alerts, body) = match config.format {
        Format::Eyas => {
            let envelope =
                Envelope { version: "eyas.dev/v1", id: message.id, route, group: &message.group, alerts: rest };
            (message.id, rest.len(), serde_json::to_vec(&envelope))
        }
        Format::Falco => (rest[0].id, 1, serde_json::to_vec(&format::falco(&rest[0]))),
    };
    // Keys are strings and values are plain: serialising cannot fail.
    let body = body.unwrap_or_default();
    let mut headers = config.headers.clone();
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(IDEMPOTENCY, id.to_string());
    set(TIMESTAMP, now.to_string());
    if let Some(signing) = &config.signing {
        set(signing.header.clone(), sign(&signing.key.0, &[&body]));
        set(TIMESTAMP_SIGNATURE, sign(&signing.key.0, &[now.to_string().as_bytes(), b".", &body]));
    }
    Some(Request { headers, body, alerts })
}

/// `sha256=` and the HMAC-SHA256 (RFC 2104) of the parts in a row, in lower-case hex.
#[must_use]
pub fn sign(key: &[u8], parts: &[&[u8]]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().iter().fold("sha256=".to_owned(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
