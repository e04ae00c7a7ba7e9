//! What comes out of files: overrides applied, comments kept, places followed back, bounds held.
use super::{super::is_rules_file, loaded, told};
use crate::{priority::Priority, syntax::MAX_DEPTH};
use proptest::prelude::*;

const BASE: &str = "\
- list: shells
  items: [bash, sh]
- macro: opened
  condition: evt.type = open
- rule: A
  desc: first
  condition: opened and proc.name in (shells)
  output: it was %proc.name
  priority: warning
  tags: [x, y]
  exceptions:
    - {name: known, fields: fd.name, values: [/a]}
";

#[test]
fn the_published_ruleset_loads() {
    let Some(text) = crate::testing::shared("falco/falco_rules.yaml") else { return };
    let loaded = loaded(&[("falco_rules.yaml", &text)]);
    let errors: Vec<String> = loaded.problems.iter().filter(|p| p.is_error()).map(|p| p.render(false)).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert_eq!((loaded.rules.len(), loaded.macros.len(), loaded.lists.len()), (25, 87, 49));
    assert!(loaded.rules.iter().all(|rule| rule.refused.is_none()));
}

#[test]
fn later_files_override_earlier_ones() {
    let local = "\
- list: shells
  items: [zsh]
  override: {items: append}
- macro: opened
  condition: or evt.type = openat
  append: true
- rule: A
  condition: and fd.num > 2
  output: (file=%fd.name)
  desc: and second
  priority: ERROR
  tags: [y, z]
  enabled: no
  exceptions:
    - {name: known, values: [/b]}
    - {name: more, fields: [proc.name, fd.name], comps: [=, in], values: [[vi, '(/c, /d)']]}
  override:
    {condition: append, output: append, desc: append, tags: append, exceptions: append, priority: replace, enabled: replace}
---
- list: other
  items: [1, 2.0, '\"a b\"']
- macro: again
  condition: proc.name in (other)
";
    let loaded = loaded(&[("base.yaml", BASE), ("local.yaml", local)]);
    assert_eq!(told(&loaded), ["6:3 warning LOAD_DEPRECATED_ITEM", "22:10 warning LOAD_UNUSED_MACRO"]);
    assert_eq!(loaded.lists[0].items, ["bash", "sh", "zsh"]);
    assert_eq!(loaded.lists[1].items, ["1", "2.0", "\"a b\""]);
    assert_eq!(loaded.macros[0].condition.text, "evt.type = open or evt.type = openat");
    let rule = &loaded.rules[0];
    assert_eq!(rule.condition.text, "opened and proc.name in (shells) and fd.num > 2");
    assert_eq!(
        (rule.output.text.as_str(), rule.description.as_str()),
        ("it was %proc.name (file=%fd.name)", "first and second")
    );
    assert_eq!((rule.priority, rule.enabled, rule.tags.join(" ")), (Priority::Error, false, "x y z".to_owned()));
    let values: Vec<_> = rule.exceptions.iter().map(|e| (e.inline.name.as_str(), e.inline.values.clone())).collect();
    let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        values,
        [("known", vec![vec![texts(&["/a", "/b"])]]), ("more", vec![vec![texts(&["vi"]), texts(&["/c", "/d"])]])]
    );
    let changes: Vec<String> = rule.changes.iter().map(|c| format!("{} {}", c.what, c.by)).collect();
    assert!(changes.contains(&"condition appended local.yaml:7".to_owned()), "{changes:?}");
}

