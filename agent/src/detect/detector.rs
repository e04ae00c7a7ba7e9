//! What happens to a record, on the detect thread.
use super::{
    Armed, Store,
    alert::{self, clock},
    aside::Matched,
    duty::{OnDuty, Told},
    fold::Folding,
    hold::{Held, Hold},
    home::Home,
    store::pick,
};
use crate::{
    container::Containers,
    fields::{Surroundings, View},
    handover::Duty,
    probe::{
        Sides,
        record::{Record, decode},
    },
    process::{Process, Table},
    status,
    users::Users,
    workload,
};
use engine::plan::{Hit, HitOutcome, Scratch};
use router::alert::Alert;
use std::{
    hash::RandomState,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How often folded matches and waiting events are looked at.
const SOON: Duration = Duration::from_millis(50);
/// How often clocks, users and exited processes are looked at.
const OFTEN: Duration = Duration::from_secs(1);
/// How often the table is compared with /proc.
const SELDOM: Duration = Duration::from_secs(60);

/// What a detector is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The armed rules.
    pub store: Arc<Store>,
    /// Name of the node.
    pub node: Arc<str>,
    /// Pods of this node.
    pub pods: workload::Index,
    /// Whether to wait for pods that `pods` does not have yet.
    pub await_pods: bool,
    /// Losses are counted here.
    pub status: status::Handle,
    /// Where alerts go.
    pub alerts: mpsc::Sender<Arc<Alert>>,
    /// Whether this agent watches.
    pub duty: Duty,
    /// `/proc` of the node.
    pub proc: &'a Path,
}

/// See the module. Lives on one thread.
#[derive(Debug)]
pub struct Detector {
    store: Arc<Store>,
    rules: Arc<Vec<Arc<Armed>>>,
    node: Arc<str>,
    pods: workload::Index,
    await_pods: bool,
    pub(super) status: status::Handle,
    table: Table,
    containers: Containers,
    users: Users,
    boot_to_wall: i64,
    agent_start: u64,
    boot_now: u64,
    now: Instant,
    scratch: Scratch,
    hits: Vec<Hit>,
    number: u64,
    invalid: u64,
    pub(super) hold: Hold,
    fold: Folding,
    home: Home,
    pub(super) duty: OnDuty,
    random: RandomState,
    last: [Instant; 3],
}

impl Detector {
    /// Knows no process yet.
    #[must_use]
    pub fn new(parts: Parts<'_>) -> Self {
        let (boot, boot_to_wall) = clock();
        let now = Instant::now();
        Self {
            rules: parts.store.load(),
            store: parts.store,
            node: parts.node,
            pods: parts.pods,
            await_pods: parts.await_pods,
            status: parts.status,
            table: Table::new(parts.proc),
            containers: Containers::new(parts.proc),
            users: Users::new(parts.proc),
            boot_to_wall,
            agent_start: boot,
            boot_now: boot,
            now,
            scratch: Scratch::default(),
            hits: Vec::new(),
            number: 0,
            invalid: 0,
            hold: Hold::default(),
            fold: Folding::new(parts.alerts),
            home: if parts.await_pods { Home::of_this_process() } else { Home::default() },
            duty: OnDuty::new(parts.duty),
            random: RandomState::new(),
            last: [now; 3],
        }
    }

    /// Reads all processes that run. To be called when the life-cycle hooks are attached, before the first record.
    pub fn seed(&mut self) {
        self.table.seed(&mut self.containers);
    }

    /// From now on the kernel is told which cgroups are containers'.
    pub fn tell(&mut self, sides: Sides) {
        self.containers.tell(sides);
    }

    /// Before a batch of records: what time it is, which rules are armed.
    pub fn begin(&mut self) {
        self.now = Instant::now();
        self.rules = self.store.load();
    }

    /// One record.
    pub fn record(&mut self, bytes: &[u8]) {
        let record = match decode(bytes) {
            Ok(record) => record,
            Err(error) => {
                if self.invalid == 0 {
                    tracing::error!(%error, bytes = bytes.len(), "a record of the kernel side cannot be decoded; further ones are only counted");
                }
                self.invalid += 1;
                return;
            }
        };
        self.number += 1;
        let process = self.table.learn(&record, &mut self.containers);
        if self.duty.is_the_next_ones(record.header.time) {
            return;
        }
        if self.rules.first().is_none_or(|newest| newest.generation < record.header.generation) {
            // The rules are swapped before the kernel stamps their generation.
            self.rules = self.store.load();
        }
        let Some(armed) = pick(&self.rules, record.header.generation).cloned() else { return };
        let event = Event { bytes, record: &record, process: &process, armed: &armed, number: self.number };
        if let Some((rules, version)) = self.judge(&event, None, false) {
            let held = event.held(rules, self.now, version);
            if let Some(oldest) = self.hold.push(held) {
                self.status.losses().held_early.fetch_add(1, Relaxed);
                self.judge_again(oldest, true);
            }
        }
    }

