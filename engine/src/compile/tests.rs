//! Tests of compile: what is accepted, refused, kept; names, tenancy, exceptions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    diagnostic::Severity,
    priority::Priority,
    ruleset::{decode, encode},
    source::{
        Definitions, ExceptionSource, Expect, InlineException, LabelOp, LabelRequirement, ObjectRef, RuleSelector,
        RuleState, RuleTest,
    },
};
use rstest::rstest;
use serde_json::json;

const SYSTEM: &str = "eyas-system";

fn meta(namespace: &str, name: &str) -> Meta {
    Meta { id: ObjectRef { namespace: namespace.into(), name: name.into() }, generation: 1, ..Meta::default() }
}

fn rule(name: &str, condition: &str) -> RuleSource {
    RuleSource {
        meta: meta(SYSTEM, name),
        title: format!("Rule {name}"),
        description: String::new(),
        condition: condition.into(),
        output: "it happened (command=%proc.cmdline)".into(),
        priority: Priority::Warning,
        tags: vec!["process".into()],
        state: RuleState::Active,
        definitions: Definitions::default(),
        exceptions: Vec::new(),
        tenant_exceptions: None,
        tests: Vec::new(),
    }
}

fn library(
    namespace: &str,
    name: &str,
    created: i64,
    macros: &[(&str, &str)],
    lists: &[(&str, &[&str])],
) -> LibrarySource {
    let mut meta = meta(namespace, name);
    meta.created = created;
    let macros = macros.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
    let lists = lists.iter().map(|(n, i)| ((*n).to_owned(), i.iter().map(|s| (*s).to_owned()).collect())).collect();
    LibrarySource { meta, definitions: Definitions { macros, lists } }
}

fn sources(rules: Vec<RuleSource>) -> Sources {
    Sources { system_namespace: SYSTEM.into(), rules, ..Sources::default() }
}

fn only_outcome(sources: &Sources) -> Outcome {
    let compiled = compile(sources, None);
    compiled.outcomes.into_iter().find(|o| o.kind == ObjectKind::Rule).unwrap()
}

fn lines(outcome: &Outcome) -> Vec<String> {
    outcome.diagnostics.iter().map(Diagnostic::one_line).collect()
}

