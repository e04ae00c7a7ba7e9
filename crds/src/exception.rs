//! Exception: which matches are known to be harmless, why, whose, and until when.
use crate::{
    common::{Condition, LabelSelector},
    schema,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which matches of which rules are harmless.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "eyas.dev",
    version = "v1alpha1",
    kind = "Exception",
    namespaced,
    shortname = "ex",
    category = "eyas",
    status = "ExceptionStatus",
    derive = "PartialEq",
    doc = "An Exception suppresses matches that are known to be harmless and counts each of them. In eyas-system it acts on the whole cluster, in any other namespace only on matches of that namespace's pods, and on rules of eyas-system only where their tenantExceptions allow it.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Suppressed", type_ = "integer", json_path = ".status.suppressed"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastMatched"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Why", type_ = "string", priority = 1, json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", priority = 1, json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.rules) || has(self.tags) || has(self.match)",
    "message": "an Exception needs rules, tags or match; without any it would suppress everything",
}]))]
pub struct ExceptionSpec {
    /// Rules that it acts on, by spec.name or metadata.name. Neither rules nor tags: all rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub rules: Vec<String>,
    /// Acts on rules that have any of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub tags: Vec<String>,
    /// What a match must be like. All that is given must hold; in each list, any one.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<ExceptionMatch>,
    /// Why such matches are harmless. For the person who reads this next year.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub owner: Option<String>,
    /// When it stops acting. Without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub expires_at: Option<Time>,
}

/// What a match must be like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct ExceptionMatch {
    /// Labels of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Service accounts of the pod: `name`, or `namespace/name` in eyas-system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub service_accounts: Vec<String>,
    /// Image references; `*` stands for any characters, such as `registry.example/tools/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub images: Vec<String>,
    /// Container names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub containers: Vec<String>,
    /// Namespaces of the pod. Only in eyas-system; elsewhere it is always the Exception's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub namespaces: Vec<String>,
    /// Process names, or paths of executables where they begin with `/`; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub processes: Vec<String>,
    /// A condition in the Falco language; may use macros and lists of RuleLibraries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub condition: Option<String>,
}

/// What became of the exception.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatus {
    /// The generation that conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready (compiles, is in force), Expired, Stalled (needs a person).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Matches that it suppressed, over all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<i64>,
    /// When it last suppressed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_matched: Option<Time>,
}
