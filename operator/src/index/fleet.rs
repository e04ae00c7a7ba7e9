//! Which agents live, and what each of them runs.
use super::table::Table;
use crds::{NodeAgent, conditions, node_agent::LIVE_FOR};
use engine::source::ObjectRef;
use std::collections::BTreeMap;

/// An agent that lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Its node.
    pub node: String,
    /// The revision that it has armed; empty before the first.
    pub revision: String,
    /// Why it has not armed a newer one; empty while all is well.
    pub error: String,
    /// Rules (`namespace/name`) that it could not arm, with the reason.
    pub failing: BTreeMap<String, String>,
}

/// A new agent is not waited for until it has told of its first ruleset, or for so long (seconds): a node that joins
/// does not turn every rule unready for a moment.
const STARTING: i64 = 60;
/// An agent that was stopped counts for so long (seconds) as if it were there: it is replaced, as a rule.
const STOPPING: i64 = 30;

/// The agents that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// By node.
    pub agents: Vec<Agent>,
    /// When this changes by time alone, unless something is heard before (Unix seconds).
    pub next_expiry: Option<i64>,
}

impl Fleet {
    /// An agent lives when its node exists and its last heartbeat is not older than [`LIVE_FOR`].
    pub(super) fn of(agents: &Table<NodeAgent>, nodes: &Table<()>, now: i64) -> Self {
        let live_for = i64::try_from(LIVE_FOR.as_secs()).unwrap_or(i64::MAX);
        let mut fleet = Self::default();
        for object in agents.iter() {
            let node = ObjectRef { namespace: String::new(), name: object.id.name.clone() };
            if nodes.synced() && nodes.get(&node).is_none() {
                continue;
            }
            let Some(status) = object.good().and_then(|a| a.status.as_ref()) else { continue };
            let Some(heartbeat) = status.last_heartbeat.as_ref().map(|t| t.0.as_second()) else { continue };
            let end = heartbeat.saturating_add(live_for);
            if end <= now {
                continue;
            }
            fleet.expires(end, now);
            let starting = object.created.saturating_add(STARTING);
            if status.revision.is_empty() && status.ruleset_error.is_empty() && starting > now {
                fleet.expires(starting, now);
                continue;
            }
            let ready = conditions::find(&status.conditions, conditions::READY);
            let stopped = ready.is_some_and(|r| r.status == "False" && r.reason == "Stopped");
            let stopping = heartbeat.saturating_add(STOPPING);
            if stopped {
                fleet.expires(stopping, now);
            }
            fleet.agents.push(if stopped && stopping <= now {
                Agent { node: object.id.name.clone(), error: "the agent was stopped".to_owned(), ..Agent::default() }
            } else {
                let failing = status.rules.iter().flat_map(|r| &r.failing).map(|f| (f.rule.clone(), f.reason.clone()));
                Agent {
                    node: object.id.name.clone(),
                    revision: status.revision.clone(),
                    error: status.ruleset_error.clone(),
                    failing: failing.collect(),
                }
            });
        }
        fleet
    }

    /// Something changes by time alone at `at`, if that is still to come.
    fn expires(&mut self, at: i64, now: i64) {
        if at > now {
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
    }
}
