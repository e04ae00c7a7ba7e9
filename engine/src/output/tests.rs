//! Tests of templates.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::MapEvent;
use serde_json::json;

fn event(fields: Json) -> MapEvent {
    MapEvent::from_map(&serde_json::from_value(fields).unwrap()).unwrap()
}

#[test]
fn renders_text_and_values() {
    let template = Template::parse(
        "100%% of %proc.name (%proc.aname[2], %toupper(proc.name)) wrote %fd.name. at %evt.time.s: %proc.pname",
    )
    .unwrap();
    let event = event(json!({
        "evt.type": "openat", "proc.name": "bash", "proc.aname[2]": "sshd", "fd.name": "/etc/x",
        "evt.time.s": 86_399_000_000_000_u64
    }));
    assert_eq!(template.render(&event), "100% of bash (sshd, BASH) wrote /etc/x. at 23:59:59: <NA>");
    assert_eq!(
        Json::Object(template.values(&event)),
        json!({
            "proc.name": "bash", "proc.aname[2]": "sshd", "toupper(proc.name)": "BASH", "fd.name": "/etc/x",
            "evt.time.s": 86_399_000_000_000_u64, "proc.pname": null
        })
    );
}

#[test]
fn values_are_typed() {
    let template = Template::parse("%proc.pid %fd.sip %container.privileged %proc.aname").unwrap();
    let event = event(json!({
        "evt.type": "connect", "proc.pid": 7, "fd.sip": "10.0.0.1", "container.privileged": true,
        "proc.aname[1]": "a", "proc.aname[2]": "b"
    }));
    assert_eq!(template.render(&event), "7 10.0.0.1 true (a,b)");
    let expected = json!({
        "proc.pid": 7, "fd.sip": "10.0.0.1", "container.privileged": true, "proc.aname": ["a", "b"]
    });
    assert_eq!(Json::Object(template.values(&event)), expected);
}

#[rstest::rstest]
#[case("a %fd.nam b", "output:1:4: error LOAD_ERR_COMPILE_OUTPUT: unknown field fd.nam; did you mean fd.name?")]
#[case(
    "50% sure",
    "output:1:3: error LOAD_ERR_COMPILE_OUTPUT: no field follows the percent sign; write %% for a percent sign"
)]
#[case(
    "%evt.arg[flags",
    "output:1:9: error LOAD_ERR_COMPILE_OUTPUT: the argument of the field has no closing bracket; write field[argument], or field[\"argument\"] where it has spaces or brackets"
)]
#[case(
    "%topper(proc.name)",
    "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: unknown transformer `topper`; did you mean toupper?"
)]
fn mistakes_are_placed(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Template::parse(text).unwrap_err().one_line(), message);
}
