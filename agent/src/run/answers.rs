//! What the HTTP pages tell.
use super::seams::{self, Seams};
use crate::{
    detect::TotalsHandle,
    handover::Duty,
    http::Answers,
    metrics::{RuleTotals, Snapshot},
    status,
};
use std::sync::atomic::Ordering::Relaxed;

pub(super) struct Pages {
    status: status::Handle,
    totals: TotalsHandle,
    duty: Duty,
    others: seams::Pages,
}

impl Pages {
    pub(super) fn of(seams: &Seams) -> Self {
        Self {
            status: seams.status.clone(),
            totals: seams.totals.clone(),
            duty: seams.duty.clone(),
            others: seams.pages.clone(),
        }
    }
}

impl Answers for Pages {
    fn ready(&self) -> Result<(), Vec<String>> {
        let reasons = self.status.not_ready();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn metrics(&self) -> Snapshot {
        let (totals, losses, armed) = (self.totals.snapshot(), self.status.losses(), self.status.armed_now());
        let rules = totals.rules.into_iter();
        let mut snapshot = Snapshot {
            hooks: self.status.counters(),
            queue_lost: losses.invalid_records.load(Relaxed),
            evaluated: losses.evaluated.load(Relaxed),
            rules: rules.map(|r| RuleTotals { rule: r.id.to_string(), matches: r.matches, lost: r.lost }).collect(),
            exceptions: totals.exceptions.into_iter().map(|e| (e.id.to_string(), e.suppressed)).collect(),
            revision: armed.as_ref().map(|a| a.revision.clone()).unwrap_or_default(),
            reload_seconds: armed.map(|a| a.took.as_secs_f64()),
            ..Snapshot::default()
        };
        snapshot.others.extend([
            ("eyas_alerts_lost", "Matches whose alert no queue had room for", losses.alerts.load(Relaxed)),
            (
                "eyas_stdout_lost",
                "Matches whose alert was not printed: the reader of stdout was too slow, or is gone",
                losses.stdout.load(Relaxed),
            ),
            (
                "eyas_process_evictions",
                "Processes given up by the table before their time",
                losses.process_evictions.load(Relaxed),
            ),
            (
                "eyas_cgroup_evictions",
                "Control groups forgotten to make room, and learned again when their processes act",
                losses.cgroup_evictions.load(Relaxed),
            ),
            (
                "eyas_processes_unknown",
                "Processes that acted and could not be found",
                losses.processes_unknown.load(Relaxed),
            ),
            (
                "eyas_metadata_missing",
                "Alerts that went out without their pod's metadata",
                losses.metadata_missing.load(Relaxed),
            ),
            (
                "eyas_events_foreign",
                "Events of another node's pods on this kernel, left to its agent",
                losses.foreign.load(Relaxed),
            ),
            (
                "eyas_held_early",
                "Events judged before their pod's metadata was there, for want of room",
                losses.held_early.load(Relaxed),
            ),
        ]);
        let cost = self.status.cost();
        snapshot.gauges.extend([
            (
                "eyas_agent_cpu_ratio",
                "Processor time of the agent over the last minute, 1 being one core",
                cost.cpu_percent / 100.0,
            ),
            ("eyas_agent_resident_bytes", "Resident memory of the agent", cost.resident as f64),
            (
                "eyas_standing_by",
                "1 while another agent watches with the same state folder, and this one tells nothing",
                f64::from(u8::from(self.status.standing().is_some())),
            ),
            ("eyas_held_back", "Events with a match that are held back while standing by", self.duty.held() as f64),
            ("eyas_processes", "Processes in the table", losses.processes.load(Relaxed) as f64),
            ("eyas_cgroups", "Control groups whose container is known", losses.cgroups.load(Relaxed) as f64),
            (
                "eyas_shed_level",
                "What is left out to keep to the budget: 0 nothing, 1 Debug, 2 Informational, 3 Notice",
                f64::from(cost.shed_level),
            ),
        ]);
        snapshot.cpu_seconds = cost.cpu_used.as_secs_f64();
        self.others.complete(&mut snapshot);
        snapshot
    }

    fn status(&self) -> serde_json::Value {
        // Plain data: serialising cannot fail.
        let mut told = serde_json::to_value(self.status.snapshot()).unwrap_or_default();
        if let Some(standing) = self.status.standing() {
            let since = standing.since.to_string();
            told["standingBy"] = serde_json::json!({"for": standing.by, "since": since, "heldBack": self.duty.held()});
        }
        told
    }

    fn reports(&self) -> serde_json::Value {
        self.others.reports()
    }
}
