//! `eval` and `explain`: recorded events through rules, and why a rule does or does not match.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use common::{folder, run, run_with};
use serde_json::Value;
use tempfile::TempDir;

const RULES: &str = "\
apiVersion: eyas.dev/v1alpha1
kind: RuleLibrary
metadata: {name: lib}
spec:
  macros:
    - name: opened
      condition: evt.type in (open, openat) and evt.is_open_read = true and fd.num >= 0
  lists:
    - {name: quiet, items: [backup, rsync]}
---
apiVersion: eyas.dev/v1alpha1
kind: DetectionRule
metadata: {name: secret-read}
spec:
  name: Secret read
  priority: Warning
  tags: [host]
  condition: opened and fd.name startswith /run/secrets/ and not proc.name in (quiet)
  output: Secret read (file=%fd.name process=%proc.name)
---
apiVersion: eyas.dev/v1alpha1
kind: DetectionRule
metadata: {name: in-shop, namespace: shop}
spec:
  priority: Notice
  state: Shadow
  condition: opened
  output: opened %fd.name
  exceptions:
    - {name: tests, fields: proc.name, values: [test]}
---
apiVersion: eyas.dev/v1alpha1
kind: Exception
metadata: {name: payment}
spec:
  rules: [Secret read]
  reason: It reads its own key.
  match: {processes: [payment]}
";

const EVENTS: &str = r#"{"evt.type":"openat","evt.is_open_read":true,"fd.num":3,"fd.name":"/run/secrets/key","proc.name":"cat","evt.rawtime":1760000000000000001,"k8s.node.name":"n1"}
{"evt.type":"openat","evt.is_open_read":true,"fd.num":3,"fd.name":"/run/secrets/key","proc.name":"payment"}

