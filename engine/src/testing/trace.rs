//! What each part of a condition gave for one event, with the values it saw, and which parts decided.
//!
//! A *deciding set* is a smallest set of leaves whose truth alone makes the whole what it is: of an `and` that is false,
//! one part is enough; of one that is true, every part is needed; `or` the other way round; `not` changes nothing.
use super::part::{LeafPart, Part, Shape, cut};
use crate::{
    eval::{Truth, evaluate, render_clock, value_of},
    event::{Event, EventType},
    field::{FieldRef, Kind, Supply},
    matching::bytes,
    syntax::{Expr, Operand},
    value::{Lookup, Value},
};
use serde::{Serialize, Serializer};
use std::fmt::Write as _;

/// Most groups of leaves that a sentence names.
const MAX_NAMED: usize = 4;
/// Most leaves of a group that a sentence names.
const MAX_TEXTS: usize = 3;
/// Most fields whose values a sentence tells for a group.
const MAX_FIELDS: usize = 5;

/// A part for one event. Has as many children as the part.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What the part gave.
    pub truth: Truth,
    /// The values that a leaf saw.
    pub seen: Vec<Seen>,
    /// The parts below.
    pub children: Vec<Trace>,
    /// How many leaves a smallest deciding set has.
    weight: usize,
}

/// A field's value, as a leaf saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The field.
    pub field: String,
    /// Its value as text; `None`: it has none.
    pub value: Option<String>,
    /// Why there is none, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A leaf that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Its text; `not` in front of it where it stands so in the condition.
    pub text: String,
    /// What it gave, the `not` included.
    #[serde(rename = "was", serialize_with = "as_word")]
    pub truth: Truth,
    /// It stands below a `not (...)`, so the whole wants the opposite of it.
    pub negated: bool,
    /// The values it saw.
    pub seen: Vec<Seen>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.value, &self.why) {
            (Some(value), _) => write!(f, "{}={value}", self.field),
            (None, None) => write!(f, "{} has no value", self.field),
            (None, Some(why)) => write!(f, "{} has no value ({why})", self.field),
        }
    }
}

/// What a condition gave for an event, part by part.
#[must_use]
pub fn trace(part: &Part, event: &dyn Event) -> Trace {
    let (truth, seen) = match &part.shape {
        Shape::Leaf(leaf) => {
            // Compiled conditions do not fail.
            let truth = evaluate(&leaf.expr, event).unwrap_or(Truth::Unknown);
            return Trace { truth, seen: seen(leaf, event), children: Vec::new(), weight: 1 };
        }
        Shape::And(_) | Shape::Or(_) | Shape::Not(_) => (Truth::False, Vec::new()),
    };
    let children: Vec<Trace> = part.children().iter().map(|child| trace(child, event)).collect();
    let truths = children.iter().map(|child| child.truth);
    let truth = match &part.shape {
        Shape::And(_) => truths.min().unwrap_or(Truth::True),
        Shape::Or(_) => truths.max().unwrap_or(Truth::False),
        Shape::Not(_) => truths.map(|truth| !truth).next().unwrap_or(truth),
        Shape::Leaf(_) => truth,
    };
    let alike = children.iter().filter(|child| child.truth == truth).map(|child| child.weight);
    let weight = if is_shared(&part.shape, truth) {
        children.iter().map(|child| child.weight).fold(0, usize::saturating_add)
    } else {
        alike.min().unwrap_or(0)
    };
    Trace { truth, seen, children, weight }
}

/// Whether all children are needed for it to be what it is; else one that is like it is enough.
const fn is_shared(shape: &Shape, truth: Truth) -> bool {
    match shape {
        Shape::And(_) => matches!(truth, Truth::True),
        Shape::Or(_) => matches!(truth, Truth::False),
        Shape::Not(_) | Shape::Leaf(_) => true,
    }
}

impl Trace {
    /// A smallest deciding set, in the order of the condition. `part` is what was traced.
    #[must_use]
    pub fn reasons(&self, part: &Part) -> Vec<Reason> {
        let mut reasons = Vec::new();
        self.collect(part, false, &mut reasons);
        reasons
    }

    /// What else keeps the whole from being true: of each other part of the outermost `and` that is not true, a smallest
    /// deciding set. An event must change all of them to match.
    #[must_use]
    pub fn other_reasons(&self, part: &Part) -> Vec<Vec<Reason>> {
        if self.truth == Truth::True {
            return Vec::new();
        }
        let mut conjuncts = Vec::new();
        self.conjuncts(part, &mut conjuncts);
        let told = self.reasons(part);
        let not_true = conjuncts.into_iter().filter(|(trace, _)| trace.truth != Truth::True);
        not_true.map(|(trace, part)| trace.reasons(part)).filter(|reasons| *reasons != told).collect()
    }

