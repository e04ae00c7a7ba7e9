//! What the last revisions held, so that an agent one revision behind still counts for what did not change.
use engine::{ruleset::Ruleset, source::ObjectRef};
use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// How many revisions are remembered.
const REVISIONS: usize = 64;

/// Fingerprint of each rule and exception of a ruleset.
#[derive(Debug, Default)]
pub struct Contents {
    /// The ruleset's revision.
    pub revision: String,
    rules: HashMap<ObjectRef, u64>,
    exceptions: HashMap<ObjectRef, u64>,
    routes: HashMap<ObjectRef, i64>,
}

impl Contents {
    /// Of a ruleset. A rule is the same when its compiled form is: an edited macro makes other rules of those that use it.
    #[must_use]
    pub fn of(ruleset: &Ruleset) -> Self {
        let exception =
            |e: &engine::ruleset::Exception| fingerprint(&(&e.uid, e.generation, &e.condition, e.expires_at));
        Self {
            revision: ruleset.revision.clone(),
            rules: ruleset.rules.iter().map(|r| (r.id.clone(), fingerprint(r))).collect(),
            exceptions: ruleset.exceptions.iter().map(|e| (e.id.clone(), exception(e))).collect(),
            routes: ruleset.routes.iter().map(|r| (r.meta.id.clone(), r.meta.generation)).collect(),
        }
    }

    /// Fingerprint of a rule.
    #[must_use]
    pub fn rule(&self, id: &ObjectRef) -> Option<u64> {
        self.rules.get(id).copied()
    }

    /// Fingerprint of an exception.
    #[must_use]
    pub fn exception(&self, id: &ObjectRef) -> Option<u64> {
        self.exceptions.get(id).copied()
    }

    /// Whether it has that route.
    #[must_use]
    pub fn has_route(&self, id: &ObjectRef) -> bool {
        self.routes.contains_key(id)
    }
}

fn fingerprint(value: &impl serde::Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // These types always serialise; were one not to, it would only look the same as before.
    serde_json::to_vec(value).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// The contents of the last [`REVISIONS`] rulesets that were published.
#[derive(Debug, Default)]
pub struct History {
    revisions: VecDeque<Arc<Contents>>,
}

impl History {
    /// Remembers a revision.
    pub fn push(&mut self, contents: Arc<Contents>) {
        self.revisions.retain(|known| known.revision != contents.revision);
        self.revisions.push_back(contents);
        if self.revisions.len() > REVISIONS {
            self.revisions.pop_front();
        }
    }

    /// What a revision held; `None` if it is unknown or forgotten.
    #[must_use]
    pub fn get(&self, revision: &str) -> Option<&Contents> {
        self.revisions.iter().rev().find(|c| c.revision == revision).map(AsRef::as_ref)
    }
}
