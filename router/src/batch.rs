//! What an agent sends to the router: `POST /v1/batches`, a JSON body of at most [`MAX_BODY`] bytes.
//!
//! ```text
//! {"node": N, "agent": UUID, "seq": 7, "alerts": [...], "counters": {"rules": [...], "exceptions": [...]}}
//! ```
//! Invariants: `seq` grows by one with each new batch of an agent's life (`agent` is drawn at its start), and a retry carries
//! the same number and alerts. Counters are totals since the agent's start beside what of them the receiver's disk has
//! ([`KEPT_HEADER`]), so that they add up exactly whether the receiver remembers this agent or not.
//!
//! The decoder believes nothing: every length is bounded and a bad body is an error, never a panic.
use crate::alert::Alert;
use engine::source::ObjectRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// In the answer: number of the last batch of this agent whose counters are on the receiver's disk. Older receivers do not
/// send it and mean the batch itself.
pub const KEPT_HEADER: &str = "eyas-kept";

/// Longest body, in bytes.
pub const MAX_BODY: usize = 4 << 20;
/// Most alerts in a batch.
pub const MAX_ALERTS: usize = 1000;
/// Most rules, and most exceptions, in a batch's counters.
pub const MAX_COUNTERS: usize = 5_000;
/// Longest name of anything in Kubernetes (RFC 1123 subdomain).
const MAX_NAME: usize = 253;
/// Longest output text and other free text of an alert.
const MAX_TEXT: usize = 256 << 10;
/// Most tags, most fields.
const MAX_ITEMS: usize = 1024;

/// One batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The sender's node: must be that of its token.
    pub node: String,
    /// Drawn at the agent's start.
    pub agent: Uuid,
    /// Number of this batch in the agent's life, from 1.
    pub seq: u64,
    /// Alerts, oldest first.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Counters that changed since the last batch, and now and then those that are not acknowledged yet.
    #[serde(default)]
    pub counters: Counters,
}

/// Counters of one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// By rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCounter>,
    /// By exception.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionCounter>,
}

impl Counters {
    /// Nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.exceptions.is_empty()
    }
}

/// What is counted of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events that matched and went out.
    #[serde(default)]
    pub matches: u64,
    /// Events that matched and that an exception suppressed.
    #[serde(default)]
    pub suppressed: u64,
    /// Events that it might have matched and that were dropped.
    #[serde(default)]
    pub lost: u64,
}

/// Totals of a rule since the agent's start. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounter {
    /// The DetectionRule.
    pub id: ObjectRef,
    /// Totals.
    #[serde(flatten)]
    pub total: Tally,
    /// What of the totals an earlier batch told and the receiver has on disk.
    #[serde(default)]
    pub acknowledged: Tally,
    /// First match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<i64>,
    /// Last match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<i64>,
}

/// Totals of an exception since the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionCounter {
    /// The Exception.
    pub id: ObjectRef,
    /// Matches that it suppressed.
    #[serde(default)]
    pub suppressed: u64,
    /// What of them an earlier batch told and the receiver has on disk.
    #[serde(default)]
    pub acknowledged: u64,
    /// Last of them, nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_matched: Option<i64>,
}

