//! The thread that owns the kernel side: arms rulesets, proves hooks, reads counters.
//!
//! A ruleset is planned, what it needs is attached (`widen`), its rules are put beside those in force, and the kernel switches to
//! its filter from one event to the next (`narrow`). Each event is judged by the filter and the rules of one generation, so that
//! none falls between two. On any failure what is in force stays, and the reason is shown.
use super::{
    governor::{self, Governor, Meter},
    seams::{Origin, RulesetEvent, RulesetUpdate, Seams},
};
use crate::{
    detect::{Armed, Store, TotalsHandle, clock},
    handover::Duty,
    probe::{KernelFilter, Lost, Probe},
    rules::state,
    status,
};
use crds::node_agent::FailingRule;
use engine::{
    compile::{ObjectKind, Outcome},
    event::Hook,
};
use jiff::Timestamp;
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// How often counters are read.
const LOOK: Duration = Duration::from_millis(500);
/// The same while a hook is still to be proven, for a while after arming.
const LOOK_SOON: Duration = Duration::from_millis(10);
/// How often hooks are proven again.
const PROVE: Duration = Duration::from_secs(300);
/// How soon, when one has not come through.
const PROVE_AGAIN: Duration = Duration::from_secs(2);

pub(super) struct Armer {
    probe: Probe,
    store: Arc<Store>,
    totals: TotalsHandle,
    status: status::Handle,
    duty: Duty,
    /// As of the last look.
    stands_by: bool,
    /// What was lost while another agent watched, and when that was read: only what the other has not seen counts.
    lost_aside: VecDeque<(u64, Arc<Armed>, Lost)>,
    /// Not on disk yet, as another agent's is.
    unsaved: Option<RulesetUpdate>,
    state_dir: Option<PathBuf>,
    begun: Instant,
    generation: u32,
    wanted: Vec<Hook>,
    armed_at: Option<Instant>,
    proven_at: Option<Instant>,
    meter: Meter,
    governor: Option<Governor>,
    budget: Option<f64>,
}

/// The end in three steps.
pub(super) struct Tokens {
    /// It was asked for.
    pub end: CancellationToken,
    /// No more events come: cancelled by the armer, the ring is to be read to its end.
    pub quiet: CancellationToken,
    /// All is read.
    pub stop: CancellationToken,
}

/// Most losses that wait for a handover.
const MAX_ASIDE: usize = 4096;

