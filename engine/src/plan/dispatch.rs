//! Which rules an event of one type can match, without trying each.
//!
//! - A rule that requires one of some values of a field (`proc.name in (...)`, `fd.sip = ...`, `fd.name startswith ...`)
//!   is picked by that field's value: one look-up for all rules of the field.
//! - Rules that share a part (`evt.is_open_write = true`) stand behind it as a gate: it is evaluated once.
//! - The rest is tried one by one.
//!
//! Invariant: a rule that is not picked is false for the event (tested with the plan).
use super::graph::{Graph, Memory, NodeId, Planned};
use crate::{
    eval::{Required, Truth},
    event::Event,
    field::{Field, FieldRef},
    matching::{Point, bytes},
    value::{Lookup, Value},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rules with longer lists are tried: their table would cost more memory than it saves time.
const MAX_VALUES: usize = 256;

/// Fields whose values tell rules apart, best first.
const FIELDS: [Field; 15] = [
    Field::FdName,
    Field::FsPathName,
    Field::ProcExepath,
    Field::ProcCmdline,
    Field::ProcName,
    Field::FdSip,
    Field::FdRip,
    Field::FdFilename,
    Field::FdDirectory,
    Field::ProcPname,
    Field::ProcPexepath,
    Field::FdSport,
    Field::FdRport,
    Field::ProcExe,
    Field::ProcPexe,
];

fn rank(field: &FieldRef) -> Option<usize> {
    FIELDS.iter().position(|f| *f == field.field)
}

/// A rule (index in the ruleset) with its condition for this type.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub rule: u32,
    pub condition: Planned,
}

/// The rules of one event type.
#[derive(Debug, Default)]
pub struct Dispatch {
    always: Vec<Candidate>,
    gates: Vec<(NodeId, Vec<Candidate>)>,
    by_field: Vec<ByField>,
}

/// Rules that require a value of one field.
#[derive(Debug)]
struct ByField {
    field: FieldRef,
    texts: HashMap<Box<[u8]>, Vec<Candidate>>,
    points: HashMap<Point, Vec<Candidate>>,
    /// By length.
    prefixes: BTreeMap<usize, HashMap<Box<[u8]>, Vec<Candidate>>>,
}

impl Dispatch {
    /// Sorts candidates into what picks them.
    pub fn new(candidates: Vec<Candidate>, graph: &Graph) -> Self {
        let mut this = Self::default();
        let mut rest = Vec::new();
        for candidate in candidates {
            match graph.required(candidate.condition, rank) {
                Some((field, required)) if required.len() <= MAX_VALUES => {
                    let at = this.by_field.iter().position(|by| by.field == *field).unwrap_or_else(|| {
                        this.by_field.push(ByField::new(field));
                        this.by_field.len() - 1
                    });
                    this.by_field[at].add(candidate, required);
                }
                _ => rest.push(candidate),
            }
        }
        this.set_gates(rest, graph);
        this
    }

    /// Puts each candidate behind the part that it shares with most others.
    fn set_gates(&mut self, candidates: Vec<Candidate>, graph: &Graph) {
        let mut uses: HashMap<NodeId, usize> = HashMap::new();
        for candidate in &candidates {
            graph.conjuncts(candidate.condition).iter().for_each(|part| *uses.entry(*part).or_default() += 1);
        }
        let mut gates: BTreeMap<NodeId, Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let parts = graph.conjuncts(candidate.condition).iter();
            match parts.filter(|part| uses[part] > 1).max_by_key(|part| (uses[part], std::cmp::Reverse(**part))) {
                Some(gate) => gates.entry(*gate).or_default().push(candidate),
                None => self.always.push(candidate),
            }
        }
        self.gates = gates.into_iter().collect();
    }

    /// Whether no rule is about this type.
    pub fn is_empty(&self) -> bool {
        self.always.is_empty() && self.gates.is_empty() && self.by_field.is_empty()
    }

    /// Calls back, at most once each, with every rule that the event may match.
    pub fn pick(
        &self,
        graph: &Graph,
        event: &dyn Event,
        memory: &mut Memory,
        found: &mut dyn FnMut(Candidate, &mut Memory),
    ) {
        self.always.iter().for_each(|candidate| found(*candidate, memory));
        for (gate, candidates) in &self.gates {
            if graph.evaluate(Planned::Node(*gate), event, memory) != Truth::False {
                candidates.iter().for_each(|candidate| found(*candidate, memory));
            }
        }
        for by in &self.by_field {
            match event.field(&by.field) {
                Lookup::Value(value) => by.pick(&value, &mut |candidate| found(candidate, memory)),
                Lookup::Missing => {}
                // Such fields are known at once; should one be pending after all, each rule may yet match.
                Lookup::Pending => by.all(&mut |candidate| found(candidate, memory)),
            }
        }
    }
}

impl ByField {
    fn new(field: &FieldRef) -> Self {
        Self { field: field.clone(), texts: HashMap::new(), points: HashMap::new(), prefixes: BTreeMap::new() }
    }

    fn add(&mut self, candidate: Candidate, required: Required<'_>) {
        match required {
            Required::Texts(texts) => {
                texts.into_iter().for_each(|text| self.texts.entry(text.into()).or_default().push(candidate));
            }
            Required::Points(points) => {
                points.into_iter().for_each(|point| self.points.entry(point).or_default().push(candidate));
            }
            Required::Prefixes(prefixes) => {
                // One that extends another adds nothing, and would pick the rule twice.
                let extends = |p: &&[u8]| prefixes.iter().any(|other| other.len() < p.len() && p.starts_with(other));
                for prefix in prefixes.iter().copied().filter(|p| !extends(p)).collect::<BTreeSet<_>>() {
                    let length = self.prefixes.entry(prefix.len()).or_default();
                    length.entry(prefix.into()).or_default().push(candidate);
                }
            }
        }
    }

    fn pick(&self, value: &Value<'_>, found: &mut dyn FnMut(Candidate)) {
        if !self.points.is_empty()
            && let Some(point) = Point::of(value)
        {
            self.points.get(&point).into_iter().flatten().copied().for_each(&mut *found);
        }
        if self.texts.is_empty() && self.prefixes.is_empty() {
            return;
        }
        let text = bytes(value);
        self.texts.get(&*text).into_iter().flatten().copied().for_each(&mut *found);
        for (length, rules) in self.prefixes.range(..=text.len()) {
            rules.get(&text[..*length]).into_iter().flatten().copied().for_each(&mut *found);
        }
    }

    fn all(&self, found: &mut dyn FnMut(Candidate)) {
        let prefixes = self.prefixes.values().flat_map(HashMap::values);
        let all = self.texts.values().chain(self.points.values()).chain(prefixes).flatten();
        let mut seen = BTreeSet::new();
        all.filter(|candidate| seen.insert(candidate.rule)).copied().for_each(found);
    }
}
