//! Sentences as people read them, and that a deciding set decides.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::{MapEvent, Part, Shape, Trace, Truth, explain, trace};
use crate::{compile::check_condition, source::Sources, syntax::Expr};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn event(fields: &Value) -> MapEvent {
    MapEvent::from_map(&serde_json::from_value(fields.clone()).unwrap()).unwrap()
}

fn condition(text: &str) -> Expr {
    check_condition(text, &Sources::default()).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).0
}

#[rstest]
#[case("evt.type = open and fd.name startswith /etc", "`fd.name startswith /etc` was false: fd.name=/tmp/x")]
#[case(
    "evt.type = open and fd.name startswith /tmp",
    "`evt.type = open` was true: evt.type=open; `fd.name startswith /tmp` was true: fd.name=/tmp/x"
)]
// What is not there says so, and why where that is known.
#[case("fd.num >= 0", "`fd.num >= 0` was false: fd.num has no value")]
#[case("proc.env[A] = b", "`proc.env[A] = b` was false: proc.env[A] has no value (no hook supplies it yet)")]
#[case(
    "fd.sip = 10.0.0.1",
    "`fd.sip = 10.0.0.1` was false: fd.sip has no value (only events of the hooks connect, accept, socket, bind, listen, send, dup, chmod, chown, module, namespace, io_uring, splice have it)"
)]
// `not` before a leaf is told with it; deeper ones say that they are below one.
#[case("evt.type = open and not proc.name in (sh, cat)", "`not proc.name in (sh, cat)` was false: proc.name=cat")]
#[case(
    "not (proc.name = cat and fd.name endswith x)",
    "`proc.name = cat` was true (under `not`): proc.name=cat; `fd.name endswith x` was true (under `not`): fd.name=/tmp/x"
)]
#[case(
    "not (proc.name = sh or not (fd.name = /tmp/x or proc.name = dash))",
    "`proc.name = sh` was false (under `not`): proc.name=cat; `fd.name = /tmp/x` was true: fd.name=/tmp/x"
)]
// Of an `or` that is false all parts count, those over the same fields together; of one that is true, one does.
#[case(
    "proc.name = a or proc.name = b or proc.name = c or proc.name = d",
    "`proc.name = a`, `proc.name = b`, `proc.name = c` and 1 more were false: proc.name=cat"
)]
#[case("(proc.name = cat and fd.name = /tmp/x) or evt.type = open", "`evt.type = open` was true: evt.type=open")]
// The smallest set wins over the first.
#[case("(proc.name = a or fd.name = b) and evt.type = creat", "`evt.type = creat` was false: evt.type=open")]
#[case(
    "proc.cmdline contains x and proc.args = val(proc.name)",
    "`proc.cmdline contains x` was false: proc.cmdline=\"cat /tmp/\\u{1b}\""
)]
#[case("proc.name in (a, b, c, d, e, f, g, h)", "`proc.name in (a, b, c, d, e, ... 3 more)` was false: proc.name=cat")]
fn the_deciding_part_is_told(#[case] text: &str, #[case] sentence: &str) {
    let event = event(&json!({
        "evt.type": "open", "fd.name": "/tmp/x", "proc.name": "cat", "proc.cmdline": "cat /tmp/\u{1b}",
    }));
    assert_eq!(explain(&condition(text), &event), sentence);
}

#[test]
fn what_else_keeps_it_from_matching_is_told() {
    let event = event(&json!({"evt.type": "open", "fd.name": "/tmp/x", "proc.name": "cat"}));
    let others = |text: &str| {
        let part = Part::of(&condition(text));
        let traced = trace(&part, &event);
        traced.other_reasons(&part).iter().map(|reasons| super::sentence(reasons)).collect::<Vec<_>>()
    };
    let text = "evt.type = open and fd.num = 1 and not proc.name = cat and (fd.name = a or fd.name = b)";
    let expected = [
        "`not proc.name = cat` was false: proc.name=cat",
        "`fd.name = a` and `fd.name = b` were false: fd.name=/tmp/x",
    ];
    assert_eq!(others(text), expected);
    assert!(others("evt.type = open").is_empty() && others("fd.num = 1 or fd.num = 2").is_empty());
}

/// Whether the leaves of a deciding set alone decide: every other leaf is unknown.
fn decided(part: &Part, traced: &Trace, kept: &mut dyn FnMut(&Trace) -> bool) -> Truth {
    let mut below = part.children().iter().zip(&traced.children).map(|(p, t)| decided(p, t, kept)).collect::<Vec<_>>();
    match &part.shape {
        Shape::And(_) => below.into_iter().min().unwrap(),
        Shape::Or(_) => below.into_iter().max().unwrap(),
        Shape::Not(_) => !below.remove(0),
        Shape::Leaf(_) if kept(traced) => traced.truth,
        Shape::Leaf(_) => Truth::Unknown,
    }
}

/// Every leaf is about another field.
fn any_condition() -> impl Strategy<Value = Expr> {
    let inner = Just(condition("proc.name = yes")).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(Expr::negate),
        ]
    });
    inner.prop_map(|mut expr| {
        number(&mut expr, &mut 0);
        expr
    })
}

fn number(expr: &mut Expr, next: &mut usize) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(|part| number(part, next)),
        Expr::Not(inner) => number(inner, next),
        leaf => {
            *leaf = condition(&format!("proc.args[{next}] = yes"));
            *next += 1;
        }
    }
}

proptest! {
    #[test]
    fn a_deciding_set_decides_and_nothing_in_it_is_spare(expr in any_condition(), bits in any::<u128>()) {
        let value = |n: usize| if bits >> n & 1 == 1 { "yes" } else { "no" };
        let fields = (0..128).map(|n| (format!("proc.args[{n}]"), json!(value(n)))).collect();
        let event = event(&Value::Object(fields));
        let part = Part::of(&expr);
        let traced = trace(&part, &event);
        prop_assert_eq!(traced.truth, crate::eval::evaluate(&expr, &event).unwrap());
        let reasons = traced.reasons(&part);
        let decided_without = |skip: Option<usize>| {
            let kept = reasons.iter().enumerate().filter(|(n, _)| Some(*n) != skip);
            let kept: Vec<&str> = kept.map(|(_, reason)| reason.seen[0].field.as_str()).collect();
            decided(&part, &traced, &mut |leaf| kept.contains(&leaf.seen[0].field.as_str()))
        };
        prop_assert_eq!(decided_without(None), traced.truth);
        for spare in 0..reasons.len() {
            prop_assert_eq!(decided_without(Some(spare)), Truth::Unknown);
        }
    }
}
