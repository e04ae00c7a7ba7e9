//! What each object's status should say: pure, from the index, the compiler's outcomes and the fleet.
//!
//! ```text
//! (Index, Compilation, History, Fleet, now) -> desired status -> compare with the object -> Update (only where it differs)
//! ```
//! Invariants: only fields of the operator are compared and written (counters belong to the router); an unchanged status
//! yields no update; an object newer than the last compilation is left as it is until it has been judged; a rule counts
//! as armed on a node as long as that node runs *this form of it*, whatever else changed in the ruleset.
mod exception;
mod history;
mod library;
mod message;
mod route;
mod rule;

pub use history::{Contents, History};

use crate::index::{Fleet, Index, Object};
use crds::{
    Condition, GROUP, VERSION,
    conditions::{self, Now},
};
use engine::{
    compile::{Compiled, ObjectKind, Outcome},
    source::ObjectRef,
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// The last compilation, as status needs it.
#[derive(Debug)]
pub struct Compilation {
    /// Outcome of each object.
    outcomes: HashMap<(ObjectKind, ObjectRef), Outcome>,
    /// What the ruleset holds.
    pub contents: Arc<Contents>,
    /// Whether the ruleset is written to the API server.
    pub published: bool,
}

impl Compilation {
    /// Of a compiler's answer that is not published yet.
    #[must_use]
    pub fn new(compiled: &Compiled) -> Self {
        let outcomes = compiled.outcomes.iter().map(|o| ((o.kind, o.id.clone()), o.clone())).collect();
        Self { outcomes, contents: Arc::new(Contents::of(&compiled.ruleset)), published: false }
    }

    /// The outcome of this form of an object; `None` while it has not been judged.
    fn outcome<K>(&self, kind: ObjectKind, object: &Object<K>) -> Option<&Outcome> {
        self.outcomes.get(&(kind, object.id.clone())).filter(|o| o.generation == object.generation)
    }
}

/// Everything that status depends on.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The objects.
    pub index: &'a Index,
    /// The last compilation.
    pub compilation: &'a Compilation,
    /// What earlier revisions held.
    pub history: &'a History,
    /// The agents that live.
    pub fleet: &'a Fleet,
    /// The time.
    pub now: Timestamp,
}

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Which.
    pub id: ObjectRef,
    /// Its UID: an object that was deleted and made anew is another one.
    pub uid: String,
    /// The whole body of the server-side apply.
    pub body: Value,
    /// Whether it tells more than progress: a condition turned, or a generation was judged. Progress may wait.
    pub urgent: bool,
}

/// Every status that differs from what the objects say.
#[must_use]
pub fn updates(world: World<'_>) -> Vec<Update> {
    let World { index, compilation, .. } = world;
    let mut updates = Vec::new();
    for object in index.rules.iter() {
        if let Some(outcome) = compilation.outcome(ObjectKind::Rule, object) {
            updates.extend(rule::update(world, object, outcome));
        }
    }
    for object in index.libraries.iter() {
        if let Some(outcome) = compilation.outcome(ObjectKind::Library, object) {
            updates.extend(library::update(world, object, outcome));
        }
    }
    for object in index.exceptions.iter() {
        if let Some(outcome) = compilation.outcome(ObjectKind::Exception, object) {
            updates.extend(exception::update(world, object, outcome));
        }
    }
    for object in index.routes.iter() {
        if let Some(outcome) = compilation.outcome(ObjectKind::Route, object) {
            updates.extend(route::update(world, object, outcome));
        }
    }
    updates
}

/// When status changes by time alone (Unix seconds): an exception expires, an agent counts as gone.
#[must_use]
pub fn next_deadline(index: &Index, fleet: &Fleet, now: i64) -> Option<i64> {
    let expiries = index.exceptions.iter().filter_map(|e| exception::expires_at(e.good()?)).filter(|at| *at > now);
    expiries.chain(fleet.next_expiry).min()
}

/// Accepted and Stalled, which every compiled kind has.
fn judged(outcome: &Outcome) -> [Now; 2] {
    let reason = message::reason(outcome);
    let text = message::text(outcome);
    if outcome.accepted {
        [
            conditions::yes(conditions::ACCEPTED, reason, text),
            conditions::no(conditions::STALLED, "Accepted", "nothing for a person to do"),
        ]
    } else {
        let short = message::short(outcome);
        [conditions::no(conditions::ACCEPTED, reason, text), conditions::yes(conditions::STALLED, reason, short)]
    }
}

/// Old and new conditions, with what the comparison needs.
struct Merged {
    conditions: Vec<Condition>,
    same: bool,
    urgent: bool,
}

fn merge<K>(old: &[Condition], now: Vec<Now>, object: &Object<K>, at: Timestamp) -> Merged {
    let conditions = conditions::merge(old, now, Some(object.generation), at);
    let same = conditions.iter().all(|c| old.contains(c));
    let urgent = conditions.iter().any(|new| {
        let before = conditions::find(old, &new.type_);
        before.is_none_or(|b| {
            b.status != new.status || b.reason != new.reason || b.observed_generation != new.observed_generation
        })
    });
    Merged { conditions, same, urgent }
}

/// The update that writes `status`, which holds only the operator's own fields.
fn update<K>(kind: ObjectKind, object: &Object<K>, status: &impl Serialize, urgent: bool) -> Update {
    let mut metadata = json!({"namespace": object.id.namespace, "name": object.id.name});
    if !object.uid.is_empty() {
        metadata["uid"] = object.uid.clone().into();
    }
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind.as_str(),
        "metadata": metadata,
        "status": status,
    });
    Update { kind, id: object.id.clone(), uid: object.uid.clone(), body, urgent }
}

#[cfg(test)]
mod tests;
