//! Tests of evaluation: missing and pending values, many values, transformers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{compile::check_condition, source::Sources, testing::MapEvent};
use rstest::rstest;
use serde_json::json;

fn event() -> MapEvent {
    let fields = json!({
        "evt.type": "execve", "evt.time": 1_700_000_000_123_456_789_u64, "proc.name": "Bash", "proc.exe": "YmFzaA",
        "proc.exepath": "/usr/bin/bash", "proc.args": "-n -t 5 -vx rest", "proc.pid": 7, "proc.ppid": 7,
        "proc.aname[1]": "sh", "proc.aname[2]": "sshd", "proc.tty": 0, "evt.rawarg.flags": 16, "evt.res": "SUCCESS",
        "container.privileged": false, "user.name": null
    });
    MapEvent::from_map(&serde_json::from_value(fields).unwrap()).unwrap()
}

#[rstest]
// Missing values.
#[case("user.name = root", false)]
#[case("user.name != root", false)]
#[case("not user.name = root", true)]
#[case("user.name exists", false)]
#[case("not user.name exists", true)]
#[case("user.name in (root)", false)]
#[case("len(user.name) >= 0", false)]
#[case("concat(user.name, proc.name) exists", false)]
#[case("proc.name = val(user.name)", false)]
#[case("not user.name = val(proc.name)", true)]
// Many values: any ancestor, not the process itself.
#[case("proc.aname = sshd", true)]
#[case("proc.aname = Bash", false)]
#[case("proc.aname[0] = Bash", true)]
#[case("proc.aname[2] = sshd", true)]
#[case("proc.aname[3] exists", false)]
#[case("proc.aname in (x, sh)", true)]
#[case("proc.aname != sh", true)]
#[case("not proc.aname = sh", false)]
#[case("toupper(proc.aname) = SSHD", true)]
#[case("proc.pname = sh", true)]
#[case("len(proc.aname) = 2", true)]
// Transformers.
#[case("tolower(proc.name) = bash", true)]
#[case("b64(proc.exe) = bash", true)]
#[case("b64(proc.name) exists", true)]
#[case("b64(proc.args) exists", false)]
#[case("basename(proc.exepath) = tolower(proc.name)", true)]
#[case("len(proc.name) = 4", true)]
#[case("concat(proc.name, \":\", proc.pid) = Bash:7", true)]
#[case("join(\"->\", proc.aname) = sh->sshd", true)]
#[case("join(\" \", (proc.name, proc.pname)) = \"Bash sh\"", true)]
#[case("getopt(proc.args, \"nt:\") intersects (t)", true)]
#[case("getopt(proc.args, \"nt:\") in (n, t, 5, \"?\")", true)]
#[case("getopt(proc.args, \"nt:\") in (n)", false)]
#[case("getopt(proc.args, \"nt:\")[t] = 5", true)]
#[case("getopt(proc.args, \"nt:\")[n] exists", true)]
#[case("getopt(proc.args, \"z\") intersects (z)", false)]
// Values of other fields.
#[case("proc.pid = val(proc.ppid)", true)]
#[case("proc.pid >= val(proc.ppid)", true)]
#[case("proc.exepath endswith tolower(proc.name)", true)]
#[case("proc.pname in val(proc.aname)", true)]
// Kinds.
#[case("evt.rawarg.flags = 0x10", true)]
#[case("evt.rawarg.flags > 15", true)]
#[case("container.privileged = false", true)]
#[case("container.privileged != true", true)]
#[case("evt.time startswith 22:13:20.123", true)]
#[case("evt.time = 22:13:20.123456789", true)]
#[case("evt.dir = <", true)]
#[case("proc.tty = 0", true)]
fn holds(#[case] condition: &str, #[case] expected: bool) {
    let (expr, _) = check_condition(condition, &Sources::default()).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(
        evaluate(&expr, &event()).unwrap(),
        Truth::from(expected),
        "{}",
        crate::testing::explain(&expr, &event())
    );
}

#[rstest]
#[case(0, "1970-01-01 00:00:00.000000000")]
#[case(951_782_400_000_000_000, "2000-02-29 00:00:00.000000000")]
#[case(1_709_251_199_999_999_999, "2024-02-29 23:59:59.999999999")]
#[case(4_107_542_399_000_000_000, "2100-02-28 23:59:59.000000000")]
fn times_are_civil(#[case] ns: u64, #[case] expected: &str) {
    assert_eq!(render_clock(crate::field::Field::EvtDatetime, ns), expected);
}

#[rstest]
#[case("proc.name = val(proc.pid)", "a field of kind text cannot be compared with one of kind signed number")]
#[case("proc.name regex val(proc.pname)", "`regex` takes a literal on its right, not a field")]
#[case("proc.name > val(proc.pname)", "`>` orders numbers only")]
fn unfit_fields_are_refused(#[case] condition: &str, #[case] message: &str) {
    let problems = check_condition(condition, &Sources::default()).unwrap_err();
    assert_eq!(problems[0].message, message);
}
