//! Tests of plans: they find what the plain evaluator finds, and their filters let through what can match.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::syntax::Expr;
use crate::{
    compile::compile,
    field::{Field, FieldRef},
    priority::Priority,
    ruleset::{Exception, Rule, SCHEMA_VERSION},
    source::{ObjectRef, RuleSelector, RuleState, Sources},
    syntax::tests::any_expr,
    testing::MapEvent,
    value::{Lookup, Value},
};
use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::json;

fn id(name: &str) -> ObjectRef {
    ObjectRef { namespace: "eyas-system".into(), name: name.into() }
}

fn ruleset(conditions: &[&str]) -> Ruleset {
    exprs(conditions.iter().map(|text| {
        crate::compile::check_condition(text, &Sources::default()).unwrap_or_else(|e| panic!("{text}: {e:?}")).0
    }))
}

fn exprs(conditions: impl Iterator<Item = Expr>) -> Ruleset {
    let rule = |(n, condition): (usize, Expr)| Rule {
        id: id(&format!("r{n}")),
        uid: String::new(),
        generation: 1,
        title: format!("r{n}"),
        description: String::new(),
        condition,
        output: "x".into(),
        priority: Priority::Warning,
        tags: vec![],
        state: RuleState::Active,
        unavailable_fields: vec![],
    };
    let rules = conditions.enumerate().map(rule).collect();
    Ruleset { schema: SCHEMA_VERSION, revision: String::new(), rules, exceptions: vec![], routes: vec![] }
}

fn plan(conditions: &[&str]) -> Plan {
    Plan::new(Arc::new(ruleset(conditions))).unwrap()
}

/// A map event some of whose fields are pending.
#[derive(Debug)]
struct Partial {
    event: MapEvent,
    pending: Vec<FieldRef>,
}

impl Event for Partial {
    fn event_type(&self) -> Option<EventType> {
        self.event.event_type()
    }
    fn field(&self, field: &FieldRef) -> Lookup<'_> {
        if self.pending.contains(field) { Lookup::Pending } else { self.event.field(field) }
    }
}

fn event(fields: &serde_json::Value) -> MapEvent {
    let map: IndexMap<String, serde_json::Value> = serde_json::from_value(fields.clone()).unwrap();
    MapEvent::from_map(&map).unwrap_or_else(|error| panic!("{error}"))
}

fn hits(plan: &Plan, event: &impl Event, now: i64) -> Vec<(usize, HitOutcome)> {
    let mut found = Vec::new();
    plan.evaluate(event, now, &mut Scratch::default(), &mut |hit| found.push((hit.rule, hit.outcome)));
    found.sort_by_key(|(rule, _)| *rule);
    found
}

#[test]
fn every_rule_that_matches_fires() {
    let plan = plan(&[
        "evt.type in (open, openat) and fd.name = /etc/shadow",
        "fd.name startswith /etc",
        "evt.type = execve and proc.name = cat",
        "evt.type = openat and proc.name = cat",
        "evt.type = openat and proc.name in (dog, cow)",
    ]);
    let event = event(&json!({"evt.type": "openat", "fd.name": "/etc/shadow", "proc.name": "cat"}));
    let matched = |n| (n, HitOutcome::Matched);
    assert_eq!(hits(&plan, &event, 0), [matched(0), matched(1), matched(3)]);
}

#[test]
fn rules_are_picked_by_value_by_prefix_and_behind_gates() {
    let plan = plan(&[
        "evt.type = openat and fd.name startswith anyof (/etc, /etc/ssh, /usr)",
        "evt.type = openat and fd.name startswith \"\"",
        "evt.type = openat and evt.is_open_write = true and proc.aname = a",
        "evt.type = openat and evt.is_open_write = true and user.name = b",
        "evt.type = openat and evt.is_open_write = false and user.name = b",
        "evt.type = connect and fd.sip in (1.2.3.4, ::1)",
        "evt.type = connect and fd.sport = 443",
        "evt.type = connect and not fd.sport = 443",
    ]);
    let rules = |fields| hits(&plan, &event(&fields), 0).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    let open = json!({"evt.type": "openat", "fd.name": "/etc/ssh/x", "evt.is_open_write": true, "user.name": "b"});
    assert_eq!(rules(open), [0, 1, 3]);
    assert_eq!(
        rules(json!({"evt.type": "openat", "fd.name": "/et", "evt.is_open_write": false, "user.name": "b"})),
        [1, 4]
    );
    assert_eq!(rules(json!({"evt.type": "openat", "evt.is_open_write": true})), Vec::<usize>::new());
    assert_eq!(rules(json!({"evt.type": "connect", "fd.sip": "::ffff:1.2.3.4", "fd.sport": 443})), [5, 6]);
    assert_eq!(rules(json!({"evt.type": "connect", "fd.sip": "1.2.3.5", "fd.sport": 80})), [7]);
    assert_eq!(rules(json!({"evt.type": "connect"})), [7]);
}

