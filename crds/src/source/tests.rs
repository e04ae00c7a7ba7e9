#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::DetectionRule;
use engine::source::{LabelOp, RuleState};

fn read<T: serde::de::DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap()
}

fn rule_with(extra: &str) -> engine::source::RuleSource {
    let yaml = format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: DetectionRule\nmetadata: {{name: r, namespace: team}}\nspec:\n  condition: evt.type = execve\n  output: x\n{extra}"
    );
    rule(&read::<DetectionRule>(&yaml))
}

fn messages(meta: &Meta) -> Vec<String> {
    meta.problems.iter().map(|p| format!("{}: {}", p.part, p.message)).collect()
}

#[test]
fn a_rule_keeps_its_words() {
    let source = rule_with(
        "  priority: WARNING\n  name: A rule\n  state: Shadow\n  tenantExceptions: Deny\n  lists: [{name: ports, items: [80, http]}]\n  macros: [{name: m, condition: proc.name = a}]\n",
    );
    assert_eq!(messages(&source.meta), Vec::<String>::new());
    assert_eq!(
        (source.title.as_str(), source.priority, source.state),
        ("A rule", Priority::Warning, RuleState::Shadow)
    );
    assert_eq!(source.tenant_exceptions, Some(false));
    assert_eq!(source.definitions.lists, [("ports".to_owned(), vec!["80".to_owned(), "http".to_owned()])]);
}

#[test]
fn an_unknown_word_is_a_problem_of_this_object_with_a_suggestion() {
    let source = rule_with("  priority: Urgent\n  state: Shadov\n");
    assert_eq!(source.meta.problems.len(), 2, "{:?}", messages(&source.meta));
    assert_eq!(source.state, RuleState::Disabled, "what it says is unknown, so it must not act");
    let state = source.meta.problems.iter().find(|p| p.part == "state").unwrap();
    assert_eq!(state.suggestion.as_deref(), Some("did you mean Shadow?"));
}

#[test]
fn inline_exceptions_in_every_form_that_falco_takes() {
    let source = rule_with(
        r#"  priority: Notice
  exceptions:
  - {name: single, fields: proc.name, values: [a, 1]}
  - {name: tuple, fields: [proc.name, fd.sport], values: [[a, 80], [b, [1, 2]]]}
  - {name: comps, fields: [proc.name, fd.name], comps: [=, startswith], values: [[a, /x]]}
  - {name: empty, fields: [proc.name]}
"#,
    );
    assert_eq!(messages(&source.meta), Vec::<String>::new());
    let [single, tuple, comps, empty] = source.exceptions.as_slice() else { panic!("{:?}", source.exceptions) };
    assert_eq!(single.comps, ["in"]);
    assert_eq!(single.values, [[["a", "1"]]]);
    assert_eq!(tuple.comps, Vec::<String>::new());
    assert_eq!(tuple.values, [[vec!["a"], vec!["80"]], [vec!["b"], vec!["1", "2"]]]);
    assert_eq!(comps.comps, ["=", "startswith"]);
    assert!(empty.values.is_empty());
}

#[test]
fn an_inline_exception_of_the_wrong_shape_is_a_problem() {
    for bad in [
        "{name: e, fields: {a: b}}",
        "{name: e, fields: [a, b], values: [[x]]}",
        "{name: e, fields: [a, b], comps: [=], values: [[x, y]]}",
        "{name: e, fields: a, values: [[x, [y]]]}",
    ] {
        let source = rule_with(&format!("  priority: Notice\n  exceptions: [{bad}]\n"));
        assert_eq!(source.meta.problems.len(), 1, "{bad}: {:?}", messages(&source.meta));
    }
}

fn exception_in(namespace: &str, spec: &str) -> ExceptionSource {
    let yaml = format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: Exception\nmetadata: {{name: e, namespace: {namespace}}}\nspec: {spec}\n"
    );
    exception(&read(&yaml), "eyas-system")
}

#[test]
fn an_exception_takes_labels_times_and_names() {
    let source = exception_in(
        "eyas-system",
        "{rules: [r], reason: known, expiresAt: '2026-01-01T00:00:00Z', match: {namespaces: [a], podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]}}}",
    );
    assert_eq!(messages(&source.meta), Vec::<String>::new());
    assert_eq!(source.expires_at, Some(1_767_225_600));
    assert_eq!(source.pod_selector[0].values, ["web"]);
    assert_eq!(source.pod_selector[1].op, LabelOp::Exists);
    assert_eq!(source.namespaces, ["a"]);
}

#[test]
fn a_tenants_exception_cannot_reach_out_of_its_namespace() {
    let source =
        exception_in("team", "{reason: x, match: {namespaces: [other], serviceAccounts: [a, team/b, other/c]}}");
    assert_eq!(source.meta.problems.len(), 2, "{:?}", messages(&source.meta));
    assert!(messages(&source.meta)[1].contains("own namespace"));
}

#[test]
fn an_exception_from_everything_is_refused() {
    assert_eq!(exception_in("eyas-system", "{reason: x}").meta.problems.len(), 1);
    assert_eq!(exception_in("eyas-system", "{reason: ' ', rules: [r]}").meta.problems.len(), 1);
    let selector = "{reason: x, match: {podSelector: {matchExpressions: [{key: a, operator: in, values: [b]}, {key: c, operator: In}]}}}";
    assert_eq!(exception_in("eyas-system", selector).meta.problems.len(), 2);
}

fn route_with(spec: &str) -> RouteSource {
    let yaml = format!(
        "apiVersion: eyas.dev/v1alpha1\nkind: OutputRoute\nmetadata: {{name: o, namespace: eyas-system}}\nspec: {spec}\n"
    );
    route(&read(&yaml), "eyas-system")
}

#[test]
fn a_route_says_what_nodes_need() {
    let source = route_with("{stdout: {}, match: {minPriority: warning, rules: [a], tags: [t], namespaces: [n]}}");
    assert_eq!(messages(&source.meta), Vec::<String>::new());
    assert_eq!((source.min_priority, source.rules.names), (Some(Priority::Warning), vec!["a".to_owned()]));
}

#[test]
fn a_route_without_a_sound_destination_is_a_problem() {
    for bad in [
        "{}",
        "{stdout: {}, webhook: {url: 'http://x/'}}",
        "{webhook: {}}",
        "{webhook: {url: 'ftp://x'}}",
        "{webhook: {url: 'http:///x'}}",
        "{webhook: {url: 'http://x', format: falcon}}",
        "{webhook: {url: 'http://x', timeout: 10}}",
        "{stdout: {format: yaml}}",
        "{stdout: {}, grouping: {by: []}}",
        "{stdout: {}, grouping: {by: [rule], wait: soon}}",
        "{stdout: {}, match: {minPriority: loud}}",
    ] {
        let yaml_ok = bad.replace("timeout: 10}", "timeout: '10'}");
        assert_eq!(route_with(&yaml_ok).meta.problems.len(), 1, "{bad}");
    }
}
