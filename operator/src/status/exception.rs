//! Status of an Exception: Accepted, Ready (in force on every node), Expired, Stalled.
use super::{Update, World, judged, merge, message};
use crate::index::Object;
use crds::{
    Exception,
    conditions::{self, Now},
};
use engine::compile::{ObjectKind, Outcome};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    observed_generation: i64,
    conditions: Vec<crds::Condition>,
}

/// When it stops acting (Unix seconds).
pub(super) fn expires_at(object: &Exception) -> Option<i64> {
    object.spec.expires_at.as_ref().map(|t| t.0.as_second())
}

pub(super) fn update(world: World<'_>, object: &Object<Exception>, outcome: &Outcome) -> Option<Update> {
    let old = object.good().and_then(|e| e.status.clone()).unwrap_or_default();
    let end = object.good().and_then(expires_at);
    let expired = end.is_some_and(|at| at <= world.now.as_second());
    let [accepted, stalled] = judged(outcome);
    let now = vec![accepted, ready(world, object, outcome, expired), expiry(object, expired), stalled];
    let merged = merge(&old.conditions, now, object, world.now);
    let same = merged.same && old.observed_generation == Some(object.generation);
    let status = Fields { observed_generation: object.generation, conditions: merged.conditions };
    (!same).then(|| super::update(ObjectKind::Exception, object, &status, merged.urgent))
}

fn expiry(object: &Object<Exception>, expired: bool) -> Now {
    let end = object.good().and_then(|e| e.spec.expires_at.as_ref()).map(|t| t.0);
    match end {
        None => conditions::no(conditions::EXPIRED, "NeverExpires", "it has no expiresAt"),
        Some(at) if expired => {
            conditions::yes(conditions::EXPIRED, "TimeIsOver", format!("expired at {at}; matches count again"))
        }
        Some(at) => conditions::no(conditions::EXPIRED, "InTime", format!("acts until {at}")),
    }
}

fn ready(world: World<'_>, object: &Object<Exception>, outcome: &Outcome, expired: bool) -> Now {
    let no = |reason: &'static str, text: String| conditions::no(conditions::READY, reason, text);
    if !outcome.accepted {
        return no(message::reason(outcome), message::short(outcome));
    }
    if expired {
        return no("Expired", "its time is over: renew expiresAt, or delete it".to_owned());
    }
    let wanted = world.compilation.contents.exception(&object.id);
    let agents = &world.fleet.agents;
    let armed = agents
        .iter()
        .filter(|a| {
            let runs = world.history.get(&a.revision).and_then(|c| c.exception(&object.id));
            wanted.is_some() && runs == wanted
        })
        .count();
    match (armed, agents.len()) {
        (_, 0) => no("NoAgents", "no live agent: see kubectl get nodeagents".to_owned()),
        (armed, all) if armed < all => no("Arming", format!("in force on {armed} of {all} nodes")),
        (armed, all) => conditions::yes(conditions::READY, "InForce", format!("in force on {armed} of {all} nodes")),
    }
}