#[test]
fn hooks_follow_from_what_can_match() {
    let life_cycle = [Hook::Exec, Hook::Fork, Hook::Exit];
    for (condition, more) in [
        ("evt.type = execve and proc.name = x", vec![]),
        ("evt.type = connect", vec![Hook::Connect]),
        ("fs.path.source = /x", vec![Hook::Rename, Hook::Link, Hook::Mount]),
        ("evt.is_open_write = true", vec![Hook::Open]),
        ("evt.io_dir = W", vec![Hook::Send, Hook::Splice]),
        ("evt.type in (open, accept, dup) and fd.sip = 1.2.3.4", vec![Hook::Accept, Hook::Dup]),
        ("evt.type in (open, unlink, mkdir) and fd.name = /x", vec![Hook::Open]),
        ("evt.type startswith exec or evt.type = procexit", vec![]),
        ("evt.type = sysinfo", vec![]),
        ("evt.type = open and evt.dir = >", vec![]),
        ("evt.type = open and proc.env[A] = x", vec![]),
    ] {
        let expected: BTreeSet<Hook> = life_cycle.iter().copied().chain(more).collect();
        assert_eq!(plan(&[condition]).needed_hooks(), expected, "{condition}");
    }
}

#[test]
fn the_filter_of_opens_is_as_narrow_as_flags_and_result_allow() {
    // (read, write, create, failed)
    let wanted = |condition: &str| {
        let filter = plan(&[condition]).open_filter();
        (0..16).filter(|class| filter.wants(*class)).collect::<Vec<u32>>()
    };
    let classes = |fits: fn(bool, bool, bool, bool) -> bool| {
        (0..16_u32).filter(|c| fits(c & 1 != 0, c & 2 != 0, c & 4 != 0, c & 8 != 0)).collect::<Vec<u32>>()
    };
    assert_eq!(wanted("evt.type = openat and evt.is_open_write = true"), classes(|_, w, _, _| w));
    assert_eq!(
        wanted("evt.type = openat and evt.is_open_read = true and fd.num >= 0 and fd.name = /etc/shadow"),
        classes(|r, _, _, failed| r && !failed)
    );
    assert_eq!(wanted("evt.type = open and evt.res = SUCCESS"), classes(|_, _, _, failed| !failed));
    assert_eq!(wanted("evt.type = open and evt.res in (EACCES, EPERM)"), classes(|_, _, _, failed| failed));
    assert_eq!(
        wanted("evt.type = openat and evt.is_open_read = true and (fd.num >= 0 or eyas.io_uring = true)"),
        classes(|r, _, _, failed| r && !failed)
    );
    // No result is none of them.
    assert_eq!(wanted("evt.type = open and not evt.res = SUCCESS"), classes(|_, _, _, _| true));
    assert_eq!(wanted("evt.type = open and evt.failed = true"), classes(|_, _, _, failed| failed));
    assert_eq!(wanted("evt.type = open and evt.is_open_create = true"), classes(|_, _, create, _| create));
    assert_eq!(wanted("evt.type = open and not evt.is_open_write = true"), classes(|_, w, _, _| !w));
    assert_eq!(wanted("evt.type = open and proc.name = x"), classes(|_, _, _, _| true));
    assert_eq!(wanted("evt.type = execve"), Vec::<u32>::new());
    let both = plan(&["evt.type = open and evt.is_open_write = true", "evt.type = openat and evt.failed = true"]);
    assert_eq!((0..16).filter(|c| both.open_filter().wants(*c)).count(), 12);
}

