//! One result of a report: a rule, a fingerprint and how often.
use super::{
    limits::{FIELDS, MESSAGE, VALUE},
    scope::Scope,
    text::cut,
};
use engine::{priority::Priority, source::ObjectRef};
use router::alert::Alert;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write};

/// Matches of one rule that share a fingerprint. All text is already cut to its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The DetectionRule.
    pub policy: ObjectRef,
    /// What alerts call `rule`.
    pub rule: String,
    /// Priority of the newest match.
    pub priority: Priority,
    /// From the rule's MITRE tag; empty without one.
    pub category: String,
    /// Output of the first match.
    pub message: String,
    /// Fingerprint of the alert.
    pub fingerprint: String,
    /// Container, image, and fields of the output of the first match.
    pub details: BTreeMap<String, String>,
    /// How many matches.
    pub count: u64,
    /// Time of the first, nanoseconds since 1970.
    pub first: i64,
    /// Time of the last, nanoseconds since 1970.
    pub last: i64,
}

impl Finding {
    /// What an alert says.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            policy: alert.policy.clone(),
            rule: cut(&alert.rule, VALUE),
            priority: alert.priority,
            category: category(&alert.tags),
            message: cut(&alert.output, MESSAGE),
            fingerprint: cut(&alert.fingerprint, VALUE),
            details: details(alert),
            count: alert.count,
            first: alert.time,
            last: alert.last_time.max(alert.time),
        }
    }

    /// Adds matches of the same rule and fingerprint.
    pub fn absorb(&mut self, newer: &Self) {
        self.count = self.count.saturating_add(newer.count);
        self.first = self.first.min(newer.first);
        if newer.last >= self.last {
            self.last = newer.last;
            // An edited rule: what it is called and how urgent it is follow the newest match.
            self.rule.clone_from(&newer.rule);
            self.priority = newer.priority;
            self.category.clone_from(&newer.category);
        }
    }

    /// Stable identity of the result, over restarts and writes: 16 hex digits.
    #[must_use]
    pub fn result_id(&self, scope: &Scope, node: &str) -> String {
        let mut hash = Sha256::new();
        for part in [node, scope.uid(), &self.policy.namespace, &self.policy.name, &self.fingerprint] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.finalize().iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Least first: what goes when a report is full.
    pub(super) fn importance(&self) -> (Priority, i64) {
        (self.priority, self.last)
    }
}

/// The tactic of the first MITRE tag in words (`mitre_credential_access` is `Credential Access`), else a technique's number.
fn category(tags: &[String]) -> String {
    let tactic = tags.iter().find_map(|tag| tag.strip_prefix("mitre_"));
    if let Some(tactic) = tactic {
        let words: Vec<String> = tactic
            .split('_')
            .filter_map(|word| {
                let mut letters = word.chars();
                Some(letters.next()?.to_uppercase().chain(letters).collect())
            })
            .collect();
        return cut(&words.join(" "), VALUE);
    }
    let technique = |tag: &&String| tag.starts_with('T') && tag[1..].starts_with(|c: char| c.is_ascii_digit());
    tags.iter().find(technique).map(|tag| cut(tag, VALUE)).unwrap_or_default()
}

fn details(alert: &Alert) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            all.insert(key.to_owned(), cut(value, VALUE));
        }
    };
    put("revision", &alert.revision);
    if let Some(container) = &alert.container {
        put("container", &container.name);
        put("containerId", &container.id);
        put("image", &container.image);
    }
    if let Some(pod) = &alert.pod {
        put("serviceAccount", &pod.service_account);
    }
    if alert.metadata_missing {
        put("metadataMissing", "true");
    }
    let mut room = FIELDS;
    for (key, value) in &alert.output_fields {
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => cut(text, VALUE),
            other => cut(&other.to_string(), VALUE),
        };
        // A field name has a dot, so that it is never one of our own keys.
        // Times are in firstSeen and lastSeen.
        if !key.contains('.')
            || key.starts_with("evt.time")
            || key.starts_with("evt.rawtime")
            || key.len() + text.len() > room
        {
            continue;
        }
        room -= key.len() + text.len();
        all.insert(key.clone(), text);
    }
    all
}