#[rstest]
#[case::unknown_field(
    "evt.type = open and fd.nam = x",
    "condition:1:21: error LOAD_ERR_COMPILE_CONDITION: unknown field fd.nam; did you mean fd.name?"
)]
#[case::syntax(
    "evt.type = open and",
    "condition:1:17: error LOAD_ERR_COMPILE_CONDITION: nothing follows `and`; write a condition behind it, such as `and proc.name = bash`, or remove it"
)]
#[case::macro_name(
    "evt.type = open and is_shel",
    "condition:1:21: error LOAD_ERR_COMPILE_CONDITION: unknown macro is_shel; did you mean is_shell?"
)]
#[case::list_as_macro(
    "evt.type = open and shells",
    "condition:1:21: error LOAD_ERR_COMPILE_CONDITION: shells is a list, not a condition; write field in (shells)"
)]
#[case::unknown_list(
    "evt.type = open and proc.name in shell_names",
    "condition:1:34: error LOAD_ERR_COMPILE_CONDITION: unknown list shell_names; a list of values stands in parentheses: (a, b)"
)]
#[case::event_type(
    "evt.type = opennat",
    "condition:1:12: error LOAD_ERR_COMPILE_CONDITION: unknown event type opennat; did you mean openat?"
)]
#[case::number(
    "evt.type = open and fd.num = few",
    "condition:1:30: error LOAD_ERR_COMPILE_CONDITION: few is no number; write a decimal number, or 0x and hex digits"
)]
#[case::cidr(
    "evt.type = connect and fd.sip = 10.0.0.0/8",
    "condition:1:33: error LOAD_ERR_COMPILE_CONDITION: 10.0.0.0/8 is a block, and this field is compared with single addresses; use fd.net, fd.snet, fd.cnet, fd.lnet or fd.rnet for blocks"
)]
#[case::operator(
    "evt.type = connect and fd.sport contains 4",
    "condition:1:33: error LOAD_ERR_COMPILE_CONDITION: operator `contains` does not fit a field of kind port; write `=`, `in (...)`, `<` or `>`"
)]
#[case::regex(
    "evt.type = open and fd.name regex \"a(\"",
    "condition:1:35: error LOAD_ERR_COMPILE_CONDITION: \"a(\" is no regular expression: unclosed group; the syntax is RE2's"
)]
#[case::cycle(
    "evt.type = open and loop_a",
    "condition:1:21: error LOAD_ERR_COMPILE_CONDITION: macro loop_a of RuleLibrary eyas-system/lib has an error: macro loop_a refers to itself: loop_a -> loop_b -> loop_a"
)]
#[case::list_cycle(
    "evt.type = open and proc.name in (ring)",
    "condition:1:35: error LOAD_ERR_COMPILE_CONDITION: list ring of RuleLibrary eyas-system/lib: it contains itself by way of ring"
)]
#[case::broken_macro(
    "evt.type = open and broken",
    "condition:1:21: error LOAD_ERR_COMPILE_CONDITION: macro broken of RuleLibrary eyas-system/lib has an error: unknown field proc.nme; did you mean proc.name?"
)]
fn refused(#[case] condition: &str, #[case] message: &str) {
    let mut sources = sources(vec![rule("r", condition)]);
    sources.libraries = vec![library(
        SYSTEM,
        "lib",
        1,
        &[
            ("is_shell", "proc.name in (shells)"),
            ("loop_a", "loop_b"),
            ("loop_b", "not loop_a"),
            ("broken", "proc.nme = x"),
        ],
        &[("shells", &["bash", "sh"]), ("ring", &["a", "ring2"]), ("ring2", &["ring"])],
    )];
    let outcome = only_outcome(&sources);
    assert!(!outcome.accepted);
    assert_eq!(lines(&outcome), [message]);
}

#[test]
fn every_problem_is_told_not_only_the_first() {
    let mut bad = rule("r", "evt.type = open and fd.nam = x and (proc.pid = y or nothing_such)");
    bad.output = "x %fd.nam".into();
    let outcome = only_outcome(&sources(vec![bad]));
    assert_eq!(outcome.diagnostics.len(), 4, "{:#?}", lines(&outcome));
}

#[rstest]
#[case::unavailable("evt.type = open and proc.env[A] = x", "EYAS_UNAVAILABLE", "condition:1:21")]
#[case::only_unavailable("evt.type = open and proc.env[A] = x", "EYAS_NEVER_MATCHES", "condition:1:1")]
#[case::contradiction("evt.type = open and evt.type = execve", "EYAS_NEVER_MATCHES", "condition:1:1")]
#[case::no_event("evt.type = sysinfo", "EYAS_NEVER_MATCHES", "condition:1:1")]
#[case::every_event("proc.name = nc", "LOAD_NO_EVTTYPE", "condition:1:1")]
#[case::na("evt.type = open and proc.name = <NA>", "LOAD_UNSAFE_NA_CHECK", "condition:1:33")]
#[case::deprecated("evt.type = open and evt.dir = <", "LOAD_DEPRECATED_ITEM", "condition:1:21")]
fn warned(#[case] condition: &str, #[case] code: &str, #[case] place: &str) {
    let outcome = only_outcome(&sources(vec![rule("r", condition)]));
    assert!(outcome.accepted);
    let line = lines(&outcome).into_iter().find(|l| l.contains(code)).unwrap_or_default();
    assert!(line.starts_with(&format!("{place}: warning {code}")), "{:?}", lines(&outcome));
}

