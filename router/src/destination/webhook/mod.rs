//! Webhook: an HTTP POST per message (`eyas`) or per alert (`falco`), signed where a key is given.
//!
//! What the receiver gets, `eyas`:
//! ```text
//! {"version": "eyas.dev/v1", "id": UUID, "route": "ns/name", "group": {...}, "alerts": [...]}
//! ```
//! Headers: `Idempotency-Key` (the id: the same over retries), `X-Eyas-Timestamp` (Unix seconds of this attempt), and with a key
//! `X-Eyas-Signature: sha256=HEX` (HMAC-SHA256 over the body) and `X-Eyas-Timestamp-Signature: sha256=HEX` (over
//! `TIMESTAMP.BODY`; a receiver that checks it and the time's age cannot be fooled by a replay).
mod config;
mod request;
mod service;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, Format, SIGNATURE, Signing, check_headers, check_url};
pub use request::{Request, request, sign};
pub use service::{Service, ServiceError, classify};
