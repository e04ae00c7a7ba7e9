//! Which alerts share a message, and when it goes out: a pure state machine. Time comes in as an argument.
//!
//! ```text
//! offer(now, alert) -> opens or joins a group -> poll(now) -> Message { id, group, alerts }
//! ```
//! - The first alert of a group waits `wait` for others; then all go out as one message.
//! - A match already told in that group (same fingerprint) is folded into one alert with a count, and told again
//!   `repeat_after` after the last time. A new kind of match in a known group waits only `wait`.
//! - Without grouping each alert is its own message at once.
//!
//! Invariants: every alert offered comes out in exactly one message, as itself or folded into an equal one whose `count`
//! it raises; what is held is bounded (a full group goes out early, never away); the same offers at the same times give
//! the same messages with the same ids, so that a replay after a crash repeats ids instead of making new ones.
use crate::alert::Alert;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

mod key;
#[cfg(test)]
mod tests;

pub use key::{BadKey, Key};

/// Alerts in one message; a group that reaches it goes out at once.
pub const MAX_ALERTS: usize = 100;
/// Groups at once; beyond, the one that is due first goes out at once.
pub const MAX_GROUPS: usize = 500;
/// Alerts held over all groups; beyond, the group that is due first goes out at once.
pub const MAX_HELD: usize = 10_000;
/// Kinds of match that a group remembers as told; beyond, all are forgotten, so that repeats are told early.
const MAX_TOLD: usize = 256;

/// How to group. Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Alerts equal in all of these belong together.
    pub by: Vec<Key>,
    /// How long a new group waits for more.
    pub wait: u64,
    /// How long an equal match is held back after it was told.
    pub repeat_after: u64,
}

/// What goes to a destination as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Stable: the same over retries and restarts.
    pub id: uuid::Uuid,
    /// What its alerts have in common, by the names in `grouping.by`. Empty without grouping.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group: BTreeMap<String, String>,
    /// At least one, at most [`MAX_ALERTS`], in order of arrival.
    pub alerts: Vec<Alert>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Group {
    labels: BTreeMap<String, String>,
    /// New kinds of match, and when they go out.
    open: Vec<Alert>,
    due: u64,
    /// Kinds of match by fingerprint: when last told, and what has come since.
    told: BTreeMap<String, Told>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Alert>,
}

impl Group {
    /// Alerts in it.
    fn held(&self) -> usize {
        self.open.len() + self.told.values().filter(|t| t.held.is_some()).count()
    }

    /// When something is to be done with it: `u64::MAX` never.
    fn next(&self, repeat_after: u64) -> u64 {
        let open = if self.open.is_empty() { u64::MAX } else { self.due };
        let told = self.told.values().map(|t| t.at.saturating_add(repeat_after)).min().unwrap_or(u64::MAX);
        open.min(told)
    }
}

/// What a grouper holds, for the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    groups: BTreeMap<String, Group>,
}

/// See the module.
#[derive(Debug)]
pub struct Grouper {
    grouping: Option<Grouping>,
    state: State,
    ready: VecDeque<Message>,
    /// Alerts in `state`.
    held: usize,
    /// Nothing is due before.
    next: u64,
}

impl Grouper {
    /// `None`: every alert by itself. `state` is what [`Grouper::state`] gave before a restart.
    #[must_use]
    pub fn new(grouping: Option<Grouping>, state: State) -> Self {
        let held = state.groups.values().map(Group::held).sum();
        Self { grouping, state, ready: VecDeque::new(), held, next: 0 }
    }

    /// Takes an alert. Call [`Grouper::poll`] with the same time before, so that a group that is due goes without it.
    pub fn offer(&mut self, now: u64, alert: Alert) {
        let Some(grouping) = &self.grouping else {
            self.ready.push_back(Message { id: alert.id, group: BTreeMap::new(), alerts: vec![alert] });
            return;
        };
        let (wait, repeat_after) = (grouping.wait, grouping.repeat_after);
        let labels: BTreeMap<_, _> = grouping.by.iter().map(|k| (k.to_string(), k.value(&alert))).collect();
        let name = serde_json::to_string(&labels).unwrap_or_default();
        let another = !self.state.groups.contains_key(&name);
        if (another && self.state.groups.len() >= MAX_GROUPS) || self.held >= MAX_HELD {
            self.evict(now);
        }
        let group = self.state.groups.entry(name).or_insert_with(|| Group { labels, ..Group::default() });
        if let Some(told) = group.told.get_mut(&alert.fingerprint) {
            match &mut told.held {
                Some(held) => join(held, &alert),
                None => {
                    told.held = Some(alert);
                    self.held += 1;
                }
            }
            self.next = self.next.min(told.at.saturating_add(repeat_after));
        } else {
            if group.open.is_empty() {
                group.due = now.saturating_add(wait);
            }
            match group.open.iter_mut().find(|a| a.fingerprint == alert.fingerprint) {
                Some(open) => join(open, &alert),
                None => {
                    group.open.push(alert);
                    self.held += 1;
                }
            }
            if group.open.len() >= MAX_ALERTS {
                group.due = now;
            }
            self.next = self.next.min(group.due);
        }
    }

