//! What an event must have for a condition to hold at all: values by which rules are picked instead of tried.
//!
//! The keys of a condition are a choice: when no value of the event fits any of them, the condition is false (not undecided:
//! a pending value picks all rules of its field). Of the parts of an `and` the best keys are taken, of an `or` those of every
//! part together, so that they may be of several fields. What is negated has none.
use super::graph::{Graph, Node, NodeId, PlanLeaf, Planned};
use crate::{
    eval::Leaf,
    field::{Field, FieldRef, Many},
    matching::{Glob, Point, Test},
    syntax::Operand,
};
use std::borrow::Cow;

/// Rules with more keys are tried: their table would cost more memory than it saves time.
const MAX_KEYS: usize = 1024;
/// Shorter texts say too little where they may be anywhere, or when more can follow.
const MIN_TEXT: usize = 3;

/// Whose value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A field with one value, by its slot.
    Slot(u32),
    /// A field with many values: each counts.
    Many(FieldRef),
}

/// What the value is.
#[derive(Clone, Debug)]
pub enum Key<'g> {
    /// This text.
    Text(&'g [u8]),
    /// This number or address.
    Point(Point),
    /// Begins with this.
    Prefix(Cow<'g, [u8]>),
    /// Ends with this.
    Suffix(Cow<'g, [u8]>),
    /// Has this in it, in any ASCII case.
    Contains(Cow<'g, [u8]>),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Keys<'g> {
    /// One of these fits, or the condition is false.
    pub list: Vec<(Asked, Key<'g>)>,
    /// How often the worst of them is expected to fit: less is better.
    score: u32,
}

/// The keys of a condition, if it has any that tell it from others.
pub fn of(graph: &Graph, planned: Planned) -> Option<Keys<'_>> {
    match planned {
        Planned::Constant(_) => None,
        Planned::Node(id) => of_node(graph, id),
    }
}

/// No key at all is none: nothing would pick the rule while its field is pending.
fn of_leaf<'g>(test: &'g Test, asked: &Asked, weight: u32) -> Option<Keys<'g>> {
    of_test(test, asked, weight).filter(|keys| !keys.list.is_empty())
}

fn of_node(graph: &Graph, id: NodeId) -> Option<Keys<'_>> {
    match &graph.nodes[id as usize] {
        Node::And(parts) => {
            let keys = parts.iter().filter_map(|part| of_node(graph, *part));
            keys.min_by_key(|keys| (keys.score, keys.list.len()))
        }
        Node::Or(parts) => union(parts.iter().map(|part| of_node(graph, *part))),
        Node::Not(_) => None,
        Node::Leaf(leaf) => match &graph.leaves[*leaf as usize] {
            PlanLeaf::Test { slot, test } => of_leaf(test, &Asked::Slot(*slot), weight(&graph.fields[*slot as usize])?),
            PlanLeaf::Other(leaf) => match &**leaf {
                // A clock has one value, and it is compared as another than the event yields.
                Leaf::Test { operand: Operand::Field(field), test, .. } if field.many() != Many::One => {
                    of_leaf(test, &Asked::Many(field.clone()), weight(field)?)
                }
                _ => None,
            },
            PlanLeaf::Exists { .. } => None,
        },
    }
}

fn union<'g>(all: impl Iterator<Item = Option<Keys<'g>>>) -> Option<Keys<'g>> {
    let mut union = Keys { list: Vec::new(), score: 0 };
    for keys in all {
        let keys = keys?;
        union.list.extend(keys.list);
        union.score = union.score.max(keys.score);
        if union.list.len() > MAX_KEYS {
            return None;
        }
    }
    Some(union)
}

/// How little a field tells rules apart; `None`: it does not.
fn weight(field: &FieldRef) -> Option<u32> {
    use Field as F;
    Some(match field.field {
        F::FdName | F::FsPathName | F::FdNameraw | F::EvtAbspath | F::FdDirectory | F::FdFilename => 2,
        F::ProcExepath | F::ProcCmdline | F::ProcArgs | F::ProcPexepath | F::ProcPcmdline => 2,
        F::FdSip | F::FdRip | F::FdIp | F::FdSport | F::FdRport | F::FdPort | F::EvtNum => 2,
        F::ProcName | F::ProcPname | F::ProcExe | F::ProcPexe => 4,
        F::ProcAname | F::ProcAexe | F::ProcAexepath => 6,
        F::FdType | F::FdTypechar | F::FdL4proto | F::FdNum | F::EvtRes | F::EvtRawres | F::EvtType => return None,
        F::ContainerId | F::ContainerType | F::UserLoginuid | F::UserUid | F::ProcTty => return None,
        _ => 8,
    })
}

