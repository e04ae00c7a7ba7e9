//! OutputRoute: which matches go where, and how grouped.
use crate::{
    common::{Condition, SecretKeyRef},
    schema,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which matches go to which destination.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "eyas.dev",
    version = "v1alpha1",
    kind = "OutputRoute",
    namespaced,
    shortname = "or",
    category = "eyas",
    status = "OutputRouteStatus",
    derive = "PartialEq",
    doc = "An OutputRoute sends matches to one destination. In eyas-system it sees the matches of the whole cluster, in any other namespace only those of that namespace's pods.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Min", type_ = "string", json_path = ".spec.match.minPriority"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.delivered"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed"),
    printcolumn(name = "Backlog", type_ = "integer", json_path = ".status.backlog"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastDelivered"),
    printcolumn(name = "Error", type_ = "string", priority = 1, json_path = ".status.lastError"),
    printcolumn(name = "Age", type_ = "date", priority = 1, json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.stdout) ? 1 : 0) + (has(self.webhook) ? 1 : 0) == 1",
    "message": "an OutputRoute has exactly one destination: stdout or webhook",
}]))]
pub struct OutputRouteSpec {
    /// Which matches. Without it, all of them.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<RouteMatch>,
    /// Puts matches that belong together into one message. Without it, each goes out on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<Grouping>,
    /// Destination: the standard output of the router (standalone: of the agent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Stdout>,
    /// Destination: an HTTP endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// Which matches a route takes. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// At least this urgent, such as Warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::priority")]
    pub min_priority: Option<String>,
    /// Rules by spec.name or metadata.name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<String>,
    /// Rules that have any of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tags: Vec<String>,
    /// Namespaces of the pod. Only in eyas-system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub namespaces: Vec<String>,
}

/// Which matches share a message, and when it goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grouping {
    /// Matches that are equal in all of these share a message: rule, priority, namespace, pod, container, image, node,
    /// or any field of the output, such as proc.name.
    #[schemars(length(min = 1, max = 16))]
    pub by: Vec<String>,
    /// How long to wait for more after the first match of a group. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub wait: Option<String>,
    /// A group that goes on is told again after this time. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub repeat_after: Option<String>,
}

/// The router's standard output, a line per match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stdout {
    /// text, or json in Falco's shape. Default: json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::stdout_format")]
    pub format: Option<String>,
}

/// An HTTP POST for each message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.urlFrom)",
    "message": "a webhook has either url or urlFrom",
}]))]
pub struct Webhook {
    /// Where to, such as https://example.org/hook. For one that holds a secret take urlFrom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^/?#]+"))]
    pub url: Option<String>,
    /// The URL from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<ValueFrom>,
    /// eyas (our own JSON with every fact), or falco (one match per request in Falco's shape, for every receiver made for Falco). Default: eyas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::webhook_format")]
    pub format: Option<String>,
    /// Signs the body, so that the receiver can tell that it comes from here unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<Hmac>,
    /// Headers to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub headers: BTreeMap<String, String>,
    /// How long one request may take. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub timeout: Option<String>,
    /// Certificates (PEM) that vouch for the receiver, instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
}

/// A value that is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret in the route's namespace.
    pub secret_key_ref: SecretKeyRef,
}

/// HMAC-SHA256 over the body, in a header as `sha256=HEX`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hmac {
    /// The key, from a Secret in the route's namespace.
    pub secret_key_ref: SecretKeyRef,
    /// The header. Default: X-Eyas-Signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = "^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
}

/// What became of the route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputRouteStatus {
    /// The generation that conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted (the spec is sound), Ready (in force), Stalled (needs a person), Delivering (the destination takes messages).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Matches that the destination took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<i64>,
    /// Matches that were given up: the destination refused them for good, or the queue was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// Matches that wait for the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// When the destination last took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_delivered: Option<Time>,
    /// What went wrong last, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
