//! The published Falco ruleset, where it is present: every macro, list and rule of it compiles here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use engine::{
    compile::{ObjectKind, compile},
    diagnostic::{Diagnostic, Severity},
    priority::Priority,
    source::{Definitions, LibrarySource, Meta, ObjectRef, RuleSource, RuleState, Sources},
};
use serde_json::Value;
use std::path::Path;

/// The file lies beside the repository, or beside its worktrees.
fn published() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    ["..", "../.."]
        .iter()
        .find_map(|up| std::fs::read_to_string(root.join(up).join("shared/falco/falco_rules.yaml")).ok())
}

fn meta(name: &str) -> Meta {
    Meta { id: ObjectRef { namespace: "eyas-system".into(), name: name.into() }, ..Meta::default() }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

#[test]
fn the_published_ruleset_compiles() {
    let Some(yaml) = published() else {
        println!("skipped: ../shared/falco/falco_rules.yaml is not here");
        return;
    };
    let items: Vec<Value> = serde_saphyr::from_str(&yaml).unwrap();
    let (mut definitions, mut rules) = (Definitions::default(), Vec::new());
    for item in &items {
        if let Some(name) = item.get("list") {
            definitions.lists.push((text(name), texts(&item["items"])));
        } else if let Some(name) = item.get("macro") {
            definitions.macros.push((text(name), text(&item["condition"])));
        } else if let Some(name) = item.get("rule") {
            rules.push(RuleSource {
                meta: meta(&text(name)),
                title: text(name),
                description: text(&item["desc"]),
                condition: text(&item["condition"]),
                output: text(&item["output"]),
                priority: text(&item["priority"]).parse::<Priority>().unwrap(),
                tags: texts(&item["tags"]),
                state: RuleState::Active,
                definitions: Definitions::default(),
                exceptions: Vec::new(),
                tenant_exceptions: None,
                tests: Vec::new(),
            });
        }
    }
    assert!(rules.len() >= 25 && definitions.macros.len() >= 80 && definitions.lists.len() >= 40);
    let libraries = vec![LibrarySource { meta: meta("falco"), definitions }];
    let number = rules.len();
    let sources = Sources { system_namespace: "eyas-system".into(), rules, libraries, ..Sources::default() };
    let compiled = compile(&sources, None);
    let errors: Vec<String> = compiled
        .outcomes
        .iter()
        .flat_map(|outcome| outcome.diagnostics.iter().map(move |d| (outcome, d)))
        .filter(|(_, d)| d.severity == Severity::Error)
        .map(|(outcome, d)| format!("{} {}: {}", outcome.kind.as_str(), outcome.id, Diagnostic::one_line(d)))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(compiled.outcomes.iter().filter(|o| o.kind == ObjectKind::Rule && o.accepted).count(), number);
    engine::plan::Plan::new(std::sync::Arc::new(compiled.ruleset)).unwrap();
}
