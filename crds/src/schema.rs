//! Pieces of OpenAPI schema that types alone do not say, for `#[schemars(schema_with = ...)]`.
//!
//! Enumerations are text in the Rust types and words in the schema, so that an object written under another version of
//! the definition is still read, and its bad word is reported at its place (`source`).
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Most items of one list in an object. Longer lists come from feeds.
pub const MAX_ITEMS: usize = 20_000;

/// RFC 3339 time.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// `status` of a condition.
pub fn condition_status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["True", "False", "Unknown"]})
}

/// Operators of label selectors.
pub fn label_operator(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]})
}

/// A priority in any case, as in the Falco language.
pub fn priority(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^(?i)(emergency|alert|critical|error|warning|notice|informational|info|debug)$",
    })
}

/// State of a rule.
pub fn rule_state(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Active", "Shadow", "Disabled"]})
}

/// Source of events. Other sources come with the hooks that supply them.
pub fn event_source(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["syscall"]})
}

/// Whether tenants' exceptions may act on a rule.
pub fn allow_deny(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Allow", "Deny"]})
}

/// What a test expects.
pub fn expect(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Match", "NoMatch"]})
}

/// A duration: numbers with units.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "maxLength": 32})
}

/// Output format of a webhook.
pub fn webhook_format(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["eyas", "falco"]})
}

/// Output format of stdout.
pub fn stdout_format(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["text", "json"]})
}

/// Items of a list: text or numbers.
pub fn words(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": MAX_ITEMS, "items": {"x-kubernetes-int-or-string": true}})
}

/// Anything, kept as it is.
pub fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A list of anything.
pub fn anything_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 4096, "items": {"x-kubernetes-preserve-unknown-fields": true}})
}

/// Events of a test: maps from field name to value.
pub fn events(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 256,
        "items": {
            "type": "object",
            "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true},
        },
    })
}

/// Free-form references of PolicyReport, kept as they are.
pub fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Drops what schemars adds and Kubernetes refuses or warns about (`format: uint32`, `minimum: 0.0` stay harmless).
pub(crate) fn tidy(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.metadata.labels = Some([("app.kubernetes.io/part-of".to_owned(), "eyas".to_owned())].into());
    crd
}
