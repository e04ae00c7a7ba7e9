//! The immutable evaluator that a ruleset is planned into.
//!
//! ```text
//! ruleset -> for each event type: conditions specialised to it (known: type, fields it cannot have)
//!         -> builder: graph (equal parts are one node, cheap parts first)
//!         -> keys (values that a rule requires) -> dispatch (rules by such values)
//!         -> needed hooks, filter of opens, kernel filters
//! ```
//! Invariant: for every event, the rules found are exactly those whose condition `eval::evaluate` calls true
//! (property test).
mod builder;
#[cfg(test)]
mod differential;
mod dispatch;
mod filter;
#[cfg(test)]
mod generate;
mod graph;
pub mod kernel;
mod keys;
mod known;
mod possible;
#[cfg(test)]
mod tests;

pub use filter::OpenFilter;
pub(crate) use possible::possible_types;

use crate::{
    eval::Truth,
    event::{Event, EventType, EventTypes, Hook},
    matching::TestError,
    output::Template,
    ruleset::Ruleset,
};
use builder::Builder;
use dispatch::{Candidate, Dispatch, Wanted};
use graph::{Graph, Memory, Planned, Run};
use kernel::KernelFilters;
use known::Known;
use possible::Sketch;
use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

/// A ruleset that cannot be planned. A compiled one always can; this guards against one from elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {reason}")]
pub struct PlanError {
    /// Which rule or exception.
    pub object: String,
    /// Why.
    pub reason: String,
}

/// What became of a rule for one event. Rules that do not match are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Index in `ruleset.rules`.
    pub rule: usize,
    /// What became of it.
    pub outcome: HitOutcome,
}

/// See [`Hit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitOutcome {
    /// It matches and no exception holds.
    Matched,
    /// It matches, and an exception silences it.
    Suppressed {
        /// Index in `ruleset.exceptions`.
        exception: usize,
    },
    /// Undecided until a pending field is known: ask again.
    Pending,
}

/// Memory for evaluations, to be used again for each event: one per thread. Fits every plan.
#[derive(Debug, Default)]
pub struct Scratch {
    rules: Memory,
    exceptions: Memory,
    picked: Vec<u32>,
    wanted: Vec<u64>,
}

/// An exception as planned.
#[derive(Debug)]
struct PlannedException {
    index: usize,
    condition: Planned,
    expires_at: Option<i64>,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    ruleset: Arc<Ruleset>,
    templates: Vec<Template>,
    graph: Graph,
    /// By event type, and last those of events without one. Types that the rules do not tell apart share one.
    dispatch: Vec<Arc<Dispatch>>,
    /// By hook: the rules that its events may match.
    rules_of: Vec<Vec<usize>>,
    exceptions: Graph,
    /// By rule.
    exceptions_of: Vec<Vec<PlannedException>>,
    open_filter: OpenFilter,
    kernel: KernelFilters,
    /// By hook and class: the rules that want it, bit n of word n / 64 for rule n.
    classes_of: Vec<Vec<Box<[u64]>>>,
}

impl Plan {
    /// Plans a ruleset.
    ///
    /// # Errors
    /// A condition or template in it is malformed.
    pub fn new(ruleset: Arc<Ruleset>) -> Result<Self, PlanError> {
        let mut templates = Vec::with_capacity(ruleset.rules.len());
        for rule in &ruleset.rules {
            let template = Template::parse(&rule.output);
            templates.push(template.map_err(|error| plan_error(&rule.id, error.one_line()))?);
        }
        let (graph, dispatch, rules_of) = plan_rules(&ruleset)?;
        let (exceptions, exceptions_of) = plan_exceptions(&ruleset)?;
        let open_filter = plan_open_filter(&ruleset)?;
        let kernel = plan_kernel(&ruleset, &graph, &dispatch);
        let classes_of = rules_by_class(&kernel, ruleset.rules.len());
        Ok(Self {
            templates,
            graph,
            dispatch,
            rules_of,
            exceptions,
            exceptions_of,
            open_filter,
            kernel,
            classes_of,
            ruleset,
        })
    }

    /// What was planned.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// Hooks that the rules need, and those of the process life cycle, which are always needed.
    #[must_use]
    pub fn needed_hooks(&self) -> BTreeSet<Hook> {
        let wanted = EventType::ALL.iter().filter(|t| !self.dispatch[**t as usize].is_empty()).map(|t| t.hook());
        wanted.chain(Hook::ALL.iter().copied().filter(|h| h.is_life_cycle())).collect()
    }

    /// Rules (indexes in `ruleset.rules`) that events of a hook may match: those that a lost event is charged to.
    #[must_use]
    pub fn rules_of(&self, hook: Hook) -> &[usize] {
        &self.rules_of[hook as usize]
    }

