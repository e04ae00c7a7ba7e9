//! The status object out of what is known.
use super::{Armed, DROPPING_ABOVE, Losses, SILENT, State};
use crate::probe::Backend;
use crds::{
    conditions::{self, DROPPING, READY, SHEDDING},
    node_agent::{AgentRules, Blind, HookStatus, NodeAgentStatus},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use std::sync::{OnceLock, atomic::Ordering::Relaxed};

/// Most failing rules named.
const MAX_FAILING: usize = 10;

/// Version of the agent.
#[must_use]
pub const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

impl State {
    pub(super) fn not_ready(&self) -> Vec<String> {
        let mut reasons = self.unproven();
        if let Some(standing) = self.standing.filter(|s| s.noticed.elapsed() >= SILENT) {
            let (by, silent) = (describe(standing.by), standing.noticed.elapsed().as_secs());
            reasons.push(format!("standing by, but {by}, which watches, gave no sign of life for {silent} s: end it"));
        }
        if reasons.is_empty() && self.standing.is_some_and(|s| !s.is_next) {
            reasons.push("standing by, but not as the next one: another agent stands by, too".to_owned());
        }
        reasons
    }

    pub(super) fn unproven(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.armed.is_none() {
            reasons.push(if self.error.is_empty() {
                "no ruleset is armed yet".to_owned()
            } else {
                format!("no ruleset is armed: {}", self.error)
            });
            return reasons;
        }
        for wanted in &self.wanted {
            match self.hooks.iter().find(|h| h.hook == *wanted) {
                Some(h) if h.last_proven.is_some() => {}
                Some(h) if h.backend == Backend::Unavailable => {
                    reasons.push(format!("hook {}: {}", wanted.as_str(), h.reason));
                }
                Some(h) if !h.attached => reasons.push(format!("hook {} is not attached", wanted.as_str())),
                _ => reasons.push(format!("hook {}: its canary has not come through yet", wanted.as_str())),
            }
        }
        reasons
    }

    /// Brings the conditions up to date; their times move only with their status.
    pub(super) fn refresh(&mut self, losses: &Losses, now: Timestamp) {
        let reasons = self.not_ready();
        let ready = if let (true, Some(standing)) = (reasons.is_empty(), self.standing) {
            let by = describe(standing.by);
            conditions::yes(READY, "StandingBy", format!("armed, and takes over when {by} ends, which watches now"))
        } else if reasons.is_empty() {
            conditions::yes(READY, "Armed", "the ruleset is armed and every hook it needs has been proven")
        } else {
            let reason = match &self.armed {
                None => "NoRuleset",
                Some(_) if self.unproven().is_empty() => "StandingBy",
                Some(_) => "HookNotProven",
            };
            conditions::no(READY, reason, reasons.join("; "))
        };
        let rates = self.window.rates();
        let percent = rates.drop_ratio * 100.0;
        let dropping = if rates.drop_ratio > DROPPING_ABOVE {
            conditions::yes(
                DROPPING,
                "EventsLost",
                format!(
                    "{percent:.2} % of events ({}) were lost over the last minute; a larger --ring-size or fewer noisy rules help",
                    rates.lost
                ),
            )
        } else {
            let lost = losses.invalid_records.load(Relaxed);
            conditions::no(
                DROPPING,
                "WithinBounds",
                if lost > 0 {
                    format!("{lost} records were not evaluated since start (not decodable, or left at the end)")
                } else {
                    "at most 0.1 % of events were lost over the last minute".to_owned()
                },
            )
        };
        let mut now_holds = vec![ready, dropping];
        now_holds.extend(self.shedding());
        self.conditions = conditions::merge(&self.conditions, now_holds, None, now);
    }

    /// Whether the budget is kept by shedding; nothing is said where there is none.
    fn shedding(&self) -> Option<conditions::Now> {
        let budget = self.cost.budget?;
        let what = match self.cost.shed_level {
            0 => return Some(conditions::no(SHEDDING, "WithinBudget", "nothing is left out to keep to the budget")),
            1 => "Debug",
            2 => "Informational and below",
            _ => "Notice and below",
        };
        let text = format!(
            "the agent needed more than {budget} % of one core: events that only rules of priority {what} want are left out; a larger --cpu-budget or fewer noisy rules help"
        );
        Some(conditions::yes(SHEDDING, "OverCpuBudget", text))
    }

    pub(super) fn snapshot(&self, losses: &Losses, now: Timestamp) -> NodeAgentStatus {
        let rates = self.window.rates();
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let total = |n: &std::sync::atomic::AtomicU64| Some(signed(n.load(Relaxed)));
        NodeAgentStatus {
            agent_version: version().to_owned(),
            started_at: self.started.map(Time),
            blind: self.blind_from.map(|from| Blind { from: MicroTime(from), to: self.first_armed.map(MicroTime) }),
            kernel: kernel().to_owned(),
            backend: self.backend(),
            revision: self.armed.as_ref().map(|a| a.revision.clone()).unwrap_or_default(),
            armed_at: self.armed.as_ref().map(|a| Time(a.at)),
            ruleset_error: self.error.clone(),
            last_heartbeat: Some(Time(now)),
            rules: self.armed.as_ref().map(rules),
            hooks: self.hook_statuses(),
            events_per_second: Some(format!("{:.0}", rates.per_second)),
            drop_ratio: Some(rates.drop_ratio),
            drop_percent: Some(format!("{:.2}", rates.drop_ratio * 100.0)),
            queue_lost: total(&losses.invalid_records),
            report_write_failures: total(&losses.report_write_failures),
            delivery_backlog: total(&losses.delivery_backlog),
            delivery_lost: Some(signed(losses.delivery_lost.load(Relaxed).saturating_add(losses.alerts.load(Relaxed)))),
            cpu_percent: Some(format!("{:.2}", self.cost.cpu_percent)),
            cpu_budget_percent: self.cost.budget.map(|budget| budget.to_string()),
            memory_bytes: Some(signed(self.cost.resident)),
            shed_level: Some(i32::from(self.cost.shed_level)),
            conditions: self.conditions.clone(),
        }
    }

    fn backend(&self) -> String {
        let mut used: Vec<_> = self.hooks.iter().filter(|h| h.attached).map(|h| h.backend.as_str()).collect();
        used.dedup();
        match used.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            _ => "mixed".to_owned(),
        }
    }

    fn hook_statuses(&self) -> Vec<HookStatus> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.hooks
            .iter()
            .map(|h| {
                let c = self.counters.iter().find(|c| c.hook == h.hook);
                let count = |f: fn(&crate::probe::HookCounters) -> u64| c.map_or(0, |c| signed(f(c)));
                HookStatus {
                    name: h.hook.as_str().to_owned(),
                    backend: h.backend.as_str().to_owned(),
                    reason: h.reason.clone(),
                    attached: h.attached,
                    last_proven: h.last_proven.and_then(|t| Timestamp::try_from(t).ok()).map(Time),
                    seen: count(|c| c.seen),
                    filtered: count(|c| c.filtered),
                    shed: count(|c| c.shed),
                    dropped: count(|c| c.dropped),
                    submitted: count(|c| c.submitted),
                }
            })
            .collect()
    }
}

