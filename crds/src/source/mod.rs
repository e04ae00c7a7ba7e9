//! From custom resources to the engine's source types.
//!
//! Invariant: every object becomes a source, whatever is wrong with it. What is wrong is in `meta.problems`; an error
//! there keeps the object out of force and its last good generation in, and touches no other object.
mod rule;
mod selectors;

pub use rule::rule;

use crate::{Exception, OutputRoute, RuleLibrary, duration, route::Webhook};
use engine::{
    diagnostic::{Diagnostic, Severity, Span},
    priority::Priority,
    source::{Definitions, ExceptionSource, LibrarySource, Meta, ObjectRef, RouteSource, RuleSelector},
};
use kube::api::ObjectMeta;

/// Falco's code for an object that is well-formed YAML and yet not what it should be.
pub const INVALID: &str = "LOAD_ERR_VALIDATE";

/// An error about one part of an object, pointing at the whole of `text`.
#[must_use]
pub fn problem(part: impl Into<String>, text: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: INVALID.to_owned(),
        part: part.into(),
        message: message.into(),
        suggestion: None,
        text: text.to_owned(),
        span: Span { start: 0, end: u32::try_from(text.len()).unwrap_or(u32::MAX) },
    }
}

/// Identity and times of an object.
#[must_use]
pub fn meta(metadata: &ObjectMeta) -> Meta {
    Meta {
        id: ObjectRef {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        },
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        created: metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second()),
        origin: String::new(),
        problems: Vec::new(),
    }
}

/// A RuleLibrary.
#[must_use]
pub fn library(object: &RuleLibrary) -> LibrarySource {
    LibrarySource { meta: meta(&object.metadata), definitions: definitions(&object.spec.macros, &object.spec.lists) }
}

/// An Exception. `system` is the namespace whose objects act on the whole cluster.
#[must_use]
pub fn exception(object: &Exception, system: &str) -> ExceptionSource {
    let mut meta = meta(&object.metadata);
    let spec = &object.spec;
    let wanted = spec.match_.clone().unwrap_or_default();
    let tenant = meta.id.namespace != system;
    if spec.reason.trim().is_empty() {
        meta.problems.push(problem("reason", "", "a reason is required: why are such matches harmless?"));
    }
    if spec.rules.is_empty() && spec.tags.is_empty() && spec.match_.is_none() {
        meta.problems.push(problem("match", "", "give rules, tags or match; without any it would suppress everything"));
    }
    if tenant {
        only_in_system(&mut meta, "match.namespaces", &wanted.namespaces, system);
        let namespace = meta.id.namespace.clone();
        for account in &wanted.service_accounts {
            if account.split_once('/').is_some_and(|(ns, _)| ns != namespace) {
                meta.problems.push(problem(
                    "match.serviceAccounts",
                    account,
                    format!("outside {system} an Exception acts only on its own namespace, {namespace}"),
                ));
            }
        }
    }
    ExceptionSource {
        rules: RuleSelector { names: spec.rules.clone(), tags: spec.tags.clone() },
        pod_selector: wanted
            .pod_selector
            .as_ref()
            .map(|s| selectors::requirements(s, "match.podSelector", &mut meta.problems))
            .unwrap_or_default(),
        service_accounts: wanted.service_accounts,
        images: wanted.images,
        containers: wanted.containers,
        namespaces: wanted.namespaces,
        processes: wanted.processes,
        condition: wanted.condition,
        expires_at: spec.expires_at.as_ref().map(|t| t.0.as_second()),
        meta,
    }
}

