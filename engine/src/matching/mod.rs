//! Operators: a [`Test`] is an operator with its right-hand side, prepared once and applied to many values.
//!
//! `Test::build` is also the type check of literals: what it refuses, `compile` refuses, with the same words.
//! - `glob`, `path`, `net`: the sets and patterns that are more than a comparison.
//! - `build`: from operator, kind and literals to a test.
//! - `dynamic`: the right-hand side is another field's value.
mod build;
mod dynamic;
mod glob;
mod net;
mod path;
#[cfg(test)]
mod tests;

pub use build::TestError;
pub use dynamic::{compare as compare_dynamic, refuse as refuse_dynamic};
pub use glob::Glob;

use crate::value::Value;
use memchr::memmem;
use std::{borrow::Cow, collections::HashSet, net::IpAddr};

/// An operator with its right-hand side, for one value (lists are taken apart by `eval`).
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal bytes.
    TextEq(Box<[u8]>),
    /// One of many.
    TextIn(HashSet<Box<[u8]>>),
    /// Has these bytes in it.
    Contains(Box<memmem::Finder<'static>>),
    /// Has this text (in lower case) in it, in any ASCII case.
    ContainsFolded(Box<[u8]>),
    /// Begins with.
    Prefix(Box<[u8]>),
    /// Ends with.
    Suffix(Box<[u8]>),
    /// Fits the pattern.
    Glob(Glob),
    /// Fits the expression.
    Regex(regex::bytes::Regex),
    /// Lies below.
    Path(path::PathSet),
    /// A number between these, both included.
    Range(i128, i128),
    /// One of many numbers.
    NumberIn(HashSet<i128>),
    /// A fraction compared.
    Fraction(build::FractionOrder, f64),
    /// This truth.
    Truth(bool),
    /// One of many addresses.
    AddressIn(HashSet<IpAddr>),
    /// In one of many blocks.
    Net(net::NetSet),
    /// The inner test does not hold.
    Not(Box<Test>),
    /// Any holds.
    Any(Vec<Test>),
    /// All hold.
    All(Vec<Test>),
    /// Exactly one holds.
    One(Vec<Test>),
}

impl Test {
    /// Whether it holds for a value. A list is taken as any of its values.
    #[must_use]
    pub fn matches(&self, value: &Value<'_>) -> bool {
        if let Value::List(items) = value {
            return items.iter().any(|item| self.matches(item));
        }
        match self {
            Self::TextEq(text) => *bytes(value) == **text,
            Self::TextIn(set) => set.contains(&*bytes(value)),
            Self::Contains(finder) => finder.find(&bytes(value)).is_some(),
            Self::ContainsFolded(text) => contains_folded(&bytes(value), text),
            Self::Prefix(text) => bytes(value).starts_with(text),
            Self::Suffix(text) => bytes(value).ends_with(text),
            Self::Glob(glob) => glob.matches(&bytes(value)),
            Self::Regex(regex) => regex.is_match(&bytes(value)),
            Self::Path(paths) => paths.matches(&bytes(value)),
            Self::Range(low, high) => number(value).is_some_and(|n| (*low..=*high).contains(&n)),
            Self::NumberIn(set) => number(value).is_some_and(|n| set.contains(&n)),
            Self::Fraction(order, limit) => fraction(value).is_some_and(|n| order.holds(n, *limit)),
            Self::Truth(wanted) => truth(value) == Some(*wanted),
            Self::AddressIn(set) => matches!(value, Value::Ip(ip) if set.contains(&ip.to_canonical())),
            Self::Net(nets) => matches!(value, Value::Ip(ip) if nets.contains(*ip)),
            Self::Not(inner) => !inner.matches(value),
            Self::Any(tests) => tests.iter().any(|t| t.matches(value)),
            Self::All(tests) => tests.iter().all(|t| t.matches(value)),
            Self::One(tests) => tests.iter().filter(|t| t.matches(value)).take(2).count() == 1,
        }
    }

    /// Rough cost beside comparing a few bytes; orders the parts of `and` and `or`.
    #[must_use]
    pub fn cost(&self) -> u32 {
        match self {
            Self::TextEq(_) | Self::Prefix(_) | Self::Suffix(_) | Self::Range(..) | Self::Truth(_) => 1,
            Self::Fraction(..) => 1,
            Self::TextIn(_) | Self::NumberIn(_) | Self::AddressIn(_) => 2,
            Self::Contains(_) | Self::Net(_) => 4,
            Self::Path(_) => 6,
            Self::ContainsFolded(_) | Self::Glob(_) => 8,
            Self::Regex(_) => 40,
            Self::Not(inner) => inner.cost(),
            Self::Any(tests) | Self::All(tests) | Self::One(tests) => {
                tests.iter().fold(0, |sum: u32, t| sum.saturating_add(t.cost()))
            }
        }
    }
}

/// A number or an address, to look rules up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// A number.
    Number(i128),
    /// An address in canonical form.
    Address(IpAddr),
}

impl Point {
    /// The value as tests of numbers and addresses see it.
    #[must_use]
    pub fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Ip(ip) => Some(Self::Address(ip.to_canonical())),
            other => number(other).map(Self::Number),
        }
    }
}

/// The value as text: what text operators see of numbers and addresses too.
#[must_use]
pub fn bytes<'a>(value: &'a Value<'_>) -> Cow<'a, [u8]> {
    match value {
        Value::Str(s) => Cow::Borrowed(s),
        Value::Int(n) => Cow::Owned(n.to_string().into_bytes()),
        Value::Uint(n) => Cow::Owned(n.to_string().into_bytes()),
        Value::Bool(b) => Cow::Borrowed(if *b { b"true" } else { b"false" }),
        Value::Ip(ip) => Cow::Owned(ip.to_string().into_bytes()),
        Value::List(items) => {
            let parts: Vec<_> = items.iter().map(bytes).collect();
            Cow::Owned(parts.join(&b","[..]))
        }
    }
}

/// The value as a number, also where it is text that says one.
fn number(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(n) => Some(i128::from(*n)),
        Value::Uint(n) => Some(i128::from(*n)),
        Value::Str(s) => build::parse_number(std::str::from_utf8(s).ok()?),
        Value::Bool(_) | Value::Ip(_) | Value::List(_) => None,
    }
}

fn fraction(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Str(s) => std::str::from_utf8(s).ok()?.parse().ok(),
        #[expect(clippy::cast_precision_loss, reason = "fractions are percentages")]
        other => number(other).map(|n| n as f64),
    }
}

fn truth(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Int(n) => Some(*n != 0),
        Value::Uint(n) => Some(*n != 0),
        Value::Str(s) => build::parse_truth(s),
        Value::Ip(_) | Value::List(_) => None,
    }
}

/// `needle` is in lower case.
fn contains_folded(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}