#[test]
fn an_exception_silences_what_it_selects_until_it_expires() {
    let mut rules = ruleset(&["evt.type = open", "evt.type = open"]);
    let condition = |text: &str| crate::compile::check_condition(text, &Sources::default()).unwrap().0;
    let exception = |name: &str, text: &str, expires_at| Exception {
        id: id(name),
        uid: String::new(),
        generation: 1,
        selector: RuleSelector::default(),
        rules: vec![id("r0")],
        condition: Some(condition(text)),
        expires_at,
    };
    rules.exceptions = vec![
        exception("expired", "proc.name = a", Some(100)),
        exception("other", "proc.name = b", None),
        exception("pod", "k8s.sa.name = builder", None),
    ];
    let plan = Plan::new(Arc::new(rules)).unwrap();
    let open = |fields: serde_json::Value| event(&fields);
    let a = open(json!({"evt.type": "open", "proc.name": "a"}));
    assert_eq!(hits(&plan, &a, 99)[0].1, HitOutcome::Suppressed { exception: 0 });
    assert_eq!(hits(&plan, &a, 100), [(0, HitOutcome::Matched), (1, HitOutcome::Matched)]);
    let pending = Partial {
        event: open(json!({"evt.type": "open", "proc.name": "c"})),
        pending: vec![FieldRef::plain(Field::K8sSaName)],
    };
    assert_eq!(hits(&plan, &pending, 100), [(0, HitOutcome::Pending), (1, HitOutcome::Matched)]);
    // One that holds for certain needs not wait for the other.
    let b = Partial {
        event: open(json!({"evt.type": "open", "proc.name": "b"})),
        pending: vec![FieldRef::plain(Field::K8sSaName)],
    };
    assert_eq!(hits(&plan, &b, 100)[0].1, HitOutcome::Suppressed { exception: 1 });
}

#[test]
fn pending_is_undecided_only_where_it_matters() {
    let plan = plan(&[
        "evt.type = open and k8s.ns.name = a",
        "evt.type = open and (k8s.ns.name = a or proc.name = x)",
        "evt.type = open and k8s.ns.name = a and proc.name = y",
        "evt.type = open and not k8s.ns.name = a",
    ]);
    let event = Partial {
        event: event(&json!({"evt.type": "open", "proc.name": "x"})),
        pending: vec![FieldRef::plain(Field::K8sNsName)],
    };
    let expected = [(0, HitOutcome::Pending), (1, HitOutcome::Matched), (3, HitOutcome::Pending)];
    assert_eq!(hits(&plan, &event, 0), expected);
}

#[test]
fn a_scratch_serves_many_events_and_plans() {
    let shared = [
        "evt.type = open and (proc.name = a or fd.num >= 3)",
        "evt.type = open and not (proc.name = a or fd.num >= 3)",
    ];
    let (first, second) = (plan(&shared), plan(&shared[..1]));
    let mut scratch = Scratch::default();
    for n in 0..100 {
        let event =
            event(&json!({"evt.type": "open", "proc.name": if n % 3 == 0 { "a" } else { "b" }, "fd.num": n % 5}));
        let expected = usize::from(!(n % 3 == 0 || n % 5 >= 3));
        let mut found = Vec::new();
        first.evaluate(&event, 0, &mut scratch, &mut |hit| found.push(hit.rule));
        assert_eq!(found, [expected]);
        second.evaluate(&event, 0, &mut scratch, &mut |hit| found.push(hit.rule));
        assert_eq!(found.len(), 2 - expected);
    }
}

#[test]
fn the_deepest_condition_plans_and_evaluates_on_a_small_stack() {
    let deep = format!("evt.type = open and {}proc.name = a{}", "(not ".repeat(498), ")".repeat(498));
    let plan = plan(&[deep.as_str()]);
    let event = event(&json!({"evt.type": "open", "proc.name": "a"}));
    assert_eq!(hits(&plan, &event, 0), [(0, HitOutcome::Matched)]);
    let told = crate::testing::explain(&plan.ruleset().rules[0].condition, &event);
    assert!(told.contains("evt.type=open"), "{told}");
}