/// The part of an OutputRoute that nodes need, with what is wrong anywhere in its spec.
#[must_use]
pub fn route(object: &OutputRoute, system: &str) -> RouteSource {
    let mut meta = meta(&object.metadata);
    let spec = &object.spec;
    let wanted = spec.match_.clone().unwrap_or_default();
    if meta.id.namespace != system {
        only_in_system(&mut meta, "match.namespaces", &wanted.namespaces, system);
    }
    let min_priority = wanted.min_priority.as_deref().and_then(|w| priority("match.minPriority", w, &mut meta));
    match (&spec.stdout, &spec.webhook) {
        (Some(_), None) => {}
        (None, Some(hook)) => check_webhook(hook, &mut meta),
        _ => meta.problems.push(problem("", "", "give exactly one destination: stdout or webhook")),
    }
    if let Some(format) = spec.stdout.as_ref().and_then(|s| s.format.as_deref()) {
        word("stdout.format", format, &["text", "json"], &mut meta);
    }
    if let Some(grouping) = &spec.grouping {
        if grouping.by.is_empty() {
            meta.problems.push(problem("grouping.by", "", "name at least one field to group by, such as rule"));
        }
        check_duration("grouping.wait", grouping.wait.as_deref(), &mut meta);
        check_duration("grouping.repeatAfter", grouping.repeat_after.as_deref(), &mut meta);
    }
    RouteSource {
        min_priority,
        rules: RuleSelector { names: wanted.rules, tags: wanted.tags },
        namespaces: wanted.namespaces,
        meta,
    }
}

fn check_webhook(hook: &Webhook, meta: &mut Meta) {
    match (&hook.url, &hook.url_from) {
        (Some(url), None) => {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if rest.is_none_or(|r| r.is_empty() || r.starts_with(['/', '?', '#'])) {
                meta.problems.push(problem("webhook.url", url, "not an http or https URL with a host"));
            }
        }
        (None, Some(_)) => {}
        _ => meta.problems.push(problem("webhook", "", "give either url or urlFrom")),
    }
    if let Some(format) = hook.format.as_deref() {
        word("webhook.format", format, &["eyas", "falco"], meta);
    }
    check_duration("webhook.timeout", hook.timeout.as_deref(), meta);
}

fn check_duration(part: &str, text: Option<&str>, meta: &mut Meta) {
    if let Some(text) = text
        && let Err(error) = duration::parse(text)
    {
        meta.problems.push(problem(part, text, error.to_string()));
    }
}

fn only_in_system(meta: &mut Meta, part: &str, given: &[String], system: &str) {
    if let Some(first) = given.first() {
        meta.problems.push(problem(
            part,
            first,
            format!("namespaces can be chosen in {system} only; elsewhere an object acts on its own namespace"),
        ));
    }
}

fn priority(part: &str, text: &str, meta: &mut Meta) -> Option<Priority> {
    text.parse()
        .map_err(|e: engine::priority::UnknownPriority| meta.problems.push(problem(part, text, e.to_string())))
        .ok()
}

/// Whether `text` is one of `words`; if not, a problem that names them.
fn word(part: &str, text: &str, words: &[&str], meta: &mut Meta) -> bool {
    let known = words.contains(&text);
    if !known {
        let mut found = problem(part, text, format!("{text:?} is not one of {}", words.join(", ")));
        found.suggestion = did_you_mean(text, words.iter().copied());
        meta.problems.push(found);
    }
    known
}

/// "did you mean X?" for the closest of `words`, where one is close.
pub(crate) fn did_you_mean<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = text.to_lowercase();
    words
        .map(|w| (strsim::damerau_levenshtein(&lower, &w.to_lowercase()), w))
        .filter(|(distance, w)| *distance <= 1 + w.len() / 4)
        .min()
        .map(|(_, w)| format!("did you mean {w}?"))
}

fn definitions(macros: &[crate::common::Macro], lists: &[crate::common::List]) -> Definitions {
    Definitions {
        macros: macros.iter().map(|m| (m.name.clone(), m.condition.clone())).collect(),
        lists: lists.iter().map(|l| (l.name.clone(), l.items.iter().map(|i| i.0.clone()).collect())).collect(),
    }
}

#[cfg(test)]
mod tests;
