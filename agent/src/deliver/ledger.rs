//! What the router was told of counters, and what of that is on its disk. Pure.
use engine::source::ObjectRef;
use router::batch::{Counters, ExceptionCounter, MAX_COUNTERS, RuleCounter, Tally};
use std::collections::{HashMap, VecDeque};

/// Batches whose counters wait for the router's disk, each on its own; of more, the newest share one entry.
const MAX_WAITING: usize = 64;

/// By object.
#[derive(Debug, Default)]
struct Known {
    rules: HashMap<ObjectRef, Tally>,
    exceptions: HashMap<ObjectRef, u64>,
}

impl Known {
    fn learn(&mut self, counters: &Counters) {
        self.rules.extend(counters.rules.iter().map(|r| (r.id.clone(), r.total)));
        self.exceptions.extend(counters.exceptions.iter().map(|e| (e.id.clone(), e.suppressed)));
    }

    fn rule(&self, id: &ObjectRef) -> Tally {
        self.rules.get(id).copied().unwrap_or_default()
    }

    fn exception(&self, id: &ObjectRef) -> u64 {
        self.exceptions.get(id).copied().unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    told: Known,
    kept: Known,
    /// Told and not known to be on the router's disk: the batch's number and its counters, oldest first.
    waiting: VecDeque<(u64, Counters)>,
}

impl Ledger {
    /// Of these totals since the agent's start, those that the router was not told yet, with what is on its disk filled in.
    /// At most [`MAX_COUNTERS`] of each kind; the others come with the next batch.
    #[must_use]
    pub fn untold(&self, totals: &Counters) -> Counters {
        self.beyond(&self.told, totals)
    }

    /// The same, of those that are not on its disk as far as we know.
    #[must_use]
    pub fn unkept(&self, totals: &Counters) -> Counters {
        self.beyond(&self.kept, totals)
    }

    fn beyond(&self, known: &Known, totals: &Counters) -> Counters {
        let rule = |r: &RuleCounter| {
            (r.total != known.rule(&r.id)).then(|| RuleCounter { acknowledged: self.kept.rule(&r.id), ..r.clone() })
        };
        let exception = |e: &ExceptionCounter| {
            (e.suppressed != known.exception(&e.id))
                .then(|| ExceptionCounter { acknowledged: self.kept.exception(&e.id), ..e.clone() })
        };
        Counters {
            rules: totals.rules.iter().filter_map(rule).take(MAX_COUNTERS).collect(),
            exceptions: totals.exceptions.iter().filter_map(exception).take(MAX_COUNTERS).collect(),
        }
    }

    /// The router took batch `seq`; the counters of its batches up to `kept` are on its disk.
    pub fn acknowledge(&mut self, seq: u64, counters: Counters, kept: u64) {
        self.told.learn(&counters);
        if !counters.is_empty() {
            let full = self.waiting.len() >= MAX_WAITING;
            match self.waiting.back_mut() {
                Some((last, waiting)) if full => {
                    *last = seq;
                    waiting.rules.extend(counters.rules);
                    waiting.exceptions.extend(counters.exceptions);
                }
                _ => self.waiting.push_back((seq, counters)),
            }
        }
        while self.waiting.front().is_some_and(|(seq, _)| *seq <= kept) {
            if let Some((_, counters)) = self.waiting.pop_front() {
                self.kept.learn(&counters);
            }
        }
    }

    /// Whether something happened for the first time: not to be kept waiting.
    #[must_use]
    pub fn has_news(&self, untold: &Counters) -> bool {
        untold.rules.iter().any(|r| self.told.rule(&r.id).matches == 0 && r.total.matches > 0)
            || untold.exceptions.iter().any(|e| self.told.exception(&e.id) == 0)
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
    fn only_what_was_not_told_with_what_is_on_the_routers_disk() {
        let mut ledger = Ledger::default();
        assert!(ledger.untold(&totals(0, 0, 0)).is_empty());
        let first = ledger.untold(&totals(3, 0, 1));
        assert_eq!((first.rules.len(), first.exceptions.len()), (1, 1));
        assert!(ledger.has_news(&first));
        // Not taken: told again, from where it was.
        assert_eq!(ledger.untold(&totals(4, 0, 1)).rules[0].acknowledged.matches, 0);
        ledger.acknowledge(1, first, 1);
        assert!(ledger.untold(&totals(3, 0, 1)).is_empty() && ledger.unkept(&totals(3, 0, 1)).is_empty());
        let more = ledger.untold(&totals(5, 0, 1));
        assert_eq!((more.rules[0].total.matches, more.rules[0].acknowledged.matches), (5, 3));
        assert!(!ledger.has_news(&more));
        assert!(ledger.has_news(&ledger.untold(&totals(5, 1, 1))));
    }

    #[test]
    fn what_was_taken_and_is_not_on_disk_is_told_again_from_what_is() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(1, ledger.untold(&totals(3, 0, 0)), 0);
        ledger.acknowledge(2, ledger.untold(&totals(5, 1, 0)), 1);
        let now = totals(5, 1, 0);
        assert!(ledger.untold(&now).is_empty() && !ledger.has_news(&ledger.unkept(&now)));
        let again = ledger.unkept(&now);
        assert_eq!((again.rules[0].acknowledged.matches, again.rules[1].acknowledged.matches), (3, 0));
        ledger.acknowledge(3, again, 3);
        assert!(ledger.unkept(&now).is_empty() && ledger.waiting.is_empty());
        for seq in 4..1000 {
            ledger.acknowledge(seq, ledger.untold(&totals(seq, 1, 0)), 3);
        }
        assert!(ledger.waiting.len() <= MAX_WAITING);
        ledger.acknowledge(1000, Counters::default(), 999);
        assert!(ledger.unkept(&totals(999, 1, 0)).is_empty());
    }
}