    /// Evaluates an event; `only` these rules when it was judged before. What is undecided comes back, with the version of the
    /// pod index that it was asked of.
    fn judge(&mut self, event: &Event<'_>, only: Option<&[usize]>, last: bool) -> Option<(Vec<usize>, u64)> {
        if self.await_pods && self.home.is_foreign(event.process.container.as_deref(), &self.pods) {
            return None;
        }
        // Read first: a pod that arrives meanwhile makes it ask again.
        let version = self.pods.version();
        let around = Surroundings {
            node: &self.node,
            table: &self.table,
            users: &self.users,
            pods: &self.pods,
            await_pods: self.await_pods,
            boot_to_wall: self.boot_to_wall,
            agent_start: self.agent_start,
        };
        let view = View::new(around, event.record, event.process, event.number, last);
        let hits = &mut self.hits;
        hits.clear();
        let seconds = view.time() / 1_000_000_000;
        // Classes are those of the filter that let it through; other rules know nothing of them.
        let header = &event.record.header;
        let classes = if event.armed.generation == header.generation { header.classes } else { u64::MAX };
        event.armed.plan.evaluate_classes(&view, classes, seconds, &mut self.scratch, &mut |hit| hits.push(hit));
        if hits.is_empty() || (only.is_none() && self.duty.was_told(event.record)) {
            return None;
        }
        let stands_by = self.duty.stands_by();
        let (mut undecided, mut decided) = (Vec::new(), Vec::new());
        for Hit { rule, outcome } in hits.iter().copied().filter(|h| only.is_none_or(|o| o.contains(&h.rule))) {
            let slot = &event.armed.rules[rule];
            match outcome {
                HitOutcome::Pending => undecided.push(rule),
                HitOutcome::Matched if !slot.shadow && !last && view.is_pending() => undecided.push(rule),
                _ if stands_by => decided.push(rule),
                HitOutcome::Suppressed { exception } => {
                    slot.counter.suppressed();
                    event.armed.exceptions[exception].suppressed(view.time());
                }
                HitOutcome::Matched if slot.shadow => slot.counter.matched(view.time()),
                HitOutcome::Matched => {
                    slot.counter.matched(view.time());
                    let key = alert::fold_key(event.armed, rule, &view, &self.random);
                    let (node, given_up) = (&*self.node, last && self.await_pods);
                    let status = &self.status;
                    self.fold.matched(key, view.time(), self.now, || {
                        let alert = alert::build(event.armed, rule, &view, node, given_up);
                        if alert.metadata_missing {
                            status.losses().metadata_missing.fetch_add(1, Relaxed);
                        }
                        alert
                    });
                }
            }
        }
        if !decided.is_empty() {
            let at = clock().0;
            let held = event.held(decided, self.now, version);
            self.duty.aside.push(Matched { held, time: event.record.header.time, at, last });
        }
        (!undecided.is_empty()).then_some((undecided, version))
    }

    pub(super) fn judge_again(&mut self, mut held: Held, last: bool) {
        let Ok(record) = decode(&held.bytes) else { return };
        let (process, armed) = (&held.process, &held.armed);
        let event = Event { bytes: &held.bytes, record: &record, process, armed, number: held.number };
        if let Some((rules, version)) = self.judge(&event, Some(&held.rules), last) {
            if last {
                // Nothing is pending the last time; were it, it would be lost here, and must show.
                tracing::error!(rules = rules.len(), "events stay undecided after their time");
                return;
            }
            (held.rules, held.version) = (rules, version);
            // It made this room itself.
            let _ = self.hold.push(held);
        }
    }

    /// Between batches: what is due by the clock.
    pub fn tick(&mut self) {
        self.now = Instant::now();
        let now = self.now;
        let mut due = |n: usize, every: Duration| {
            let due = now.duration_since(self.last[n]) >= every;
            if due {
                self.last[n] = now;
            }
            due
        };
        let (soon, often, seldom) = (due(0, SOON), due(1, OFTEN), due(2, SELDOM));
        if soon {
            self.on_duty();
            for held in self.hold.take(self.pods.version(), now) {
                let last = held.is_due(now);
                self.judge_again(held, last);
            }
            self.fold.tick(now);
        }
        if often {
            (self.boot_now, self.boot_to_wall) = clock();
            self.users.refresh();
            self.duty.forget();
            self.table.sweep(self.boot_now);
        }
        if seldom {
            self.table.reconcile(self.boot_now);
        }
        self.publish();
    }

    /// Tells the counters of this thread to everybody.
    fn publish(&mut self) {
        let losses = self.status.losses();
        losses.evaluated.store(self.number, Relaxed);
        losses.invalid_records.store(self.invalid, Relaxed);
        losses.foreign.store(self.home.foreign, Relaxed);
        self.fold.report_lost(&losses.alerts);
        let table = self.table.stats();
        losses.process_evictions.store(table.evicted, Relaxed);
        losses.processes_unknown.store(table.unknown, Relaxed);
        losses.processes.store(table.processes as u64, Relaxed);
        losses.cgroups.store(self.containers.remembered() as u64, Relaxed);
        losses.cgroup_evictions.store(self.containers.evicted(), Relaxed);
        losses.held.store(self.hold.len() as u64, Relaxed);
    }

    /// Records that the time at the end did not suffice for: counted as those that were not evaluated.
    pub fn unread(&mut self, records: usize) {
        if records > 0 {
            tracing::warn!(records, "records of the kernel side were left at the end, not evaluated");
        }
        self.invalid += records as u64;
        self.duty.is_whole &= records == 0;
    }

    /// At the end: everything that waits is judged by what is known and goes out, unless another agent watches.
    pub fn finish(mut self) -> Told {
        self.on_duty();
        if self.duty.stands_by() {
            self.publish();
            return Told::default();
        }
        for held in self.hold.take_all() {
            self.judge_again(held, true);
        }
        self.fold.finish(Duration::from_millis(500));
        self.publish();
        self.duty.told()
    }
}

/// An event and whose rules it is for.
struct Event<'a> {
    bytes: &'a [u8],
    record: &'a Record<'a>,
    process: &'a Arc<Process>,
    armed: &'a Arc<Armed>,
    number: u64,
}

impl Event<'_> {
    fn held(&self, rules: Vec<usize>, since: Instant, version: u64) -> Held {
        let (process, armed) = (Arc::clone(self.process), Arc::clone(self.armed));
        Held { bytes: self.bytes.into(), process, armed, rules, number: self.number, since, version }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
