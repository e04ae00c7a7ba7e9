//! What each rule and exception did since the agent's start.
//!
//! The detect thread holds the counters of the armed rules and adds to them without a lock; readers take a snapshot.
//! Counters outlive reloads: they go by the object's identity, so an edited rule goes on counting.
use engine::source::ObjectRef;
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

/// Most objects of one kind that are remembered; the counters of further ones are kept while they are armed, but not told.
const MAX_OBJECTS: usize = 50_000;

/// Counters of a rule. Times are nanoseconds since 1970, 0 for never.
#[derive(Debug, Default)]
pub struct RuleCounter {
    matches: AtomicU64,
    suppressed: AtomicU64,
    lost: AtomicU64,
    first: AtomicI64,
    last: AtomicI64,
}

impl RuleCounter {
    /// Counts a match of an event at `time`.
    pub fn matched(&self, time: i64) {
        self.matches.fetch_add(1, Relaxed);
        // One thread writes; readers may see the count before the time.
        if self.first.load(Relaxed) == 0 {
            self.first.store(time, Relaxed);
        }
        self.last.fetch_max(time, Relaxed);
    }

    /// Counts a match that an exception silenced.
    pub fn suppressed(&self) {
        self.suppressed.fetch_add(1, Relaxed);
    }

    /// Counts events that it might have matched and that were lost.
    pub fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Relaxed);
    }
}

/// Counters of an exception.
#[derive(Debug, Default)]
pub struct ExceptionCounter {
    suppressed: AtomicU64,
    last: AtomicI64,
}

impl ExceptionCounter {
    /// Counts a match that it silenced.
    pub fn suppressed(&self, time: i64) {
        self.suppressed.fetch_add(1, Relaxed);
        self.last.fetch_max(time, Relaxed);
    }
}

/// A rule's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTotal {
    /// The DetectionRule.
    pub id: ObjectRef,
    /// What alerts call `rule`.
    pub title: Arc<str>,
    /// Matches that no exception silenced.
    pub matches: u64,
    /// Matches that an exception silenced.
    pub suppressed: u64,
    /// Events of hooks that it wants and that were lost.
    pub lost: u64,
    /// Time of the first match, nanoseconds since 1970.
    pub first_seen: Option<i64>,
    /// Time of the last match, nanoseconds since 1970.
    pub last_seen: Option<i64>,
}

/// An exception's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionTotal {
    /// The Exception.
    pub id: ObjectRef,
    /// Matches that it silenced.
    pub suppressed: u64,
    /// Time of the last of them, nanoseconds since 1970.
    pub last_matched: Option<i64>,
}

/// All counters since the agent's start, sorted by identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of rules.
    pub rules: Vec<RuleTotal>,
    /// Of exceptions.
    pub exceptions: Vec<ExceptionTotal>,
}

/// Title and counter.
type Titled = (Arc<str>, Arc<RuleCounter>);

#[derive(Debug, Default)]
struct Inner {
    rules: RwLock<BTreeMap<ObjectRef, Titled>>,
    exceptions: RwLock<BTreeMap<ObjectRef, Arc<ExceptionCounter>>>,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TotalsHandle(Arc<Inner>);

impl TotalsHandle {
    /// The counter of a rule, made if need be.
    #[must_use]
    pub fn rule(&self, id: &ObjectRef, title: &str) -> Arc<RuleCounter> {
        let mut rules = self.0.rules.write();
        if let Some((known, counter)) = rules.get_mut(id) {
            if **known != *title {
                *known = title.into();
            }
            return Arc::clone(counter);
        }
        let counter = Arc::<RuleCounter>::default();
        if rules.len() < MAX_OBJECTS {
            rules.insert(id.clone(), (title.into(), Arc::clone(&counter)));
        }
        counter
    }

    /// The counter of an exception, made if need be.
    #[must_use]
    pub fn exception(&self, id: &ObjectRef) -> Arc<ExceptionCounter> {
        let mut exceptions = self.0.exceptions.write();
        if let Some(counter) = exceptions.get(id) {
            return Arc::clone(counter);
        }
        let counter = Arc::<ExceptionCounter>::default();
        if exceptions.len() < MAX_OBJECTS {
            exceptions.insert(id.clone(), Arc::clone(&counter));
        }
        counter
    }

    /// All counters now.
    #[must_use]
    pub fn snapshot(&self) -> Totals {
        let some = |t: i64| (t != 0).then_some(t);
        let rules = self.0.rules.read();
        let exceptions = self.0.exceptions.read();
        Totals {
            rules: rules
                .iter()
                .map(|(id, (title, c))| RuleTotal {
                    id: id.clone(),
                    title: Arc::clone(title),
                    matches: c.matches.load(Relaxed),
                    suppressed: c.suppressed.load(Relaxed),
                    lost: c.lost.load(Relaxed),
                    first_seen: some(c.first.load(Relaxed)),
                    last_seen: some(c.last.load(Relaxed)),
                })
                .collect(),
            exceptions: exceptions
                .iter()
                .map(|(id, c)| ExceptionTotal {
                    id: id.clone(),
                    suppressed: c.suppressed.load(Relaxed),
                    last_matched: some(c.last.load(Relaxed)),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_rule_goes_on_counting_over_a_reload_and_under_a_new_title() {
        let (totals, id) = (TotalsHandle::default(), ObjectRef { namespace: "a".into(), name: "b".into() });
        totals.rule(&id, "old").matched(5);
        totals.rule(&id, "new").matched(9);
        totals.rule(&id, "new").suppressed();
        totals.rule(&id, "new").lost(3);
        totals.exception(&id).suppressed(7);
        let all = totals.snapshot();
        let rule = &all.rules[0];
        assert_eq!((&*rule.title, rule.matches, rule.suppressed, rule.lost), ("new", 2, 1, 3));
        assert_eq!((rule.first_seen, rule.last_seen), (Some(5), Some(9)));
        assert_eq!((all.exceptions[0].suppressed, all.exceptions[0].last_matched), (1, Some(7)));
    }
}
