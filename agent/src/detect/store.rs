//! The armed rulesets: the newest, and those before it whose records may still be in the ring.
use super::{ExceptionCounter, RuleCounter, TotalsHandle};
use crate::probe::{KernelFilter, Lost, Tables};
use arc_swap::ArcSwap;
use engine::{
    event::{EventType, Hook},
    plan::{Plan, PlanError},
    priority::Priority,
    ruleset::{Rule, Ruleset},
    source::RuleState,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Most generations kept, when so many follow each other before the ring is once empty. Records of older ones are then judged by
/// all rules of the oldest of these.
const KEPT: usize = 16;

/// What is kept beside the plan for a rule.
#[derive(Debug)]
pub(super) struct Slot {
    pub counter: Arc<RuleCounter>,
    pub shadow: bool,
}

/// A ruleset with its plan and its counters.
#[derive(Debug)]
pub struct Armed {
    /// What the kernel stamps on records that were let through for it.
    pub generation: u32,
    /// The evaluator.
    pub plan: Plan,
    pub(super) rules: Vec<Slot>,
    pub(super) exceptions: Vec<Arc<ExceptionCounter>>,
    /// Since when no record of its generation is made any more.
    superseded: OnceLock<Instant>,
}

impl Armed {
    /// Plans a ruleset.
    ///
    /// # Errors
    /// A condition or template in it is malformed.
    pub fn new(generation: u32, ruleset: Arc<Ruleset>, totals: &TotalsHandle) -> Result<Self, PlanError> {
        let rule =
            |rule: &Rule| Slot { counter: totals.rule(&rule.id, &rule.title), shadow: rule.state == RuleState::Shadow };
        let rules = ruleset.rules.iter().map(rule).collect();
        let exceptions = ruleset.exceptions.iter().map(|e| totals.exception(&e.id)).collect();
        Ok(Self { generation, plan: Plan::new(ruleset)?, rules, exceptions, superseded: OnceLock::new() })
    }

    /// The ruleset.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        self.plan.ruleset()
    }

    /// What the kernel has to supply for it.
    #[must_use]
    pub fn filter(&self) -> KernelFilter {
        let types = self.plan.needed_types();
        let rules = &self.ruleset().rules;
        let priority = |rule: u32| rules.get(rule as usize).map_or(Priority::Emergency, |rule| rule.priority);
        KernelFilter {
            generation: self.generation,
            types,
            classes: Arc::new(Tables::new(self.plan.kernel_filters(), priority)),
            threads: types.contains(EventType::Clone) || types.contains(EventType::Clone3),
        }
    }

    /// Rules that ask for every hook, `namespace/name`: they name no `evt.type`, and so make calls cost that nothing else needs.
    #[must_use]
    pub fn everywhere(&self) -> Vec<String> {
        let of = |hook: &Hook| self.plan.rules_of(*hook).iter().copied().collect::<BTreeSet<usize>>();
        let everywhere = Hook::ALL.iter().map(of).reduce(|all, more| &all & &more).unwrap_or_default();
        everywhere.iter().filter_map(|rule| self.ruleset().rules.get(*rule)).map(|rule| rule.id.to_string()).collect()
    }

    /// Charges lost events to every rule that might have matched them: those of their class.
    pub fn charge(&self, lost: &Lost) {
        let Some(class) = self.plan.kernel_filters().classes(lost.hook).get(lost.class) else { return };
        class.rules.iter().filter_map(|r| self.rules.get(*r as usize)).for_each(|r| r.counter.lost(lost.events));
    }
}

/// See the module. Swapped by the armer, read by the detect thread without a lock.
#[derive(Debug, Default)]
pub struct Store {
    /// Newest first.
    all: ArcSwap<Vec<Arc<Armed>>>,
    open: AtomicBool,
}

impl Store {
    /// Puts a newer ruleset in front, before the kernel stamps its generation.
    pub fn swap_in(&self, armed: &Arc<Armed>) {
        self.all.rcu(|all| std::iter::once(armed).chain(all.iter().take(KEPT - 1)).cloned().collect::<Vec<_>>());
    }

    /// The kernel has switched to the newest: no record of an older generation is made any more.
    pub fn switched(&self) {
        for old in self.all.load().iter().skip(1) {
            old.superseded.get_or_init(Instant::now);
        }
        self.open.store(true, Ordering::Release);
    }

    /// The kernel could not switch to the newest: the one before goes on.
    pub fn take_back(&self, generation: u32) {
        self.all.rcu(|all| all.iter().filter(|armed| armed.generation != generation).cloned().collect::<Vec<_>>());
    }

    /// Whether the kernel makes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Newest first; empty before the first was armed.
    #[must_use]
    pub fn load(&self) -> Arc<Vec<Arc<Armed>>> {
        self.all.load_full()
    }

    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Armed>> {
        self.all.load().first().cloned()
    }

    /// All records made until `time` have been read: lets go of generations that can have no others.
    pub fn emptied(&self, time: Instant) {
        let done = |armed: &Arc<Armed>| armed.superseded.get().is_some_and(|since| *since < time);
        if self.all.load().iter().any(done) {
            self.all.rcu(|all| all.iter().filter(|armed| !done(armed)).cloned().collect::<Vec<_>>());
        }
    }
}

/// The rules for a record: those of its generation, else the next older, else the oldest there are.
pub(super) fn pick(all: &[Arc<Armed>], generation: u32) -> Option<&Arc<Armed>> {
    all.iter().find(|a| a.generation <= generation).or_else(|| all.last())
}
