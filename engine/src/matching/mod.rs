//! Operators: a [`Test`] is an operator with its right-hand side, prepared once and applied to many values.
//!
//! `Test::build` is also the type check of literals: what it refuses, `compile` refuses, with the same words.
//! - `affix`, `folded`, `glob`, `net`, `path`, `pattern`: the sets and patterns that are more than a comparison.
//! - `text`: values as text, without the heap.
//! - `build`: from operator, kind and literals to a test.
//! - `dynamic`: the right-hand side is another field's value.
mod affix;
mod build;
mod dynamic;
mod folded;
mod glob;
mod literals;
mod net;
mod path;
mod pattern;
#[cfg(test)]
mod tests;
mod text;

pub use affix::{Affixes, End};
pub use build::TestError;
pub use dynamic::{compare as compare_dynamic, refuse as refuse_dynamic};
pub use folded::Folded;
pub use glob::Glob;
pub use literals::Literals;
pub use net::NetSet;
pub use path::PathSet;
pub use pattern::Pattern;
pub use text::{Buffer, bytes, with_bytes};

use crate::value::Value;
use memchr::memmem;
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

/// A set with a fast hash: its content is known when it is built, so nobody can fill it with collisions later.
pub type FastSet<K> = HashSet<K, foldhash::fast::RandomState>;
/// A map with the same hash.
pub type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// An operator with its right-hand side, for one value (lists are taken apart by `eval`).
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal bytes.
    TextEq(Box<[u8]>),
    /// One of many.
    TextIn(FastSet<Box<[u8]>>),
    /// Has these bytes in it.
    Contains(Box<memmem::Finder<'static>>),
    /// Has any of many texts in it: one automaton finds them all.
    ContainsAny(Box<Literals>),
    /// Has this text in it, in any ASCII case.
    ContainsFolded(Folded),
    /// Begins with.
    Prefix(Box<[u8]>),
    /// Ends with.
    Suffix(Box<[u8]>),
    /// Begins, or ends, with any of many.
    Affix(Affixes<()>),
    /// Fits the pattern.
    Glob(Glob),
    /// Fits the expression.
    Regex(Box<Pattern>),
    /// Lies below.
    Path(PathSet),
    /// A number between these, both included.
    Range(i128, i128),
    /// One of many numbers.
    NumberIn(FastSet<i128>),
    /// A fraction compared.
    Fraction(build::FractionOrder, f64),
    /// This truth.
    Truth(bool),
    /// One of many addresses.
    AddressIn(FastSet<IpAddr>),
    /// In one of many blocks.
    Net(NetSet),
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
        match self {
            // What is asked most, and mostly of text.
            Self::TextEq(text) if let Value::Str(value) = value => return **value == **text,
            Self::TextIn(set) if let Value::Str(value) = value => return set.contains(&**value),
            _ => {}
        }
        if let Value::List(items) = value {
            return items.iter().any(|item| self.matches(item));
        }
        match self {
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
            _ => with_bytes(value, |text| self.matches_text(text)),
        }
    }

    /// The tests of text; false for all others.
    fn matches_text(&self, value: &[u8]) -> bool {
        match self {
            Self::TextEq(text) => *value == **text,
            Self::TextIn(set) => set.contains(value),
            Self::Contains(finder) => finder.find(value).is_some(),
            Self::ContainsAny(literals) => literals.is_in(value),
            Self::ContainsFolded(text) => text.is_in(value),
            Self::Prefix(text) => value.starts_with(text),
            Self::Suffix(text) => value.ends_with(text),
            Self::Affix(texts) => texts.find(value).next().is_some(),
            Self::Glob(glob) => glob.matches(value),
            Self::Regex(regex) => regex.is_match(value),
            Self::Path(paths) => paths.matches(value),
            _ => false,
        }
    }

    /// Rough cost beside comparing a few bytes; orders the parts of `and` and `or`.
    #[must_use]
    pub fn cost(&self) -> u32 {
        match self {
            Self::TextEq(_) | Self::Prefix(_) | Self::Suffix(_) | Self::Range(..) | Self::Truth(_) => 1,
            Self::Fraction(..) => 1,
            Self::TextIn(_) | Self::NumberIn(_) | Self::AddressIn(_) => 2,
            Self::Net(_) => 3,
            Self::Contains(_) | Self::Affix(_) => 4,
            Self::Path(_) | Self::Glob(_) => 6,
            Self::ContainsFolded(_) => 8,
            Self::ContainsAny(_) => 20,
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