/// Why a ruleset was not armed.
#[derive(Debug, thiserror::Error)]
enum ArmError {
    #[error("it cannot be planned: {0}")]
    Plan(#[from] engine::plan::PlanError),
    #[error(transparent)]
    Probe(#[from] crate::probe::ProbeError),
}

impl Armer {
    /// `budget`: percent of one core that the agent should keep to.
    pub(super) fn new(probe: Probe, store: Arc<Store>, seams: &Seams, begun: Instant, budget: Option<f64>) -> Self {
        Self {
            probe,
            store,
            totals: seams.totals.clone(),
            status: seams.status.clone(),
            duty: seams.duty.clone(),
            stands_by: seams.duty.stands_by(),
            lost_aside: VecDeque::new(),
            unsaved: None,
            state_dir: seams.state_dir.clone(),
            begun,
            generation: 0,
            wanted: Vec::new(),
            armed_at: None,
            proven_at: None,
            meter: Meter::default(),
            governor: budget.map(|budget| Governor::new(budget, Instant::now())),
            budget,
        }
    }

    /// Starts the thread; it ends with `tokens.stop`.
    pub(super) fn spawn(self, rulesets: mpsc::Receiver<RulesetEvent>, tokens: Tokens) -> io::Result<JoinHandle<()>> {
        let runtime = Handle::current();
        std::thread::Builder::new().name("armer".into()).spawn(move || self.run(rulesets, &tokens, &runtime))
    }

    fn run(mut self, mut rulesets: mpsc::Receiver<RulesetEvent>, tokens: &Tokens, runtime: &Handle) {
        let Tokens { end, quiet, stop } = tokens;
        let mut open = true;
        loop {
            let fresh = self.armed_at.is_some_and(|at| at.elapsed() < PROVE_AGAIN);
            let pause = if fresh && !self.all_proven() { LOOK_SOON } else { LOOK };
            let event = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    () = end.cancelled(), if !quiet.is_cancelled() => None,
                    event = rulesets.recv(), if open => {
                        open = event.is_some();
                        event
                    }
                    () = tokio::time::sleep(pause) => None,
                }
            });
            if let Some(event) = event {
                self.take(event, &mut rulesets);
            }
            if end.is_cancelled() && !quiet.is_cancelled() {
                self.close();
                self.look();
                quiet.cancel();
            }
            // What the life cycle goes on to tell at the end is nobody's loss.
            if !quiet.is_cancelled() {
                self.look();
            }
            if stop.is_cancelled() {
                return;
            }
            if !end.is_cancelled() {
                self.prove();
            }
        }
    }

    /// At the end: the kernel lets nothing more through but the life cycle, so that what is in the ring can be read to its end.
    fn close(&mut self) {
        let nothing = KernelFilter { generation: self.generation, ..KernelFilter::default() };
        if let Err(error) = self.probe.narrow(&nothing) {
            tracing::warn!(%error, "events go on coming at the end");
        }
    }

    /// Of several updates that wait only the newest counts.
    fn take(&mut self, first: RulesetEvent, rulesets: &mut mpsc::Receiver<RulesetEvent>) {
        let mut events = vec![first];
        events.extend(std::iter::from_fn(|| rulesets.try_recv().ok()));
        let newest = events.iter().rposition(|e| matches!(e, RulesetEvent::Update(_)));
        for (n, event) in events.into_iter().enumerate() {
            match event {
                // The one on disk is armed even when a newer one waits: it is what a failure would leave in force.
                RulesetEvent::Update(update) if Some(n) == newest || self.generation == 0 => self.update(&update),
                RulesetEvent::Update(_) => {}
                RulesetEvent::Failed { origin, reason } => self.failed(origin, &reason),
            }
        }
    }

    fn failed(&self, origin: Origin, reason: &str) {
        let kept = self.store.newest().map(|a| a.ruleset().revision.clone());
        tracing::error!(%origin, reason, kept, "no new ruleset");
        self.status.failed(&format!("{origin}: {reason}"));
    }

    fn update(&mut self, update: &RulesetUpdate) {
        let started = Instant::now();
        if let Err(error) = self.arm(update) {
            return self.failed(update.origin, &error.to_string());
        }
        let ruleset = &update.ruleset;
        let failing = failing(&update.outcomes);
        // What no event can match yet is in the ruleset, and counts as armed nowhere.
        let rules = ruleset.rules.iter().filter(|rule| !engine::compile::is_inert(&rule.condition)).count();
        let took = started.elapsed();
        let hooks = self.describe_hooks();
        tracing::info!(
            rules,
            revision = ruleset.revision,
            from = %update.origin,
            rejected = failing.len(),
            hooks,
            armed_in_ms = took.as_millis(),
            "armed"
        );
        if self.armed_at.is_none() {
            let since_start = self.begun.elapsed();
            tracing::info!(ms = since_start.as_millis(), "watching; Ctrl-C ends with a summary");
        }
        if rules == 0 {
            tracing::warn!(from = %update.origin, "there is no rule: nothing will be told");
        }
        self.armed_at = Some(Instant::now());
        let armed = status::Armed {
            revision: ruleset.revision.clone(),
            origin: update.origin,
            at: Timestamp::now(),
            rules,
            failing,
            everywhere: self.store.newest().map(|armed| armed.everywhere()).unwrap_or_default(),
            took,
        };
        self.status.armed(armed, self.wanted.clone());
        if update.origin != Origin::Disk {
            self.keep(update);
        }
    }

    fn arm(&mut self, update: &RulesetUpdate) -> Result<(), ArmError> {
        if self.store.newest().is_some_and(|a| *a.ruleset() == *update.ruleset) {
            return Ok(());
        }
        // Generations rise also over attempts that failed: the kernel may have seen them.
        self.generation += 1;
        let armed = Arc::new(Armed::new(self.generation, Arc::clone(&update.ruleset), &self.totals)?);
        let filter = armed.filter();
        for hook in filter.classes.widened() {
            tracing::warn!(
                hook = hook.as_str(),
                "its rules name more paths, names and addresses than the kernel is given: it tests none of them, which costs time"
            );
        }
        self.probe.widen(&filter)?;
        self.store.swap_in(&armed);
        if let Err(error) = self.probe.narrow(&filter) {
            self.store.take_back(self.generation);
            return Err(error.into());
        }
        // What the rules before lost, while they can be found.
        self.charge();
        self.store.switched();
        let before = std::mem::replace(&mut self.wanted, filter.hooks().collect());
        if self.wanted != before {
            self.proven_at = None;
        }
        Ok(())
    }

    fn keep(&mut self, update: &RulesetUpdate) {
        if self.stands_by {
            self.unsaved = Some(update.clone());
            return;
        }
        if let Some(dir) = &self.state_dir
            && let Err(error) = state::save(dir, &update.ruleset)
        {
            tracing::error!(%error, "the ruleset is not kept for the next start");
        }
    }

    fn all_proven(&self) -> bool {
        let hooks = self.probe.hook_status();
        self.wanted.iter().all(|w| hooks.iter().any(|h| h.hook == *w && (h.last_proven.is_some() || !h.attached)))
    }

    /// Sets off canaries when it is time.
    fn prove(&mut self) {
        if self.armed_at.is_none() {
            return;
        }
        let every = if self.all_proven() { PROVE } else { PROVE_AGAIN };
        if self.proven_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.proven_at = Some(Instant::now());
        if let Err(error) = self.probe.fire_canaries() {
            tracing::warn!(%error, "a canary cannot be set off");
        }
    }

    /// Reads counters, charges losses to rules, tells status.
    fn look(&mut self) {
        let counters = match self.probe.counters() {
            Ok(counters) => counters,
            Err(error) => return tracing::warn!(%error, "the kernel's counters cannot be read"),
        };
        self.charge();
        self.on_duty();
        self.keep_to_budget();
        self.status.observed(self.probe.hook_status(), counters, Timestamp::now());
    }

    /// Reads what the agent costs, and sheds more or less in the kernel when there is a budget.
    fn keep_to_budget(&mut self) {
        let (now, used) = (Instant::now(), governor::used());
        self.meter.sample(now, used);
        let cpu_percent = self.meter.percent();
        if let Some(level) = self.governor.as_mut().and_then(|governor| governor.step(&self.meter, now)) {
            match self.probe.set_shed_level(level) {
                Ok(()) => tracing::warn!(
                    level,
                    cpu_percent,
                    "shedding in the kernel to keep to --cpu-budget (0: none, 3: all under Warning)"
                ),
                Err(error) => tracing::warn!(%error, "the budget is not kept"),
            }
        }
        let shed_level = self.governor.as_ref().map_or(0, Governor::level);
        let resident = governor::resident();
        self.status.costs(status::Cost { cpu_percent, cpu_used: used, resident, budget: self.budget, shed_level });
    }

    /// Charges what was lost to the rules of its class and generation.
    fn charge(&mut self) {
        match self.probe.take_lost() {
            Ok(lost) => {
                let armed = self.store.load();
                let rules = |lost: &Lost| armed.iter().find(|armed| armed.generation == lost.generation);
                let (now, _) = clock();
                for (lost, armed) in lost.iter().filter_map(|lost| rules(lost).map(|armed| (lost, armed))) {
                    if self.stands_by {
                        self.lost_aside.push_back((now, Arc::clone(armed), *lost));
                    } else {
                        armed.charge(lost);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what was lost is not charged to rules"),
        }
    }

    /// While another agent watches, its losses count; from the handover on ours do.
    fn on_duty(&mut self) {
        if !self.stands_by {
            return;
        }
        let seen_by_the_other = self.duty.kept_from();
        while self.lost_aside.front().is_some_and(|(at, ..)| *at < seen_by_the_other) {
            self.lost_aside.pop_front();
        }
        let too_many = self.lost_aside.len().saturating_sub(MAX_ASIDE);
        self.lost_aside.drain(..too_many).for_each(|(_, armed, lost)| armed.charge(&lost));
        if self.duty.stands_by() {
            return;
        }
        self.stands_by = false;
        self.lost_aside.drain(..).for_each(|(_, armed, lost)| armed.charge(&lost));
        if let Some(update) = self.unsaved.take() {
            self.keep(&update);
        }
    }

    fn describe_hooks(&self) -> String {
        let attached = self.probe.hook_status().into_iter().filter(|h| h.attached);
        attached.map(|h| format!("{} ({})", h.hook.as_str(), h.backend.as_str())).collect::<Vec<_>>().join(", ")
    }
}

/// Rules that are not in force, or not in their newest form.
fn failing(outcomes: &[Outcome]) -> Vec<FailingRule> {
    let reason = |o: &Outcome| {
        let first = o.diagnostics.iter().find(|d| d.severity == engine::diagnostic::Severity::Error);
        let text = first.map(engine::diagnostic::Diagnostic::one_line);
        let text = text.or_else(|| o.failed_test.as_ref().map(ToString::to_string)).unwrap_or_default();
        match o.kept_generation {
            Some(_) => format!("{text} (its last good form stays in force)"),
            None => text,
        }
    };
    let rejected = outcomes.iter().filter(|o| o.kind == ObjectKind::Rule && !o.accepted);
    rejected.map(|o| FailingRule { rule: o.id.to_string(), reason: reason(o) }).collect()
}