#[test]
fn a_bad_rule_harms_no_other_and_its_last_good_form_stays() {
    let first = compile(&sources(vec![rule("a", "evt.type = open"), rule("b", "evt.type = connect")]), None);
    assert!(first.outcomes.iter().all(|o| o.accepted));
    let mut worse = rule("a", "evt.type = open and fd.nam = x");
    worse.meta.generation = 2;
    let second = compile(&sources(vec![worse.clone(), rule("b", "evt.type = connect")]), Some(&first.ruleset));
    assert_eq!(second.ruleset.rules, first.ruleset.rules);
    assert_eq!(second.ruleset.revision, first.ruleset.revision);
    let [a, b] = second.outcomes.as_slice() else { panic!("{:?}", second.outcomes) };
    assert_eq!((a.accepted, a.kept_generation, a.generation), (false, Some(1), 2));
    assert!(b.accepted);
    // Another object of the same name is not the one that was good.
    worse.meta.uid = "other".into();
    let third = compile(&sources(vec![worse]), Some(&first.ruleset));
    assert_eq!((third.ruleset.rules.len(), third.outcomes[0].kept_generation), (0, None));
}

#[test]
fn what_was_wrong_before_compiling_keeps_the_object_out() {
    let mut bad = rule("a", "evt.type = open");
    let place = Place { part: "priority", text: "Wrning" };
    bad.meta.problems.push(place.error(code::VALIDATE, place.whole(), "unknown priority"));
    let compiled = compile(&sources(vec![bad]), None);
    assert!(!compiled.outcomes[0].accepted && compiled.ruleset.rules.is_empty());
}

#[test]
fn names_are_looked_for_in_the_own_namespace_then_in_the_system_one() {
    let mut tenant = rule("r", "evt.type = open and who");
    tenant.meta = meta("team", "r");
    let mut all = sources(vec![tenant, rule("s", "evt.type = open and who")]);
    all.libraries = vec![
        library(SYSTEM, "sys", 1, &[("who", "proc.name in (names)")], &[("names", &["system"])]),
        library("team", "own", 1, &[], &[("names", &["team"])]),
        library("others", "lib", 1, &[("who", "proc.name = others")], &[]),
    ];
    let compiled = compile(&all, None);
    let conditions: Vec<String> = compiled.ruleset.rules.iter().map(|r| r.condition.to_string()).collect();
    // The macro of the system namespace keeps its own list, whoever uses it.
    assert_eq!(
        conditions,
        [
            "evt.type = open and proc.name in (system)",
            "k8s.ns.name = team and (evt.type = open and proc.name in (system))"
        ]
    );
}

#[test]
fn local_names_come_first_and_unused_ones_are_told() {
    let mut source = rule("r", "evt.type = open and who");
    source.definitions.macros =
        vec![("who".into(), "proc.name in (names)".into()), ("spare".into(), "fd.name = x".into())];
    source.definitions.lists = vec![("names".into(), vec!["b".into(), "\"a b\"".into()])];
    let mut all = sources(vec![source]);
    all.libraries = vec![library(SYSTEM, "lib", 1, &[("who", "proc.name = lib")], &[])];
    let compiled = compile(&all, None);
    assert_eq!(compiled.ruleset.rules[0].condition.to_string(), "evt.type = open and proc.name in (b, \"a b\")");
    let outcome = compiled.outcomes.iter().find(|o| o.kind == ObjectKind::Rule).unwrap();
    assert_eq!(lines(outcome), ["macros[spare]:1:1: warning LOAD_UNUSED_MACRO: macro spare is not used"]);
}

#[test]
fn of_two_libraries_with_one_name_the_newer_is_in_conflict() {
    let mut all = sources(vec![rule("r", "evt.type = open and who and also")]);
    all.libraries = vec![
        library(SYSTEM, "a-newer", 20, &[("who", "proc.name = newer"), ("also", "fd.num >= 0")], &[]),
        library(SYSTEM, "z-older", 10, &[("who", "proc.name = older")], &[]),
    ];
    let compiled = compile(&all, None);
    // What is not in conflict of the newer one is still there.
    assert_eq!(
        compiled.ruleset.rules[0].condition.to_string(),
        "evt.type = open and proc.name = older and fd.num >= 0"
    );
    let newer = &compiled.outcomes[0];
    assert_eq!((newer.id.name.as_str(), newer.accepted), ("a-newer", false));
    assert_eq!(newer.diagnostics[0].code, "Conflict");
    assert!(compiled.outcomes[1].accepted);
}