    /// Event types that some rule can match.
    #[must_use]
    pub fn needed_types(&self) -> EventTypes {
        EventType::ALL.iter().copied().filter(|t| !self.dispatch[*t as usize].is_empty()).collect()
    }

    /// Which opens any rule could match: a sound superset.
    #[must_use]
    pub fn open_filter(&self) -> OpenFilter {
        self.open_filter
    }

    /// What the kernel may leave out, hook by hook: a sound superset by flags, paths, names, ports and addresses.
    #[must_use]
    pub fn kernel_filters(&self) -> &KernelFilters {
        &self.kernel
    }

    /// Number of distinct parts of all conditions, over all event types: what the plan costs in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.graph.len() + self.exceptions.len()
    }

    /// The output template of a rule (index in `ruleset.rules`).
    #[must_use]
    pub fn template(&self, rule: usize) -> &Template {
        &self.templates[rule]
    }

    /// Evaluates all rules for an event, at `now` in Unix seconds (for the expiry of exceptions). Calls back once for
    /// each rule that matches, is silenced or undecided; in no particular order.
    pub fn evaluate(&self, event: &impl Event, now: i64, scratch: &mut Scratch, found: &mut dyn FnMut(Hit)) {
        self.evaluate_classes(event, u64::MAX, now, scratch, found);
    }

    /// The same, but only the rules that want one of the [classes](KernelFilters::classes) of the event's hook whose bits
    /// `candidates` has: what the kernel found to be possible. All bits set: every rule.
    pub fn evaluate_classes(
        &self,
        event: &impl Event,
        candidates: u64,
        now: i64,
        scratch: &mut Scratch,
        found: &mut dyn FnMut(Hit),
    ) {
        let event: &dyn Event = event;
        let dispatch = &self.dispatch[event.event_type().map_or(EventType::ALL.len(), |t| t as usize)];
        if dispatch.is_empty() {
            return;
        }
        let Scratch { rules, exceptions, picked, wanted } = scratch;
        let hook = event.event_type().map(EventType::hook).filter(|_| candidates != u64::MAX);
        let wanted = match hook {
            None => Wanted::All,
            Some(hook) => {
                wanted.clear();
                wanted.resize(self.ruleset.rules.len().div_ceil(64), 0);
                let classes = self.classes_of[hook as usize].iter().enumerate();
                for (_, rules) in classes.filter(|(class, _)| candidates >> class & 1 == 1) {
                    wanted.iter_mut().zip(rules).for_each(|(all, more)| *all |= more);
                }
                Wanted::Of(wanted)
            }
        };
        let mut run = Run::new(&self.graph, event, rules, self.ruleset.rules.len());
        let mut silencers: Option<Run<'_, '_>> = None;
        let mut exceptions = Some(exceptions);
        dispatch.pick(&mut run, wanted, picked, &mut |Candidate { rule, condition }, run| {
            let rule = rule as usize;
            let outcome = match run.evaluate(condition) {
                Truth::False => return,
                Truth::Unknown => HitOutcome::Pending,
                Truth::True if self.exceptions_of[rule].is_empty() => HitOutcome::Matched,
                Truth::True => {
                    if let Some(memory) = exceptions.take() {
                        silencers = Some(Run::new(&self.exceptions, event, memory, 0));
                    }
                    silencers.as_mut().map_or(HitOutcome::Matched, |run| self.judge(rule, now, run))
                }
            };
            found(Hit { rule, outcome });
        });
        run.end();
        if let Some(run) = silencers {
            run.end();
        }
    }

    /// A match after its exceptions: the first that holds takes it; an undecided one holds it back.
    fn judge(&self, rule: usize, now: i64, run: &mut Run<'_, '_>) -> HitOutcome {
        let mut outcome = HitOutcome::Matched;
        for exception in &self.exceptions_of[rule] {
            if exception.expires_at.is_some_and(|at| now >= at) {
                continue;
            }
            match run.evaluate(exception.condition) {
                Truth::True => return HitOutcome::Suppressed { exception: exception.index },
                Truth::Unknown => outcome = HitOutcome::Pending,
                Truth::False => {}
            }
        }
        outcome
    }
}

fn plan_error(object: &impl ToString, reason: impl Into<String>) -> PlanError {
    PlanError { object: object.to_string(), reason: reason.into() }
}

/// The graph, by event type what to evaluate, by hook the rules that it feeds.
type PlannedRules = (Graph, Vec<Arc<Dispatch>>, Vec<Vec<usize>>);

