//! All reports of this node, and when to write which. Pure: times are passed in, in milliseconds since 1970.
use super::{
    book::Book,
    finding::Finding,
    limits::Limits,
    readback::Existing,
    render::{Frame, Report, render},
    scope::Scope,
    tracked::{Tracked, backoff, millis, ready_at},
};
use router::alert::Alert;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// A match as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Position.
    pub seq: u64,
    /// Which report.
    pub scope: Scope,
    /// What to add to it.
    pub finding: Finding,
}

/// A write to be made now. Tell the outcome by [`Reports::written`] or [`Reports::failed`].
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Which report.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// What to do.
    pub action: WriteAction,
    version: u64,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteAction {
    /// Server-side apply of the whole report.
    Apply(Report),
    /// The pod is gone for long enough.
    Delete,
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API is away or overloaded: everything waits a little.
    Away,
    /// This object was refused: it alone waits.
    Refused,
    /// The namespace is gone or going: nobody can read the report any more. It is dropped.
    NamespaceGone,
}

/// Matches by what became of them, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken.
    pub recorded: u64,
    /// Not taken: too many reports.
    pub refused: u64,
    /// Dropped with the namespace of their report.
    pub dropped: u64,
    /// Evicted because all reports together held too much; also counted in their report.
    pub evicted_results: u64,
}

/// What the journal held at start: needed until the API's reports are known.
#[derive(Default)]
struct Unresolved {
    snapshots: Vec<(Scope, Book)>,
    tail: Vec<Recorded>,
}

/// See the module.
pub struct Reports {
    limits: Limits,
    node: String,
    node_uid: Option<String>,
    journal: uuid::Uuid,
    seq: u64,
    books: BTreeMap<Scope, Tracked>,
    findings: isize,
    /// `None` once the API's reports were read back.
    unresolved: Option<Unresolved>,
    alive: Option<HashSet<String>>,
    failures: u32,
    paused_until: i64,
    counts: Counts,
}

impl Reports {
    /// Reports of a node before anything was read back. `journal` and `seq` (last position given) come from the journal,
    /// so do the books and matches that may not have been written.
    #[must_use]
    pub fn new(
        limits: Limits,
        node: &str,
        journal: uuid::Uuid,
        seq: u64,
        snapshots: Vec<(Scope, Book)>,
        tail: Vec<Recorded>,
    ) -> Self {
        Self {
            limits,
            node: node.to_owned(),
            node_uid: None,
            journal,
            seq,
            books: BTreeMap::new(),
            findings: 0,
            unresolved: Some(Unresolved { snapshots, tail }),
            alive: None,
            failures: 0,
            paused_until: i64::MIN,
            counts: Counts::default(),
        }
    }

    /// The Node object's UID, once known: it owns what is written from now on.
    pub fn set_node_uid(&mut self, uid: String) {
        self.node_uid = Some(uid);
    }

    /// Adds an alert. Returns what the journal must keep, `None` when there is no room for another report.
    pub fn record(&mut self, alert: &Alert, now: i64) -> Option<Recorded> {
        let scope = Scope::of(alert);
        if !self.books.contains_key(&scope) && self.books.len() >= self.limits.reports {
            self.counts.refused = self.counts.refused.saturating_add(alert.count);
            return None;
        }
        self.seq += 1;
        let recorded = Recorded { seq: self.seq, finding: Finding::of(alert), scope };
        self.counts.recorded = self.counts.recorded.saturating_add(alert.count);
        self.add(&recorded, now);
        Some(recorded)
    }

    fn add(&mut self, recorded: &Recorded, now: i64) {
        let tracked = self.books.entry(recorded.scope.clone()).or_default();
        let before = tracked.book.findings.len().cast_signed();
        let new = tracked.book.record(&recorded.finding, &recorded.scope, &self.node, &self.limits);
        self.findings += tracked.book.findings.len().cast_signed() - before;
        tracked.book.seq = recorded.seq;
        tracked.touch(now);
        tracked.urgent |= new;
        self.keep_bound(now);
    }

    fn keep_bound(&mut self, now: i64) {
        while self.findings > self.limits.all_results.cast_signed() {
            let Some(largest) = self.books.values_mut().max_by_key(|tracked| tracked.book.findings.len()) else {
                break;
            };
            if !largest.book.evict() {
                break;
            }
            largest.touch(now);
            self.findings -= 1;
            self.counts.evicted_results += 1;
        }
    }

