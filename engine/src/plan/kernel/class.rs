//! One class: a conjunction of tests, each a set of alternatives.
use super::{Fact, Facts, MAX_TEXT, PathFact};
use crate::{
    event::{EventType, EventTypes},
    plan::OpenFilter,
};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// On which side of the containers' border a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Either.
    Any,
    /// In a container.
    Container,
    /// On the host.
    Host,
}

/// Alternatives of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Texts {
    /// The whole path.
    pub exact: BTreeSet<Vec<u8>>,
    /// How it begins.
    pub prefixes: BTreeSet<Vec<u8>>,
    /// How it ends.
    pub suffixes: BTreeSet<Vec<u8>>,
}

/// Ranges of ports, both ends included.
pub type Numbers = BTreeSet<(u16, u16)>;

/// See the module. `None` in a test: anything passes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Event types.
    pub types: EventTypes,
    /// Classes of opens; of other hooks those that failed or not (no other bit counts); all for those of which that is not known.
    pub opens: u16,
    /// Container or host.
    pub side: Side,
    /// The file, or the program; of a call that is given two paths either.
    pub path: Option<Texts>,
    /// The name of the process.
    pub names: Option<BTreeSet<Vec<u8>>>,
    /// The remote port.
    pub ports: Option<Numbers>,
    /// The remote address lies in one of these.
    pub blocks: Option<BTreeSet<IpNet>>,
    /// Indexes of the rules that want it, in `ruleset.rules`.
    pub rules: BTreeSet<u32>,
}

impl Class {
    /// Admits everything of all types.
    pub(super) const fn any() -> Self {
        Self {
            types: EventTypes::ALL,
            opens: u16::MAX,
            side: Side::Any,
            path: None,
            names: None,
            ports: None,
            blocks: None,
            rules: BTreeSet::new(),
        }
    }

    /// Whether it is about events of a type.
    #[must_use]
    pub const fn wants_type(&self, event_type: EventType) -> bool {
        self.types.contains(event_type)
    }

    /// Admits everything of all types, for nobody.
    #[must_use]
    pub const fn everything() -> Self {
        Self::any()
    }

    /// Whether it admits an event.
    #[must_use]
    pub fn admits(&self, facts: &Facts<'_>) -> bool {
        self.wants_type(facts.event_type)
            && facts.open_class.is_none_or(|class| OpenFilter::from_bits(self.opens).wants(class))
            && match (self.side, facts.in_container) {
                (Side::Any, _) | (_, None) => true,
                (side, Some(inside)) => inside == (side == Side::Container),
            }
            && self
                .path
                .as_ref()
                .is_none_or(|texts| texts.admit(facts.path) || facts.path2.is_some_and(|p| texts.admit(p)))
            && passes(self.names.as_ref(), facts.name, BTreeSet::contains)
            && passes(self.ports.as_ref(), facts.port, |ports, port| {
                ports.iter().any(|(low, high)| (*low..=*high).contains(&port))
            })
            && passes(self.blocks.as_ref(), facts.address, |blocks, address| {
                blocks.iter().any(|block| block.contains(&address.to_canonical()))
            })
    }

    /// Whether no event of any kind can pass. (No alternatives of a text is not that: unknown ones pass.)
    pub(super) const fn is_empty(&self) -> bool {
        self.types.is_empty() || self.opens == 0
    }

    /// How many literals it has.
    pub(super) fn literals(&self) -> usize {
        self.path.as_ref().map_or(0, Texts::len)
            + self.names.as_ref().map_or(0, BTreeSet::len)
            + self.ports.as_ref().map_or(0, BTreeSet::len)
            + self.blocks.as_ref().map_or(0, BTreeSet::len)
    }