#[test]
fn a_bad_object_takes_no_other_with_it() {
    let text =
        format!("{BASE}- rule: B\n  desc: a: b\n- rule: C\n  condition: 'open\n- macro: last\n  condition: opened\n");
    let loaded = loaded(&[("rules.yaml", &text)]);
    assert_eq!(
        told(&loaded),
        ["14:10 error LOAD_ERR_YAML_PARSE", "16:14 error LOAD_ERR_YAML_PARSE", "17:10 warning LOAD_UNUSED_MACRO"]
    );
    assert_eq!((loaded.rules.len(), loaded.macros.len(), loaded.lists.len()), (1, 2, 1));
    // An override with a mistake leaves the rule as it was.
    let bad = "- rule: A\n  priority: urgent\n  desc: new\n  override: {priority: replace, desc: replace}\n";
    let loaded = super::loaded(&[("base.yaml", BASE), ("bad.yaml", bad)]);
    assert_eq!(
        (told(&loaded), loaded.rules[0].description.as_str()),
        (vec!["2:13 error LOAD_ERR_YAML_VALIDATE".to_owned()], "first")
    );
}

#[test]
fn places_are_those_of_the_file_however_the_text_is_written() {
    let rule =
        |condition: &str| format!("- rule: A\n  desc: d\n  output: o\n  priority: info\n  condition:{condition}\n");
    let cases = [
        (" >\n    evt.type = open\n    and (proc.name = a or\n      fd.nam = b)", "8:7"),
        (" |-\n    evt.type = open\n\n    and fd.nam = b", "8:9"),
        ("\n    evt.type = open\n    and fd.nam = b", "7:9"),
        (" 'evt.type = open and proc.name = ''a'' and fd.nam = b'", "5:57"),
        (" \"evt.type = open and proc.name = \\\"a\\\"\\\n    \\ and fd.nam = b\"", "6:11"),
        (" evt.type = open and proc.name = \"ä\" and fd.nam = b", "5:54"),
    ];
    for (condition, place) in cases {
        let loaded = loaded(&[("rules.yaml", &rule(condition))]);
        assert_eq!(told(&loaded), [format!("{place} error LOAD_ERR_COMPILE_CONDITION")], "{condition}");
    }
}

#[test]
fn comments_stay_with_their_object() {
    let text = "\
# The licence of the file.

# Shells.
# Add your own.
- list: shells   # all of them
  items:
    - bash # the usual one
    # - zsh
    - sh
# Opens.
- macro: opened
  condition: >
    evt.type = open # no comment
    and proc.name in (shells)

# For nobody.
";
    let loaded = loaded(&[("rules.yaml", text)]);
    assert_eq!(loaded.lists[0].comments, ["Shells.", "Add your own.", "all of them", "the usual one", "- zsh"]);
    assert_eq!(loaded.macros[0].comments, ["Opens."]);
}

