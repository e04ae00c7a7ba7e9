//! The commands as people and scripts run them: output, exit codes, the streams they go to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use common::folder;
use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn kubectl_eyas(args: &[&str], dir: &TempDir) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-eyas")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const GOOD: &str = "\
apiVersion: eyas.dev/v1alpha1
kind: DetectionRule
metadata: {name: shadow}
spec:
  description: somebody reads the shadow file
  priority: Warning
  condition: |
    evt.type in (open, openat)
    and fd.name = /etc/shadow
  output: read (command=%proc.cmdline)
  tests:
    - name: by name
      expect: Match
      events:
        - {evt.type: openat, fd.name: /etc/shadow}
";

#[test]
fn good_rules_pass() {
    let dir = folder(&[("good.yaml", GOOD)]);
    let output = kubectl_eyas(&["check", "."], &dir);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "1 rule: 1 would be armed\n1 object in 1 file: no problem\n")
    );
    let output = kubectl_eyas(&["test", "good.yaml"], &dir);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).ends_with("1 rule: 1 test, 1 event; all passed\n"), "{}", stdout(&output));
}

#[test]
fn a_mistake_is_shown_in_its_file() {
    let bad = GOOD.replace("fd.name = /etc/shadow\n", "fd.nam = /etc/shadow\n").replace("%proc.cmdline", "%proc.cmd");
    let dir = folder(&[("bad.yaml", &bad), ("good.yaml", &GOOD.replace("name: shadow", "name: other"))]);
    let output = kubectl_eyas(&["check", "."], &dir);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output), @r"
    error[LOAD_ERR_COMPILE_CONDITION]: unknown field fd.nam
     --> ./bad.yaml:9:5
      |
    9 | and fd.nam = /etc/shadow
      |     ^^^^^^
      |
      = note: in condition of DetectionRule eyas-system/shadow
      = help: did you mean fd.name?

    error[LOAD_ERR_COMPILE_OUTPUT]: unknown field proc.cmd
      --> ./bad.yaml:10:16
       |
    10 | read (command=%proc.cmd)
       |                ^^^^^^^^
       |
       = note: in output of DetectionRule eyas-system/shadow
       = help: did you mean proc.cmdline?

    2 rules: 1 would be armed, 1 refused
    2 objects in 2 files: 2 errors
    ");
}

#[test]
fn programs_get_places_in_json() {
    let dir = folder(&[("bad.yaml", &GOOD.replace("fd.name = ", "fd.nam = "))]);
    let output = kubectl_eyas(&["check", "bad.yaml", "-o", "json"], &dir);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = &answer["problems"][0];
    assert_eq!((answer["ok"].as_bool(), answer["objects"].as_i64()), (Some(false), Some(1)));
    let place = [&problem["file"], &problem["line"], &problem["column"], &problem["code"], &problem["suggestion"]];
    assert_eq!(
        serde_json::json!(place),
        serde_json::json!(["bad.yaml", 9, 9, "LOAD_ERR_COMPILE_CONDITION", "did you mean fd.name?"])
    );
}

#[test]
fn a_failing_test_says_what_decided() {
    let dir = folder(&[("rule.yaml", &GOOD.replace("fd.name: /etc/shadow", "fd.name: /etc/passwd"))]);
    let output = kubectl_eyas(&["test", "rule.yaml"], &dir);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let expected = "test \"by name\", event 1: expected a match, found none; `fd.name = /etc/shadow` was false: fd.name=/etc/passwd";
    assert!(text.contains(expected) && text.ends_with("1 rule failed\n"), "{text}");
}

#[test]
fn conditions_are_checked_alone() {
    let dir = folder(&[]);
    let run = |args: &[&str]| {
        let output = kubectl_eyas(args, &dir);
        (output.status.code(), stdout(&output))
    };
    let (code, text) = run(&["check", "--condition", "proc.name=a and(fd.num>=0)"]);
    assert_eq!((code, text.as_str()), (Some(0), "ok: proc.name = a and fd.num >= 0\n"));
    let (code, text) = run(&["check", "--condition", "proc.nme = a and some_macro", "--syntax-only"]);
    assert_eq!((code, text.as_str()), (Some(0), "ok\n"));
    let (code, text) = run(&["check", "--condition", "proc.name = a and", "-o", "json"]);
    assert_eq!(code, Some(1));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["column"], 15);
    // A warning leaves the exit status at 0.
    let (code, text) = run(&["check", "--condition", "evt.type = open and proc.env[A] = b"]);
    assert!(code == Some(0) && text.starts_with("warning[EYAS_UNAVAILABLE]"), "{text}");
}

