//! Five broken rules of each kind, as a new user reads what is said of them: each message alone must be enough to mend
//! the rule. Read the snapshots when they change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use common::{folder, run};
use std::fmt::Write as _;

/// A sound rule with a sound library, of which each case breaks one thing.
const SOUND: &str = "\
apiVersion: eyas.dev/v1alpha1
kind: DetectionRule
metadata:
  name: shadow-read
spec:
  priority: Warning
  lists:
    - name: readers
      items: [sshd, login]
  macros:
    - name: opened
      condition: evt.type in (open, openat) and fd.num >= 0
  condition: opened and fd.name = /etc/shadow and not proc.name in (readers)
  output: Shadow file read (file=%fd.name process=%proc.name)
  exceptions:
    - name: backup
      fields: [proc.name, proc.pname]
      comps: [=, startswith]
      values:
        - [rsync, cron]
  tests:
    - name: a shell reads it
      expect: Match
      events:
        - {evt.type: openat, fd.num: 3, fd.name: /etc/shadow, proc.name: bash}
";

/// What `check` says of the rule with one text replaced by another, for each pair.
fn told(cases: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (was, is) in cases {
        assert!(SOUND.contains(was), "the sound rule has no {was:?}");
        let dir = folder(&[("rule.yaml", &SOUND.replacen(was, is, 1))]);
        let (code, out, err) = run(&dir, &["check", "rule.yaml"]);
        assert_eq!((code, err.as_str()), (Some(1), ""), "{was} -> {is}: {out}");
        let problems = out.lines().take_while(|line| !line.contains(" would be armed")).collect::<Vec<_>>();
        // The last lines count; they are tested elsewhere.
        let problems =
            problems.into_iter().filter(|line| !line.starts_with("1 object in") && !line.starts_with("0 objects in"));
        writeln!(all, "==== {}\n{}\n", is.trim(), problems.collect::<Vec<_>>().join("\n").trim_end()).unwrap();
    }
    all
}

const CONDITION: &str = "opened and fd.name = /etc/shadow and not proc.name in (readers)";

#[test]
fn the_rule_that_is_broken_is_sound() {
    let (code, out, _) = run(&folder(&[("rule.yaml", SOUND)]), &["check", "rule.yaml"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 rule: 1 would be armed\n1 object in 1 file: no problem\n"));
}

#[test]
fn syntax() {
    insta::assert_snapshot!(told(&[
        (CONDITION, "opened and fd.name = /etc/shadow and not (proc.name in (readers)"),
        (CONDITION, "opened and fd.name /etc/shadow"),
        (CONDITION, "opened && fd.name = /etc/shadow"),
        (CONDITION, "opened and fd.name = '/etc/shadow"),
        (CONDITION, "opened and fd.name = /etc/shadow and not"),
    ]));
}

#[test]
fn unknown_fields() {
    insta::assert_snapshot!(told(&[
        (CONDITION, "opened and fd.nam = /etc/shadow"),
        (CONDITION, "opened and file.path = /etc/shadow"),
        (CONDITION, "opened and k8s.pod.label = app"),
        (CONDITION, "opened and proc.name[1] = sh"),
        (CONDITION, "opened and proc.aname[x] = sh"),
    ]));
}

#[test]
fn unknown_macros_and_lists() {
    insta::assert_snapshot!(told(&[
        (CONDITION, "opend and fd.name = /etc/shadow"),
        (CONDITION, "spawned_process and fd.name = /etc/shadow"),
        (CONDITION, "opened and readers"),
        (CONDITION, "opened and proc.name in readrs"),
        ("condition: evt.type in (open, openat) and fd.num >= 0", "condition: evt.type in (open, openat) and opened"),
    ]));
}

#[test]
fn type_mismatches() {
    insta::assert_snapshot!(told(&[
        (CONDITION, "opened and fd.num = three"),
        (CONDITION, "opened and evt.is_open_read = yes"),
        (CONDITION, "opened and proc.name > 3"),
        (CONDITION, "evt.type = connect and fd.sip = 10.0.0.0/33"),
        (CONDITION, "opened and fd.name regex '(/etc'"),
    ]));
}

#[test]
fn bad_outputs() {
    let output = "Shadow file read (file=%fd.name process=%proc.name)";
    insta::assert_snapshot!(told(&[
        (output, "read %fd.nam"),
        (output, "read 100%"),
        (output, "label %k8s.pod.label"),
        (output, "read %toupper(proc.name"),
        (output, "''"),
    ]));
}

#[test]
fn bad_yaml() {
    insta::assert_snapshot!(told(&[
        ("  priority: Warning\n", "\tpriority: Warning\n"),
        ("output: Shadow file read (file=%fd.name process=%proc.name)", "output: %fd.name was read: by %proc.name"),
        ("items: [sshd, login]", "items: [sshd, login"),
        ("  name: shadow-read\n", "  title: shadow-read\n"),
        ("kind: DetectionRule", "kind: DetectionRules"),
    ]));
}

#[test]
fn bad_specs() {
    insta::assert_snapshot!(told(&[
        ("priority: Warning", "priority: High"),
        ("priority: Warning", "severity: Warning"),
        ("  priority: Warning\n", ""),
        ("items: [sshd, login]", "items: sshd, login"),
        ("priority: Warning", "priority: Warning\n  state: Off"),
    ]));
}

#[test]
fn failing_tests() {
    let event = "{evt.type: openat, fd.num: 3, fd.name: /etc/shadow, proc.name: bash}";
    insta::assert_snapshot!(told(&[
        (event, "{evt.type: openat, fd.num: 3, fd.name: /etc/passwd, proc.name: bash}"),
        (event, "{evt.type: openat, fd.name: /etc/shadow, proc.name: bash}"),
        (event, "{evt.type: openat, fd.num: 3, fd.name: /etc/shadow, proc.name: sshd}"),
        (event, "{evt.type: openat, fd.num: 3, fd.name: /etc/shadow, proc.name: rsync, proc.pname: crond}"),
        ("expect: Match", "expect: NoMatch"),
    ]));
}

#[test]
fn bad_exceptions() {
    insta::assert_snapshot!(told(&[
        ("fields: [proc.name, proc.pname]", "fields: [proc.name, proc.parent]"),
        ("comps: [=, startswith]", "comps: [=]"),
        ("comps: [=, startswith]", "comps: [=, begins]"),
        ("- [rsync, cron]", "- [rsync]"),
        ("fields: [proc.name, proc.pname]", "fields: proc.name"),
    ]));
}

#[test]
fn bad_tests_sections() {
    let event = "{evt.type: openat, fd.num: 3, fd.name: /etc/shadow, proc.name: bash}";
    insta::assert_snapshot!(told(&[
        ("expect: Match", "expect: Yes"),
        ("      expect: Match\n", ""),
        (event, "{evt.type: openatt, fd.num: 3, fd.name: /etc/shadow}"),
        (event, "{evt.type: openat, fd.nmu: 3, fd.name: /etc/shadow}"),
        (event, "{evt.type: openat, fd.num: x, fd.name: /etc/shadow}"),
    ]));
}
