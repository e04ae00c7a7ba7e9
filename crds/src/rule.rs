//! DetectionRule: what to detect, how to say it, and tests that prove it.
use crate::{
    common::{Condition, List, Macro},
    schema,
};
use indexmap::IndexMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule: a condition over kernel events in the Falco language, and the text of its alert.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "eyas.dev",
    version = "v1alpha1",
    kind = "DetectionRule",
    namespaced,
    shortname = "dr",
    category = "eyas",
    status = "DetectionRuleStatus",
    derive = "PartialEq",
    doc = "A DetectionRule says which kernel events are worth telling. In eyas-system it sees the whole cluster, in any other namespace only the pods of that namespace. Ready means that it compiles, its tests pass and every live agent has armed it.",
    printcolumn(name = "Priority", type_ = "string", json_path = ".spec.priority"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Armed", type_ = "string", json_path = ".status.armed"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.conditions[?(@.type==\"Verified\")].status"),
    printcolumn(name = "Matches", type_ = "integer", json_path = ".status.matches.total"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.matches.lastSeen"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", priority = 1, json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DetectionRuleSpec {
    /// What alerts call the rule. Spaces are allowed. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// What it detects and why that matters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 8192))]
    pub description: String,
    /// Where events come from. Default: syscall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::event_source")]
    pub source: Option<String>,
    /// The condition in the Falco language, such as `evt.type = execve and proc.name = nc`.
    #[schemars(length(min = 1, max = 65536))]
    pub condition: String,
    /// The alert's text; `%proc.name` is replaced by the field's value.
    #[schemars(length(min = 1, max = 8192))]
    pub output: String,
    /// How urgent: Emergency, Alert, Critical, Error, Warning, Notice, Informational (or Info) or Debug, in any case.
    #[schemars(schema_with = "schema::priority")]
    pub priority: String,
    /// Words to select the rule by, such as mitre_persistence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tags: Vec<String>,
    /// Active; Shadow (evaluated and counted in status, never reported or routed); or Disabled. Default: Active.
    #[serde(default = "active")]
    #[schemars(schema_with = "schema::rule_state", default = "active")]
    pub state: String,
    /// Macros for this rule only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub macros: Vec<Macro>,
    /// Lists for this rule only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub lists: Vec<List>,
    /// Falco's inline exceptions: combinations of field values that do not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub exceptions: Vec<InlineException>,
    /// Whether Exceptions in other namespaces may silence this rule for their own pods: Allow or Deny.
    /// Default: Allow up to priority Warning, Deny from Error up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::allow_deny")]
    pub tenant_exceptions: Option<String>,
    /// Tests that run at every compile. A rule whose test fails is not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tests: Vec<RuleTest>,
}

fn active() -> String {
    "Active".to_owned()
}

/// One inline exception.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InlineException {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// A field name, or a list of them.
    #[schemars(schema_with = "schema::anything")]
    pub fields: serde_json::Value,
    /// An operator, or one per field. Default: `in` for a single field name, `=` for each of a list.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[schemars(schema_with = "schema::anything")]
    pub comps: serde_json::Value,
    /// With a single field name: values. With a list of fields: lists of one value per field.
    #[serde(default)]
    #[schemars(schema_with = "schema::anything_list")]
    pub values: Vec<serde_json::Value>,
}

/// One test: events as maps from field name to value, and whether the rule must match them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleTest {
    /// What the test shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub name: String,
    /// Events such as `{evt.type: execve, proc.name: nc}`. Each must match, or none.
    #[schemars(schema_with = "schema::events")]
    pub events: Vec<IndexMap<String, serde_json::Value>>,
    /// Match or NoMatch.
    #[schemars(schema_with = "schema::expect")]
    pub expect: String,
}

/// What became of the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetectionRuleStatus {
    /// The generation that conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted (compiles, tests pass), Armed (every live agent runs it), Ready (both), Stalled (needs a person),
    /// Verified (proven by a live trigger).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Armed and live agents as text, such as 3/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<String>,
    /// On how many nodes it is armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<RuleNodes>,
    /// Matches over all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Matches>,
    /// Matches that Exceptions suppressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<i64>,
    /// Events that the rule might have matched and that were dropped in the kernel or shed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_events: Option<i64>,
}

/// On how many nodes a rule is armed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleNodes {
    /// Live agents that run the current revision with this rule.
    pub armed: i32,
    /// Live agents.
    pub desired: i32,
    /// Nodes where it is not armed, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingNode>,
}

/// A node where the rule is not armed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailingNode {
    /// The node.
    pub node: String,
    /// Why.
    pub reason: String,
}

/// Counts and times of matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matches {
    /// Since the rule was made.
    pub total: i64,
    /// In the last 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "last24h")]
    pub last_24h: Option<i64>,
    /// The first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub first_seen: Option<Time>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_seen: Option<Time>,
}
