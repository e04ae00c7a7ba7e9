//! RuleLibrary: macros and lists that rules share.
use crate::common::{Condition, List, Macro};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Macros and lists for rules of this namespace, or of all namespaces if in eyas-system.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "eyas.dev",
    version = "v1alpha1",
    kind = "RuleLibrary",
    plural = "rulelibraries",
    namespaced,
    shortname = "rl",
    category = "eyas",
    status = "RuleLibraryStatus",
    derive = "PartialEq",
    doc = "A RuleLibrary holds macros and lists that rules share. Names are looked up in the rule's own namespace first, then in eyas-system; of two with one name in a namespace the newer object is in conflict.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Macros", type_ = "integer", json_path = ".status.macros"),
    printcolumn(name = "Lists", type_ = "integer", json_path = ".status.lists"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RuleLibrarySpec {
    /// Conditions by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub macros: Vec<Macro>,
    /// Lists of values by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub lists: Vec<List>,
}

/// What became of the library.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleLibraryStatus {
    /// The generation that conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted (its macros compile), Conflict (a name is taken), Ready, Stalled (needs a person).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many macros it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macros: Option<i32>,
    /// How many lists it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<i32>,
}