    fn conjuncts<'t>(&'t self, part: &'t Part, found: &mut Vec<(&'t Self, &'t Part)>) {
        match &part.shape {
            Shape::And(parts) => self.children.iter().zip(parts).for_each(|(below, part)| below.conjuncts(part, found)),
            _ => found.push((self, part)),
        }
    }

    fn collect(&self, part: &Part, negated: bool, reasons: &mut Vec<Reason>) {
        match &part.shape {
            Shape::Leaf(leaf) => {
                let reason = Reason { text: leaf.shown(), truth: self.truth, negated, seen: self.seen.clone() };
                reasons.push(reason);
            }
            Shape::Not(inner) => {
                let Some(below) = self.children.first() else { return };
                if let Shape::Leaf(leaf) = &inner.shape {
                    let text = format!("not {}", leaf.shown());
                    reasons.push(Reason { text, truth: self.truth, negated, seen: below.seen.clone() });
                } else {
                    below.collect(inner, !negated, reasons);
                }
            }
            Shape::And(parts) | Shape::Or(parts) => {
                let pairs = self.children.iter().zip(parts);
                if is_shared(&part.shape, self.truth) {
                    pairs.for_each(|(below, part)| below.collect(part, negated, reasons));
                } else if let Some((below, part)) =
                    pairs.filter(|(below, _)| below.truth == self.truth).min_by_key(|(below, _)| below.weight)
                {
                    below.collect(part, negated, reasons);
                }
            }
        }
    }
}

/// Reasons as one sentence: "`fd.name startswith /etc` was false: fd.name=/tmp/x". Leaves over the same fields that gave
/// the same are told together.
#[must_use]
pub fn sentence(reasons: &[Reason]) -> String {
    let mut groups: Vec<Vec<&Reason>> = Vec::new();
    for reason in reasons {
        let alike =
            |other: &Reason| (other.truth, other.negated, &other.seen) == (reason.truth, reason.negated, &reason.seen);
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| alike(first))) {
            Some(group) => group.push(reason),
            None => groups.push(vec![reason]),
        }
    }
    let mut text = String::new();
    for (n, group) in groups.iter().take(MAX_NAMED).enumerate() {
        let Some(first) = group.first() else { continue };
        let texts: Vec<String> = group.iter().take(MAX_TEXTS).map(|reason| format!("`{}`", reason.text)).collect();
        let more = group.len() - texts.len();
        let joined = match (texts.as_slice(), more) {
            ([one], _) => one.clone(),
            ([all @ .., last], 0) => format!("{} and {last}", all.join(", ")),
            (all, more) => format!("{} and {more} more", all.join(", ")),
        };
        let were = if group.len() == 1 { "was" } else { "were" };
        let under = if first.negated { " (under `not`)" } else { "" };
        let values: Vec<String> = first.seen.iter().take(MAX_FIELDS).map(ToString::to_string).collect();
        let separator = if n == 0 { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{joined} {were} {}{under}", word(first.truth));
        if !values.is_empty() {
            let _ = write!(text, ": {}", values.join(", "));
        }
    }
    if groups.len() > MAX_NAMED {
        let rest: usize = groups.iter().skip(MAX_NAMED).map(Vec::len).sum();
        let parts = if rest == 1 { "part" } else { "parts" };
        let _ = write!(text, "; and {rest} more {parts}");
    }
    text
}

/// Which parts of a condition made it what it is for an event, in one sentence.
#[must_use]
pub fn explain(expr: &Expr, event: &dyn Event) -> String {
    let part = Part::of(expr);
    sentence(&trace(&part, event).reasons(&part))
}

/// A truth in words.
#[must_use]
pub const fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "undecided",
    }
}

fn as_word<S: Serializer>(truth: &Truth, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(word(*truth))
}

fn seen(leaf: &LeafPart, event: &dyn Event) -> Vec<Seen> {
    leaf.fields().into_iter().map(|field| look(field, event)).collect()
}

fn look(field: &FieldRef, event: &dyn Event) -> Seen {
    let (value, why) = match value_of(&Operand::Field(field.clone()), event) {
        Lookup::Value(value) => (Some(shown(field, &value)), None),
        Lookup::Missing => (None, lacks(field, event.event_type())),
        Lookup::Pending => (None, Some("it is not known yet".to_owned())),
    };
    Seen { field: field.to_string(), value, why }
}

/// Why such an event never has the field.
fn lacks(field: &FieldRef, event_type: Option<EventType>) -> Option<String> {
    match (field.field.def().supply, event_type) {
        (Supply::Nobody, _) => Some("no hook supplies it yet".to_owned()),
        (Supply::By(hooks), Some(event_type)) if !hooks.contains(&event_type.hook()) => {
            let hooks: Vec<_> = hooks.iter().map(|hook| hook.as_str()).collect();
            let s = if hooks.len() == 1 { "" } else { "s" };
            Some(format!("only events of the hook{s} {} have it", hooks.join(", ")))
        }
        _ => None,
    }
}

/// A value on one line, in quotes where it would run into what follows.
fn shown(field: &FieldRef, value: &Value<'_>) -> String {
    let text = match value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(field, item)).collect();
            return cut(&format!("({})", items.join(", ")));
        }
        Value::Uint(nanoseconds) if field.field.def().kind == Kind::Clock => render_clock(field.field, *nanoseconds),
        other => String::from_utf8_lossy(&bytes(other)).into_owned(),
    };
    let text = cut(&text);
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | ',' | ';');
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("{text:?}") }
}
