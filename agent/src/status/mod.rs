//! What this node's agent does at the moment, as NodeAgent status says it; also standalone, at `/status`.
//!
//! ```text
//! armer (ruleset, hooks, counters), detect thread (queue losses), sinks (failures) -> Handle -> snapshot, changed
//! ```
//! Invariant: nothing here is told as true before it was seen: a hook is proven by its canary, a ruleset is armed when the
//! kernel filters and the rules were both swapped.
pub mod alive;
mod build;
mod window;

pub use build::version;

use crate::{
    probe::{HookCounters, HookStatus},
    run::seams::Origin,
};
use crds::node_agent::{FailingRule, NodeAgentStatus};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};
use tokio::sync::watch;
use window::Window;

/// Share of events lost over the last minute above which the node says `Dropping`: 0.1 %.
pub const DROPPING_ABOVE: f64 = 0.001;

/// The ruleset in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Its revision.
    pub revision: String,
    /// Where from.
    pub origin: Origin,
    /// When.
    pub at: Timestamp,
    /// How many rules, those in Shadow state too, but none that no event can match yet.
    pub rules: usize,
    /// Rules that are not armed, or not in their newest form, with reasons.
    pub failing: Vec<FailingRule>,
    /// Rules that ask for every hook.
    pub everywhere: Vec<String>,
    /// From the update's arrival to armed.
    pub took: std::time::Duration,
}

/// What the agent itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Processor time, user and system, in percent of one core over the last minute.
    pub cpu_percent: f64,
    /// The same since the start.
    pub cpu_used: std::time::Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Percent of one core that it should keep to, if any.
    pub budget: Option<f64>,
    /// Level of shedding to that end: 0 (none) to 3.
    pub shed_level: u8,
}

/// Counters that several parts add to. All are totals since the agent's start.
#[derive(Debug, Default)]
pub struct Losses {
    /// Records that were in the ring and were not evaluated: not decodable, or left when the agent's time at the end was over.
    pub invalid_records: AtomicU64,
    /// Undecided events given up because too many waited; they were evaluated as if their pod were unknown.
    pub held_early: AtomicU64,
    /// Alerts that no queue had room for (their matches are counted).
    pub alerts: AtomicU64,
    /// Matches whose alert was not printed: the reader of stdout was too slow, or is gone.
    pub stdout: AtomicU64,
    /// Report writes that failed and were tried again.
    pub report_write_failures: AtomicU64,
    /// Alerts that wait on this node for the router (a gauge).
    pub delivery_backlog: AtomicU64,
    /// Alerts given up because the node's spool was full.
    pub delivery_lost: AtomicU64,
    /// Records that were decoded and evaluated.
    pub evaluated: AtomicU64,
    /// Events of another node's pods on this same kernel, left to that node's agent; they are evaluated ones, too.
    pub foreign: AtomicU64,
    /// Matches that went out without their pod's metadata.
    pub metadata_missing: AtomicU64,
    /// Processes given up by the table before their time.
    pub process_evictions: AtomicU64,
    /// Processes that acted and could not be found anywhere.
    pub processes_unknown: AtomicU64,
    /// Processes in the table (a gauge).
    pub processes: AtomicU64,
    /// Control groups whose container is known (a gauge).
    pub cgroups: AtomicU64,
    /// Control groups forgotten to make room; they are learned again when their processes act.
    pub cgroup_evictions: AtomicU64,
    /// Events that wait for their pod's metadata (a gauge).
    pub held: AtomicU64,
}

/// Another agent watches the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its process id, where it is known.
    pub by: Option<u32>,
    /// Since when this one stands by.
    pub since: Timestamp,
    /// It knows, and hands over to this one.
    is_next: bool,
    /// Its last sign of life, and when that was noticed.
    sign: Option<Timestamp>,
    noticed: Instant,
}

/// A sign of life comes every two seconds; without one for this long the agent that watches is told to be silent.
const SILENT: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    standing: Option<Standing>,
    handed_over: bool,
    started: Option<Timestamp>,
    blind_from: Option<Timestamp>,
    first_armed: Option<Timestamp>,
    armed: Option<Armed>,
    error: String,
    wanted: Vec<engine::event::Hook>,
    hooks: Vec<HookStatus>,
    counters: Vec<HookCounters>,
    window: Window,
    cost: Cost,
    conditions: Vec<crds::Condition>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    losses: Losses,
    changed: watch::Sender<u64>,
    /// Rates go by a clock that nobody sets.
    begun: Instant,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Inner>);

