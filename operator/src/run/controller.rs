//! The loop: takes changes in, decides what is due, hands work out.
//!
//! One task owns the index, so there is no lock; everything that waits for the API server is done by others, who answer
//! by a channel. Nothing is compiled before every kind has been listed and the last ruleset was read, for else rules
//! would vanish from the nodes at each restart.
use super::compile::{Answer, compile_and_publish, recover};
use crate::{
    http::{Readiness, Shown},
    index::{Change, Effect, Fleet, Index},
    metrics::{Kind, Revision},
    publish::{Pace, Publisher},
    status::{Compilation, Contents, History, Update, World, next_deadline, updates},
    status_writer::{Back, Gate, Written},
    watch::Feed,
};
use engine::{compile::Compiled, compile::ObjectKind, ruleset::Ruleset};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The loop comes round at least this often.
const TICK: Duration = Duration::from_secs(5);
/// No compile and no write takes so long: both have time-outs well below it.
const STUCK: Duration = Duration::from_secs(180);
/// Status is computed at most this often, and never takes more than a fifth of the time.
const STATUS_APART: Duration = Duration::from_millis(50);
/// The watch shows our own write at most so much later, as a rule.
const WATCH_LAG: Duration = Duration::from_millis(300);
/// Most changes taken in before looking at what is due.
const BATCH: usize = 1000;

/// The controller's channels.
pub(super) struct Wires {
    pub leading: watch::Receiver<bool>,
    pub updates: mpsc::Sender<Update>,
    pub results: mpsc::Sender<Answer>,
    pub answers: mpsc::Receiver<Answer>,
    pub writes: mpsc::Receiver<Written>,
}

pub(super) struct Controller {
    index: Index,
    publisher: Publisher,
    shown: Shown,
    wires: Wires,
    leading: bool,
    pace: Pace,
    /// Since when a task that compiles, publishes or recovers is on its way.
    busy: Option<Instant>,
    /// The last ruleset was read since leadership began.
    recovered: bool,
    last_good: Option<Arc<Ruleset>>,
    compilation: Option<Compilation>,
    published: Option<Arc<Compiled>>,
    /// The ruleset's ConfigMap as the watch last showed it.
    there: Option<Box<ConfigMap>>,
    /// When to compare it with what was published.
    check_due: Option<Instant>,
    history: History,
    gate: Gate,
    /// When status is to be computed.
    status_due: Option<Instant>,
    /// Not before this.
    status_rest: Instant,
}

impl Controller {
    pub(super) fn new(namespace: &str, publisher: Publisher, shown: Shown, wires: Wires) -> Self {
        let now = Instant::now();
        Self {
            index: Index::new(namespace),
            publisher,
            shown,
            wires,
            leading: false,
            pace: Pace::default(),
            busy: None,
            recovered: false,
            last_good: None,
            compilation: None,
            published: None,
            there: None,
            check_due: None,
            history: History::default(),
            gate: Gate::new(now),
            status_due: None,
            status_rest: now,
        }
    }

