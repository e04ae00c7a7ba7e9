//! Counters of all agents added up, and which object's status is due for a write. Pure: time comes in, writes come out.
//!
//! ```text
//! batch -> apply (what is new since this agent's last one) -> totals per object -> due(now) -> status writer -> written
//! ```
//! Invariants:
//! - an agent's totals are counted once: against what was last heard of it, or, for an agent unknown here, against what it
//!   says was acknowledged before. So the sums go on over restarts of agents and of the router, in any order;
//! - an agent counts as acknowledged only what is on disk here ([`Sums::kept`]), and status is written only of sums that are on
//!   disk: so a kill at any moment neither loses a match nor counts one twice;
//! - an object's first match is due at once, everything else at most once per [`EVERY`] for each object;
//! - nothing is written that is already there.
//!
//! Totals kept here win over those in status, and the greater wins at the start, when the state file may be gone.
use engine::source::ObjectRef;
use router::batch::{Batch, Tally};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

mod entry;
mod pairs;
#[cfg(test)]
mod tests;

pub use entry::Known;
use entry::{ExceptionEntry, Pace, RuleEntry};

/// Least time between two writes of one object's status, in milliseconds.
pub const EVERY: u64 = 30_000;
/// Agents remembered; beyond, the one not heard of for longest is forgotten.
const MAX_AGENTS: usize = 20_000;
/// Objects of each kind; beyond, others are not counted (and said so in the log by the caller).
const MAX_OBJECTS: usize = 50_000;

/// Which kind of object a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// DetectionRule.
    Rule,
    /// Exception.
    Exception,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Ask the API server what its status says, then call [`Sums::known`].
    Read(Kind, ObjectRef),
    /// Write this as its status, then call [`Sums::written`].
    Write {
        /// Which kind.
        kind: Kind,
        /// Which object.
        id: ObjectRef,
        /// Its UID: the write is meant for no other.
        uid: String,
        /// Our part of `status`.
        status: serde_json::Value,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Agent {
    node: String,
    seq: u64,
    heard: u64,
    /// The batch up to which the bytes under way to the disk have its counters.
    #[serde(skip)]
    under_way: u64,
    /// The batch up to which the disk has its counters.
    #[serde(skip)]
    kept: u64,
    #[serde(with = "pairs")]
    rules: BTreeMap<ObjectRef, Tally>,
    #[serde(with = "pairs")]
    exceptions: BTreeMap<ObjectRef, u64>,
}

/// See the module. Serialised into the router's state file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    agents: BTreeMap<Uuid, Agent>,
    #[serde(with = "pairs")]
    rules: BTreeMap<ObjectRef, RuleEntry>,
    #[serde(with = "pairs")]
    exceptions: BTreeMap<ObjectRef, ExceptionEntry>,
    /// Objects that changed since their last write.
    #[serde(skip)]
    changed: BTreeSet<(Kind, ObjectRef)>,
    /// Grows with each change.
    #[serde(skip)]
    version: u64,
    /// The hour that `last24h` was last looked at for all.
    #[serde(skip)]
    hour: u64,
}

