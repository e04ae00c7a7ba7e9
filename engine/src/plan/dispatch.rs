//! Which rules an event of one type can match, without trying each.
//!
//! - A rule with keys (see `keys`) is picked by the event's values: for each field one look-up for all rules. Texts are hashed,
//!   prefixes and suffixes searched in sorted tables, literals that may stand anywhere found by one automaton a field.
//! - Rules that share a part (`evt.is_open_write = true`, `container.id != host`) stand behind it as a gate: it is evaluated once.
//! - The rest is tried one by one.
//!
//! Invariant: a rule that is not picked is false for the event (tested with the plan).
use super::{
    graph::{Graph, NodeId, Planned, Run},
    keys::{self, Asked, Key, Keys},
};
use crate::{
    eval::Truth,
    matching::{Affixes, End, FastMap, Point, with_bytes},
    value::{Lookup, Value},
};
use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
};

/// Fewer literals of a field are looked for one by one, behind what else their rules say: that is cheaper than a pass of the
/// automaton over every value.
const MIN_LITERALS: usize = 8;
/// Up to so many bytes of literals the automaton is a table, faster and larger.
const MAX_TABLE: usize = 8 << 10;

/// A rule (index in the ruleset) with its condition for this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    pub rule: u32,
    pub condition: Planned,
}

/// The rules that an event is to be judged by: all, or a set of them by number (bit n of word n / 64).
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    All,
    Of(&'a [u64]),
}

impl Wanted<'_> {
    fn has(self, rule: u32) -> bool {
        match self {
            Self::All => true,
            Self::Of(words) => words.get(rule as usize / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1),
        }
    }
}

/// The rules of one event type.
#[derive(Debug, Default)]
pub struct Dispatch {
    candidates: Vec<Candidate>,
    /// Indexes in `candidates`, as all below.
    always: Vec<u32>,
    gates: Vec<(NodeId, Vec<u32>)>,
    by_field: Vec<ByField>,
}

/// Rules with keys of one field.
#[derive(Debug)]
struct ByField {
    asked: Asked,
    texts: FastMap<Box<[u8]>, Vec<u32>>,
    points: FastMap<Point, Vec<u32>>,
    prefixes: Option<Affixes<Vec<u32>>>,
    suffixes: Option<Affixes<Vec<u32>>>,
    literals: Option<Literals>,
    /// Every rule above.
    all: Vec<u32>,
    /// Rules that nothing above finds: more literals than an automaton can hold.
    unfound: Vec<u32>,
}

/// Literals that may stand anywhere, in any case.
#[derive(Debug)]
struct Literals {
    finder: AhoCorasick,
    /// By pattern.
    rules: Vec<Vec<u32>>,
}

/// The same while it is filled.
#[derive(Default)]
struct Filling {
    texts: FastMap<Box<[u8]>, Vec<u32>>,
    points: FastMap<Point, Vec<u32>>,
    prefixes: Vec<(Box<[u8]>, Vec<u32>)>,
    suffixes: Vec<(Box<[u8]>, Vec<u32>)>,
    literals: BTreeMap<Vec<u8>, Vec<u32>>,
    all: Vec<u32>,
}

impl Dispatch {
    /// Sorts candidates into what picks them.
    pub fn new(candidates: Vec<Candidate>, graph: &Graph) -> Self {
        let of: Vec<Option<Keys<'_>>> = candidates.iter().map(|c| keys::of(graph, c.condition)).collect();
        let mut literals: HashMap<Asked, usize> = HashMap::new();
        let literal = |(asked, key): &'_ (Asked, Key<'_>)| matches!(key, Key::Contains(_)).then(|| asked.clone());
        for asked in of.iter().flatten().flat_map(|keys| &keys.list).filter_map(literal) {
            *literals.entry(asked).or_default() += 1;
        }
        let worth =
            |keys: &&Keys<'_>| keys.list.iter().filter_map(literal).all(|asked| literals[&asked] >= MIN_LITERALS);
        let mut by_field: Vec<(Asked, Filling)> = Vec::new();
        let mut rest = Vec::new();
        for (at, keys) in (0_u32..).zip(&of) {
            let Some(keys) = keys.as_ref().filter(worth) else {
                rest.push(at);
                continue;
            };
            for (asked, key) in &keys.list {
                let found = by_field.iter().position(|(other, _)| other == asked).unwrap_or_else(|| {
                    by_field.push((asked.clone(), Filling::default()));
                    by_field.len() - 1
                });
                by_field[found].1.add(at, key);
            }
        }
        let by_field = by_field.into_iter().map(|(asked, filling)| filling.finish(asked)).collect();
        let mut this = Self { candidates, by_field, ..Self::default() };
        this.set_gates(rest, graph);
        this
    }

    /// Puts each candidate behind the part that it shares with most others.
    fn set_gates(&mut self, rest: Vec<u32>, graph: &Graph) {
        let parts = |at: u32| graph.conjuncts(self.candidates[at as usize].condition);
        let mut uses: HashMap<NodeId, usize> = HashMap::new();
        for at in &rest {
            parts(*at).iter().for_each(|part| *uses.entry(*part).or_default() += 1);
        }
        let mut gates: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
        let mut always = Vec::new();
        for at in rest {
            let shared = parts(at).iter().filter(|part| uses[part] > 1);
            match shared.max_by_key(|part| (uses[part], std::cmp::Reverse(**part))) {
                Some(gate) => gates.entry(*gate).or_default().push(at),
                None => always.push(at),
            }
        }
        self.gates = gates.into_iter().collect();
        self.always = always;
    }

    /// All rules.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Whether no rule is about this type.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Calls back, once each, with every rule of `wanted` that the event may match. `picked` is room to work in.
    pub fn pick(
        &self,
        run: &mut Run<'_, '_>,
        wanted: Wanted<'_>,
        picked: &mut Vec<u32>,
        found: &mut dyn FnMut(Candidate, &mut Run<'_, '_>),
    ) {
        let is_wanted = |at: &u32| wanted.has(self.candidates[*at as usize].rule);
        for at in self.always.iter().filter(|at| is_wanted(at)) {
            found(self.candidates[*at as usize], run);
        }
        for (gate, behind) in &self.gates {
            if behind.iter().any(is_wanted) && run.evaluate(Planned::Node(*gate)) != Truth::False {
                for at in behind.iter().filter(|at| is_wanted(at)) {
                    found(self.candidates[*at as usize], run);
                }
            }
        }
        picked.clear();
        for by in &self.by_field {
            picked.extend_from_slice(&by.unfound);
            match &by.asked {
                Asked::Slot(slot) => by.pick(run.value(*slot), picked),
                Asked::Many(field) => run.event().visit(field, &mut |value| {
                    by.pick(value, picked);
                    ControlFlow::Continue(())
                }),
            }
        }
        for at in picked.iter() {
            // Another field's value may have picked it as well.
            if is_wanted(at) && run.pick(*at) {
                found(self.candidates[*at as usize], run);
            }
        }
    }
}

