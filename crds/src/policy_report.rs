//! PolicyReport and ClusterPolicyReport (`wgpolicyk8s.io/v1alpha2`), as policy tools share them.
//!
//! Only what we write is typed. The definitions themselves are a Kustomize component, since clusters with Kyverno or
//! Trivy have them already. `results` is replaced whole by each apply, so each report has one writer.
use crate::schema;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! report {
    ($name:ident, $spec:ident, $kind:literal, $plural:literal, $short:literal, $doc:literal $(, $scope:ident)?) => {
        #[doc = $doc]
        #[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[kube(
            group = "wgpolicyk8s.io",
            version = "v1alpha2",
            kind = $kind,
            plural = $plural,
            shortname = $short,
            $($scope,)?
            no_spec,
            doc = $doc,
            derive = "PartialEq",
            derive = "Default",
            printcolumn(name = "Kind", type_ = "string", json_path = ".scope.kind"),
            printcolumn(name = "Name", type_ = "string", json_path = ".scope.name"),
            printcolumn(name = "Pass", type_ = "integer", json_path = ".summary.pass"),
            printcolumn(name = "Fail", type_ = "integer", json_path = ".summary.fail"),
            printcolumn(name = "Warn", type_ = "integer", json_path = ".summary.warn"),
            printcolumn(name = "Error", type_ = "integer", json_path = ".summary.error"),
            printcolumn(name = "Skip", type_ = "integer", json_path = ".summary.skip"),
            printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
        )]
        #[serde(rename_all = "camelCase")]
        pub struct $spec {
            /// What the report is about: a pod, or a node.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::object")]
            pub scope: Option<ObjectReference>,
            /// Selects several objects that the report is about, where there is no single `scope`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::object")]
            pub scope_selector: Option<serde_json::Value>,
            /// How many results there are of each kind.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub summary: Option<Summary>,
            /// The findings.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub results: Vec<ReportResult>,
        }
    };
}

report!(
    PolicyReport,
    PolicyReportFields,
    "PolicyReport",
    "policyreports",
    "polr",
    "A PolicyReport lists findings about one object of its namespace.",
    namespaced
);
report!(
    ClusterPolicyReport,
    ClusterPolicyReportFields,
    "ClusterPolicyReport",
    "clusterpolicyreports",
    "cpolr",
    "A ClusterPolicyReport lists findings about one object without namespace, such as a node."
);

/// How many results of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the results")]
pub struct Summary {
    #[serde(default)]
    pub pass: i64,
    #[serde(default)]
    pub fail: i64,
    #[serde(default)]
    pub warn: i64,
    #[serde(default)]
    pub error: i64,
    #[serde(default)]
    pub skip: i64,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportResult {
    /// Name of the policy; ours is the DetectionRule's metadata.name.
    pub policy: String,
    /// Name of the rule; ours is the DetectionRule's spec.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Kind of finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// pass, fail, warn, error or skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "result_word")]
    pub result: Option<String>,
    /// critical, high, medium, low or info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "severity_word")]
    pub severity: Option<String>,
    /// Whether it counts towards a score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored: Option<bool>,
    /// The tool that found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Objects that the finding is about, where they are not the report's scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "references")]
    pub resources: Vec<ObjectReference>,
    /// Selects the objects that the finding is about, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    pub resource_selector: Option<serde_json::Value>,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within that second.
    pub nanos: i32,
}

fn result_word(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]})
}

fn severity_word(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["critical", "high", "medium", "low", "info"]})
}

fn references(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}