#[rstest]
#[case(json!({"evt.type": "open", "fd.name": "/etc/x"}), Expect::Match, None)]
#[case(json!({"evt.type": "open", "fd.name": "/tmp/x"}), Expect::NoMatch, None)]
#[case(json!({"evt.type": "open", "fd.name": "/tmp/x"}), Expect::Match,
    Some("expected a match, found none; `fd.name startswith /etc` was false: fd.name=/tmp/x"))]
#[case(json!({"evt.type": "open", "fd.name": "/etc/x"}), Expect::NoMatch,
    Some("expected no match, found a match; `evt.type = open` was true: evt.type=open; `fd.name startswith /etc` was true: fd.name=/etc/x"))]
#[case(json!({"evt.type": "open", "fd.nme": "/etc/x"}), Expect::Match,
    Some("the event cannot be: fd.nme: unknown field fd.nme; did you mean fd.name?"))]
#[case(json!({"evt.type": "open", "fd.sip": "10.0.0.1"}), Expect::NoMatch,
    Some("the event cannot be: fd.sip: events of type open have no fd.sip; it comes with connect, accept, socket, bind, listen, send, dup, chmod, chown, module, namespace, io_uring, splice"))]
fn tests_of_rules_are_run(#[case] event: serde_json::Value, #[case] expect: Expect, #[case] failure: Option<&str>) {
    let mut source = rule("r", "evt.type = open and fd.name startswith /etc");
    let events = vec![serde_json::from_value(event).unwrap()];
    source.tests = vec![RuleTest { name: "t".into(), events, expect }];
    let outcome = only_outcome(&sources(vec![source]));
    assert_eq!(outcome.accepted, failure.is_none());
    assert_eq!(outcome.failed_test.map(|t| t.message).as_deref(), failure);
}

#[test]
fn inline_exceptions_become_and_not() {
    let values = |tuples: &[&[&[&str]]]| {
        let texts = |texts: &[&str]| texts.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        tuples.iter().map(|tuple| tuple.iter().map(|t| texts(t)).collect()).collect::<Vec<Vec<Vec<String>>>>()
    };
    let mut source = rule("r", "evt.type = open");
    source.exceptions = vec![
        InlineException {
            name: "one".into(),
            fields: vec!["proc.name".into()],
            comps: vec![],
            values: values(&[&[&["a", "b c"]]]),
        },
        InlineException {
            name: "two".into(),
            fields: vec!["proc.name".into(), "fd.name".into()],
            comps: vec!["=".into(), "startswith".into()],
            values: values(&[&[&["x"], &["/a b"]], &[&["y"], &["/c"]]]),
        },
        InlineException { name: "empty".into(), fields: vec!["proc.name".into()], comps: vec![], values: vec![] },
    ];
    let compiled = compile(&sources(vec![source.clone()]), None);
    assert_eq!(
        compiled.ruleset.rules[0].condition.to_string(),
        "evt.type = open and not proc.name in (a, \"b c\") and not (proc.name = x and fd.name startswith \"/a b\" \
         or proc.name = y and fd.name startswith /c)"
    );
    source.exceptions[0].fields = vec!["proc.nam".into()];
    let outcome = only_outcome(&sources(vec![source]));
    assert!(lines(&outcome)[0].starts_with("exceptions[0]:1:2: error"), "{:?}", lines(&outcome));
}

fn exception(namespace: &str, name: &str) -> ExceptionSource {
    ExceptionSource { meta: meta(namespace, name), ..ExceptionSource::default() }
}

