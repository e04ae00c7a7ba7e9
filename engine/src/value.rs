//! Values that fields have.
use std::{borrow::Cow, net::IpAddr};

/// The value of a field for one event. Strings are bytes: paths and arguments need not be UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text or raw bytes.
    Str(Cow<'a, [u8]>),
    /// Signed number (also relative time, in nanoseconds).
    Int(i64),
    /// Unsigned number (also ports, and absolute time in nanoseconds since 1970).
    Uint(u64),
    /// Truth.
    Bool(bool),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// Several values (list-valued fields; `proc.aname` without an index). A comparison holds if it holds for any.
    List(Vec<Value<'a>>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(s: &'a str) -> Self {
        Self::Str(Cow::Borrowed(s.as_bytes()))
    }
}
impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(s: &'a [u8]) -> Self {
        Self::Str(Cow::Borrowed(s))
    }
}
impl From<String> for Value<'_> {
    fn from(s: String) -> Self {
        Self::Str(Cow::Owned(s.into_bytes()))
    }
}
impl From<Vec<u8>> for Value<'_> {
    fn from(s: Vec<u8>) -> Self {
        Self::Str(Cow::Owned(s))
    }
}

/// What asking an event for a field yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<'a> {
    /// The value.
    Value(Value<'a>),
    /// The event has no such value (`<NA>`): every comparison with it is false.
    Missing,
    /// Not known yet (a container whose pod metadata has not arrived): a comparison with it is undecided, by
    /// Kleene's three-valued logic, and the event may be asked again later.
    Pending,
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Lookup<'a> {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Missing, |v| Self::Value(v.into()))
    }
}
impl<'a, T: Into<Value<'a>>> From<T> for Lookup<'a> {
    fn from(v: T) -> Self {
        Self::Value(v.into())
    }
}