/// How often a text is expected to fit, by how much of it is given.
fn by_length(text: &[u8], much: u32, little: u32) -> Option<u32> {
    (text.len() >= MIN_TEXT).then_some(if text.len() >= 6 { much } else { little })
}

fn of_test<'g>(test: &'g Test, asked: &Asked, weight: u32) -> Option<Keys<'g>> {
    let one = |key, times: u32| Some(Keys { list: vec![(asked.clone(), key)], score: weight * times });
    let many = |keys: Vec<Key<'g>>, times: u32| {
        let fits = keys.len() <= MAX_KEYS;
        fits.then(|| Keys { list: keys.into_iter().map(|key| (asked.clone(), key)).collect(), score: weight * times })
    };
    let prefix = |text: Cow<'g, [u8]>| {
        let times = by_length(&text, 2, 4)?;
        one(Key::Prefix(text), times)
    };
    let suffix = |text: Cow<'g, [u8]>| {
        let times = by_length(&text, 3, 6)?;
        one(Key::Suffix(text), times)
    };
    let contains = |text: Cow<'g, [u8]>| {
        let times = by_length(&text, 10, 20)?;
        one(Key::Contains(text), times)
    };
    match test {
        Test::TextEq(text) => one(Key::Text(text), 1),
        Test::TextIn(texts) if texts.len() <= MAX_KEYS => many(texts.iter().map(|text| Key::Text(text)).collect(), 1),
        Test::Prefix(text) => prefix(Cow::Borrowed(text)),
        Test::Suffix(text) => suffix(Cow::Borrowed(text)),
        Test::Affix(affixes) if affixes.is_front() => union(affixes.texts().map(|text| prefix(Cow::Borrowed(text)))),
        Test::Affix(affixes) => union(affixes.texts().map(|text| suffix(Cow::Borrowed(text)))),
        Test::Contains(finder) => contains(Cow::Borrowed(finder.needle())),
        Test::ContainsAny(many) => union(many.texts().iter().map(|text| contains(Cow::Borrowed(text)))),
        Test::ContainsFolded(text) => contains(Cow::Borrowed(text.text())),
        Test::Glob(glob) => of_glob(glob).and_then(|key| match key {
            Key::Prefix(text) => prefix(text),
            Key::Suffix(text) => suffix(text),
            Key::Contains(text) => contains(text),
            Key::Text(_) | Key::Point(_) => None,
        }),
        Test::Regex(regex) => {
            let begins = || union(regex.begins().iter().map(|text| prefix(Cow::Borrowed(text))));
            let has = || union(regex.contains().iter().map(|text| contains(Cow::Borrowed(text))));
            let told = |keys: &Keys<'_>| !keys.list.is_empty();
            begins().filter(told).or_else(|| has().filter(told))
        }
        Test::Range(low, high) if low == high => one(Key::Point(Point::Number(*low)), 1),
        Test::NumberIn(set) if set.len() <= MAX_KEYS => {
            many(set.iter().map(|n| Key::Point(Point::Number(*n))).collect(), 1)
        }
        Test::AddressIn(set) if set.len() <= MAX_KEYS => {
            many(set.iter().map(|ip| Key::Point(Point::Address(*ip))).collect(), 1)
        }
        Test::Any(tests) | Test::One(tests) => union(tests.iter().map(|test| of_test(test, asked, weight))),
        Test::All(tests) => {
            let keys = tests.iter().filter_map(|test| of_test(test, asked, weight));
            keys.min_by_key(|keys| (keys.score, keys.list.len()))
        }
        _ => None,
    }
}

fn of_glob(glob: &Glob) -> Option<Key<'_>> {
    let longest = || Some(Key::Contains(glob.longest().into())).filter(|_| glob.longest().len() >= MIN_TEXT);
    if glob.folds() {
        return longest();
    }
    match (glob.front(), glob.back()) {
        (front, _) if front.len() >= 6 => Some(Key::Prefix(front.into())),
        (_, back) if back.len() >= MIN_TEXT => Some(Key::Suffix(back.into())),
        (front, _) if front.len() >= MIN_TEXT => Some(Key::Prefix(front.into())),
        _ => longest(),
    }
}
