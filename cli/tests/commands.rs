//! The commands as people and scripts run them: output, exit codes, the streams they go to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::{
    fs,
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

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
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
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "1 object in 1 file: no problem\n"));
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
    let expected = "test \"by name\", event 1: expected a match, found none; `fd.name = /etc/shadow` is false: fd.name is \"/etc/passwd\"";
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
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-eyas"))
        .args(["check", "--stdin-jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let requests = "{\"expr\": \"proc.name = a\"}\n\nno json\n{\"expr\": \"m and proc.x = 1\", \"syntaxOnly\": true}\n{\"expr\": \"m\"}";
    child.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = stdout(&output);
    let answers: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let ok: Vec<_> = answers.iter().map(|a| a["ok"].as_bool().unwrap()).collect();
    assert_eq!((output.status.code(), ok), (Some(1), vec![true, false, true, false]));
    assert!(answers[0]["error"].is_null());
    assert!(answers[3]["error"].as_str().unwrap().starts_with("unknown macro m"));
}

#[test]
fn wrong_use_exits_with_two() {
    let dir = folder(&[]);
    for args in [&["check"][..], &["check", "missing"], &["check", "--nonsense"], &["test", "missing"], &["test"]] {
        let output = kubectl_eyas(args, &dir);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(kubectl_eyas(&["--help"], &dir).status.code(), Some(0));
    assert_eq!(kubectl_eyas(&["--version"], &dir).status.code(), Some(0));
}
