//! NodeAgent: what runs on a node. Written by the node's agent, named like the node.
use crate::{common::Condition, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An agent writes its status on change, else this often (with jitter, never later).
pub const HEARTBEAT: Duration = Duration::from_secs(300);
/// An agent whose last heartbeat is older than this counts as gone: two missed and some delay.
pub const LIVE_FOR: Duration = Duration::from_secs(660);

/// A NodeAgent has no spec: nobody wishes, the agent tells.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "eyas.dev",
    version = "v1alpha1",
    kind = "NodeAgent",
    no_spec,
    shortname = "na",
    category = "eyas",
    status = "NodeAgentStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A NodeAgent tells what the Eyas agent on the node of the same name does: how it sees the kernel, which ruleset it has armed, and what it lost. The agent writes it.",
    printcolumn(name = "Backend", type_ = "string", json_path = ".status.backend"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Events/s", type_ = "string", json_path = ".status.eventsPerSecond"),
    printcolumn(name = "Drop%", type_ = "string", json_path = ".status.dropPercent"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.rules.armed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "CPU%", type_ = "string", priority = 1, json_path = ".status.cpuPercent"),
    printcolumn(name = "Kernel", type_ = "string", priority = 1, json_path = ".status.kernel"),
    printcolumn(name = "Version", type_ = "string", priority = 1, json_path = ".status.agentVersion"),
    printcolumn(name = "Heartbeat", type_ = "date", priority = 1, json_path = ".status.lastHeartbeat")
)]
pub struct NodeAgentSpec {}

/// What the agent does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAgentStatus {
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
    /// When the agent was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub started_at: Option<Time>,
    /// The time before this start in which no agent watched the node: what happened then was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blind>,
    /// Release of the kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// primary, baseline, or mixed where hooks differ.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// Revision of the ruleset that is armed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// When it was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub armed_at: Option<Time>,
    /// Why a newer ruleset was not armed; empty while all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ruleset_error: String,
    /// When this was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_heartbeat: Option<Time>,
    /// Rules armed, and those that could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<AgentRules>,
    /// Each hook: its back end and its counters since the agent's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub hooks: Vec<HookStatus>,
    /// Events per second that were seen, over the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<String>,
    /// (dropped + shed) / seen over the last minute, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_ratio: Option<f64>,
    /// `dropRatio` in per cent, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_percent: Option<String>,
    /// Events lost between the ring and evaluation, since the agent's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_lost: Option<i64>,
    /// Report writes that failed and were tried again, since the agent's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_write_failures: Option<i64>,
    /// Alerts that wait on this node for the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_backlog: Option<i64>,
    /// Alerts given up because the node's spool was full, since the agent's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_lost: Option<i64>,
    /// The agent's processor time, user and system, in per cent of one core over the last minute, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<String>,
    /// The agent's budget (`--cpu-budget`) in per cent of one core, as text; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_budget_percent: Option<String>,
    /// Resident memory of the agent in bytes, the ring included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<i64>,
    /// What is left out in the kernel to keep to the budget. 0: nothing; 1: what only rules of priority Debug want; 2: Informational, too;
    /// 3: Notice, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shed_level: Option<i32>,
    /// Ready (ruleset armed, hooks proven), Dropping (dropRatio above the threshold), Shedding (over the budget; only with one).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A time in which nothing was seen, to the microsecond: an agent starts in less than a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Blind {
    /// Last sign of life of the agent before.
    #[schemars(schema_with = "schema::time")]
    pub from: MicroTime,
    /// When this agent had armed its first ruleset; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub to: Option<MicroTime>,
}

/// Rules on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRules {
    /// How many are armed.
    pub armed: i32,
    /// How many could not be armed.
    pub failed: i32,
    /// Which, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingRule>,
    /// Rules that name no event type and so ask for every hook, which makes all calls cost; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub every_hook: Vec<String>,
}

/// A rule that this node could not arm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailingRule {
    /// `namespace/name` of the DetectionRule.
    pub rule: String,
    /// Why.
    pub reason: String,
}

/// One hook on the node. seen = filtered + shed + dropped + submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// exec, fork, exit, open, connect...
    pub name: String,
    /// primary, baseline, or none while no rule needs it.
    pub backend: String,
    /// Why this back end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether it is attached.
    pub attached: bool,
    /// When a canary last proved that it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_proven: Option<Time>,
    /// Events that it saw.
    #[serde(default)]
    pub seen: i64,
    /// Of these, those that no rule can want.
    #[serde(default)]
    pub filtered: i64,
    /// Given up under load for more important ones.
    #[serde(default)]
    pub shed: i64,
    /// Lost because the ring was full.
    #[serde(default)]
    pub dropped: i64,
    /// Handed to the agent.
    #[serde(default)]
    pub submitted: i64,
}