#[test]
fn selectors_of_an_exception_all_hold() {
    let label = |key: &str, op, values: &[&str]| LabelRequirement {
        key: key.into(),
        op,
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    let mut source = exception(SYSTEM, "e");
    source.pod_selector = vec![label("app", LabelOp::In, &["web"]), label("tier", LabelOp::NotIn, &["db"])];
    source.service_accounts = vec!["builder".into(), "ci/deployer".into()];
    source.images = vec!["registry.local/*".into()];
    source.processes = vec!["/usr/bin/*".into(), "bash".into()];
    source.namespaces = vec!["build".into()];
    source.condition = Some("fd.name startswith /tmp".into());
    let mut all = sources(vec![rule("r", "evt.type = open")]);
    all.exceptions = vec![source];
    let compiled = compile(&all, None);
    assert_eq!(
        compiled.ruleset.exceptions[0].condition.as_ref().unwrap().to_string(),
        "k8s.pod.label[app] in (web) and not k8s.pod.label[tier] in (db) and k8s.pod.name exists \
         and (k8s.sa.name = builder or k8s.ns.name = ci and k8s.sa.name = deployer) \
         and container.image glob anyof (registry.local/*) and k8s.ns.name in (build) \
         and (proc.exepath glob anyof (/usr/bin/*) or proc.name glob anyof (bash)) and fd.name startswith /tmp"
    );
}

#[test]
fn a_tenants_exception_reaches_its_own_rules_and_system_rules_that_allow_it() {
    let mut loud = rule("loud", "evt.type = open");
    loud.priority = Priority::Error;
    let mut denied = rule("denied", "evt.type = open");
    denied.tenant_exceptions = Some(false);
    let mut own = rule("own", "evt.type = open");
    own.meta = meta("team", "own");
    let mut foreign = rule("foreign", "evt.type = open");
    foreign.meta = meta("others", "foreign");
    let mut all = sources(vec![loud, denied, own, foreign, rule("quiet", "evt.type = open")]);
    all.exceptions = vec![exception("team", "e"), exception(SYSTEM, "s")];
    let compiled = compile(&all, None);
    let [system, tenant] = compiled.ruleset.exceptions.as_slice() else { panic!() };
    let names = |e: &Exception| e.rules.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(system), ["denied", "loud", "quiet", "foreign", "own"]);
    assert_eq!(names(tenant), ["quiet", "own"]);
    assert_eq!(tenant.condition.as_ref().unwrap().to_string(), "k8s.ns.name = team");
}

#[test]
fn a_bad_exception_keeps_its_last_good_form() {
    let mut all = sources(vec![rule("r", "evt.type = open")]);
    all.exceptions = vec![exception(SYSTEM, "e")];
    let good = compile(&all, None).ruleset;
    all.exceptions[0].condition = Some("fd.nam = x".into());
    all.exceptions[0].meta.generation = 2;
    let next = compile(&all, Some(&good));
    assert_eq!(next.ruleset.exceptions, good.exceptions);
    let outcome = next.outcomes.iter().find(|o| o.kind == ObjectKind::Exception).unwrap();
    assert_eq!((outcome.accepted, outcome.kept_generation), (false, Some(1)));
}

#[test]
fn an_exception_that_selects_nothing_is_told() {
    let mut all = sources(vec![rule("r", "evt.type = open")]);
    all.exceptions = vec![exception(SYSTEM, "e")];
    all.exceptions[0].rules = RuleSelector { names: vec!["Rule x".into()], tags: vec![] };
    let compiled = compile(&all, None);
    assert_eq!(compiled.outcomes[1].diagnostics[0].severity, Severity::Warning);
    all.exceptions[0].rules = RuleSelector { names: vec!["Rule r".into()], tags: vec!["nope".into()] };
    assert_eq!(compile(&all, None).ruleset.exceptions[0].rules.len(), 1);
}

#[test]
fn the_order_of_sources_does_not_matter() {
    let rules = vec![rule("a", "evt.type = open"), rule("b", "evt.type = connect"), rule("c", "evt.type = execve")];
    let forth = compile(&sources(rules.clone()), None);
    let back = compile(&sources(rules.into_iter().rev().collect()), None);
    assert_eq!(forth.ruleset, back.ruleset);
    assert_eq!(forth.ruleset.revision.len(), 16);
}