{"evt.type":"openat","evt.is_open_read":true,"fd.num":3,"fd.name":"/tmp/x","proc.name":"cat","k8s.ns.name":"shop"}
{"evt.type":"openat","fd.nam":"/tmp/x"}
{"evt.type":"openat",
["evt.type"]
{"evt.type":"openat","evt.is_open_read":true,"fd.num":3,"fd.name":"/run/secrets/key","proc.name":"rsync"}
"#;

fn rules() -> TempDir {
    folder(&[("rules.yaml", RULES), ("events.jsonl", EVENTS)])
}

#[test]
fn events_in_matches_out() {
    let (code, out, err) = run(&rules(), &["eval", "--rules", "rules.yaml", "--events", "events.jsonl", "--all"]);
    // Lines that are no event make it 1; the others were still tried.
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(out, @r"
    events.jsonl:1: Warning Secret read (file=/run/secrets/key process=cat) [Secret read, eyas-system/secret-read]
    events.jsonl:2: Warning Secret read (file=/run/secrets/key process=payment) [Secret read, eyas-system/secret-read] silenced by Exception eyas-system/payment
    events.jsonl:4: Notice opened /tmp/x [shop/in-shop] (Shadow: counted, never sent)
    events.jsonl:8: no match
    ");
    insta::assert_snapshot!(err, @r#"
    events.jsonl:5: the event cannot be: fd.nam: unknown field fd.nam; did you mean fd.name?
    events.jsonl:6: no event: EOF while parsing a value at column 21; write one JSON object, such as {"evt.type": "openat", "fd.name": "/etc/shadow"}
    events.jsonl:7: no event: invalid type: sequence, expected a map; write one JSON object, such as {"evt.type": "openat", "fd.name": "/etc/shadow"}
    4 events against 2 rules: 2 matched, 1 silenced by exceptions, 1 matched nothing; 3 lines without an event
    "#);
}

#[test]
fn alerts_have_falcos_shape() {
    let first = EVENTS.lines().next().unwrap();
    let (code, out, _) = run_with(&rules(), &["eval", "--rules", ".", "--events", "-", "-o", "json"], first.as_bytes());
    assert_eq!(code, Some(0));
    let mut alert: Value = serde_json::from_str(&out).unwrap();
    let revision = alert["eyas"].as_object_mut().unwrap().remove("revision").unwrap();
    assert_eq!(revision.as_str().map(str::len), Some(16));
    insta::assert_yaml_snapshot!(alert, @r#"
    line: 1
    outcome: matched
    rule: Secret read
    priority: Warning
    source: syscall
    output: "08:53:20.000000001: Warning Secret read (file=/run/secrets/key process=cat)"
    message: Secret read (file=/run/secrets/key process=cat)
    output_fields:
      fd.name: /run/secrets/key
      proc.name: cat
    tags:
      - host
    eyas:
      policy: eyas-system/secret-read
      state: Active
    time: "2025-10-09T08:53:20.000000001Z"
    hostname: n1
    "#);
}

#[test]
fn a_rule_that_is_not_sound_is_told_and_the_others_are_tried() {
    let dir = folder(&[(
        "rules.yaml",
        &RULES.replace("    - {name: tests, fields: proc.name", "    - {name: tests, fields: proc.nam"),
    )]);
    let event = EVENTS.lines().next().unwrap();
    let (code, out, err) = run_with(&dir, &["eval", "--rules", "rules.yaml", "--events", "-"], event.as_bytes());
    assert_eq!(code, Some(1));
    assert!(out.contains("[Secret read, eyas-system/secret-read]"), "{out}");
    assert!(err.contains("unknown field proc.nam") && err.contains("1 event against 1 rule"), "{err}");
}

#[test]
fn a_rule_is_explained() {
    let (code, out, err) = run(&rules(), &["explain", "Secret read", "--rules", "rules.yaml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(out, @r"
    Secret read  Warning  DetectionRule eyas-system/secret-read, rules.yaml:15

     cost  condition                           supplied by
       17  all of
       10    all of                            macro opened of eyas-system/lib
        4      evt.type in (open, openat)      every event
        3      evt.is_open_read = true         hook open
        3      fd.num >= 0                     hook open, connect, accept, socket, memfd, bpf, userfaultfd, bind, listen, send, dup, chmod, chown, module, namespace, io_uring, splice
        3    fd.name startswith /run/secrets/  hook open, connect, accept, socket, memfd, bpf, userfaultfd, bind, listen, send, dup, chmod, chown, module, namespace, io_uring, splice
        4    not proc.name in (backup, rsync)  list quiet; process table

    events     open, openat (hook open)
    kernel     open: for reading, succeeded
    derived    open: open or openat, read, succeeded, path prefix /run/secrets/
    field      evt.type          text: Name of the event, such as openat.
    field      evt.is_open_read  boolean: Opened for reading (O_RDONLY or O_RDWR).
    field      proc.name         text: Name of the process (the kernel's comm, at most 15 bytes).
    field      fd.num            signed number: File descriptor; negative when a call that makes one failed.
    field      fd.name           text: Absolute path of a file; `client:port->server:port` of a connection; own address of a socket that is only bound; path of a unix socket; `pipe:[inode]`, `ns:[inode]` (a namespace), `memfd:name`, `[eventpoll]` and the like.
    exception  eyas-system/payment: where proc.name glob anyof (payment)
    ");
}

#[test]
fn an_event_is_explained_by_the_part_that_decided() {
    let dir = rules();
    let event =
        r#"{"evt.type": "openat", "evt.is_open_read": true, "fd.num": 3, "fd.name": "/tmp/x", "proc.name": "rsync"}"#;
    let explain = |event: &str| run(&dir, &["explain", "secret-read", "--event", event]).1;
    insta::assert_snapshot!(explain(event), @r"
    Secret read  Warning  DetectionRule eyas-system/secret-read, ./rules.yaml:15

    no match: `fd.name startswith /run/secrets/` was false: fd.name=/tmp/x
         also: `not proc.name in (backup, rsync)` was false: proc.name=rsync

    was     cost  condition                           saw
    false     17  all of
    true      10    all of                            macro opened of eyas-system/lib
    true       4      evt.type in (open, openat)      evt.type=openat
    true       3      evt.is_open_read = true         evt.is_open_read=true
    true       3      fd.num >= 0                     fd.num=3
    false      3    fd.name startswith /run/secrets/  fd.name=/tmp/x
    false      4    not proc.name in (backup, rsync)  list quiet; proc.name=rsync

    events     open, openat (hook open)
    kernel     open: for reading, succeeded
    derived    open: open or openat, read, succeeded, path prefix /run/secrets/
    field      evt.type          text: Name of the event, such as openat.
    field      evt.is_open_read  boolean: Opened for reading (O_RDONLY or O_RDWR).
    field      proc.name         text: Name of the process (the kernel's comm, at most 15 bytes).
    field      fd.num            signed number: File descriptor; negative when a call that makes one failed.
    field      fd.name           text: Absolute path of a file; `client:port->server:port` of a connection; own address of a socket that is only bound; path of a unix socket; `pipe:[inode]`, `ns:[inode]` (a namespace), `memfd:name`, `[eventpoll]` and the like.
    exception  eyas-system/payment: where proc.name glob anyof (payment)
    ");
    let first = |event: &str| explain(event).lines().nth(2).unwrap_or_default().to_owned();
    let good = event.replace("/tmp/x", "/run/secrets/key").replace("rsync", "payment");
    assert!(
        first(&good)
            .starts_with("match, silenced by Exception eyas-system/payment: `evt.type in (open, openat)` was true")
    );
    // From a file, as JSON.
    std::fs::write(dir.path().join("event.json"), event).unwrap();
    let (code, out, _) = run(&dir, &["explain", "secret-read", "--event", "@event.json", "-o", "json"]);
    let facts: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(facts["result"]["matched"], false);
    assert_eq!(facts["result"]["sentence"], "`fd.name startswith /run/secrets/` was false: fd.name=/tmp/x");
    assert_eq!(facts["tree"]["parts"][0]["from"][0]["macro"]["name"], "opened");
    assert_eq!(facts["tree"]["parts"][1]["seen"][0]["value"], "/tmp/x");
    assert_eq!(facts["tree"]["parts"][2]["parts"][0]["lists"][0], "quiet");
    assert_eq!(facts["hooks"], serde_json::json!(["open"]));
}

#[test]
fn a_tenants_rule_shows_its_bound_and_its_exceptions() {
    let (_, out, _) =
        run(&rules(), &["explain", "shop/in-shop", "--event", "{\"k8s.ns.name\": \"other\", \"proc.name\": \"test\"}"]);
    assert!(out.contains("no match: `k8s.ns.name = shop` was false: k8s.ns.name=other"), "{out}");
    assert!(out.contains("only pods of shop") && out.contains("inline exception tests"), "{out}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let dir = rules();
    let fails = |args: &[&str], code: i32, words: &str| {
        let (is, out, err) = run(&dir, args);
        assert_eq!((is, out.as_str()), (Some(code), ""), "{args:?}");
        assert!(err.contains(words), "{args:?}: {err}");
    };
    fails(&["explain", "secret-raed"], 1, "no DetectionRule is called \"secret-raed\"; did you mean \"secret-read\"?");
    fails(&["explain", "xyz"], 1, "there are: Secret read, in-shop");
    fails(&["explain", "--condition", "proc.nam = a"], 1, "did you mean proc.name?");
    fails(&["explain", "secret-read", "--event", "{}}"], 1, "no event: trailing characters at column 3");
    fails(&["explain", "secret-read", "--event", "{\"fd.num\": \"x\"}"], 1, "fd.num: \"x\" is no signed number");
    fails(&["explain", "secret-read", "--event", "@missing"], 2, "cannot read missing");
    fails(&["explain"], 2, "<RULE|--condition <EXPR>>");
    fails(&["eval", "--rules", "-", "--events", "-"], 2, "cannot both come from stdin");
    fails(&["eval", "--rules", ".", "--events", "missing"], 2, "cannot read missing");
}

#[test]
fn a_condition_is_explained_alone_and_says_that_it_is_never_armed() {
    let dir = folder(&[]);
    let (code, out, _) = run(&dir, &["explain", "--condition", "evt.type = open and proc.env[A] = b"]);
    assert_eq!(code, Some(0), "a warning");
    assert!(out.contains("the rule is never armed") && out.contains("no hook supplies proc.env[A] yet"), "{out}");
}

/// Falco's rules files serve wherever rules are asked for.
#[test]
fn rules_files_are_tried_as_objects_are() {
    let rules = "\
- list: quiet
  items: [rsync]
- rule: Secret read
  desc: d
  condition: evt.type = open and fd.name startswith /run/secrets and not proc.name in (quiet)
  output: read %fd.name
  priority: WARNING
";
    let event = |name| format!(r#"{{"evt.type": "open", "fd.name": "/run/secrets/k", "proc.name": "{name}"}}"#);
    let events = format!("{}\n{}\n", event("cat"), event("rsync"));
    let dir = folder(&[("rules.yaml", rules), ("events.jsonl", &events)]);
    let (code, out, err) = run(&dir, &["eval", "--rules", "rules.yaml", "--events", "events.jsonl", "-o", "json"]);
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{out}{err}");
    assert!(out.contains(r#""rule":"Secret read""#) && out.contains(r#""line":1"#), "{out}");
    let (code, out, err) = run(&dir, &["explain", "Secret read", "--rules", "rules.yaml"]);
    assert!(code == Some(0) && out.contains("derived    open: open, path prefix /run/secrets"), "{out}{err}");
}
