//! The compiled ruleset: what the operator puts into the ConfigMap and the agent keeps on disk.
//!
//! Conditions are resolved trees (no macro, no list name left, types checked). No secret is ever in it.
use crate::{
    priority::Priority,
    source::{ObjectRef, RouteSource, RuleSelector, RuleState},
    syntax::Expr,
};
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter, Write};

/// Version of this format. An agent refuses another one and keeps its last good ruleset.
pub const SCHEMA_VERSION: u32 = 1;

/// All that an agent needs to evaluate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruleset {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Content hash: equal content, equal revision (16 hex digits of SHA-256 over the rest).
    pub revision: String,
    /// Rules, sorted by identity. Disabled ones are left out.
    pub rules: Vec<Rule>,
    /// Exceptions, sorted by identity.
    pub exceptions: Vec<Exception>,
    /// Which matches routes want, sorted by identity.
    pub routes: Vec<RouteSource>,
}

/// A compiled DetectionRule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The object.
    pub id: ObjectRef,
    /// Its UID; empty standalone.
    pub uid: String,
    /// The generation that was compiled (may be older than the object's when a newer one is bad).
    pub generation: i64,
    /// What alerts call `rule`.
    pub title: String,
    /// Description.
    pub description: String,
    /// The resolved condition. A tenant's rule has `k8s.ns.name = NS and (...)` around it.
    pub condition: Expr,
    /// The output template, checked.
    pub output: String,
    /// Priority.
    pub priority: Priority,
    /// Tags.
    pub tags: Vec<String>,
    /// Active or Shadow.
    pub state: RuleState,
    /// Fields that no hook supplies (a warning).
    pub unavailable_fields: Vec<String>,
}

/// A compiled Exception. It acts on a match of a selected rule when its condition holds and it has not expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// The object.
    pub id: ObjectRef,
    /// Its UID; empty standalone.
    pub uid: String,
    /// The generation that was compiled.
    pub generation: i64,
    /// Which rules it was written for (names and tags as given).
    pub selector: RuleSelector,
    /// Rules it acts on, by identity: the selector applied at compile, tenancy and `tenantExceptions` honoured.
    pub rules: Vec<ObjectRef>,
    /// All selectors and the condition as one tree; `None`: always.
    pub condition: Option<Expr>,
    /// Unix seconds after which it no longer acts.
    pub expires_at: Option<i64>,
}

/// Largest encoded ruleset that is decoded, in bytes.
pub const MAX_ENCODED: usize = 64 << 20;

/// Why bytes are no ruleset of this version.
#[derive(Debug, thiserror::Error)]
pub enum RulesetError {
    /// Another version.
    #[error(
        "ruleset schema version {found}, this agent reads {SCHEMA_VERSION}; upgrade the older of operator and agent"
    )]
    Schema {
        /// The version found.
        found: u32,
    },
    /// Longer than [`MAX_ENCODED`].
    #[error("a ruleset of {0} bytes is larger than {MAX_ENCODED}")]
    TooLarge(usize),
    /// No such JSON.
    #[error("malformed ruleset: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The content does not have the revision that it says.
    #[error("ruleset says revision {said}, its content is {is}; it was altered or cut")]
    Revision {
        /// In the ruleset.
        said: String,
        /// Computed.
        is: String,
    },
}

impl Ruleset {
    /// The revision that the content has: 16 hex digits of SHA-256 over the encoding with an empty revision.
    #[must_use]
    pub fn content_revision(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let bare = Bare { schema: self.schema, rules: &self.rules, exceptions: &self.exceptions, routes: &self.routes };
        let mut hash = Sha256::new();
        // Writing to a hash cannot fail, and neither can serialising these types.
        let mut writer = BufWriter::with_capacity(1 << 16, HashWriter(&mut hash));
        if serde_json::to_writer(&mut writer, &bare).is_err() || writer.flush().is_err() {
            return String::new();
        }
        drop(writer);
        hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

#[derive(Serialize)]
struct Bare<'a> {
    schema: u32,
    rules: &'a [Rule],
    exceptions: &'a [Exception],
    routes: &'a [RouteSource],
}

struct HashWriter<'a>(&'a mut sha2::Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sha2::Digest::update(self.0, bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Canonical JSON: equal rulesets give equal bytes.
#[must_use]
pub fn encode(ruleset: &Ruleset) -> Vec<u8> {
    // None of these types can fail to serialise: no map with keys that are no strings, no failing implementation.
    serde_json::to_vec(ruleset).unwrap_or_default()
}

/// Reads what [`encode`] wrote. Never panics, whatever the bytes.
///
/// # Errors
/// Another schema version, malformed or too large, or content that does not fit its revision.
pub fn decode(bytes: &[u8]) -> Result<Ruleset, RulesetError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    if bytes.len() > MAX_ENCODED {
        return Err(RulesetError::TooLarge(bytes.len()));
    }
    // The version first: another one may have another shape.
    let Version { schema } = serde_json::from_slice(bytes)?;
    if schema != SCHEMA_VERSION {
        return Err(RulesetError::Schema { found: schema });
    }
    let ruleset: Ruleset = serde_json::from_slice(bytes)?;
    let is = ruleset.content_revision();
    if is != ruleset.revision {
        return Err(RulesetError::Revision { said: ruleset.revision, is });
    }
    Ok(ruleset)
}