#[test]
fn editors_get_a_line_for_a_line() {
    let dir = folder(&[(
        "lib.yaml",
        "{apiVersion: eyas.dev/v1alpha1, kind: RuleLibrary, metadata: {name: l}, spec: {macros: [{name: here, condition: fd.num = 1}]}}",
    )]);
    let mut requests = b"{\"expr\": \"proc.name = a and here\"}\r\n\nno json\n".to_vec();
    requests.extend(b"{\"expr\": \"m and proc.x = 1\", \"syntaxOnly\": true}\n{\"expr\": \"m and\\n proc.nam = 1\"}\n");
    // A line that is too long, and one that is no UTF-8, take no other with them.
    requests.extend(b"{\"expr\": \"");
    requests.extend(std::iter::repeat_n(b'a', 5 << 20));
    requests.extend(b"\"}\n{\"expr\": \"\xff\"}\n{\"expr\": 1}\n{\"expr\": \"proc.env[A] = 1\"}");
    let (code, text, _) = common::run_with(&dir, &["check", "lib.yaml", "--stdin-jsonl"], &requests);
    let answers: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let ok: Vec<_> = answers.iter().map(|a| a["ok"].as_bool().unwrap()).collect();
    assert_eq!((code, ok), (Some(1), vec![true, false, true, false, false, false, false, true]));
    let error = |n: usize| answers[n]["error"].as_str().unwrap_or_default();
    assert!(answers[0]["error"].is_null());
    assert!(error(1).starts_with("malformed request") && error(1).contains("send {\"expr\""), "{}", error(1));
    insta::assert_yaml_snapshot!(answers[3], @r#"
    ok: false
    error: "unknown macro m; define it in `macros`, or in a RuleLibrary of this namespace"
    message: unknown macro m
    code: LOAD_ERR_COMPILE_CONDITION
    line: 1
    column: 1
    endLine: 1
    endColumn: 2
    suggestion: "define it in `macros`, or in a RuleLibrary of this namespace"
    errors:
      - message: unknown macro m
        code: LOAD_ERR_COMPILE_CONDITION
        line: 1
        column: 1
        endLine: 1
        endColumn: 2
        suggestion: "define it in `macros`, or in a RuleLibrary of this namespace"
      - message: unknown field proc.nam
        code: LOAD_ERR_COMPILE_CONDITION
        line: 2
        column: 2
        endLine: 2
        endColumn: 10
        suggestion: did you mean proc.name?
    "#);
    assert_eq!(error(4), "the request is longer than 4194304 bytes");
    assert!(error(5).contains("invalid unicode") && error(6).contains("invalid type: integer"), "{text}");
    assert_eq!(answers[7]["warnings"][0]["code"], "EYAS_UNAVAILABLE");
}

/// An editor sends one request and waits for its answer.
#[test]
fn each_answer_comes_at_once() {
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-eyas"))
        .args(["check", "--stdin-jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for n in 0..3 {
        writeln!(requests, "{{\"expr\": \"fd.num = {n}\"}}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "{\"ok\":true,\"error\":null}");
    }
    drop(requests);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn objects_come_from_stdin_too() {
    let bad = GOOD.replace("fd.name = /etc/shadow\n", "fd.nam = /etc/shadow\n");
    let (code, out, _) = common::run_with(&folder(&[]), &["check", "-"], bad.as_bytes());
    assert_eq!(code, Some(1));
    assert!(out.contains("--> <stdin>:9:5") && out.ends_with("1 object in 1 file: 1 error\n"), "{out}");
    let (code, out, _) = common::run_with(&folder(&[]), &["check", "-"], b"\xff\xfe");
    assert!(code == Some(1) && out.contains("is no UTF-8 text"), "{out}");
    // Beside files: the same object twice is told.
    let dir = folder(&[("good.yaml", GOOD)]);
    let (code, out, _) = common::run_with(&dir, &["check", "good.yaml", "-"], GOOD.as_bytes());
    assert!(code == Some(1) && out.contains("DetectionRule eyas-system/shadow is there twice"), "{out}");
}

#[test]
fn check_says_what_would_be_armed() {
    let rule = |name: &str, condition: &str| {
        GOOD.replace("name: shadow", &format!("name: {name}"))
            .replace("fd.name = /etc/shadow\n", condition)
            .split("  tests:")
            .next()
            .unwrap()
            .to_owned()
    };
    let dir = folder(&[
        ("a.yaml", &rule("a", "fd.num = 1\n")),
        ("b.yaml", &rule("b", "proc.env[A] = b\n")),
        ("c.yaml", &rule("c", "not proc.env[A] = b\n")),
        ("d.yaml", &rule("d", "fd.num = 1\n").replace("priority:", "state: Disabled\n  priority:")),
        ("e.yaml", &rule("e", "fd.nam = 1\n")),
    ]);
    let (_, out, _) = common::run(&dir, &["check", "."]);
    let expected = "5 rules: 2 would be armed, 1 refused, 1 disabled, 1 never, since no event that a hook supplies yet can match \
                    (eyas-system/b), 2 with fields that no hook supplies yet (eyas-system/b, eyas-system/c)\n";
    assert!(out.contains(expected), "{out}");
    let (_, out, _) = common::run(&dir, &["check", ".", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["rules"]["neverArmed"], serde_json::json!(["eyas-system/b"]));
}

#[test]
fn every_failed_event_and_every_rule_without_tests_is_told() {
    let events = "        - {evt.type: openat, fd.name: /tmp/a}\n        - {evt.type: openat, fd.name: /etc/shadow}\n        - {evt.type: open}\n";
    let failing = GOOD.replace("        - {evt.type: openat, fd.name: /etc/shadow}\n", events);
    let untested = GOOD.replace("name: shadow", "name: untested");
    let untested = untested.split("  tests:").next().unwrap();
    let dir = folder(&[("failing.yaml", &failing), ("untested.yaml", untested)]);
    let (code, out, _) = common::run(&dir, &["test", "."]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(out, @r#"
    FAIL eyas-system/shadow                           1 test, 3 events
         ./failing.yaml:15:11: test "by name", event 1: expected a match, found none; `fd.name = /etc/shadow` was false: fd.name=/tmp/a
         ./failing.yaml:17:11: test "by name", event 3: expected a match, found none; `fd.name = /etc/shadow` was false: fd.name has no value
    none eyas-system/untested                         0 tests, 0 events

    2 rules: 1 test, 3 events; 1 rule without tests; 1 rule failed
    "#);
    let (code, out, _) = common::run(&dir, &["test", ".", "--rule", "untested"]);
    assert_eq!(
        (code, out.as_str()),
        (
            Some(0),
            "none eyas-system/untested                         0 tests, 0 events\n\n1 rule: 0 tests, 0 events; 1 rule without tests\n"
        )
    );
    let (code, _, err) = common::run(&dir, &["test", ".", "--rule", "shadw"]);
    assert!(code == Some(2) && err.contains("did you mean \"shadow\"?"), "{err}");
    let (code, out, _) = common::run(&dir, &["test", ".", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, answer["ok"].as_bool()), (Some(1), Some(false)));
    let failures = &answer["rules"][0]["failures"];
    assert_eq!((failures[1]["event"].as_i64(), failures[1]["line"].as_i64()), (Some(2), Some(17)), "{failures}");
}

#[test]
fn completions_are_written_for_each_shell() {
    for (shell, words) in
        [("bash", "complete -F"), ("zsh", "#compdef kubectl-eyas"), ("fish", "complete -c kubectl-eyas")]
    {
        let (code, out, _) = common::run(&folder(&[]), &["completion", shell]);
        assert!(code == Some(0) && out.contains(words) && out.contains("stdin-jsonl"), "{shell}");
    }
    let (code, out, _) = common::run(&folder(&[]), &["__complete", "ex"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("explain\tExplain a rule") && out.ends_with("\n:4\n"), "{out}");
}

#[test]
fn wrong_use_exits_with_two() {
    let dir = folder(&[]);
    for args in [&["check"][..], &["check", "missing"], &["check", "--nonsense"], &["test", "missing"], &["test"]] {
        let output = kubectl_eyas(args, &dir);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    let helps = [&[][..], &["check"], &["test"], &["eval"], &["explain"], &["completion"], &["fields"]];
    for command in helps {
        let output = kubectl_eyas(&[command, &["--help"]].concat(), &dir);
        assert_eq!(output.status.code(), Some(0));
        let teaches =
            ["kubectl eyas", "kubectl-eyas"].iter().any(|example| stdout(&output).contains(&format!("  {example}")));
        assert!(teaches || command == ["completion"], "{command:?} shows no example");
    }
    assert_eq!(kubectl_eyas(&["--version"], &dir).status.code(), Some(0));
}
