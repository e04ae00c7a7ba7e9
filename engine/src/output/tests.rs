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
#[case::end("%proc.name", "sh")]
#[case::comma("%proc.name,%proc.pid", "sh,7")]
#[case::full_stop("It was %proc.name.", "It was sh.")]
#[case::dots("%proc.name... done", "sh... done")]
#[case::brackets("(%proc.name)[%proc.pid]", "(sh)[7]")]
#[case::two("%proc.name%proc.pid", "sh7")]
#[case::percent("%%%proc.name%%", "%sh%")]
#[case::only_percent("100%%", "100%")]
#[case::star("*%proc.name", "*sh")]
#[case::dash("%proc.name-x", "sh-x")]
#[case::colon("a=%proc.name:b", "a=sh:b")]
#[case::utf8("é%proc.name→", "ésh→")]
#[case::argument("%k8s.pod.label[app.kubernetes.io/name]!", "web!")]
#[case::quoted_argument("%k8s.pod.label[\"a \\\"b\\\"\"]", "<NA>")]
#[case::dotted_argument("%evt.arg.flags|%evt.arg[flags]", "O_RDONLY|O_RDONLY")]
#[case::index("%proc.aname[1] %proc.aname[9]", "sshd <NA>")]
#[case::transformer("%toupper(proc.name).", "SH.")]
#[case::nested("%toupper( basename( proc.exepath ) )", "SH")]
#[case::concat("%concat(proc.name, ':', proc.pid)", "sh:7")]
#[case::join("%join('/', (proc.name, proc.pname))", "sh/sshd")]
#[case::len("%len(proc.name)", "2")]
#[case::missing("%user.name %tolower(user.name)", "<NA> <NA>")]
#[case::text_only("no fields", "no fields")]
#[case::info(
    "%container.info.",
    "container_id=c1 container_name=<NA> container_image_repository=<NA> container_image_tag=<NA> k8s_ns_name=shop k8s_pod_name=<NA>."
)]
fn renders(#[case] text: &str, #[case] expected: &str) {
    let event = event(json!({
        "evt.type": "openat", "proc.name": "sh", "proc.pid": 7, "proc.exepath": "/bin/sh", "proc.pname": "sshd",
        "k8s.pod.label[app.kubernetes.io/name]": "web", "evt.arg[flags]": "O_RDONLY", "container.id": "c1",
        "k8s.ns.name": "shop"
    }));
    assert_eq!(Template::parse(text).unwrap().render(&event), expected);
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
#[case(
    "a %",
    "output:1:3: error LOAD_ERR_COMPILE_OUTPUT: no field follows the percent sign; write %% for a percent sign"
)]
#[case(
    "% proc.name",
    "output:1:1: error LOAD_ERR_COMPILE_OUTPUT: no field follows the percent sign; write %% for a percent sign"
)]
#[case(
    "%(proc.name)",
    "output:1:1: error LOAD_ERR_COMPILE_OUTPUT: no field follows the percent sign; write %% for a percent sign"
)]
#[case("%proc", "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: unknown field proc; did you mean proc.exe?")]
#[case(
    "%evt.arg",
    "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: field evt.arg needs an argument in brackets; write evt.arg[...]"
)]
#[case(
    "%proc.aname[x]",
    "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: the argument of proc.aname is a number, not \"x\"; write proc.aname[1]"
)]
#[case(
    "%container.infos",
    "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: unknown field container.infos; docs/fields.md lists all fields"
)]
#[case(
    "%val(proc.name)",
    "output:1:2: error LOAD_ERR_COMPILE_OUTPUT: unknown transformer `val`; val(field) stands on the right of an operator only, and does not nest"
)]
#[case(
    "%tolower(proc.nam)",
    "output:1:10: error LOAD_ERR_COMPILE_OUTPUT: unknown field proc.nam; did you mean proc.name?"
)]
#[case("line\n%fd.nam", "output:2:2: error LOAD_ERR_COMPILE_OUTPUT: unknown field fd.nam; did you mean fd.name?")]
fn mistakes_are_placed(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Template::parse(text).unwrap_err().one_line(), message);
}