    /// Runs until `stop`.
    pub(super) async fn run(mut self, mut feed: impl Stream<Item = Feed> + Unpin, stop: CancellationToken) {
        loop {
            self.act();
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(event) = feed.next() => {
                    self.take(event);
                    for _ in 0..BATCH {
                        match feed.next().now_or_never() {
                            Some(Some(event)) => self.take(event),
                            _ => break,
                        }
                    }
                }
                Some(answer) = self.wires.answers.recv() => self.answer(answer),
                Some(written) = self.wires.writes.recv() => self.written(written),
                Ok(()) = self.wires.leading.changed() => self.leadership(),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// When the loop must come round although nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + TICK;
        if let Some(due) = self.pace.due().filter(|_| self.may_compile()) {
            wake = wake.min(due);
        }
        if let Some(due) = self.check_due.filter(|_| self.leading && self.busy.is_none()) {
            wake = wake.min(due);
        }
        if let Some(due) = self.status_due {
            wake = wake.min(due.max(self.status_rest));
        }
        wake
    }

    fn may_compile(&self) -> bool {
        self.leading && self.busy.is_none() && self.index.sources_synced()
    }

    /// Does what is due.
    fn act(&mut self) {
        let now = Instant::now();
        if self.may_compile() {
            if !self.recovered {
                if self.pace.due().is_none_or(|due| due <= now) {
                    self.busy = Some(now);
                    tokio::spawn(recover(self.publisher.clone(), self.wires.results.clone()));
                }
            } else if self.pace.take(now) {
                self.busy = Some(now);
                tokio::spawn(compile_and_publish(
                    self.index.sources(),
                    self.last_good.clone(),
                    self.publisher.clone(),
                    self.shown.metrics.clone(),
                    self.wires.results.clone(),
                ));
            }
        }
        if self.leading && self.busy.is_none() && self.check_due.is_some_and(|due| due <= now) {
            self.check_ruleset(now);
        }
        if self.status_due.is_some_and(|due| due <= now) && self.status_rest <= now {
            self.status();
        }
        // A task that never answers would leave rules uncompiled for ever: better that the probe ends this process.
        if self.busy.is_none_or(|since| now.duration_since(since) < STUCK) {
            self.shown.health.beat(Readiness {
                synced: self.index.sources_synced() && self.index.fleet_synced(),
                leading: self.leading,
                published: self.published.is_some(),
            });
        }
    }

    fn take(&mut self, feed: Feed) {
        match feed {
            Feed::Change(change) => self.change(*change),
            Feed::Ruleset(map) => {
                self.there = map;
                self.check_due = Some(Instant::now() + WATCH_LAG);
            }
            Feed::Failed { kind, error, times } => {
                // Once is enough for people; the counter knows the rest.
                if times == 1 {
                    tracing::warn!(kind, %error, "watch failed; it starts anew");
                } else {
                    tracing::debug!(kind, %error, times, "watch failed again");
                }
                self.shown.metrics.watch_errors.get_or_create(&Kind { kind }).inc();
            }
        }
    }

    fn change(&mut self, change: Change) {
        let Effect { sources, status } = self.index.apply(change);
        if sources {
            self.pace.changed(Instant::now());
        }
        if status {
            self.status_soon(Instant::now());
        }
    }

    /// If somebody else wrote the ruleset, or removed it, ours is written anew.
    fn check_ruleset(&mut self, now: Instant) {
        self.check_due = None;
        let Some(published) = &self.published else { return };
        if !self.there.as_ref().is_some_and(|map| self.publisher.is_written(map, &published.ruleset)) {
            tracing::warn!(revision = published.ruleset.revision, "the ruleset was altered; it is written anew");
            self.pace.changed(now);
        }
    }

    fn leadership(&mut self) {
        self.leading = *self.wires.leading.borrow_and_update();
        self.shown.metrics.leader.set(i64::from(self.leading));
        // Another leader may have written since: read it again.
        self.recovered = false;
        self.published = None;
        let now = Instant::now();
        self.pace.changed(now);
        self.status_soon(now);
    }

    fn answer(&mut self, answer: Answer) {
        let now = Instant::now();
        match answer {
            Answer::Compiled(compiled) => return self.compiled(&compiled),
            Answer::Recovered(ruleset) => {
                self.recovered = true;
                if let Some(ruleset) = ruleset {
                    self.history.push(Arc::new(Contents::of(&ruleset)));
                    self.last_good = Some(ruleset);
                }
                self.pace.changed(now);
            }
            Answer::Published(compiled) => {
                self.pace.succeeded();
                let info = &self.shown.metrics.revision;
                info.clear();
                info.get_or_create(&Revision { revision: compiled.ruleset.revision.clone() }).set(1);
                if let Some(compilation) = &mut self.compilation {
                    compilation.published = true;
                }
                self.published = Some(compiled);
                self.check_due = Some(now + WATCH_LAG);
            }
            Answer::NotRecovered | Answer::NotPublished => self.pace.failed(now),
        }
        self.busy = None;
        self.status_soon(now);
    }

    fn compiled(&mut self, compiled: &Compiled) {
        let compilation = Compilation::new(compiled);
        self.history.push(compilation.contents.clone());
        self.compilation = Some(compilation);
        self.last_good = Some(Arc::new(compiled.ruleset.clone()));
        for kind in [ObjectKind::Rule, ObjectKind::Library, ObjectKind::Exception, ObjectKind::Route] {
            let rejected = compiled.outcomes.iter().filter(|o| o.kind == kind && !o.accepted).count();
            let gauge = self.shown.metrics.rejected.get_or_create_owned(&Kind { kind: kind.as_str() });
            gauge.set(i64::try_from(rejected).unwrap_or(i64::MAX));
        }
        self.status_soon(Instant::now());
    }

    fn written(&mut self, written: Written) {
        let now = Instant::now();
        let worked = !matches!(written.back, Back::Failed);
        self.gate.done(written.kind, &written.id, worked, now);
        if let Back::Object(change) = written.back {
            self.index.apply(*change);
        }
        self.status_soon(now);
    }

    fn status_soon(&mut self, now: Instant) {
        self.status_due = Some(self.status_due.map_or(now, |due| due.min(now)));
    }

    /// Computes status, hands out what differs, and notes when to look again.
    fn status(&mut self) {
        self.status_due = None;
        let began = Instant::now();
        for (kind, count) in self.index.counts() {
            let gauge = self.shown.metrics.objects.get_or_create_owned(&Kind { kind });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let now = Timestamp::now();
        let fleet = self.index.fleet(now.as_second());
        self.shown.metrics.agents.set(i64::try_from(fleet.agents.len()).unwrap_or(i64::MAX));
        let again = self.hand_out(&fleet, now, began);
        let deadline = next_deadline(&self.index, &fleet, now.as_second()).map(|at| {
            let wait = u64::try_from(at - now.as_second()).unwrap_or_default();
            began + Duration::from_secs(wait)
        });
        self.status_due = [again, deadline].into_iter().flatten().min();
        let index = &self.index;
        self.gate.retain(|kind, id| match kind {
            ObjectKind::Rule => index.rules.get(id).is_some(),
            ObjectKind::Library => index.libraries.get(id).is_some(),
            ObjectKind::Exception => index.exceptions.get(id).is_some(),
            ObjectKind::Route => index.routes.get(id).is_some(),
        });
        self.status_rest = Instant::now() + STATUS_APART.max(began.elapsed() * 4);
    }

    fn hand_out(&mut self, fleet: &Fleet, now: Timestamp, began: Instant) -> Option<Instant> {
        let compilation = self.compilation.as_ref()?;
        if !self.leading || !self.index.fleet_synced() {
            return None;
        }
        let world = World { index: &self.index, compilation, history: &self.history, fleet, now };
        let (selected, mut again) = self.gate.select(updates(world), began);
        for update in selected {
            if let Err(mpsc::error::TrySendError::Full(update) | mpsc::error::TrySendError::Closed(update)) =
                self.wires.updates.try_send(update)
            {
                self.gate.returned(&update);
                let soon = began + Duration::from_millis(100);
                again = Some(again.map_or(soon, |a| a.min(soon)));
            }
        }
        again
    }
}
