//! Status of a DetectionRule: Accepted, Armed, Ready, Stalled, Verified, and on how many nodes it is armed.
use super::{Update, World, judged, merge, message};
use crate::index::{Agent, Object};
use crds::{
    DetectionRule,
    conditions::{self, Now},
    rule::{FailingNode, RuleNodes},
};
use engine::{
    compile::{ObjectKind, Outcome},
    source::ObjectRef,
};
use serde::Serialize;

/// Most nodes that are named.
const MAX_FAILING: usize = 10;

/// The operator's own fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    observed_generation: i64,
    conditions: Vec<crds::Condition>,
    armed: String,
    nodes: RuleNodes,
}

pub(super) fn update(world: World<'_>, object: &Object<DetectionRule>, outcome: &Outcome) -> Option<Update> {
    let old = object.good().and_then(|r| r.status.clone()).unwrap_or_default();
    let disabled = object.good().is_some_and(|r| r.spec.state == "Disabled") && outcome.accepted;
    let nodes = match outcome.inert {
        None => armed_nodes(world, &object.id),
        // Agents have it and no event reaches it.
        Some(_) => RuleNodes { desired: count(world.fleet.agents.len()), ..RuleNodes::default() },
    };
    let armed = armed(world, &object.id, &nodes, disabled, outcome);
    let [accepted, stalled] = judged(outcome);
    let ready = ready(&armed, disabled, outcome);
    let verified = conditions::no(conditions::VERIFIED, "NoTrigger", "no live trigger has proven this rule yet");
    let merged = merge(&old.conditions, vec![accepted, armed.condition, ready, stalled, verified], object, world.now);
    let text = if disabled { "-".to_owned() } else { format!("{}/{}", nodes.armed, nodes.desired) };
    let same = merged.same
        && old.observed_generation == Some(object.generation)
        && old.armed.as_deref() == Some(&text)
        && old.nodes.as_ref() == Some(&nodes);
    let status = Fields { observed_generation: object.generation, conditions: merged.conditions, armed: text, nodes };
    (!same).then(|| super::update(ObjectKind::Rule, object, &status, merged.urgent))
}

/// On how many live agents this form of the rule is armed.
fn armed_nodes(world: World<'_>, id: &ObjectRef) -> RuleNodes {
    let wanted = world.compilation.contents.rule(id);
    let name = id.to_string();
    let mut nodes = RuleNodes { desired: count(world.fleet.agents.len()), ..RuleNodes::default() };
    for agent in &world.fleet.agents {
        let runs = world.history.get(&agent.revision).and_then(|c| c.rule(id));
        let reason = match agent.failing.get(&name) {
            Some(reason) => reason.clone(),
            None if wanted.is_some() && runs == wanted => {
                nodes.armed += 1;
                continue;
            }
            None => behind(world, agent),
        };
        if nodes.failing.len() < MAX_FAILING {
            nodes.failing.push(FailingNode { node: agent.node.clone(), reason });
        }
    }
    nodes
}

/// Why an agent does not run the current revision.
fn behind(world: World<'_>, agent: &Agent) -> String {
    if !agent.error.is_empty() {
        return agent.error.clone();
    }
    let wanted = &world.compilation.contents.revision;
    match agent.revision.as_str() {
        "" => "no ruleset armed yet".to_owned(),
        revision if revision == wanted => "this rule is not in the ruleset".to_owned(),
        revision => format!("runs revision {revision}, {wanted} is wanted"),
    }
}

struct Armed {
    condition: Now,
    /// Reason and words for Ready, where it is not.
    missing: Option<(&'static str, String)>,
}

fn armed(world: World<'_>, id: &ObjectRef, nodes: &RuleNodes, disabled: bool, outcome: &Outcome) -> Armed {
    let missing = |reason: &'static str, text: String| Armed {
        condition: conditions::no(conditions::ARMED, reason, text.clone()),
        missing: Some((reason, text)),
    };
    let RuleNodes { armed, desired, .. } = *nodes;
    if disabled {
        return missing("Disabled", "the rule is disabled: no node evaluates it".to_owned());
    }
    if world.compilation.contents.rule(id).is_none() {
        return missing("NotAccepted", "no good form of this rule has been seen: no node evaluates it".to_owned());
    }
    if let Some(why) = outcome.inert {
        return missing(message::inert_reason(why), message::inert(outcome, why));
    }
    if desired == 0 {
        return missing("NoAgents", "no live agent: see kubectl get nodeagents".to_owned());
    }
    if armed < desired {
        let told = nodes.failing.iter().take(3).map(|f| format!("{}: {}", f.node, f.reason)).collect::<Vec<_>>();
        return missing("Arming", format!("armed on {armed} of {desired} nodes; {}", told.join("; ")));
    }
    let kept = outcome.kept_generation.filter(|_| !outcome.accepted);
    let condition = match kept {
        None => conditions::yes(conditions::ARMED, "Armed", format!("armed on {armed} of {desired} nodes")),
        Some(generation) => conditions::yes(
            conditions::ARMED,
            "LastGoodArmed",
            format!("generation {generation}, the last good one, is armed on {armed} of {desired} nodes"),
        ),
    };
    Armed { condition, missing: None }
}

fn ready(armed: &Armed, disabled: bool, outcome: &Outcome) -> Now {
    if !outcome.accepted {
        return conditions::no(conditions::READY, message::reason(outcome), message::short(outcome));
    }
    if disabled {
        return conditions::yes(conditions::READY, "Disabled", "compiles; it is disabled");
    }
    match &armed.missing {
        Some((reason, text)) => conditions::no(conditions::READY, reason, text.clone()),
        None => conditions::yes(conditions::READY, "Armed", "compiles, its tests pass, every live agent runs it"),
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
