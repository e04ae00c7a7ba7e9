//! What the kernel may leave out: for each hook a sound superset of the events that any rule could match.
//!
//! ```text
//! plan: conditions by event type -> derive: each as a disjunction of classes -> table: equal classes one, at most 64 a hook
//! ```
//! A [`Class`] is a conjunction of tests of what the kernel knows as a plain value; each test is a set of alternatives, or any.
//! The kernel computes which classes admit an event: these are its candidate bits, and none means that nobody wants it. What
//! does not fit the bounds is widened, never cut: a class may then admit more than its rules match.
//!
//! Invariants:
//! - *Sound*: an event for which a rule's condition is true, or undecided, is admitted by a class that names the rule, whatever
//!   is missing or pending (property test).
//! - What the kernel does not know passes every test. That is so for the path of an open that failed or could not be resolved
//!   (user space puts the argument together with its directory), for a path that a call was given which is not plain (`..`, `//`
//!   and the like, which user space takes out), and for the front of a path that was cut: records keep the end. Known paths are
//!   absolute and normal, as the kernel or user space makes them.
//! - The *name* is what user space calls `proc.name`: that of the process since its exec. A thread's present name may be
//!   another; a hook that does not keep the former must say that it does not know.
mod class;
mod derive;
mod show;
mod table;
#[cfg(test)]
mod tests;

pub use class::{Class, Numbers, Side, Texts};

use super::{dispatch::Candidate, graph::Graph};
use crate::event::{EventType, Hook};
use std::net::IpAddr;

/// Most classes of a hook: the bits of a word.
pub const MAX_CLASSES: usize = 64;
/// Most literals (texts, ports, blocks) of all classes of a hook together.
pub const MAX_LITERALS: usize = 4096;
/// Longest text of a test, in bytes; longer ones are cut to less of a test.
pub const MAX_TEXT: usize = 128;

/// A value that the kernel may know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fact<T> {
    /// It does not: every test of it passes.
    #[default]
    Unknown,
    /// The event has no such value, and so user space will say: every test of it fails.
    Absent,
    /// This.
    Is(T),
}

/// A path that the kernel may know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathFact<'a> {
    /// It does not.
    #[default]
    Unknown,
    /// All of it.
    Whole(&'a [u8]),
    /// Its end: the front did not fit.
    End(&'a [u8]),
}

/// What the kernel knows of an event.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its type.
    pub event_type: EventType,
    /// Of an open: [`OpenFilter::class`](super::OpenFilter::class). Of others: with
    /// [`OpenFilter::FAILED`](super::OpenFilter::FAILED) or without. What an io_uring is asked for has no result and is without.
    pub open_class: Option<u32>,
    /// Whether the process is in a container, where that is known.
    pub in_container: Option<bool>,
    /// Of the file that was opened (`fd.name`), of the program that was started (`proc.exepath`), or that a call was given
    /// (`fs.path.name` and its like).
    pub path: PathFact<'a>,
    /// The other path of a call that is given two; `None`: it is not. A test of paths is made by either.
    pub path2: Option<PathFact<'a>>,
    /// See the module.
    pub name: Fact<&'a [u8]>,
    /// The remote port of a connect, a send with an address, an accept.
    pub port: Fact<u16>,
    /// The remote address of these.
    pub address: Fact<IpAddr>,
}

impl Facts<'_> {
    /// Nothing known but the type.
    #[must_use]
    pub const fn of(event_type: EventType) -> Self {
        Self {
            event_type,
            open_class: None,
            in_container: None,
            path: PathFact::Unknown,
            path2: None,
            name: Fact::Unknown,
            port: Fact::Unknown,
            address: Fact::Unknown,
        }
    }
}

/// The filters of all hooks. `Display` shows them for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelFilters {
    /// By hook.
    hooks: Vec<Vec<Class>>,
    /// Names of the rules, for `Display`.
    names: Vec<String>,
}

impl KernelFilters {
    /// Derives them. `groups`: event types of one hook that have the same rules with the same conditions.
    pub(super) fn derive(graph: &Graph, groups: &[(Vec<EventType>, &[Candidate])], names: Vec<String>) -> Self {
        let mut hooks = vec![Vec::new(); Hook::ALL.len()];
        for (types, candidates) in groups {
            let Some(hook) = types.first().map(|event_type| event_type.hook()) else { continue };
            for candidate in *candidates {
                let classes = derive::classes(graph, candidate.condition, types);
                let owned = classes.into_iter().map(|class| Class { rules: [candidate.rule].into(), ..class });
                hooks[hook as usize].extend(owned);
            }
        }
        Self { hooks: hooks.into_iter().map(table::bounded).collect(), names }
    }

    /// Filters with these classes by hook (in the order of [`Hook::ALL`]), brought within the bounds: at most [`MAX_CLASSES`]
    /// of a hook, with at most [`MAX_LITERALS`].
    #[must_use]
    pub fn of(hooks: Vec<Vec<Class>>) -> Self {
        Self { hooks: hooks.into_iter().map(table::bounded).collect(), names: Vec::new() }
    }

    /// The classes of a hook; bit n of the candidate bits is class n. None: no rule is about it.
    #[must_use]
    pub fn classes(&self, hook: Hook) -> &[Class] {
        self.hooks.get(hook as usize).map_or(&[], Vec::as_slice)
    }

    /// The candidate bits of an event; 0: no rule can match it.
    #[must_use]
    pub fn admits(&self, facts: &Facts<'_>) -> u64 {
        let classes = self.classes(facts.event_type.hook()).iter().enumerate();
        classes.fold(0, |bits, (n, class)| bits | u64::from(class.admits(facts)) << n)
    }
}
