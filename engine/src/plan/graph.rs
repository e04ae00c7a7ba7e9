//! The conditions of all rules as one graph: equal parts are one node, evaluated at most once an event.
use super::known::Known;
use crate::{
    eval::{Leaf, Required, Truth},
    event::Event,
    field::FieldRef,
    matching::TestError,
    syntax::{Comparison, Expr, Operand},
};
use std::collections::HashMap;

/// Index of a node.
pub type NodeId = u32;

/// A condition as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Decided without looking at the event.
    Constant(bool),
    /// Depends on the event.
    Node(NodeId),
}

#[derive(Debug)]
enum Node {
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
    Not(NodeId),
    /// Index in `leaves`.
    Leaf(usize),
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
    Not(NodeId),
    Leaf(usize),
}

/// The nodes. Children have smaller indices than their parents.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Each node's own index, so that one node can be shown as a slice.
    ids: Vec<NodeId>,
    leaves: Vec<Leaf>,
    costs: Vec<u32>,
    /// More than one parent or rule within one event type: worth remembering within an event.
    shared: Vec<bool>,
}

/// Builds a graph; kept apart so that its tables are freed when the plan is made.
#[derive(Default)]
pub struct Builder<'r> {
    graph: Graph,
    keys: HashMap<Key, NodeId>,
    exists: HashMap<&'r Operand, usize>,
    comparisons: HashMap<&'r Comparison, usize>,
    /// The event type that is being added, and by node the last that used it.
    pass: u32,
    used_in: Vec<u32>,
}

impl<'r> Builder<'r> {
    /// Conditions added from now on belong to another event type.
    pub fn next_type(&mut self) {
        self.pass += 1;
    }

    /// What is certain of a condition, without adding it.
    ///
    /// # Errors
    /// A literal that does not fit its field.
    pub fn decide(&mut self, expr: &'r Expr, known: &Known) -> Result<Truth, TestError> {
        match expr {
            Expr::And(parts) => {
                parts.iter().try_fold(Truth::True, |truth, part| Ok(truth.min(self.decide(part, known)?)))
            }
            Expr::Or(parts) => {
                parts.iter().try_fold(Truth::False, |truth, part| Ok(truth.max(self.decide(part, known)?)))
            }
            Expr::Not(inner) => Ok(!self.decide(inner, known)?),
            Expr::Exists(_) | Expr::Compare(_) => {
                let leaf = self.leaf(expr)?;
                Ok(known.decide(&self.graph.leaves[leaf]))
            }
        }
    }

    /// Adds a condition, specialised to what is known.
    ///
    /// # Errors
    /// A literal that does not fit its field.
    pub fn add(&mut self, expr: &'r Expr, known: &Known) -> Result<Planned, TestError> {
        match expr {
            Expr::And(parts) => self.fold(parts, known, false),
            Expr::Or(parts) => self.fold(parts, known, true),
            Expr::Not(inner) => Ok(match self.add(inner, known)? {
                Planned::Constant(truth) => Planned::Constant(!truth),
                Planned::Node(id) => Planned::Node(self.node(Key::Not(id))),
            }),
            Expr::Exists(_) | Expr::Compare(_) => {
                let leaf = self.leaf(expr)?;
                Ok(match known.decide(&self.graph.leaves[leaf]) {
                    Truth::True => Planned::Constant(true),
                    Truth::False => Planned::Constant(false),
                    Truth::Unknown => Planned::Node(self.node(Key::Leaf(leaf))),
                })
            }
        }
    }

    /// `and` (decided by a false part) or `or` (decided by a true one). Parts go cheapest first.
    fn fold(&mut self, parts: &'r [Expr], known: &Known, decisive: bool) -> Result<Planned, TestError> {
        let mut ids = Vec::with_capacity(parts.len());
        let mut decided = false;
        for part in parts {
            // All of them, also after the decisive one, so that every literal is checked.
            match self.add(part, known)? {
                Planned::Constant(truth) => decided |= truth == decisive,
                Planned::Node(id) => ids.push(id),
            }
        }
        if decided {
            return Ok(Planned::Constant(decisive));
        }
        ids.sort_unstable_by_key(|id| (self.graph.costs[*id as usize], *id));
        ids.dedup();
        Ok(match ids.as_slice() {
            [] => Planned::Constant(!decisive),
            [only] => Planned::Node(*only),
            _ if decisive => Planned::Node(self.node(Key::Or(ids.into()))),
            _ => Planned::Node(self.node(Key::And(ids.into()))),
        })
    }

