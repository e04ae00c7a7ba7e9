//! What is agreed between the agent's core and the parts that differ between standalone and a cluster.
//!
//! A ruleset source sends [`RulesetEvent`]s; a sink takes alerts; both get the handles in [`Seams`]. Nothing here blocks
//! and nothing here is unbounded.
use crate::{detect::TotalsHandle, handover::Duty, metrics, status, workload};
use engine::{compile::Outcome, ruleset::Ruleset};
use parking_lot::RwLock;
use router::alert::Alert;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where a ruleset came from; shown in status and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Origin {
    /// The default rules inside the binary.
    Embedded,
    /// The folder given by `--rules`.
    Folder,
    /// The ConfigMap of the operator.
    ConfigMap,
    /// The last good ruleset kept in `--state`.
    Disk,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "the rules built in",
            Self::Folder => "the rules folder",
            Self::ConfigMap => "the ConfigMap",
            Self::Disk => "the state directory",
        })
    }
}

/// What a ruleset source says. Only the newest matters: the armer skips updates that a later one has overtaken.
#[derive(Clone, Debug)]
pub enum RulesetEvent {
    /// A whole ruleset, checked by its source (checksum, schema).
    Update(RulesetUpdate),
    /// The source could not make one: the armed ruleset stays and `reason` is shown.
    Failed {
        /// Which source.
        origin: Origin,
        /// One line that says what, where and what to do.
        reason: String,
    },
}

/// A ruleset to be armed.
#[derive(Clone, Debug)]
pub struct RulesetUpdate {
    /// Where from.
    pub origin: Origin,
    /// The ruleset.
    pub ruleset: Arc<Ruleset>,
    /// What became of each object where this agent compiled (standalone); empty when the operator did.
    pub outcomes: Arc<Vec<Outcome>>,
}

/// Takes alerts. Called on the fan-out task, in order, with the first match of a fingerprint at once and repeats folded per
/// second (`count`). Must neither block nor wait: queue, and count what does not fit.
pub trait AlertSink: Send + Sync {
    /// For logs and metrics: `stdout`, `reports`, `router`.
    fn name(&self) -> &'static str;
    /// Takes one.
    fn submit(&self, alert: &Arc<Alert>);
}

/// What the agent's core gives to ruleset sources, sinks and writers.
#[derive(Clone)]
pub struct Seams {
    /// Name of this node (`NODE_NAME`, else the host's name).
    pub node: Arc<str>,
    /// Random id of this start of the agent: counters sent elsewhere are totals since then.
    pub agent: uuid::Uuid,
    /// To the armer. Bounded; `send().await` waits for an armer that is busy.
    pub rulesets: mpsc::Sender<RulesetEvent>,
    /// Pods of this node. Standalone it stays empty.
    pub pods: workload::Index,
    /// What the agent does now, and a signal when it changed.
    pub status: status::Handle,
    /// Matches per rule and suppressions per exception since start.
    pub totals: TotalsHandle,
    /// `--state`: a folder that survives restarts, if any.
    pub state_dir: Option<PathBuf>,
    /// Whether this agent watches, or stands by and tells nothing.
    pub duty: Duty,
    /// Pages of other parts.
    pub pages: Pages,
    /// Cancelled when detection has ended and every alert was given to the sinks. After it, tasks have about a second.
    pub shutdown: CancellationToken,
    /// Spawn tasks here, so that the end waits for them.
    pub tasks: TaskTracker,
}

/// Adds to what `/metrics` tells.
pub type MetricsSource = Box<dyn Fn(&mut metrics::Snapshot) + Send + Sync>;
/// Answers `/reports`: the current PolicyReports as a JSON list.
pub type ReportsSource = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What parts outside of the core add to the HTTP pages. Cheap to clone.
#[derive(Clone, Default)]
pub struct Pages(Arc<PagesInner>);

#[derive(Default)]
struct PagesInner {
    metrics: RwLock<Vec<MetricsSource>>,
    reports: OnceLock<ReportsSource>,
}

impl Pages {
    /// `add` is asked at every scrape; it must not wait.
    pub fn add_metrics(&self, add: MetricsSource) {
        self.0.metrics.write().push(add);
    }

    /// Who answers `/reports`; the first one stays.
    pub fn set_reports(&self, reports: ReportsSource) {
        let _ = self.0.reports.set(reports);
    }

    /// Completes a snapshot.
    pub fn complete(&self, snapshot: &mut metrics::Snapshot) {
        self.0.metrics.read().iter().for_each(|add| add(snapshot));
    }

    /// The reports; an empty list where nobody makes them.
    #[must_use]
    pub fn reports(&self) -> serde_json::Value {
        self.0.reports.get().map_or_else(|| serde_json::json!([]), |reports| reports())
    }
}