    /// What both admit, or more. `None`: nothing.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let side = match (self.side, other.side) {
            (Side::Any, side) | (side, Side::Any) => side,
            (a, b) if a == b => a,
            // Such a condition holds nowhere; while its field is pending it is undecided.
            _ => Side::Any,
        };
        let both = Self {
            types: self.types.and(other.types),
            opens: self.opens & other.opens,
            side,
            path: narrower(&self.path, &other.path, Texts::vagueness),
            names: common(&self.names, &other.names),
            // Ranges and blocks that overlap are kept from one side: still a superset.
            ports: narrower(&self.ports, &other.ports, BTreeSet::len),
            blocks: narrower(&self.blocks, &other.blocks, BTreeSet::len),
            rules: self.rules.union(&other.rules).copied().collect(),
        };
        Some(both).filter(|class| !class.is_empty())
    }

    /// What either admits, or more: test by test. Exactly that where they differ in one test only.
    pub(super) fn or(&mut self, other: Self) {
        self.types = self.types.union(other.types);
        self.opens |= other.opens;
        if self.side != other.side {
            self.side = Side::Any;
        }
        self.path = both(self.path.take(), other.path, |a, b| {
            a.exact.extend(b.exact);
            a.prefixes.extend(b.prefixes);
            a.suffixes.extend(b.suffixes);
        });
        self.names = both(self.names.take(), other.names, Extend::extend);
        self.ports = both(self.ports.take(), other.ports, Extend::extend);
        self.blocks = both(self.blocks.take(), other.blocks, Extend::extend);
        self.rules.extend(other.rules);
    }

    /// In how many tests they differ.
    pub(super) fn differs(&self, other: &Self) -> usize {
        [
            self.types != other.types,
            self.opens != other.opens,
            self.side != other.side,
            self.path != other.path,
            self.names != other.names,
            self.ports != other.ports,
            self.blocks != other.blocks,
        ]
        .iter()
        .filter(|differs| **differs)
        .count()
    }
}

fn passes<S, T>(set: Option<&S>, fact: Fact<T>, fits: impl FnOnce(&S, T) -> bool) -> bool {
    match (set, fact) {
        (None, _) | (_, Fact::Unknown) => true,
        (Some(set), Fact::Is(value)) => fits(set, value),
        (Some(_), Fact::Absent) => false,
    }
}

fn narrower<S: Clone>(a: &Option<S>, b: &Option<S>, vague: impl Fn(&S) -> usize) -> Option<S> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if vague(a) <= vague(b) { a } else { b }.clone()),
        (one, None) | (None, one) => one.clone(),
    }
}

fn common<T: Ord + Clone>(a: &Option<BTreeSet<T>>, b: &Option<BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        // In common they may have none: see `is_empty`.
        (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
        (one, None) | (None, one) => one.clone(),
    }
}

fn both<S>(a: Option<S>, b: Option<S>, join: impl FnOnce(&mut S, S)) -> Option<S> {
    let (mut a, b) = (a?, b?);
    join(&mut a, b);
    Some(a)
}

impl Texts {
    /// The whole path; of a long one its beginning.
    pub(super) fn exact(text: &[u8]) -> Self {
        match text.get(..MAX_TEXT) {
            Some(front) if text.len() > MAX_TEXT => Self::prefix(front),
            _ => Self { exact: [text.to_vec()].into(), ..Self::default() },
        }
    }

    /// How it begins.
    pub(super) fn prefix(text: &[u8]) -> Self {
        Self { prefixes: [text[..text.len().min(MAX_TEXT)].to_vec()].into(), ..Self::default() }
    }

    /// How it ends.
    pub(super) fn suffix(text: &[u8]) -> Self {
        Self { suffixes: [text[text.len().saturating_sub(MAX_TEXT)..].to_vec()].into(), ..Self::default() }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len() + self.suffixes.len()
    }

    /// How much it lets through, to compare two: whole paths are best, long beginnings and ends better than short ones.
    fn vagueness(&self) -> usize {
        let shortest = self.prefixes.iter().chain(&self.suffixes).map(Vec::len).min();
        shortest.map_or(0, |length| 1 + MAX_TEXT.saturating_sub(length)) * 1024 + self.len().min(1023)
    }

    fn admit(&self, path: PathFact<'_>) -> bool {
        let begins = |path: &[u8]| self.prefixes.iter().any(|prefix| path.starts_with(prefix));
        let ends = |path: &[u8]| self.suffixes.iter().any(|suffix| path.ends_with(suffix));
        match path {
            PathFact::Unknown => true,
            PathFact::Whole(path) => self.exact.contains(path) || begins(path) || ends(path),
            // What is not there any more may have been anything; a suffix longer than what is there, too.
            PathFact::End(end) => {
                !self.exact.is_empty()
                    || !self.prefixes.is_empty()
                    || ends(end)
                    || self.suffixes.iter().any(|suffix| suffix.ends_with(end))
            }
        }
    }
}