impl Default for Handle {
    fn default() -> Self {
        let state = State { started: Some(Timestamp::now()), ..State::default() };
        let (losses, changed) = (Losses::default(), watch::Sender::new(0));
        Self(Arc::new(Inner { state: state.into(), losses, changed, begun: Instant::now() }))
    }
}

impl Handle {
    /// Counters to add to.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.0.losses
    }

    /// Told after each change that a person would want to see at once: revision, error, readiness, `Dropping`.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The agent before this one gave its last sign of life at `from`: since then nothing was seen.
    pub fn blind_since(&self, from: Timestamp) {
        self.0.state.lock().blind_from = Some(from);
    }

    /// Process `by` watches, and this agent stands by: whether it is the one that is handed over to, and the other's last sign of life.
    pub fn stands_by(&self, by: Option<u32>, is_next: bool, sign: Option<Timestamp>) {
        let mut state = self.0.state.lock();
        let now = Instant::now();
        let before = state.standing;
        let since = before.map_or_else(Timestamp::now, |b| b.since);
        let noticed = before.filter(|b| b.sign == sign).map_or(now, |b| b.noticed);
        state.standing = Some(Standing { by, since, is_next, sign, noticed });
    }

    /// This agent stands by no more: it watches, as the one before did until `watched_until`.
    pub fn takes_over(&self, watched_until: Option<Timestamp>) {
        let mut state = self.0.state.lock();
        state.standing = None;
        // It was armed by then: nothing was missed.
        state.blind_from = watched_until.filter(|until| state.first_armed.is_none_or(|armed| armed > *until));
        drop(state);
        self.0.changed.send_modify(|n| *n += 1);
    }

    /// Whether this agent stands by.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.0.state.lock().standing
    }

    /// Another agent goes on where this one ends.
    pub fn hand_over(&self) {
        self.0.state.lock().handed_over = true;
    }

    /// Whether it does.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.0.state.lock().handed_over
    }

    /// A ruleset is in force; an earlier error is over.
    pub fn armed(&self, armed: Armed, wanted: Vec<engine::event::Hook>) {
        let mut state = self.0.state.lock();
        state.first_armed.get_or_insert(armed.at);
        state.armed = Some(armed);
        state.error.clear();
        state.wanted = wanted;
        drop(state);
        self.0.changed.send_modify(|n| *n += 1);
    }

    /// A newer ruleset could not be armed; what is in force stays.
    pub fn failed(&self, reason: &str) {
        let mut state = self.0.state.lock();
        if state.error != reason {
            reason.clone_into(&mut state.error);
            drop(state);
            self.0.changed.send_modify(|n| *n += 1);
        }
    }

    /// New readings of the probe, at `now`.
    pub fn observed(&self, hooks: Vec<HookStatus>, counters: Vec<HookCounters>, now: Timestamp) {
        let mut state = self.0.state.lock();
        let seen: u64 = counters.iter().map(|c| c.seen).sum();
        let lost: u64 = counters.iter().map(|c| c.shed + c.dropped).sum();
        let since_start = i64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        state.window.push(since_start, seen, lost);
        state.hooks = hooks;
        state.counters = counters;
        let before = state.conditions.clone();
        state.refresh(&self.0.losses, now);
        let same = before.len() == state.conditions.len()
            && before.iter().zip(&state.conditions).all(|(a, b)| (&a.status, &a.reason) == (&b.status, &b.reason));
        drop(state);
        if !same {
            self.0.changed.send_modify(|n| *n += 1);
        }
    }

    /// A new reading of the agent's own cost; seen in status from the next [`Self::observed`] on.
    pub fn costs(&self, cost: Cost) {
        self.0.state.lock().cost = cost;
    }

    /// The last reading.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.0.state.lock().cost
    }

    /// The ruleset in force.
    #[must_use]
    pub fn armed_now(&self) -> Option<Armed> {
        self.0.state.lock().armed.clone()
    }

    /// The last counters read.
    #[must_use]
    pub fn counters(&self) -> Vec<HookCounters> {
        self.0.state.lock().counters.clone()
    }

    /// Why the agent is not ready; empty when it is.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        self.0.state.lock().not_ready()
    }

    /// The same but for what another agent does that watches.
    #[must_use]
    pub fn unproven(&self) -> Vec<String> {
        self.0.state.lock().unproven()
    }

    /// All of it.
    #[must_use]
    pub fn snapshot(&self) -> NodeAgentStatus {
        let now = Timestamp::now();
        let mut state = self.0.state.lock();
        state.refresh(&self.0.losses, now);
        state.snapshot(&self.0.losses, now)
    }
}