impl Filling {
    fn add(&mut self, rule: u32, key: &Key<'_>) {
        if self.all.last() != Some(&rule) {
            self.all.push(rule);
        }
        match key {
            Key::Text(text) => self.texts.entry((*text).into()).or_default().push(rule),
            Key::Point(point) => self.points.entry(*point).or_default().push(rule),
            Key::Prefix(text) => self.prefixes.push((text.to_vec().into(), vec![rule])),
            Key::Suffix(text) => self.suffixes.push((text.to_vec().into(), vec![rule])),
            Key::Contains(text) => self.literals.entry(text.to_ascii_lowercase()).or_default().push(rule),
        }
    }

    fn finish(self, asked: Asked) -> ByField {
        let affixes = |end, texts: Vec<(Box<[u8]>, Vec<u32>)>| {
            (!texts.is_empty()).then(|| Affixes::new(end, texts, |rules: &mut Vec<u32>, more| rules.extend(more)))
        };
        let (patterns, rules): (Vec<Vec<u8>>, Vec<Vec<u32>>) = self.literals.into_iter().unzip();
        let (literals, unfound) = match Literals::finder(&patterns) {
            _ if patterns.is_empty() => (None, Vec::new()),
            Ok(finder) => (Some(Literals { finder, rules }), Vec::new()),
            Err(_) => (None, rules.concat()),
        };
        ByField {
            asked,
            texts: self.texts,
            points: self.points,
            prefixes: affixes(End::Front, self.prefixes),
            suffixes: affixes(End::Back, self.suffixes),
            literals,
            all: self.all,
            unfound,
        }
    }
}

impl Literals {
    fn finder(patterns: &[Vec<u8>]) -> Result<AhoCorasick, BuildError> {
        let length: usize = patterns.iter().map(Vec::len).sum();
        let kind = if length <= MAX_TABLE { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(kind)).build(patterns)
    }
}

impl ByField {
    fn pick(&self, value: &Lookup<'_>, picked: &mut Vec<u32>) {
        match value {
            Lookup::Value(value) => self.pick_by(value, picked),
            Lookup::Missing => {}
            // Each of its rules may yet match.
            Lookup::Pending => picked.extend(&self.all),
        }
    }

    fn pick_by(&self, value: &Value<'_>, picked: &mut Vec<u32>) {
        if !self.points.is_empty()
            && let Some(point) = Point::of(value)
        {
            picked.extend_from_slice(self.points.get(&point).map_or(&[], Vec::as_slice));
        }
        if self.texts.is_empty() && self.prefixes.is_none() && self.suffixes.is_none() && self.literals.is_none() {
            return;
        }
        with_bytes(value, |text| {
            if !self.texts.is_empty() {
                picked.extend_from_slice(self.texts.get(text).map_or(&[], Vec::as_slice));
            }
            if let Some(prefixes) = &self.prefixes {
                prefixes.find(text).for_each(|rules| picked.extend_from_slice(rules));
            }
            if let Some(suffixes) = &self.suffixes {
                suffixes.find(text).for_each(|rules| picked.extend_from_slice(rules));
            }
            if let Some(literals) = &self.literals {
                for found in literals.finder.find_overlapping_iter(text) {
                    picked.extend_from_slice(&literals.rules[found.pattern().as_usize()]);
                }
            }
        });
    }
}