    /// What is due at `now`, oldest first.
    pub fn poll(&mut self, now: u64) -> Option<Message> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message);
        }
        let repeat_after = self.grouping.as_ref().map_or(0, |g| g.repeat_after);
        if now < self.next {
            return None;
        }
        // One after another, each at the time it was due and not that of the call: a replay that calls at other times gives
        // the same messages.
        let earliest = |groups: &BTreeMap<String, Group>| {
            groups.iter().map(|(name, g)| (g.next(repeat_after), name)).min().map(|(at, name)| (at, name.clone()))
        };
        while let Some((at, name)) = earliest(&self.state.groups).filter(|(at, _)| *at <= now) {
            self.flush(&name, at, false);
        }
        self.next = self.state.groups.values().map(|g| g.next(repeat_after)).min().unwrap_or(u64::MAX);
        self.ready.pop_front()
    }

    /// When [`Grouper::poll`] has something next, in milliseconds since 1970. `None`: not until another offer.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        if self.ready.is_empty() {
            Some(self.next).filter(|n| *n != u64::MAX && !self.state.groups.is_empty())
        } else {
            Some(0)
        }
    }

    /// Sends everything held at once, due or not: for a route whose grouping changed.
    pub fn flush_all(&mut self, now: u64) {
        let names: Vec<String> = self.state.groups.keys().cloned().collect();
        for name in names {
            self.flush(&name, now, true);
        }
        self.state.groups.clear();
    }

    /// For the checkpoint. Messages that [`Grouper::poll`] has not handed out yet are not part of it: poll to `None` first.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Alerts held back for their time.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Makes room: the group that is due first goes out now.
    fn evict(&mut self, now: u64) {
        let repeat_after = self.grouping.as_ref().map_or(0, |g| g.repeat_after);
        let first = self.state.groups.iter().min_by_key(|(_, g)| g.next(repeat_after)).map(|(name, _)| name.clone());
        if let Some(name) = first {
            self.flush(&name, now, true);
            self.state.groups.remove(&name);
        }
    }

    /// Moves what is due of a group (`all`: everything it holds) to `ready`; forgets what needs no memory any more.
    fn flush(&mut self, name: &str, now: u64, all: bool) {
        let repeat_after = self.grouping.as_ref().map_or(0, |g| g.repeat_after);
        let Some(group) = self.state.groups.get_mut(name) else { return };
        let before = group.held();
        let mut alerts = Vec::new();
        if !group.open.is_empty() && (all || group.due <= now) {
            alerts.append(&mut group.open);
        }
        let over = |told: &Told| told.at.saturating_add(repeat_after) <= now;
        if all || group.told.values().any(|t| t.held.is_some() && over(t)) {
            alerts.extend(group.told.values_mut().filter_map(|t| t.held.take()));
        }
        group.told.retain(|_, t| t.held.is_some() || !over(t));
        if group.told.len() + alerts.len() > MAX_TOLD {
            alerts.extend(group.told.values_mut().filter_map(|t| t.held.take()));
            group.told.clear();
        }
        if repeat_after > 0 && !all {
            for alert in &alerts {
                group.told.insert(alert.fingerprint.clone(), Told { at: now, held: None });
            }
        }
        self.held -= before - group.held();
        alerts.sort_by_key(|a| a.time);
        let labels = group.labels.clone();
        if group.open.is_empty() && group.told.is_empty() {
            self.state.groups.remove(name);
        }
        while !alerts.is_empty() {
            let rest = alerts.split_off(alerts.len().min(MAX_ALERTS));
            self.ready.push_back(Message { id: message_id(&alerts), group: labels.clone(), alerts });
            alerts = rest;
        }
    }
}

/// Derived from the first alert's id, which no other message contains.
fn message_id(alerts: &[Alert]) -> uuid::Uuid {
    let first = alerts.first().map_or(uuid::Uuid::nil(), |a| a.id);
    uuid::Uuid::new_v5(&first, b"eyas group")
}

/// Counts `other` into `alert`, of which it is a repeat.
fn join(alert: &mut Alert, other: &Alert) {
    alert.count = alert.count.saturating_add(other.count);
    alert.last_time = alert.last_time.max(other.last_time);
    alert.time = alert.time.min(other.time);
}