fn describe(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another agent".to_owned(), |pid| format!("process {pid}"))
}

fn rules(armed: &Armed) -> AgentRules {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    AgentRules {
        armed: count(armed.rules),
        failed: count(armed.failing.len()),
        failing: armed.failing.iter().take(MAX_FAILING).cloned().collect(),
        every_hook: armed.everywhere.iter().take(MAX_FAILING).cloned().collect(),
    }
}

/// Release of the running kernel.
fn kernel() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| rustix::system::uname().release().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::super::{Armed, Cost, Handle};
    use crate::{
        probe::{Backend, HookCounters, HookStatus},
        run::seams::Origin,
    };
    use engine::event::Hook;
    use jiff::Timestamp;
    use std::time::SystemTime;

    fn hook(proven: bool) -> HookStatus {
        HookStatus {
            hook: Hook::Open,
            backend: Backend::Baseline,
            reason: String::new(),
            attached: true,
            last_proven: proven.then(SystemTime::now),
        }
    }

    fn counters(seen: u64, dropped: u64) -> HookCounters {
        HookCounters {
            hook: Hook::Open,
            seen,
            filtered: 0,
            shed: 0,
            dropped,
            submitted: seen - dropped,
            truncated: 0,
            compat: 0,
            unsure: 0,
            canaries: 0,
        }
    }

    fn armed() -> Armed {
        Armed {
            revision: "r".into(),
            origin: Origin::Folder,
            at: Timestamp::now(),
            rules: 3,
            failing: vec![],
            everywhere: vec![],
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn attached_is_not_armed_until_the_canary_came_through() {
        let status = Handle::default();
        assert_eq!(status.not_ready(), ["no ruleset is armed yet"]);
        status.failed("bad bytes");
        assert_eq!(status.not_ready(), ["no ruleset is armed: bad bytes"]);
        status.armed(armed(), vec![Hook::Open]);
        status.observed(vec![hook(false)], vec![counters(0, 0)], Timestamp::now());
        assert!(status.not_ready()[0].contains("canary"), "{:?}", status.not_ready());
        status.observed(vec![hook(true)], vec![counters(0, 0)], Timestamp::now());
        assert!(status.not_ready().is_empty());
        assert_eq!(status.snapshot().ruleset_error, "");
    }

    #[test]
    fn who_stands_by_is_ready_and_blind_only_if_it_came_too_late() {
        let status = Handle::default();
        status.stands_by(Some(7), false, None);
        assert_eq!(status.not_ready(), ["no ruleset is armed yet"]);
        status.armed(armed(), vec![]);
        assert!(status.not_ready()[0].contains("not as the next one"));
        status.stands_by(Some(7), true, None);
        assert!(status.not_ready().is_empty());
        let ready = |reason: &str| {
            let told = status.snapshot();
            let ready = crds::conditions::find(&told.conditions, "Ready").unwrap();
            assert_eq!((ready.reason.as_str(), ready.status.as_str()), (reason, "True"));
            ready.message.clone()
        };
        assert!(ready("StandingBy").contains("process 7"));
        let hour = jiff::SignedDuration::from_hours(1);
        status.takes_over(Some(Timestamp::now() + hour));
        ready("Armed");
        assert_eq!(status.snapshot().blind, None);
        status.takes_over(Some(Timestamp::now() - hour));
        assert!(status.snapshot().blind.is_some());
    }

    #[test]
    fn a_failed_update_is_told_while_the_last_good_stays() {
        let status = Handle::default();
        status.armed(armed(), vec![]);
        let changed = status.changed();
        status.failed("schema 9");
        assert!(changed.has_changed().unwrap());
        let told = status.snapshot();
        assert_eq!((told.revision.as_str(), told.ruleset_error.as_str()), ("r", "schema 9"));
    }

    #[test]
    fn dropping_shows_above_the_threshold_and_is_announced() {
        let status = Handle::default();
        status.armed(armed(), vec![Hook::Open]);
        let at = |s: i64| Timestamp::from_second(1_000_000 + s).unwrap();
        status.observed(vec![hook(true)], vec![counters(0, 0)], at(0));
        let mut changed = status.changed();
        changed.mark_unchanged();
        status.observed(vec![hook(true)], vec![counters(10_000, 5)], at(1));
        assert!(!changed.has_changed().unwrap());
        status.observed(vec![hook(true)], vec![counters(20_000, 500)], at(2));
        assert!(changed.has_changed().unwrap());
        let told = status.snapshot();
        assert!(crds::conditions::is_true(&told.conditions, "Dropping"));
        assert_eq!(told.drop_percent.as_deref(), Some("2.50"));
        assert_eq!(told.hooks[0].dropped, 500);
        assert_eq!(told.backend, "baseline");
    }

    #[test]
    fn shedding_is_a_condition_where_there_is_a_budget_and_is_announced() {
        let status = Handle::default();
        status.armed(armed(), vec![]);
        let look = |cost: Cost| {
            status.costs(cost);
            status.observed(vec![], vec![], Timestamp::now());
            status.snapshot()
        };
        let told = look(Cost { cpu_percent: 1.234, resident: 5000, ..Cost::default() });
        assert!(told.conditions.iter().all(|c| c.type_ != "Shedding"));
        assert_eq!(
            (told.cpu_percent.as_deref(), told.memory_bytes, told.shed_level),
            (Some("1.23"), Some(5000), Some(0))
        );
        let budget = Cost { budget: Some(0.5), ..Cost::default() };
        let within = look(budget);
        assert!(crds::conditions::find(&within.conditions, "Shedding").is_some_and(|c| c.status == "False"));
        let mut changed = status.changed();
        changed.mark_unchanged();
        let over = look(Cost { shed_level: 3, ..budget });
        assert!(changed.has_changed().unwrap());
        let shedding = crds::conditions::find(&over.conditions, "Shedding").unwrap();
        assert!(shedding.status == "True" && shedding.message.contains("0.5 %") && shedding.message.contains("Notice"));
        assert_eq!((over.shed_level, over.cpu_budget_percent.as_deref()), (Some(3), Some("0.5")));
    }
}