#[test]
fn an_object_that_is_there_twice_is_in_conflict_once() {
    let compiled = compile(&sources(vec![rule("a", "evt.type = open"), rule("a", "evt.type = connect")]), None);
    assert_eq!(compiled.ruleset.rules.len(), 1);
    assert_eq!(compiled.outcomes.iter().filter(|o| o.accepted).count(), 1);
}

#[test]
fn rulesets_are_read_back_and_altered_ones_are_not() {
    let ruleset = compile(&sources(vec![rule("a", "evt.type = open and fd.name contains \"\\xff\"")]), None).ruleset;
    let bytes = encode(&ruleset);
    assert_eq!(decode(&bytes).unwrap(), ruleset);
    let text = String::from_utf8(bytes).unwrap();
    let altered = decode(text.replace("it happened", "it happens").as_bytes()).unwrap_err();
    assert!(altered.to_string().contains("altered"), "{altered}");
    let newer = decode(text.replacen("\"schema\":1", "\"schema\":9", 1).as_bytes()).unwrap_err();
    assert!(newer.to_string().contains("version 9"), "{newer}");
    assert!(decode(&text.as_bytes()[..text.len() / 2]).is_err());
}

#[test]
fn macros_cannot_grow_without_bound() {
    let mut macros = vec![("m0".to_owned(), "fd.num >= 0 or fd.num < 0".to_owned())];
    macros.extend((1..40).map(|n| (format!("m{n}"), format!("m{} and m{}", n - 1, n - 1))));
    let mut source = rule("r", "evt.type = open and m39");
    source.definitions.macros = macros;
    let outcome = only_outcome(&sources(vec![source]));
    assert!(lines(&outcome)[0].contains("more than 100000 parts"), "{:?}", lines(&outcome));
}

#[rstest]
#[case::supplied("evt.type = open", "x", &[], None)]
#[case::one_way_left("evt.type = open and (proc.env[A] = x or proc.name = a)", "x", &["proc.env[A]"], None)]
#[case::negated("evt.type = open and not proc.env[A] = x", "x", &["proc.env[A]"], None)]
#[case::shown("evt.type = open", "%evt.buffer %toupper(fd.sip.name)", &["evt.buffer", "fd.sip.name"], None)]
#[case::both("evt.type = open and not evt.is_syslog = true", "%evt.is_syslog", &["evt.is_syslog"], None)]
#[case::fields("evt.type = open and fd.sip.name = a", "x", &["fd.sip.name"], Some(Inert::Fields))]
#[case::transformed("evt.type = open and len(evt.buffer) > 1", "x", &["evt.buffer"], Some(Inert::Fields))]
#[case::types("evt.type in (sysinfo, mincore) and proc.name = a", "x", &[], Some(Inert::EventTypes))]
#[case::fields_and_types("evt.type = sysinfo and evt.buffer = a", "x", &["evt.buffer"], Some(Inert::EventTypes))]
#[case::some_types("evt.type in (sysinfo, open)", "x", &[], None)]
#[case::contradiction("evt.type = open and fd.sport = 1", "x", &[], Some(Inert::Contradiction))]
fn what_no_hook_supplies_is_named(
    #[case] condition: &str,
    #[case] output: &str,
    #[case] fields: &[&str],
    #[case] inert: Option<Inert>,
) {
    let mut rule = rule("r", condition);
    rule.output = output.into();
    let outcome = only_outcome(&sources(vec![rule]));
    assert!(outcome.accepted, "{:?}", outcome.diagnostics);
    assert_eq!(outcome.unavailable_fields, fields);
    assert_eq!(outcome.inert, inert);
    let told = |code: &str| outcome.diagnostics.iter().filter(|d| d.code == code).count();
    assert_eq!(told("EYAS_NEVER_MATCHES"), usize::from(inert.is_some()));
    assert!(told("EYAS_UNAVAILABLE") >= fields.len());
}
