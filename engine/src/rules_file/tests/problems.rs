//! Every mistake that the loader knows, with its code, line and column.
use super::{loaded, told};

const R: &str = "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info}\n";

/// `R` stands for a good rule `r` on its line. What is expected: `line:column severity CODE`, in order.
const CASES: &[(&str, &[&str])] = &[
    // YAML.
    ("- rule: a\n  desc: b: c\n", &["2:10 error LOAD_ERR_YAML_PARSE"]),
    ("- list: a\n\titems: []\n", &["1:9 error LOAD_ERR_YAML_PARSE"]),
    ("- list: a\n  items: [b\n", &["2:10 error LOAD_ERR_YAML_PARSE"]),
    ("- macro: a\n  condition: \"evt.num = 0\nR", &["2:14 error LOAD_ERR_YAML_PARSE"]),
    ("- macro: a\n  condition: *nobody\nR", &["2:14 error LOAD_ERR_YAML_PARSE"]),
    ("- macro: a\n  condition: evt.num = 0\n   append: true\nR", &["3:10 error LOAD_ERR_YAML_PARSE"]),
    ("{a: b}", &["1:1 error LOAD_ERR_YAML_VALIDATE"]),
    ("rules", &["1:1 error LOAD_ERR_YAML_VALIDATE"]),
    ("R---\nlist: a\nitems: []\n", &["3:1 error LOAD_ERR_YAML_VALIDATE"]),
    ("- text\nR", &["1:3 error LOAD_ERR_YAML_VALIDATE"]),
    ("- [a]\nR", &["1:3 error LOAD_ERR_YAML_VALIDATE"]),
    // Entries and keys.
    ("- rul: x\n", &["1:3 warning LOAD_UNKNOWN_ITEM"]),
    ("- nothing: x\n", &["1:3 warning LOAD_UNKNOWN_ITEM"]),
    ("- condition: evt.num = 0\n", &["1:3 warning LOAD_UNKNOWN_ITEM"]),
    ("- items: []\n", &["1:3 warning LOAD_UNKNOWN_ITEM"]),
    (
        "- {rule: r, descr: d, desc: d, condition: evt.type = open, output: o, priority: info}\n",
        &["1:13 warning LOAD_UNKNOWN_ITEM"],
    ),
    (
        "- {rule: r, desc: d, desc: e, condition: evt.type = open, output: o, priority: info}\n",
        &["1:22 warning LOAD_UNKNOWN_ITEM"],
    ),
    // Names.
    (
        "- {macro: a-b, condition: evt.num = 0}\n",
        &["1:11 warning LOAD_INVALID_MACRO_NAME", "1:11 warning LOAD_UNUSED_MACRO"],
    ),
    ("- {list: a b, items: [c]}\n", &["1:10 warning LOAD_INVALID_LIST_NAME", "1:10 warning LOAD_UNUSED_LIST"]),
    ("- {rule: , desc: d}\n", &["1:4 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {list: [a], items: []}\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    // Lists.
    ("- list: a\n", &["1:9 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {list: a, items: b}\n", &["1:20 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {list: a, items: [{b: c}]}\n", &["1:21 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {list: a, items: [b], append: true}\n", &["1:10 error LOAD_ERR_VALIDATE", "1:25 warning LOAD_DEPRECATED_ITEM"]),
    ("- {list: a, items: [b], override: {items: append}}\n", &["1:10 error LOAD_ERR_VALIDATE"]),
    ("- {list: a, items: [b], override: {item: append}}\n", &["1:36 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {list: a, items: [b]}\n", &["1:10 warning LOAD_UNUSED_LIST"]),
    (
        "- {list: a, items: [b]}\n- {list: b, items: [c]}\n- {macro: m, condition: proc.name in (a)}\n- {rule: r, desc: d, condition: evt.type = open and m, output: o, priority: info}\n",
        &["1:10 warning LOAD_UNKNOWN_ITEM"],
    ),
    (
        "- {list: a, items: [b, a]}\n- {rule: r, desc: d, condition: evt.type = open and proc.name in (a), output: o, priority: info}\n",
        &["1:10 error LOAD_ERR_COMPILE_CONDITION", "2:67 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {list: a, items: [b, c]}\n- {rule: r, desc: d, condition: evt.type = open and proc.name = a, output: o, priority: info}\n",
        &["2:65 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    // Macros.
    ("- macro: a\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {macro: a, condition: }\n", &["1:14 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {macro: a, condition: [evt.num = 0]}\n", &["1:25 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {macro: a, condition: evt.num = 0}\n", &["1:11 warning LOAD_UNUSED_MACRO"]),
    (
        "- {macro: a, condition: and evt.num = 0, append: true}\n",
        &["1:11 error LOAD_ERR_VALIDATE", "1:42 warning LOAD_DEPRECATED_ITEM"],
    ),
    ("- {macro: a, condition: a}\n", &["1:25 error LOAD_ERR_VALIDATE"]),
    (
        "- {macro: a, condition: b}\n- {macro: b, condition: evt.num = 0}\n",
        &["1:11 warning LOAD_UNUSED_MACRO", "1:25 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {macro: a, condition: evt.num =}\nR",
        &["1:11 warning LOAD_UNUSED_MACRO", "1:34 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {macro: a, condition: evt.num = 0 and}\nR",
        &["1:11 warning LOAD_UNUSED_MACRO", "1:37 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {macro: a, condition: proc.nam = b}\nR",
        &["1:11 warning LOAD_UNUSED_MACRO", "1:25 warning LOAD_UNKNOWN_FILTER"],
    ),
    // Rules: keys.
    ("- {rule: r, condition: evt.type = open, output: o, priority: info}\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {rule: r, desc: d, output: o, priority: info}\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {rule: r, desc: d, condition: evt.type = open, priority: info}\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    ("- {rule: r, desc: d, condition: evt.type = open, output: o}\n", &["1:10 error LOAD_ERR_YAML_VALIDATE"]),
    (
        "- {rule: r, desc: d}\n",
        &[
            "1:10 error LOAD_ERR_YAML_VALIDATE",
            "1:10 error LOAD_ERR_YAML_VALIDATE",
            "1:10 error LOAD_ERR_YAML_VALIDATE",
        ],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: warn}\n",
        &["1:71 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, tags: a}\n",
        &["1:83 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, enabled: 3}\n",
        &["1:86 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, source: k8s_audit}\n",
        &["1:85 warning LOAD_UNKNOWN_SOURCE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, capture: true}\n",
        &["1:77 warning EYAS_UNAVAILABLE"],
    ),
    (
        "R- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, source: other}\n",
        &["2:85 error LOAD_ERR_VALIDATE"],
    ),
    // Rules: conditions and outputs.
    (
        "- {rule: r, desc: d, condition: evt.type = open and m, output: o, priority: info}\n",
        &["1:53 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and (, output: o, priority: info}\n",
        &["1:53 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and fd.nam = a, output: o, priority: info}\n",
        &["1:53 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = opne, output: o, priority: info}\n",
        &["1:44 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and fd.num = a, output: o, priority: info}\n",
        &["1:62 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    ("- {rule: r, desc: d, condition: proc.name = a, output: o, priority: info}\n", &["1:33 warning LOAD_NO_EVTTYPE"]),
    ("- {rule: r, desc: d, condition: proc.name = a, output: o, priority: info, warn_evttypes: false}\n", &[]),
    (
        "- {rule: r, desc: d, condition: evt.type = open and proc.name = <NA>, output: o, priority: info}\n",
        &["1:65 warning LOAD_UNSAFE_NA_CHECK"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and evt.dir = <, output: o, priority: info}\n",
        &["1:53 warning LOAD_DEPRECATED_ITEM"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and proc.name = proc.pname, output: o, priority: info}\n",
        &["1:65 warning LOAD_COMPILE_CONDITION"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: \"%proc.nam x\", priority: info}\n",
        &["1:60 error LOAD_ERR_COMPILE_OUTPUT"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open and fd.nam = a, output: o, priority: info, skip-if-unknown-filter: true}\n",
        &["1:53 warning LOAD_UNKNOWN_FILTER"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: \"%fd.nam\", priority: info, skip-if-unknown-filter: true}\n",
        &["1:60 warning LOAD_UNKNOWN_FILTER"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: \"a %container.info b %proc.nam\", priority: info}\n",
        &["1:58 warning LOAD_DEPRECATED_ITEM", "1:58 error LOAD_ERR_COMPILE_OUTPUT"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: \"a %evt.dir\", priority: info}\n",
        &["1:62 warning LOAD_DEPRECATED_ITEM"],
    ),
    // Rules: changes.
    ("- {rule: r, enabled: false}\n", &["1:10 error LOAD_ERR_VALIDATE", "1:13 warning LOAD_DEPRECATED_ITEM"]),
    ("R- {rule: r, enabled: false}\n", &["2:13 warning LOAD_DEPRECATED_ITEM"]),
    ("R- {rule: r}\n", &["2:10 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, condition: and fd.num > 2, append: true}\n", &["2:40 warning LOAD_DEPRECATED_ITEM"]),
    ("R- {rule: r, append: true}\n", &["2:10 error LOAD_ERR_VALIDATE", "2:13 warning LOAD_DEPRECATED_ITEM"]),
    ("R- {rule: R, condition: and fd.num > 2, override: {condition: append}}\n", &["2:10 error LOAD_ERR_VALIDATE"]),
    (
        "R- {rule: r, condition: and fd.num > 2, append: true, override: {condition: append}}\n",
        &["2:40 error LOAD_ERR_YAML_VALIDATE"],
    ),
    ("R- {rule: r, priority: error, override: {priority: append}}\n", &["2:51 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, priority: error, override: {priority: relpace}}\n", &["2:51 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, source: x, override: {source: replace}}\n", &["2:35 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, override: {priority: replace}}\n", &["2:24 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, priority: error, desc: x, override: {priority: replace}}\n", &["2:30 error LOAD_ERR_YAML_VALIDATE"]),
    ("R- {rule: r, priority: error, override: replace}\n", &["2:30 error LOAD_ERR_YAML_VALIDATE"]),
    (
        "R- {rule: r, condition: and fd.nam = 2, override: {condition: append}}\n",
        &["2:28 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    // Exceptions.
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: x}\n",
        &["1:77 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [x]}\n",
        &["1:90 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{fields: fd.num}]}\n",
        &["1:90 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e}]}\n",
        &["1:97 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: proc.nam}]}\n",
        &["1:108 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: fd.num, comps: =}]}\n",
        &["1:123 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: [fd.num], comps: [is]}]}\n",
        &["1:126 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: [fd.num], comps: [=, in]}]}\n",
        &["1:125 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: fd.num, comps: [in]}]}\n",
        &["1:123 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: proc.name, values: a}]}\n",
        &["1:127 error LOAD_ERR_YAML_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: proc.name, values: [[a]]}]}\n",
        &["1:128 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: [proc.name], values: [a]}]}\n",
        &["1:130 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: [proc.name], values: [[[a, b]]]}]}\n",
        &["1:131 error LOAD_ERR_VALIDATE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: proc.name}, {name: e, fields: proc.name}]}\n",
        &["1:127 warning LOAD_EXCEPTION_NAME_NOT_UNIQUE"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, field: x, fields: proc.name}]}\n",
        &["1:100 warning LOAD_UNKNOWN_ITEM"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open or evt.type = creat, output: o, priority: info, exceptions: [{name: e, fields: proc.name, values: [a]}]}\n",
        &["1:117 warning EYAS_OPEN_OR"],
    ),
    (
        "- {rule: r, desc: d, condition: evt.type = open, output: o, priority: info, exceptions: [{name: e, fields: fd.num, values: [a]}]}\n",
        &["1:97 error LOAD_ERR_COMPILE_CONDITION"],
    ),
    (
        "R- {rule: r, exceptions: [{name: e}], override: {exceptions: append}}\n",
        &["2:33 warning LOAD_APPEND_NO_VALUES", "2:33 error LOAD_ERR_VALIDATE"],
    ),
    // Versions.
    ("- required_engine_version: 0.64.0\n", &["1:28 error LOAD_ERR_VALIDATE"]),
    ("- required_engine_version: 64\n", &["1:28 error LOAD_ERR_VALIDATE"]),
    ("- required_engine_version: 1.0.0\n", &["1:28 error LOAD_ERR_VALIDATE"]),
    ("- required_engine_version: 63\n- required_engine_version: 0.31.0\n- required_engine_version: 0.63.0-rc1\n", &[]),
    ("- required_engine_version: new\n", &["1:28 error LOAD_ERR_YAML_VALIDATE"]),
    ("- required_plugin_versions: [{name: container, version: 0.4.0}]\n", &[]),
    ("- required_plugin_versions: [{name: json, version: 0.7.0}]\n", &["1:37 warning EYAS_UNAVAILABLE"]),
    (
        "- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: [{name: container, version: 0.4.0}]}]\n",
        &[],
    ),
    (
        "- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: [{name: json, version: 0.4.0}]}]\n",
        &["1:37 warning EYAS_UNAVAILABLE", "1:81 error LOAD_ERR_VALIDATE"],
    ),
    ("- required_plugin_versions: [{name: json}]\n", &["1:30 error LOAD_ERR_YAML_VALIDATE"]),
    ("- required_plugin_versions: [{name: json, version: x}]\n", &["1:52 error LOAD_ERR_VALIDATE"]),
    ("- required_plugin_versions: json\n", &["1:29 error LOAD_ERR_YAML_VALIDATE"]),
    ("- required_plugin_versions: [json]\n", &["1:30 error LOAD_ERR_YAML_VALIDATE"]),
];

#[test]
fn every_mistake_has_its_code_and_place() {
    let mut wrong = Vec::new();
    for (text, expected) in CASES {
        let found = told(&loaded(&[("rules.yaml", &expand(text))]));
        if found != *expected {
            wrong.push(format!("{text}  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    assert!(CASES.len() >= 60);
}

/// A line that begins with `R` is the good rule and what follows.
fn expand(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('R') {
        Some("") => R.to_owned(),
        Some(rest) => format!("{R}{rest}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
