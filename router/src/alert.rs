//! One match, or several identical ones folded into one with a count.
use engine::{priority::Priority, source::ObjectRef};
use serde::{Deserialize, Serialize};

/// The container that the process ran in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// Full id (64 hex digits with containerd).
    pub id: String,
    /// Container name in the pod spec, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Image reference, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
}

/// The pod of that container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Service account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account: String,
}

/// A match on its way out: to stdout, reports and routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Stable id: a retry carries the same; receivers use it to drop repeats.
    pub id: uuid::Uuid,
    /// The node (or host name, standalone).
    pub node: String,
    /// Time of the (first) event, nanoseconds since 1970.
    pub time: i64,
    /// `spec.name` of the rule.
    pub rule: String,
    /// The DetectionRule object.
    pub policy: ObjectRef,
    /// Priority.
    pub priority: Priority,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// `syscall`.
    pub source: String,
    /// The rendered output, without time and priority.
    pub output: String,
    /// Every field named in the output, typed; missing ones null.
    pub output_fields: serde_json::Map<String, serde_json::Value>,
    /// Rule, container and the output's fields without times, pids and event numbers: 16 hex digits.
    pub fingerprint: String,
    /// How many events this stands for.
    pub count: u64,
    /// Time of the last of them, nanoseconds since 1970.
    pub last_time: i64,
    /// Ruleset revision that matched.
    pub revision: String,
    /// Container, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Pod, if any and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// True when pod metadata did not arrive within 5 s, so that this went out without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metadata_missing: bool,
}