    /// The reports that the API has. From now on [`Reports::due`] yields writes; each continues what is there.
    pub fn read_back(&mut self, existing: Vec<Existing>, now: i64) {
        let Some(unresolved) = self.unresolved.take() else { return };
        let deltas = std::mem::take(&mut self.books);
        for Existing { scope, mut book, journal } in existing {
            if journal != Some(self.journal) {
                book.seq = 0;
            }
            // Somebody may have added results.
            while book.findings.len() > self.limits.results && book.evict() {}
            self.books.insert(scope, Tracked { book, exists: true, ..Tracked::default() });
        }
        for (scope, snapshot) in unresolved.snapshots {
            let tracked = self.books.entry(scope).or_default();
            if tracked.book.seq <= snapshot.seq {
                // Whole up to a later position than what the API has, and so a superset of it.
                tracked.book = snapshot;
                tracked.touch(now);
            }
        }
        self.findings = self.books.values().map(|tracked| tracked.book.findings.len().cast_signed()).sum();
        for recorded in unresolved.tail {
            if self.books.get(&recorded.scope).is_none_or(|tracked| tracked.book.seq < recorded.seq) {
                self.add(&recorded, now);
            }
        }
        for (scope, delta) in deltas {
            let tracked = self.books.entry(scope).or_default();
            tracked.book.merge(&delta.book, &self.limits);
            tracked.touch(now);
        }
        self.findings = self.books.values().map(|tracked| tracked.book.findings.len().cast_signed()).sum();
        self.keep_bound(now);
        self.mark_gone(now);
    }

