//! Which counters the router has not acknowledged yet. Pure.
use engine::source::ObjectRef;
use router::batch::{Counters, ExceptionCounter, MAX_COUNTERS, RuleCounter, Tally};
use std::collections::HashMap;

/// What was acknowledged, by object.
#[derive(Debug, Default)]
pub struct Ledger {
    rules: HashMap<ObjectRef, Tally>,
    exceptions: HashMap<ObjectRef, u64>,
}

impl Ledger {
    /// Of these totals since the agent's start, those that changed since they were acknowledged, with what was
    /// acknowledged filled in. At most [`MAX_COUNTERS`] of each kind; the others come with the next batch.
    #[must_use]
    pub fn changed(&self, totals: &Counters) -> Counters {
        let rule = |r: &RuleCounter| {
            let acknowledged = self.rules.get(&r.id).copied().unwrap_or_default();
            (r.total != acknowledged).then(|| RuleCounter { acknowledged, ..r.clone() })
        };
        let exception = |e: &ExceptionCounter| {
            let acknowledged = self.exceptions.get(&e.id).copied().unwrap_or_default();
            (e.suppressed != acknowledged).then(|| ExceptionCounter { acknowledged, ..e.clone() })
        };
        Counters {
            rules: totals.rules.iter().filter_map(rule).take(MAX_COUNTERS).collect(),
            exceptions: totals.exceptions.iter().filter_map(exception).take(MAX_COUNTERS).collect(),
        }
    }

    /// The router has these.
    pub fn acknowledge(&mut self, counters: &Counters) {
        self.rules.extend(counters.rules.iter().map(|r| (r.id.clone(), r.total)));
        self.exceptions.extend(counters.exceptions.iter().map(|e| (e.id.clone(), e.suppressed)));
    }

    /// Whether something happened for the first time: not to be kept waiting.
    #[must_use]
    pub fn has_news(changed: &Counters) -> bool {
        changed.rules.iter().any(|r| r.acknowledged.matches == 0 && r.total.matches > 0)
            || changed.exceptions.iter().any(|e| e.acknowledged == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectRef {
        ObjectRef { namespace: "n".to_owned(), name: name.to_owned() }
    }

    fn totals(a: u64, b: u64, x: u64) -> Counters {
        let rule = |name, matches| RuleCounter {
            id: id(name),
            total: Tally { matches, ..Tally::default() },
            ..RuleCounter::default()
        };
        let exception = ExceptionCounter { id: id("x"), suppressed: x, ..ExceptionCounter::default() };
        Counters { rules: vec![rule("a", a), rule("b", b)], exceptions: vec![exception] }
    }

    #[test]
    fn only_what_changed_with_what_was_acknowledged() {
        let mut ledger = Ledger::default();
        assert!(ledger.changed(&totals(0, 0, 0)).is_empty());
        let first = ledger.changed(&totals(3, 0, 1));
        assert_eq!((first.rules.len(), first.exceptions.len()), (1, 1));
        assert!(Ledger::has_news(&first));
        // Not acknowledged: told again, from where it was.
        assert_eq!(ledger.changed(&totals(4, 0, 1)).rules[0].acknowledged.matches, 0);
        ledger.acknowledge(&first);
        assert!(ledger.changed(&totals(3, 0, 1)).is_empty());
        let more = ledger.changed(&totals(5, 0, 1));
        assert_eq!((more.rules[0].total.matches, more.rules[0].acknowledged.matches), (5, 3));
        assert!(!Ledger::has_news(&more));
        assert!(Ledger::has_news(&ledger.changed(&totals(5, 1, 1))));
    }
}
