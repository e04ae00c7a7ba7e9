//! Status of a RuleLibrary: Accepted, Conflict, Ready, Stalled, and how much it holds.
use super::{Update, World, judged, merge, message};
use crate::index::Object;
use crds::{RuleLibrary, conditions};
use engine::compile::{ObjectKind, Outcome};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    observed_generation: i64,
    conditions: Vec<crds::Condition>,
    macros: i32,
    lists: i32,
}

pub(super) fn update(world: World<'_>, object: &Object<RuleLibrary>, outcome: &Outcome) -> Option<Update> {
    let old = object.good().and_then(|l| l.status.clone()).unwrap_or_default();
    let taken = outcome.diagnostics.iter().find(|d| d.code == "Conflict");
    let conflict = match taken {
        Some(taken) => conditions::yes(conditions::CONFLICT, "NameTaken", taken.one_line()),
        None => conditions::no(conditions::CONFLICT, "NoConflict", "each of its names is its own"),
    };
    let ready = if outcome.accepted && taken.is_none() {
        conditions::yes(conditions::READY, "Accepted", "rules can use its macros and lists")
    } else if outcome.accepted {
        conditions::no(conditions::READY, "Conflict", "an older library has one of its names; rules see the older one")
    } else {
        conditions::no(conditions::READY, message::reason(outcome), message::short(outcome))
    };
    let [accepted, stalled] = judged(outcome);
    let merged = merge(&old.conditions, vec![accepted, conflict, ready, stalled], object, world.now);
    let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let (macros, lists) = object.good().map_or((0, 0), |l| (size(l.spec.macros.len()), size(l.spec.lists.len())));
    let same = merged.same
        && old.observed_generation == Some(object.generation)
        && (old.macros, old.lists) == (Some(macros), Some(lists));
    let status = Fields { observed_generation: object.generation, conditions: merged.conditions, macros, lists };
    (!same).then(|| super::update(ObjectKind::Library, object, &status, merged.urgent))
}