impl Sums {
    /// Reads a state file; every object in it is compared with its status once.
    ///
    /// # Errors
    /// When the bytes are not ours.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut sums: Self = serde_json::from_slice(bytes)?;
        for agent in sums.agents.values_mut() {
            agent.kept = agent.seq;
        }
        sums.changed.extend(sums.rules.keys().map(|id| (Kind::Rule, id.clone())));
        sums.changed.extend(sums.exceptions.keys().map(|id| (Kind::Exception, id.clone())));
        Ok(sums)
    }

    /// Grows with each change that is worth keeping on disk.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What goes to disk; [`Sums::saved`] once it is there.
    #[must_use]
    pub fn snapshot(&mut self) -> Vec<u8> {
        for agent in self.agents.values_mut() {
            agent.under_way = agent.seq;
        }
        // These types always serialise; no bytes would be read as no sums.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The last snapshot is on disk.
    pub fn saved(&mut self) {
        for agent in self.agents.values_mut() {
            agent.kept = agent.under_way;
        }
    }

    /// Number of the last batch of this agent whose counters would outlive a kill of this process.
    #[must_use]
    pub fn kept(&self, agent: Uuid) -> u64 {
        self.agents.get(&agent).map_or(0, |a| a.kept)
    }

    /// Whether this batch was taken before: its alerts are not to be taken again.
    #[must_use]
    pub fn has_seen(&self, batch: &Batch) -> bool {
        self.agents.get(&batch.agent).is_some_and(|a| a.seq >= batch.seq)
    }

    /// Adds what is new in a batch. `now`: milliseconds since 1970. Returns whether an object had its first match.
    pub fn apply(&mut self, batch: &Batch, now: u64) -> bool {
        if !self.agents.contains_key(&batch.agent) && self.agents.len() >= MAX_AGENTS {
            let oldest = self.agents.iter().min_by_key(|(_, a)| a.heard).map(|(id, _)| *id);
            if let Some(id) = oldest {
                self.agents.remove(&id);
            }
        }
        let agent = self.agents.entry(batch.agent).or_default();
        agent.node.clone_from(&batch.node);
        agent.seq = agent.seq.max(batch.seq);
        agent.heard = now;
        self.version += 1;
        let mut first = false;
        for counter in &batch.counters.rules {
            if !self.rules.contains_key(&counter.id) && self.rules.len() >= MAX_OBJECTS {
                continue;
            }
            let known = agent.rules.entry(counter.id.clone()).or_insert(counter.acknowledged);
            let new = entry::since(counter.total, *known);
            *known = entry::greater(counter.total, *known);
            if new == Tally::default() {
                continue;
            }
            let rule = self.rules.entry(counter.id.clone()).or_default();
            first |= rule.add(new, counter.first_seen, counter.last_seen, now);
            self.changed.insert((Kind::Rule, counter.id.clone()));
        }
        for counter in &batch.counters.exceptions {
            if !self.exceptions.contains_key(&counter.id) && self.exceptions.len() >= MAX_OBJECTS {
                continue;
            }
            let known = agent.exceptions.entry(counter.id.clone()).or_insert(counter.acknowledged);
            let new = counter.suppressed.saturating_sub(*known);
            *known = counter.suppressed.max(*known);
            if new == 0 {
                continue;
            }
            let exception = self.exceptions.entry(counter.id.clone()).or_default();
            first |= exception.add(new, counter.last_matched);
            self.changed.insert((Kind::Exception, counter.id.clone()));
        }
        first
    }

    /// What is to be read or written now. `now`: milliseconds since 1970.
    pub fn due(&mut self, now: u64) -> Vec<Due> {
        let hour = entry::hour(now);
        if hour != self.hour {
            // `last24h` falls also without matches.
            self.hour = hour;
            self.changed.extend(self.rules.keys().map(|id| (Kind::Rule, id.clone())));
        }
        let mut due = Vec::new();
        let mut settled = Vec::new();
        for (kind, id) in &self.changed {
            let (pace, status) = match kind {
                Kind::Rule => match self.rules.get(id) {
                    Some(rule) => (&rule.pace, rule.status(now)),
                    None => continue,
                },
                Kind::Exception => match self.exceptions.get(id) {
                    Some(exception) => (&exception.pace, exception.status()),
                    None => continue,
                },
            };
            match pace.due(&status, now) {
                entry::Turn::Same => settled.push((*kind, id.clone())),
                entry::Turn::Later => {}
                entry::Turn::Read => due.push(Due::Read(*kind, id.clone())),
                entry::Turn::Write(uid) => due.push(Due::Write { kind: *kind, id: id.clone(), uid, status }),
            }
        }
        for key in settled {
            self.changed.remove(&key);
        }
        due
    }

    /// What the API server says of an object; `None`: it is not there, so its counters go.
    pub fn known(&mut self, kind: Kind, id: &ObjectRef, known: Option<Known>) {
        match (kind, known) {
            (_, None) => self.forget(kind, id),
            (Kind::Rule, Some(known)) => {
                if let Some(rule) = self.rules.get_mut(id) {
                    rule.learn(&known);
                }
            }
            (Kind::Exception, Some(known)) => {
                if let Some(exception) = self.exceptions.get_mut(id) {
                    exception.learn(&known);
                }
            }
        }
    }

    /// A write succeeded.
    pub fn written(&mut self, kind: Kind, id: &ObjectRef, status: serde_json::Value, now: u64) {
        self.version += 1;
        match kind {
            Kind::Rule => self.rules.get_mut(id).map(|r| r.written(status, now)),
            Kind::Exception => self.exceptions.get_mut(id).map(|e| e.written(status, now)),
        };
    }

    /// A write failed: `replaced` when the object is another one by now, which is then read first.
    pub fn failed(&mut self, kind: Kind, id: &ObjectRef, replaced: bool, now: u64) {
        if let Some(pace) = self.pace(kind, id) {
            pace.failed(replaced, now);
        }
    }

    fn forget(&mut self, kind: Kind, id: &ObjectRef) {
        match kind {
            Kind::Rule => {
                self.rules.remove(id);
            }
            Kind::Exception => {
                self.exceptions.remove(id);
            }
        }
        self.changed.remove(&(kind, id.clone()));
    }

    fn pace(&mut self, kind: Kind, id: &ObjectRef) -> Option<&mut Pace> {
        match kind {
            Kind::Rule => self.rules.get_mut(id).map(|r| &mut r.pace),
            Kind::Exception => self.exceptions.get_mut(id).map(|e| &mut e.pace),
        }
    }
}