#[test]
fn lists_are_what_they_are_to_falco() {
    let text = "\
- {list: one, items: [bash]}
- {list: docker.io-images, items: ['a,b', c]}
- {list: outer, items: [one, docker.io-images]}
- rule: A
  desc: d
  condition: evt.type = open and (proc.name = one or proc.name in (outer, 'one') or proc.name startswith \"one\")
  output: o
  priority: info
";
    let mut loaded = loaded(&[("rules.yaml", text)]);
    assert_eq!(told(&loaded), Vec::<String>::new());
    // A list with one item stands for the item, a comma in an item makes two, and quoted words are words.
    let condition = loaded.compile().ruleset.rules[0].condition.to_string();
    let expected = "proc.name = bash or proc.name in (bash, a, b, c, one) or proc.name startswith one";
    assert_eq!(condition, format!("evt.type = open and ({expected})"));
}

#[test]
fn rules_files_are_told_from_objects() {
    for text in [
        "- rule: a",
        "# c\n\n---\n- list: a\n",
        "\u{feff}- macro: a",
        "[{rule: a}]",
        "--- \n-\n  rule: a",
        "%YAML 1.2\n---\n- a",
    ] {
        assert!(is_rules_file(text), "{text:?}");
    }
    for text in ["", "apiVersion: v1", "# - rule: a\nkind: x", "-1", "---\nrule: a"] {
        assert!(!is_rules_file(text), "{text:?}");
    }
}

#[test]
fn what_is_read_is_bounded() {
    // Aliases that double what they repeat.
    let mut bomb = "- list: &a0 x\n  items: [y]\n- &b0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for n in 0..12 {
        let again = format!("*b{n}, ").repeat(10);
        bomb.push_str(&format!("- &b{} [{again}]\n", n + 1));
    }
    let codes = |text: &str| -> Vec<String> {
        loaded(&[("x", text)]).problems.iter().map(|p| p.diagnostic.message.clone()).collect()
    };
    assert!(codes(&bomb).iter().any(|m| m.contains("aliases repeat too much")), "{:?}", codes(&bomb));
    assert!(codes(&"[".repeat(100_000)).iter().all(|m| m.starts_with("bad YAML")));
    let many = format!("- list: l\n  items: [{}]\n", "a,".repeat(100));
    let parsed = super::super::yaml::parse(&many, &mut 50);
    assert!(parsed.mistakes.iter().any(|m| m.bound && m.message.contains("more than 1000000 values")), "{parsed:?}");
    let deep = format!("- macro: m\n  condition: {}evt.num = 0{}\n", "(".repeat(100_000), ")".repeat(100_000));
    assert!(codes(&deep).iter().any(|m| m.contains(&MAX_DEPTH.to_string())));
    // A chain of macros is one like any other while it is not too deep, and so is a long list.
    let mut chain = "- {macro: m0, condition: evt.type = open}\n".to_owned();
    for n in 1..400 {
        chain.push_str(&format!("- {{macro: m{n}, condition: m{}}}\n", n - 1));
    }
    assert!(codes(&chain).iter().any(|m| m.contains("nested deeper than 200 levels")), "{:?}", codes(&chain));
    let long: String = (0..20_000).map(|n| format!("/path/{n:08},")).collect();
    let rule = "- {rule: r, desc: d, condition: evt.type = open and fd.name in (l), output: o, priority: info}\n";
    assert_eq!(codes(&format!("- list: l\n  items: [{long}]\n{rule}")), Vec::<String>::new());
}

#[test]
fn names_of_objects_are_stable_and_distinct() {
    let long = "x".repeat(100);
    let titles = ["A Shell, in a pod!", "a shell in a pod", "中", "", &long, "-a-"];
    let names = super::super::object_names(titles);
    assert_eq!((names[0].as_str(), names[5].as_str()), ("a-shell-in-a-pod", "a"));
    assert!(
        names[1].starts_with("a-shell-in-a-pod-") && names[2].starts_with("rule-") && names[4].len() == 63,
        "{names:?}"
    );
    assert_eq!(names, super::super::object_names(titles));
    let distinct: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

/// Pieces that rules files are made of, and pieces that they are not made of.
fn any_file() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: info\n"),
        Just("- rule: r\n  append: true\n  condition: or m\n"),
        Just("- macro: m\n  condition: >\n    proc.name in (l)\n    or l\n"),
        Just("- macro: m\n  override: {condition: append}\n  condition: and m\n"),
        Just("- list: l\n  items: [l, a, '\"b c\"', *x]\n"),
        Just("- &x list: l\n  items: &x [1, 2]\n"),
        Just(
            "  exceptions: [{name: e, fields: [fd.num, proc.name], comps: [in], values: [[a]]}, {name: e, values: [x]}]\n"
        ),
        Just("  override: {exceptions: append, x: y}\n"),
        Just("- required_engine_version: 0.99\n"),
        Just("---\n"),
        Just("\"\\u00"),
        Just("\t- x: [\n"),
        Just("ä: | #\n"),
    ];
    let pieces = proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, "\\PC{0,200}", "[-a-z:#'\"{}\\[\\],&*!|>%@` \n]{0,200}"]
}

proptest! {
    #[test]
    fn any_text_is_loaded_without_panic(files in proptest::collection::vec(any_file(), 1..3)) {
        let files: Vec<(&str, &str)> = files.iter().map(|text| ("x", text.as_str())).collect();
        let loaded = loaded(&files);
        for problem in &loaded.problems {
            prop_assert!(problem.line >= 1 && problem.column >= 1 && !problem.render(false).is_empty());
        }
    }
}
