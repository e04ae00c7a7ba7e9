//! The definitions' schemas, applied to a tree: what an API server would refuse, said with the place.
//!
//! Covers what our schemas use: types, required and unknown keys, enumerations, patterns, lengths, times. The rules
//! between fields (`x-kubernetes-validations`) are in `source`, which sees objects of both ways.
use super::tree::{Node, Position, Tree};
use crate::source::did_you_mean;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Most problems told about one object.
const MAX_PROBLEMS: usize = 20;

/// Something that the schema forbids.
#[derive(Debug)]
pub(super) struct Finding {
    /// Path below the object, such as `spec.tests[0].expect`.
    pub path: String,
    pub at: Position,
    pub message: String,
    pub suggestion: Option<String>,
}

static SCHEMAS: LazyLock<HashMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let schema = |crd: CustomResourceDefinition| {
        let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        Some((crd.spec.names.kind, schema))
    };
    crate::definitions().into_iter().filter_map(schema).collect()
});

/// Whether `kind` is one of ours.
pub(super) fn knows(kind: &str) -> bool {
    SCHEMAS.contains_key(kind)
}

/// "did you mean DetectionRule?"
pub(super) fn suggest_kind(kind: &str) -> Option<String> {
    did_you_mean(kind, SCHEMAS.keys().map(String::as_str))
}

/// What is wrong with `object`, which is of that kind. `status` and `metadata` are not looked at.
pub(super) fn check(kind: &str, object: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(schema) = SCHEMAS.get(kind) else { return findings };
    if let Tree::Map(entries) = &object.tree {
        for (key, at, value) in entries {
            match key.as_str() {
                "apiVersion" | "kind" | "metadata" | "status" => {}
                _ => match property(schema, key) {
                    Some(schema) => walk(schema, value, &mut key.clone(), &mut findings),
                    None => unknown(schema, key, *at, "", &mut findings),
                },
            }
        }
    }
    if property(schema, "spec").is_some() && object.get("spec").is_none() {
        findings.push(Finding {
            path: String::new(),
            at: object.at,
            message: "spec is required".into(),
            suggestion: None,
        });
    }
    findings.truncate(MAX_PROBLEMS);
    findings
}

fn property<'a>(schema: &'a JSONSchemaProps, key: &str) -> Option<&'a JSONSchemaProps> {
    schema.properties.as_ref()?.get(key)
}

fn unknown(schema: &JSONSchemaProps, key: &str, at: Position, path: &str, findings: &mut Vec<Finding>) {
    let known = || schema.properties.iter().flatten().map(|(k, _)| k.as_str());
    let all = || Some(known().collect::<Vec<_>>()).filter(|all| !all.is_empty());
    let suggestion = did_you_mean(key, known()).or_else(|| all().map(|all| format!("known here: {}", all.join(", "))));
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let message = format!("unknown key {key:?}");
    findings.push(Finding { path, at, message, suggestion });
}

fn walk(schema: &JSONSchemaProps, node: &Node, path: &mut String, findings: &mut Vec<Finding>) {
    if findings.len() >= MAX_PROBLEMS {
        return;
    }
    let mut tell = |message: String, suggestion: Option<String>| {
        findings.push(Finding { path: path.clone(), at: node.at, message, suggestion });
    };
    let anything = schema.x_kubernetes_preserve_unknown_fields == Some(true);
    match (&node.tree, schema.type_.as_deref()) {
        (Tree::Scalar(Value::Null), _) if schema.nullable == Some(true) || anything => {}
        (Tree::Scalar(value), _) if schema.x_kubernetes_int_or_string == Some(true) => {
            if !value.is_string() && !value.is_i64() && !value.is_u64() {
                tell(format!("{} is neither text nor a whole number; quote it", name(value)), None);
            }
        }
        (Tree::Scalar(Value::String(text)), Some("string")) => check_text(schema, text, &mut tell),
        (Tree::Scalar(value), Some("string")) => match words(schema) {
            Some(words) => tell(format!("{} is not one of {}", name(value), words.join(", ")), None),
            None => tell(format!("{} is no text; quote it", name(value)), None),
        },
        (Tree::Scalar(value), Some("integer")) if value.is_i64() || value.is_u64() => {}
        (Tree::Scalar(value), Some("number")) if value.is_number() => {}
        (Tree::Scalar(Value::Bool(_)), Some("boolean")) => {}
        (Tree::List(items), Some("array")) => walk_list(schema, items, node.at, path, findings),
        (Tree::Map(entries), Some("object")) => walk_map(schema, entries, node.at, path, findings),
        (_, None) if anything => {}
        (tree, Some(wanted)) => tell(format!("{} where {} is wanted", kind_of(tree), article(wanted)), None),
        (_, None) => {}
    }
}

