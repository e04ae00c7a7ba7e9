//! Broken files as a new user reads what is said about them: the message alone is enough to mend the file.
use super::loaded;

/// A whole rule with one line replaced.
fn rule(old: &str, new: &str) -> String {
    let good = "\
- rule: Shadow file read
  desc: Somebody reads the shadow file.
  condition: >
    evt.type in (open, openat)
    and fd.name = /etc/shadow
  output: Shadow file read by %proc.cmdline
  priority: WARNING
";
    assert!(good.contains(old), "{old}");
    good.replace(old, new)
}

fn messages(files: &[String]) -> String {
    let one = |text: &String| {
        let loaded = loaded(&[("rules.yaml", text)]);
        assert!(!loaded.problems.is_empty(), "nothing is said about\n{text}");
        loaded.problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n\n")
    };
    files.iter().map(one).collect::<Vec<_>>().join("\n\n----------\n\n")
}

#[test]
fn about_yaml() {
    insta::assert_snapshot!(
        "yaml",
        messages(&[
            rule("desc: Somebody", "desc: Note: somebody"),
            rule("  desc", "\tdesc"),
            rule("  priority", "   priority"),
            rule("output: Shadow file read by %proc.cmdline", "output: 'Shadow file read"),
            "rule: Shadow file read\ndesc: Somebody reads it.\n".to_owned(),
        ])
    );
}

#[test]
fn about_rules() {
    insta::assert_snapshot!(
        "rules",
        messages(&[
            rule("priority: WARNING", "priority: WARNNING"),
            rule("  desc: Somebody reads the shadow file.\n", ""),
            rule("output:", "ouput:"),
            rule("%proc.cmdline", "%proc.cmd"),
            rule("priority: WARNING", "priority: WARNING\n  tags: filesystem"),
        ])
    );
}

#[test]
fn about_conditions() {
    insta::assert_snapshot!(
        "conditions",
        messages(&[
            rule("fd.name = ", "fd.nmae = "),
            rule("and fd.name", "&& fd.name"),
            rule("(open, openat)", "(open, opennat)"),
            rule("and fd.name = /etc/shadow", "and (fd.name = /etc/shadow"),
            rule("and fd.name = /etc/shadow", "and reads_shadow"),
        ])
    );
}

#[test]
fn about_lists_and_macros() {
    insta::assert_snapshot!(
        "lists_and_macros",
        messages(&[
            format!("- list: names\n  items: vi, emacs\n{}", rule("fd.name = /etc/shadow", "not proc.name in (names)")),
            format!("- list: names\n  items: [vi, emacs]\n{}", rule("fd.name = /etc/shadow", "not proc.name = names")),
            format!("- list: names\n  items: [vi, emacs]\n{}", rule("fd.name = /etc/shadow", "not names")),
            format!(
                "- macro: b\n  condition: c\n- macro: c\n  condition: fd.num > 2\n{}",
                rule("fd.name = /etc/shadow", "b")
            ),
            format!("- macro: shadow\n  condition: fd.name =\n{}", rule("fd.name = /etc/shadow", "shadow")),
        ])
    );
}

#[test]
fn about_overrides() {
    let with = |more: &str| format!("{}{more}", rule("a", "a"));
    insta::assert_snapshot!(
        "overrides",
        messages(&[
            with("- rule: Shadow file reads\n  condition: and fd.num > 2\n  override: {condition: append}\n"),
            with("- rule: Shadow file read\n  priority: ERROR\n  override: {priority: append}\n"),
            with("- rule: Shadow file read\n  condition: and fd.num > 2\n  override: {conditions: append}\n"),
            with(
                "- rule: Shadow file read\n  condition: and fd.num > 2\n  enabled: false\n  override: {condition: append}\n"
            ),
            with("- rule: Shadow file read\n  condition: fd.num > 2\n  override: {condition: append}\n"),
        ])
    );
}

#[test]
fn about_exceptions() {
    let with = |exception: &str| format!("{}  exceptions:\n    - {exception}\n", rule("a", "a"));
    insta::assert_snapshot!(
        "exceptions",
        messages(&[
            with("{name: backup, field: proc.name, values: [tar]}"),
            with("{name: backup, fields: [proc.name, fd.name], values: [tar, /etc/shadow]}"),
            with("{name: backup, fields: proc.name, comps: startswith, values: [tar]}"),
            with("{name: backup, fields: [proc.nmae], values: [[tar]]}"),
            with("{name: backup, fields: [proc.name, fd.name], comps: [=], values: [[tar, /etc/shadow]]}"),
        ])
    );
}

#[test]
fn about_versions_and_sources() {
    insta::assert_snapshot!(
        "versions_and_sources",
        messages(&[
            "- required_engine_version: 0.70.0\n".to_owned(),
            "- required_engine_version: latest\n".to_owned(),
            "- required_plugin_versions:\n    - name: k8saudit\n      version: 0.7.0\n".to_owned(),
            rule("priority: WARNING", "priority: WARNING\n  source: k8s_audit"),
            rule("priority: WARNING", "priority: WARNING\n  source: syscalls"),
        ])
    );
}
