//! Status of an OutputRoute as far as it follows from its spec. What the destination says is the router's to tell.
use super::{Update, World, judged, merge, message};
use crate::index::Object;
use crds::{OutputRoute, conditions};
use engine::compile::{ObjectKind, Outcome};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    observed_generation: i64,
    conditions: Vec<crds::Condition>,
}

pub(super) fn update(world: World<'_>, object: &Object<OutputRoute>, outcome: &Outcome) -> Option<Update> {
    let old = object.good().and_then(|r| r.status.clone()).unwrap_or_default();
    let compilation = world.compilation;
    let ready = if !outcome.accepted {
        conditions::no(conditions::READY, message::reason(outcome), message::short(outcome))
    } else if compilation.published && compilation.contents.has_route(&object.id) {
        conditions::yes(conditions::READY, "InForce", "nodes send what it asks for")
    } else {
        conditions::no(conditions::READY, "Publishing", "not written to the ruleset yet")
    };
    let [accepted, stalled] = judged(outcome);
    let merged = merge(&old.conditions, vec![accepted, ready, stalled], object, world.now);
    let same = merged.same && old.observed_generation == Some(object.generation);
    let status = Fields { observed_generation: object.generation, conditions: merged.conditions };
    (!same).then(|| super::update(ObjectKind::Route, object, &status, merged.urgent))
}
