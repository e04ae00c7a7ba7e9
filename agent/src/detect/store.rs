//! The armed rulesets: the newest, and those before it whose records may still be in the ring.
use super::{ExceptionCounter, RuleCounter, TotalsHandle};
use crate::probe::KernelFilter;
use arc_swap::ArcSwap;
use engine::{
    event::{EventType, Hook},
    plan::{Plan, PlanError},
    ruleset::{Rule, Ruleset},
    source::RuleState,
};
use std::sync::Arc;

/// Generations kept. Records of older ones are evaluated by the oldest of these.
const KEPT: usize = 3;

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
        Ok(Self { generation, plan: Plan::new(ruleset)?, rules, exceptions })
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
        KernelFilter {
            generation: self.generation,
            types,
            open: self.plan.open_filter(),
            threads: types.contains(EventType::Clone) || types.contains(EventType::Clone3),
        }
    }

    /// Charges lost events of a hook to every rule that might have matched them.
    pub fn charge(&self, hook: Hook, lost: u64) {
        self.plan.rules_of(hook).iter().filter_map(|r| self.rules.get(*r)).for_each(|r| r.counter.lost(lost));
    }
}

/// See the module. Swapped by the armer, read by the detect thread without a lock.
#[derive(Debug, Default)]
pub struct Store(ArcSwap<Vec<Arc<Armed>>>);

impl Store {
    /// Puts a newer ruleset in front.
    pub fn swap_in(&self, armed: Arc<Armed>) {
        let mut all = vec![armed];
        all.extend(self.0.load().iter().take(KEPT - 1).cloned());
        self.0.store(Arc::new(all));
    }

    /// Newest first; empty before the first was armed.
    #[must_use]
    pub fn load(&self) -> Arc<Vec<Arc<Armed>>> {
        self.0.load_full()
    }

    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Armed>> {
        self.0.load().first().cloned()
    }

    /// Lets go of all but the newest: no record of an older generation can be in the ring any more.
    pub fn settle(&self) {
        let all = self.0.load();
        if all.len() > 1 {
            self.0.store(Arc::new(all.iter().take(1).cloned().collect()));
        }
    }
}

/// The rules for a record: those of its generation, else the next older, else the oldest there are.
pub(super) fn pick(all: &[Arc<Armed>], generation: u32) -> Option<&Arc<Armed>> {
    all.iter().find(|a| a.generation <= generation).or_else(|| all.last())
}