    /// Whether the API's reports were read back.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.unresolved.is_none()
    }

    /// UIDs of all pods of the node, after a list.
    pub fn pods_listed(&mut self, alive: HashSet<String>, now: i64) {
        self.alive = Some(alive);
        self.mark_gone(now);
    }

    /// A pod is there (again).
    pub fn pod_seen(&mut self, uid: &str, now: i64) {
        if let Some(alive) = &mut self.alive {
            alive.insert(uid.to_owned());
        }
        // A match may have come before this.
        self.mark_gone(now);
    }

    /// A pod is gone.
    pub fn pod_gone(&mut self, uid: &str, now: i64) {
        if let Some(alive) = &mut self.alive {
            alive.remove(uid);
        }
        self.mark_gone(now);
    }

    fn mark_gone(&mut self, now: i64) {
        let (Some(alive), true) = (&self.alive, self.is_resolved()) else { return };
        for (scope, tracked) in self.books.iter_mut().filter(|(scope, _)| **scope != Scope::Node) {
            let gone = !alive.contains(scope.uid());
            if gone != tracked.book.gone_at.is_some() {
                tracked.book.gone_at = gone.then_some(now);
                tracked.touch(now);
            }
        }
    }

    /// Writes to begin now, those that wait longest first, at most `max`.
    pub fn due(&mut self, now: i64, max: usize) -> Vec<Write> {
        if !self.is_resolved() || now < self.paused_until {
            return Vec::new();
        }
        let forgettable =
            |t: &Tracked, keep| t.book.gone_at.is_some_and(|at| now - at >= keep) && !t.exists && !t.in_flight;
        let keep = millis(self.limits.keep);
        let findings = &mut self.findings;
        self.books.retain(|_, tracked| {
            let forget = forgettable(tracked, keep);
            if forget {
                *findings -= tracked.book.findings.len().cast_signed();
            }
            !forget
        });
        let mut ready: Vec<(i64, Scope)> = self
            .books
            .iter_mut()
            .filter_map(|(scope, tracked)| {
                // A clock that was set back must not hold a report back.
                tracked.wrote_at = tracked.wrote_at.map(|at| at.min(now));
                tracked.ahead_since = tracked.ahead_since.min(now);
                tracked.not_before = tracked.not_before.min(now + millis(self.limits.backoff));
                let at = ready_at(tracked, &self.limits)?;
                (at <= now).then(|| (tracked.dirty_since, scope.clone()))
            })
            .collect();
        ready.sort();
        ready.truncate(max);
        ready.into_iter().filter_map(|(_, scope)| self.begin(scope, now)).collect()
    }

    fn begin(&mut self, scope: Scope, now: i64) -> Option<Write> {
        let frame = Frame { node: &self.node, node_uid: self.node_uid.as_deref(), journal: self.journal };
        let tracked = self.books.get_mut(&scope)?;
        tracked.begin(now, &self.limits);
        let expired = tracked.book.gone_at.is_some_and(|at| now - at >= millis(self.limits.keep));
        let action = if expired {
            WriteAction::Delete
        } else {
            let before = tracked.book.findings.len();
            let report = render(&frame, &scope, &mut tracked.book, self.limits.bytes);
            self.findings -= (before - tracked.book.findings.len()).cast_signed();
            WriteAction::Apply(report)
        };
        Some(Write { name: scope.report_name(&self.node), action, version: tracked.version, scope })
    }

    /// When [`Reports::due`] will have something, if nothing else happens; `None`: not at all.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        if !self.is_resolved() {
            return None;
        }
        let first = self.books.values().filter_map(|tracked| ready_at(tracked, &self.limits)).min()?;
        Some(first.max(self.paused_until))
    }

    /// A write succeeded.
    pub fn written(&mut self, write: &Write) {
        self.failures = 0;
        self.paused_until = i64::MIN;
        if write.action == WriteAction::Delete {
            if let Some(tracked) = self.books.remove(&write.scope) {
                self.findings -= tracked.book.findings.len().cast_signed();
            }
        } else if let Some(tracked) = self.books.get_mut(&write.scope) {
            tracked.in_flight = false;
            tracked.failures = 0;
            tracked.not_before = i64::MIN;
            tracked.exists = true;
            tracked.stored = write.version;
            tracked.dirty_since = tracked.wrote_at.unwrap_or_default();
        }
    }

    /// A write failed. Nothing is lost, save when the namespace is gone.
    pub fn failed(&mut self, write: &Write, failure: Failure, now: i64) {
        let Some(tracked) = self.books.get_mut(&write.scope) else { return };
        tracked.in_flight = false;
        match failure {
            Failure::Away => {
                // Several writes under way fail together: that is one failure.
                if now >= self.paused_until {
                    self.failures = self.failures.saturating_add(1);
                    self.paused_until = now + backoff(self.failures, &self.node, &self.limits);
                }
                // It did not reach the API: the spacing does not count from it.
                tracked.wrote_at = None;
            }
            Failure::Refused => {
                tracked.failures = tracked.failures.saturating_add(1);
                tracked.not_before = now + backoff(tracked.failures, &write.name, &self.limits);
            }
            Failure::NamespaceGone => {
                let matches = tracked.book.matches();
                self.findings -= tracked.book.findings.len().cast_signed();
                self.books.remove(&write.scope);
                self.counts.dropped = self.counts.dropped.saturating_add(matches);
            }
        }
    }

    /// Whether the API has everything.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_resolved() && self.books.values().all(|tracked| !tracked.dirty() && !tracked.in_flight)
    }

    /// Books that the API does not have in their present form.
    pub fn unwritten(&self) -> impl Iterator<Item = (&Scope, &Book)> {
        self.books.iter().filter(|(_, tracked)| tracked.dirty()).map(|(scope, tracked)| (scope, &tracked.book))
    }

    /// Makes everything unwritten due, whatever the spacing: the agent ends.
    pub fn hurry(&mut self) {
        self.paused_until = i64::MIN;
        for tracked in self.books.values_mut() {
            tracked.wrote_at = None;
            tracked.not_before = i64::MIN;
        }
    }

    /// All reports as they stand, as objects; for people who look at the agent itself.
    #[must_use]
    pub fn rendered(&self) -> Vec<Report> {
        let frame = Frame { node: &self.node, node_uid: self.node_uid.as_deref(), journal: self.journal };
        let one =
            |(scope, tracked): (&Scope, &Tracked)| render(&frame, scope, &mut tracked.book.clone(), self.limits.bytes);
        self.books.iter().map(one).collect()
    }

    /// Journal position of the last match.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What became of matches.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The book of a scope.
    #[must_use]
    pub fn book(&self, scope: &Scope) -> Option<&Book> {
        self.books.get(scope).map(|tracked| &tracked.book)
    }
}