/// A body that is no batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Not JSON of this shape.
    #[error("the body is no batch: {0}")]
    Json(#[from] serde_json::Error),
    /// Something is longer than it may be, or empty.
    #[error("{what}: {size}, but 1 to {max} is allowed")]
    Bounds {
        /// What.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
}

/// Reads a batch and checks every bound.
///
/// # Errors
/// What is wrong first.
pub fn decode(body: &[u8]) -> Result<Batch, BatchError> {
    let within = |what, size, max| {
        if (1..=max).contains(&size) { Ok(()) } else { Err(BatchError::Bounds { what, size, max }) }
    };
    within("bytes of the body", body.len(), MAX_BODY)?;
    let batch: Batch = serde_json::from_slice(body)?;
    within("length of the node's name", batch.node.len(), MAX_NAME)?;
    let at_most = |what, size, max| within(what, size + 1, max + 1);
    at_most("alerts", batch.alerts.len(), MAX_ALERTS)?;
    at_most("rules in counters", batch.counters.rules.len(), MAX_COUNTERS)?;
    at_most("exceptions in counters", batch.counters.exceptions.len(), MAX_COUNTERS)?;
    let ids = batch.counters.rules.iter().map(|r| &r.id).chain(batch.counters.exceptions.iter().map(|e| &e.id));
    for id in ids.chain(batch.alerts.iter().map(|a| &a.policy)) {
        at_most("length of an object's namespace", id.namespace.len(), MAX_NAME)?;
        within("length of an object's name", id.name.len(), MAX_NAME)?;
    }
    for alert in &batch.alerts {
        at_most("length of an alert's node", alert.node.len(), MAX_NAME)?;
        at_most("length of an alert's rule", alert.rule.len(), MAX_TEXT)?;
        at_most("length of an alert's output", alert.output.len(), MAX_TEXT)?;
        at_most("length of an alert's fingerprint", alert.fingerprint.len(), MAX_NAME)?;
        at_most("tags of an alert", alert.tags.len(), MAX_ITEMS)?;
        at_most("fields of an alert", alert.output_fields.len(), MAX_ITEMS)?;
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::alert;
    use proptest::prelude::*;

    fn batch() -> Batch {
        let id = ObjectRef { namespace: "eyas-system".to_owned(), name: "r".to_owned() };
        Batch {
            node: "node-a".to_owned(),
            agent: Uuid::from_u128(9),
            seq: 3,
            alerts: vec![alert(1), alert(2)],
            counters: Counters {
                rules: vec![RuleCounter {
                    id: id.clone(),
                    total: Tally { matches: 5, suppressed: 1, lost: 0 },
                    acknowledged: Tally { matches: 4, suppressed: 1, lost: 0 },
                    first_seen: Some(1),
                    last_seen: Some(2),
                }],
                exceptions: vec![ExceptionCounter { id, suppressed: 1, acknowledged: 0, last_matched: Some(2) }],
            },
        }
    }

    #[test]
    fn what_is_written_is_read_and_the_shape_is_fixed() {
        let bytes = serde_json::to_vec(&batch()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), batch());
        insta::assert_snapshot!(serde_json::to_string_pretty(&Batch { alerts: vec![], ..batch() }).unwrap());
        let least = format!(r#"{{"node":"n","agent":"{}","seq":1}}"#, Uuid::nil());
        assert_eq!(decode(least.as_bytes()).unwrap().counters, Counters::default());
    }

    #[test]
    fn everything_is_bounded() {
        let refused = |b: &Batch| decode(&serde_json::to_vec(b).unwrap()).unwrap_err().to_string();
        assert!(refused(&Batch { node: String::new(), ..batch() }).contains("node"));
        assert!(refused(&Batch { node: "n".repeat(254), ..batch() }).contains("254"));
        assert!(refused(&Batch { alerts: vec![alert(1); MAX_ALERTS + 1], ..batch() }).contains("alerts"));
        let mut long = batch();
        long.alerts[0].output = "x".repeat(MAX_TEXT + 1);
        assert!(refused(&long).contains("output"));
        assert!(matches!(decode(&vec![b' '; MAX_BODY + 1]), Err(BatchError::Bounds { .. })));
        // Nested beyond reason: an error, not a stack overflow.
        assert!(decode("[".repeat(1 << 20).as_bytes()).is_err());
    }

    proptest! {
        /// Any bytes, and any damage to a good body: an answer, never a panic.
        #[test]
        fn no_body_panics(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0u8..3), 0..8),
        ) {
            let _ = decode(&noise);
            let mut bytes = serde_json::to_vec(&batch()).unwrap();
            for (at, byte, how) in edits {
                let at = at as usize % bytes.len();
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => { bytes.remove(at); }
                }
            }
            if let Ok(read) = decode(&bytes) {
                prop_assert!(read.alerts.len() <= MAX_ALERTS && !read.node.is_empty());
            }
        }
    }
}
