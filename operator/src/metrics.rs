//! What the operator counts, in OpenMetrics. Labels are kinds and outcomes, never names of objects.
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// Its name.
    pub kind: &'static str,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `written`, `unchanged` or `failed`.
    pub outcome: &'static str,
}

/// What came of a status write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindOutcome {
    /// The kind.
    pub kind: &'static str,
    /// `written`, `gone` or `failed`.
    pub outcome: &'static str,
}

/// The ruleset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Revision {
    /// Its revision.
    pub revision: String,
}

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Objects in the index.
    pub objects: Family<Kind, Gauge>,
    /// Objects that do not compile.
    pub rejected: Family<Kind, Gauge>,
    /// Live agents.
    pub agents: Gauge,
    /// 1 while this process leads.
    pub leader: Gauge,
    /// The published revision.
    pub revision: Family<Revision, Gauge>,
    /// Time of a compile.
    pub compile_seconds: Histogram,
    /// Writes of the ruleset.
    pub ruleset_writes: Family<Outcome, Counter>,
    /// Writes of status.
    pub status_writes: Family<KindOutcome, Counter>,
    /// Watches that failed.
    pub watch_errors: Family<Kind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("eyas_operator");
        let objects = Family::default();
        registry.register("objects", "Objects in the index", objects.clone());
        let rejected = Family::default();
        registry.register("rejected_objects", "Objects that are not accepted", rejected.clone());
        let agents = Gauge::default();
        registry.register("live_agents", "Agents that live", agents.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this process leads", leader.clone());
        let revision = Family::default();
        registry.register("ruleset_info", "The published ruleset", revision.clone());
        let compile_seconds = Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]);
        registry.register("compile_seconds", "Time of a compile", compile_seconds.clone());
        let ruleset_writes = Family::default();
        registry.register("ruleset_writes", "Writes of the ruleset by outcome", ruleset_writes.clone());
        let status_writes = Family::default();
        registry.register("status_writes", "Writes of status by kind and outcome", status_writes.clone());
        let watch_errors = Family::default();
        registry.register("watch_errors", "Failures of watches by kind", watch_errors.clone());
        Self {
            registry,
            objects,
            rejected,
            agents,
            leader,
            revision,
            compile_seconds,
            ruleset_writes,
            status_writes,
            watch_errors,
        }
    }
}

impl Metrics {
    /// All of them as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
