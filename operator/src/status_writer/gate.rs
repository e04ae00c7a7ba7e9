//! Which updates go now.
use crate::status::Update;
use engine::{compile::ObjectKind, source::ObjectRef};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Least time between two writes of one object that tell only progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Writes per second on average, over all objects.
const RATE: f64 = 40.0;
/// Writes at once, after a quiet time.
const BURST: f64 = 200.0;
/// Longest wait after failures.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

type Key = (ObjectKind, ObjectRef);

#[derive(Debug, Default)]
struct Entry {
    in_flight: bool,
    failures: u32,
    /// No urgent write before this.
    not_before: Option<Instant>,
    last: Option<Instant>,
}

/// Remembers what is on its way and what failed.
#[derive(Debug)]
pub struct Gate {
    entries: HashMap<Key, Entry>,
    tokens: f64,
    filled: Instant,
}

impl Gate {
    /// With a full budget.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { entries: HashMap::new(), tokens: BURST, filled: now }
    }

    /// The updates that go now, and when to ask again for the rest.
    pub fn select(&mut self, updates: Vec<Update>, now: Instant) -> (Vec<Update>, Option<Instant>) {
        let earned = now.duration_since(self.filled).as_secs_f64() * RATE;
        (self.tokens, self.filled) = ((self.tokens + earned).min(BURST), now);
        let (urgent, progress): (Vec<_>, Vec<_>) = updates.into_iter().partition(|u| u.urgent);
        let mut selected = Vec::new();
        let mut again: Option<Instant> = None;
        for update in urgent.into_iter().chain(progress) {
            let entry = self.entries.entry((update.kind, update.id.clone())).or_default();
            if entry.in_flight {
                continue; // Its answer asks again.
            }
            let progress = entry.last.filter(|_| !update.urgent).map(|last| last + PROGRESS);
            let budget = (self.tokens < 1.0).then(|| now + Duration::from_secs_f64(1.0 / RATE));
            if let Some(wait) = entry.not_before.max(progress).max(budget).filter(|wait| *wait > now) {
                again = Some(again.map_or(wait, |a| a.min(wait)));
                continue;
            }
            self.tokens -= 1.0;
            entry.in_flight = true;
            selected.push(update);
        }
        (selected, again)
    }

    /// A write came to its end.
    pub fn done(&mut self, kind: ObjectKind, id: &ObjectRef, worked: bool, now: Instant) {
        let entry = self.entries.entry((kind, id.clone())).or_default();
        entry.in_flight = false;
        if worked {
            *entry = Entry { last: Some(now), ..Entry::default() };
        } else {
            let wait = Duration::from_millis(500).saturating_mul(1 << entry.failures.min(6)).min(MAX_BACK_OFF);
            entry.failures = entry.failures.saturating_add(1);
            entry.not_before = Some(now + wait);
        }
    }

    /// A selected update could not be queued after all.
    pub fn returned(&mut self, update: &Update) {
        if let Some(entry) = self.entries.get_mut(&(update.kind, update.id.clone())) {
            entry.in_flight = false;
            self.tokens += 1.0;
        }
    }

    /// Forgets objects that are gone.
    pub fn retain(&mut self, exists: impl Fn(ObjectKind, &ObjectRef) -> bool) {
        self.entries.retain(|(kind, id), entry| entry.in_flight || exists(*kind, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(name: &str, urgent: bool) -> Update {
        let id = ObjectRef { namespace: "n".to_owned(), name: name.to_owned() };
        Update { kind: ObjectKind::Rule, id, uid: String::new(), body: serde_json::Value::Null, urgent }
    }

    fn names(updates: &[Update]) -> Vec<&str> {
        updates.iter().map(|u| u.id.name.as_str()).collect()
    }

    #[test]
    fn one_write_per_object_at_a_time() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        let (first, _) = gate.select(vec![update("a", true), update("b", true)], now);
        assert_eq!(names(&first), ["a", "b"]);
        assert_eq!(names(&gate.select(vec![update("a", true)], now).0), Vec::<&str>::new());
        gate.done(ObjectKind::Rule, &update("a", true).id, true, now);
        assert_eq!(names(&gate.select(vec![update("a", true)], now).0), ["a"]);
    }

    #[test]
    fn progress_waits_and_what_turned_does_not() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        gate.select(vec![update("a", false)], now);
        gate.done(ObjectKind::Rule, &update("a", true).id, true, now);
        let (selected, again) = gate.select(vec![update("a", false)], now);
        assert_eq!((selected.len(), again), (0, Some(now + PROGRESS)));
        assert_eq!(gate.select(vec![update("a", true)], now).0.len(), 1);
    }

    #[test]
    fn failures_of_one_object_hold_back_only_that_one_and_ever_longer() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        let mut waits = Vec::new();
        let mut at = now;
        for _ in 0..8 {
            gate.select(vec![update("a", true)], at);
            gate.done(ObjectKind::Rule, &update("a", true).id, false, at);
            let (selected, again) = gate.select(vec![update("a", true), update("b", true)], at);
            gate.done(ObjectKind::Rule, &update("b", true).id, true, at);
            assert_eq!(names(&selected), ["b"]);
            let again = again.unwrap_or(at);
            waits.push(again.duration_since(at));
            at = again;
        }
        assert!(waits.windows(2).all(|w| w[0] <= w[1]) && waits[7] == MAX_BACK_OFF, "{waits:?}");
    }

    #[test]
    fn a_storm_is_bounded_and_urgent_ones_go_first() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        let storm = |urgent: bool| (0..1000).map(move |i| update(&format!("{urgent}{i}"), urgent));
        let (selected, again) = gate.select(storm(false).chain(storm(true)).collect(), now);
        assert_eq!(selected.len(), 200);
        assert!(selected.iter().all(|u| u.urgent) && again.is_some());
        let later = now + Duration::from_secs(1);
        assert_eq!(gate.select(storm(false).collect(), later).0.len(), 40);
    }
}