fn walk_list(schema: &JSONSchemaProps, items: &[Node], at: Position, path: &mut String, findings: &mut Vec<Finding>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let mut tell = |message: String| findings.push(Finding { path: path.clone(), at, message, suggestion: None });
    if schema.min_items.is_some_and(|min| count < min) {
        tell("the list is empty".to_owned());
    }
    if let Some(max) = schema.max_items.filter(|max| count > *max) {
        tell(format!("{count} items, at most {max} are allowed"));
        return;
    }
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else { return };
    let unique = schema.x_kubernetes_list_map_keys.as_ref().and_then(|keys| keys.first());
    let mut seen = HashMap::new();
    for (i, node) in items.iter().enumerate() {
        let length = path.len();
        path.push_str(&format!("[{i}]"));
        walk(item, node, path, findings);
        if let Some(key) = unique
            && let Some(value) = node.get(key).and_then(Node::text)
            && let Some(first) = seen.insert(value, i)
        {
            let message = format!("{key} {value:?} is there twice, first as item {first}");
            findings.push(Finding { path: path.clone(), at: node.at, message, suggestion: None });
        }
        path.truncate(length);
    }
}

fn walk_map(
    schema: &JSONSchemaProps,
    entries: &[(String, Position, Node)],
    at: Position,
    path: &mut String,
    findings: &mut Vec<Finding>,
) {
    for wanted in schema.required.iter().flatten() {
        if !entries.iter().any(|(key, _, value)| key == wanted && !matches!(value.tree, Tree::Scalar(Value::Null))) {
            let message = format!("{wanted} is required");
            let words = property(schema, wanted).and_then(words);
            let suggestion = words.map(|words| format!("write {wanted}: and one of {}", words.join(", ")));
            findings.push(Finding { path: path.clone(), at, message, suggestion });
        }
    }
    if schema.min_properties.is_some_and(|min| i64::try_from(entries.len()).unwrap_or(i64::MAX) < min) {
        findings.push(Finding { path: path.clone(), at, message: "it is empty".to_owned(), suggestion: None });
    }
    let rest = match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(rest)) => Some(rest.as_ref()),
        _ => None,
    };
    for (key, key_at, value) in entries {
        let Some(schema) = property(schema, key).or(rest) else {
            if schema.x_kubernetes_preserve_unknown_fields != Some(true) {
                unknown(schema, key, *key_at, path, findings);
            }
            continue;
        };
        let required = matches!(value.tree, Tree::Scalar(Value::Null));
        if required && schema.nullable != Some(true) && schema.type_.is_some() {
            continue; // As the API server: a null is left out; whether the key is required was checked above.
        }
        let length = path.len();
        path.push('.');
        path.push_str(key);
        walk(schema, value, path, findings);
        path.truncate(length);
    }
}

fn check_text(schema: &JSONSchemaProps, text: &str, tell: &mut impl FnMut(String, Option<String>)) {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if schema.min_length.is_some_and(|min| count < min) {
        tell("it is empty".to_owned(), None);
    }
    if let Some(max) = schema.max_length.filter(|max| count > *max) {
        tell(format!("{count} characters, at most {max} are allowed"), None);
    }
    if let Some(words) = words(schema) {
        let fits = |word: &&str| match schema.enum_ {
            Some(_) => *word == text,
            None => word.eq_ignore_ascii_case(text),
        };
        if !words.iter().any(fits) {
            let suggestion = did_you_mean(text, words.iter().copied());
            tell(format!("{text:?} is not one of {}", words.join(", ")), suggestion);
        }
    } else if let Some(pattern) = &schema.pattern
        && !matches(pattern, text)
    {
        tell(format!("{text:?} is not of the form {pattern}"), None);
    }
    if schema.format.as_deref() == Some("date-time") && text.parse::<k8s_openapi::jiff::Timestamp>().is_err() {
        tell(format!("{text:?} is no time such as 2026-12-31T00:00:00Z"), None);
    }
}

/// The words that may stand there: an enumeration, or a pattern of nothing but words in any case.
fn words(schema: &JSONSchemaProps) -> Option<Vec<&str>> {
    if let Some(words) = &schema.enum_ {
        return Some(words.iter().filter_map(|word| word.0.as_str()).collect());
    }
    let words = schema.pattern.as_ref()?.strip_prefix("^(?i)(")?.strip_suffix(")$")?;
    words.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'|').then(|| words.split('|').collect())
}

/// Whether `text` has that form. Patterns are those of our own schemas, so there are few.
fn matches(pattern: &str, text: &str) -> bool {
    static PATTERNS: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|r| r.is_match(text))
}

fn name(value: &Value) -> String {
    value.to_string()
}

fn kind_of(tree: &Tree) -> &'static str {
    match tree {
        Tree::Scalar(Value::Null) => "nothing",
        Tree::Scalar(_) => "a plain value",
        Tree::List(_) => "a list",
        Tree::Map(_) => "a map",
    }
}

fn article(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a map",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "text",
    }
}