#[test]
fn an_empty_ruleset_plans() {
    let plan = Plan::new(Arc::new(compile(&Sources::default(), None).ruleset)).unwrap();
    assert!(hits(&plan, &event(&json!({"evt.type": "open"})), 0).is_empty());
    assert_eq!(plan.open_filter(), OpenFilter::NONE);
}

fn any_event() -> impl Strategy<Value = Partial> {
    let word = || proptest::option::of(proptest::sample::select(vec!["a", "ab", "b", "/etc/passwd", "abc", "A"]));
    let kind = proptest::sample::select(vec!["open", "openat", "execve", "connect", "clone", "procexit"]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0..3_i64);
    let names = (word(), word(), word(), word(), word(), word());
    (kind, flags, names, 1..4_i64, proptest::bits::u8::ANY).prop_map(|(kind, flags, names, pid, pending)| {
        let (read, write, create, failed, fd) = flags;
        let result = if failed { -2 } else { fd };
        let mut fields = json!({
            "evt.type": kind, "proc.pid": pid, "evt.failed": failed, "evt.rawres": result,
            "proc.name": names.0, "proc.pname": names.1, "proc.aname[2]": names.2, "evt.arg[flags]": names.3,
            "container.id": names.4, "k8s.ns.name": names.5,
        });
        if matches!(kind, "open" | "openat" | "connect") {
            fields["fd.num"] = json!(result);
            fields["fd.name"] = json!(names.3);
        }
        if kind == "connect" {
            fields["fd.sport"] = json!(pid);
        }
        if matches!(kind, "open" | "openat") {
            fields["evt.is_open_read"] = json!(read);
            fields["evt.is_open_write"] = json!(write);
            fields["evt.is_open_create"] = json!(create);
        }
        let pending = [Field::K8sNsName, Field::ContainerId]
            .iter()
            .enumerate()
            .filter(|(n, _)| pending >> n & 3 == 3)
            .map(|(_, f)| FieldRef::plain(*f))
            .collect();
        Partial { event: event(&fields), pending }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_find_what_the_plain_evaluator_finds(
        conditions in proptest::collection::vec(any_expr(), 1..6),
        events in proptest::collection::vec(any_event(), 1..12),
    ) {
        let plan = Plan::new(Arc::new(exprs(conditions.iter().cloned()))).unwrap();
        let mut scratch = Scratch::default();
        for event in &events {
            let mut found = Vec::new();
            plan.evaluate(event, 0, &mut scratch, &mut |hit| found.push((hit.rule, hit.outcome)));
            found.sort_by_key(|(rule, _)| *rule);
            let expected: Vec<_> = conditions.iter().enumerate().filter_map(|(n, condition)| {
                match crate::eval::evaluate(condition, event).unwrap() {
                    Truth::True => Some((n, HitOutcome::Matched)),
                    Truth::Unknown => Some((n, HitOutcome::Pending)),
                    Truth::False => None,
                }
            }).collect();
            prop_assert_eq!(&found, &expected);
            // Nothing that matches would have been held back by the kernel.
            let kind = event.event_type().unwrap();
            if !expected.is_empty() {
                prop_assert!(plan.needed_hooks().contains(&kind.hook()));
                if kind.hook() == Hook::Open {
                    let is = |f: Field| event.field(&FieldRef::plain(f)) == Lookup::Value(Value::Bool(true));
                    let class = OpenFilter::class(
                        is(Field::EvtIsOpenRead), is(Field::EvtIsOpenWrite), is(Field::EvtIsOpenCreate), is(Field::EvtFailed),
                    );
                    prop_assert!(plan.open_filter().wants(class), "class {class}");
                }
            }
        }
    }
}

#[test]
fn a_lost_event_is_charged_to_the_rules_that_its_hook_feeds() {
    let set = ruleset(&["evt.type = openat and fd.name = /x", "evt.type in (execve, connect)", "fd.num >= 0"]);
    let plan = Plan::new(Arc::new(set)).unwrap();
    assert_eq!(plan.rules_of(Hook::Open), [0, 2]);
    assert_eq!(plan.rules_of(Hook::Exec), [1]);
    assert_eq!(plan.rules_of(Hook::Connect), [1, 2]);
    assert!(plan.rules_of(Hook::Fork).is_empty());
}