fn plan_rules(ruleset: &Ruleset) -> Result<PlannedRules, PlanError> {
    let mut builder = Builder::default();
    let mut rules_of: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); Hook::ALL.len()];
    // The last: events of no type that we know.
    let mut by_type: Vec<Vec<Candidate>> = vec![Vec::new(); EventType::ALL.len() + 1];
    for (index, rule) in ruleset.rules.iter().enumerate() {
        let failed = |error: TestError| plan_error(&rule.id, error.message);
        let number = u32::try_from(index).map_err(|_| plan_error(&rule.id, "too many rules"))?;
        builder.next_rule();
        for group in builder.groups(&rule.condition).map_err(failed)? {
            let known = Known { event_type: group.iter().next(), open_class: None };
            let condition = builder.add(&rule.condition, &known).map_err(failed)?;
            if condition != Planned::Constant(false) {
                for event_type in group.iter() {
                    by_type[event_type as usize].push(Candidate { rule: number, condition });
                    rules_of[event_type.hook() as usize].insert(index);
                }
            }
        }
        let condition = builder.add(&rule.condition, &Known::default()).map_err(failed)?;
        if condition != Planned::Constant(false) {
            by_type[EventType::ALL.len()].push(Candidate { rule: number, condition });
        }
    }
    let graph = builder.finish();
    let mut known: HashMap<Vec<Candidate>, Arc<Dispatch>> = HashMap::new();
    let dispatch = by_type.into_iter().map(|candidates| match known.entry(candidates) {
        Entry::Occupied(same) => same.get().clone(),
        Entry::Vacant(new) => {
            let dispatch = Arc::new(Dispatch::new(new.key().clone(), &graph));
            new.insert(dispatch).clone()
        }
    });
    let dispatch = dispatch.collect();
    Ok((graph, dispatch, rules_of.into_iter().map(|of| of.into_iter().collect()).collect()))
}

fn plan_kernel(ruleset: &Ruleset, graph: &Graph, dispatch: &[Arc<Dispatch>]) -> KernelFilters {
    let mut groups: Vec<(Vec<EventType>, &[Candidate])> = Vec::new();
    for (event_type, dispatch) in EventType::ALL.iter().zip(dispatch) {
        let same = |(types, candidates): &&mut (Vec<EventType>, &[Candidate])| {
            types.iter().all(|t| t.hook() == event_type.hook()) && std::ptr::eq(*candidates, dispatch.candidates())
        };
        match groups.iter_mut().find(same) {
            Some((types, _)) => types.push(*event_type),
            None => groups.push((vec![*event_type], dispatch.candidates())),
        }
    }
    KernelFilters::derive(graph, &groups, ruleset.rules.iter().map(|rule| rule.id.name.clone()).collect())
}

/// The rules of each class as words of bits.
fn rules_by_class(kernel: &KernelFilters, rules: usize) -> Vec<Vec<Box<[u64]>>> {
    let words = |class: &kernel::Class| {
        let mut words = vec![0_u64; rules.div_ceil(64)].into_boxed_slice();
        for rule in &class.rules {
            if let Some(word) = words.get_mut(*rule as usize / 64) {
                *word |= 1 << (rule % 64);
            }
        }
        words
    };
    Hook::ALL.iter().map(|hook| kernel.classes(*hook).iter().map(words).collect()).collect()
}

fn plan_exceptions(ruleset: &Ruleset) -> Result<(Graph, Vec<Vec<PlannedException>>), PlanError> {
    let at: HashMap<_, _> = ruleset.rules.iter().enumerate().map(|(n, rule)| (&rule.id, n)).collect();
    let mut builder = Builder::default();
    let mut of: Vec<Vec<PlannedException>> = ruleset.rules.iter().map(|_| Vec::new()).collect();
    for (index, exception) in ruleset.exceptions.iter().enumerate() {
        let failed = |error: TestError| plan_error(&exception.id, error.message);
        let condition = match &exception.condition {
            None => Planned::Constant(true),
            Some(condition) => {
                builder.next_rule();
                builder.add(condition, &Known::default()).map_err(failed)?
            }
        };
        for rule in exception.rules.iter().filter_map(|id| at.get(id)) {
            of[*rule].push(PlannedException { index, condition, expires_at: exception.expires_at });
        }
    }
    Ok((builder.finish(), of))
}

/// Every class of opens for which some rule is not decided to be false.
fn plan_open_filter(ruleset: &Ruleset) -> Result<OpenFilter, PlanError> {
    let mut sketches = Vec::with_capacity(ruleset.rules.len());
    for rule in &ruleset.rules {
        sketches.push(Sketch::new(&rule.condition).map_err(|error| plan_error(&rule.id, error.message))?);
    }
    let mut filter = OpenFilter::NONE;
    for event_type in EventType::ALL.iter().copied().filter(|t| t.hook() == Hook::Open) {
        for class in 0..16 {
            let known = Known { event_type: Some(event_type), open_class: Some(class) };
            if sketches.iter().any(|sketch| sketch.decide(&known) != Truth::False) {
                filter = filter.with(class);
            }
        }
    }
    Ok(filter)
}