    fn leaf(&mut self, expr: &'r Expr) -> Result<usize, TestError> {
        let known = match expr {
            Expr::Exists(operand) => self.exists.get(operand),
            Expr::Compare(comparison) => self.comparisons.get(&**comparison),
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => None,
        };
        if let Some(known) = known {
            return Ok(*known);
        }
        let id = self.graph.leaves.len();
        self.graph.leaves.extend(Leaf::build(expr)?);
        match expr {
            Expr::Exists(operand) => self.exists.insert(operand, id),
            Expr::Compare(comparison) => self.comparisons.insert(comparison, id),
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => None,
        };
        Ok(id)
    }

    fn node(&mut self, key: Key) -> NodeId {
        if let Some(id) = self.keys.get(&key) {
            let used_in = std::mem::replace(&mut self.used_in[*id as usize], self.pass);
            self.graph.shared[*id as usize] |= used_in == self.pass;
            return *id;
        }
        let graph = &mut self.graph;
        let sum = |ids: &[NodeId]| ids.iter().fold(0_u32, |sum, id| sum.saturating_add(graph.costs[*id as usize]));
        let (node, cost) = match &key {
            Key::And(ids) => (Node::And(ids.clone()), sum(ids)),
            Key::Or(ids) => (Node::Or(ids.clone()), sum(ids)),
            Key::Not(id) => (Node::Not(*id), graph.costs[*id as usize]),
            Key::Leaf(leaf) => (Node::Leaf(*leaf), graph.leaves[*leaf].cost()),
        };
        // Graphs are bounded by MAX_NODES times rules times types; beyond 32 bits memory has long run out.
        let id = NodeId::try_from(graph.nodes.len()).unwrap_or(NodeId::MAX);
        graph.nodes.push(node);
        graph.ids.push(id);
        graph.costs.push(cost);
        graph.shared.push(false);
        self.used_in.push(self.pass);
        self.keys.insert(key, id);
        id
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }
}

/// Results of shared nodes within one event.
#[derive(Debug, Default)]
pub struct Memory {
    /// The event that `results` are of; entries of other events are stale.
    event: u32,
    results: Vec<(u32, Truth)>,
}

impl Memory {
    /// Forgets the event before.
    pub fn begin(&mut self, graph: &Graph) {
        if self.results.len() != graph.nodes.len() || self.event == u32::MAX {
            self.results.clear();
            self.results.resize(graph.nodes.len(), (0, Truth::Unknown));
            self.event = 0;
        }
        self.event += 1;
    }
}

impl Graph {
    /// The truth of a planned condition.
    pub fn evaluate(&self, planned: Planned, event: &dyn Event, memory: &mut Memory) -> Truth {
        match planned {
            Planned::Constant(truth) => truth.into(),
            Planned::Node(id) => self.node(id, event, memory),
        }
    }

    fn node(&self, id: NodeId, event: &dyn Event, memory: &mut Memory) -> Truth {
        let at = id as usize;
        if !self.shared[at] {
            return self.compute(at, event, memory);
        }
        let (of, result) = memory.results[at];
        if of == memory.event {
            return result;
        }
        let result = self.compute(at, event, memory);
        memory.results[at] = (memory.event, result);
        result
    }

    fn compute(&self, at: usize, event: &dyn Event, memory: &mut Memory) -> Truth {
        match &self.nodes[at] {
            Node::Leaf(leaf) => self.leaves[*leaf].evaluate(event),
            Node::Not(inner) => !self.node(*inner, event, memory),
            Node::And(parts) => {
                let mut result = Truth::True;
                for part in parts {
                    result = result.min(self.node(*part, event, memory));
                    if result == Truth::False {
                        break;
                    }
                }
                result
            }
            Node::Or(parts) => {
                let mut result = Truth::False;
                for part in parts {
                    result = result.max(self.node(*part, event, memory));
                    if result == Truth::True {
                        break;
                    }
                }
                result
            }
        }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The parts all of which must hold; one part when the condition is no `and`.
    pub fn conjuncts(&self, planned: Planned) -> &[NodeId] {
        match planned {
            Planned::Constant(_) => &[],
            Planned::Node(id) => match &self.nodes[id as usize] {
                Node::And(parts) => parts,
                _ => &self.ids[id as usize..=id as usize],
            },
        }
    }

    /// Values of which one is required by a condition: rules can be picked by them instead of being tried one after
    /// another. `rank` says how well a field tells rules apart (less is better).
    pub fn required(
        &self,
        planned: Planned,
        rank: impl Fn(&FieldRef) -> Option<usize>,
    ) -> Option<(&FieldRef, Required<'_>)> {
        let leaves = self.conjuncts(planned).iter().filter_map(|part| match &self.nodes[*part as usize] {
            Node::Leaf(leaf) => self.leaves[*leaf].required(),
            _ => None,
        });
        let ranked = leaves.filter_map(|(field, required)| Some((rank(field)?, field, required)));
        ranked.min_by_key(|(rank, _, required)| (*rank, required.len())).map(|(_, field, required)| (field, required))
    }
}
