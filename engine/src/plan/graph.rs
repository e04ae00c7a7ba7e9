//! The conditions of all rules as one graph: equal parts are one node, evaluated at most once an event.
use crate::{
    eval::{Leaf, Truth, judge},
    event::Event,
    field::FieldRef,
    matching::Test,
    value::Lookup,
};

/// Index of a node.
pub type NodeId = u32;

/// A condition as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Planned {
    /// Decided without looking at the event.
    Constant(bool),
    /// Depends on the event.
    Node(NodeId),
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// All hold.
    And(Box<[NodeId]>),
    /// Any holds.
    Or(Box<[NodeId]>),
    /// It does not hold.
    Not(NodeId),
    /// Index in `leaves`.
    Leaf(u32),
}

/// A leaf: of a field with one value by that field's slot, so that it is asked for once an event.
#[derive(Debug)]
pub enum PlanLeaf {
    /// The field has a value.
    Exists {
        /// Index in `fields`.
        slot: u32,
    },
    /// A test of its value.
    Test {
        /// Index in `fields`.
        slot: u32,
        /// Operator and right.
        test: Test,
    },
    /// Transformers, fields with many values, and fields compared with fields.
    Other(Box<Leaf>),
}

/// The nodes. Children have smaller indices than their parents.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    /// Each node's own index, so that one node can be shown as a slice.
    pub(super) ids: Vec<NodeId>,
    pub(super) leaves: Vec<PlanLeaf>,
    pub(super) leaf_costs: Vec<u32>,
    /// Fields with one value.
    pub(super) fields: Vec<FieldRef>,
    pub(super) costs: Vec<u32>,
    /// More than one parent or rule within one event type: worth remembering within an event.
    pub(super) shared: Vec<bool>,
}

/// What outlives an event: only its room.
#[derive(Debug, Default)]
pub struct Memory {
    /// The event that the entries below are of; entries of other events are stale.
    event: u32,
    results: Vec<(u32, Truth)>,
    /// Where a field's value is in `values`.
    slots: Vec<(u32, u32)>,
    /// Empty between events.
    values: Vec<Lookup<'static>>,
    /// Rules that were picked already.
    picked: Vec<u32>,
}

/// One graph over one event.
pub struct Run<'p, 'e> {
    graph: &'p Graph,
    event: &'e dyn Event,
    memory: &'p mut Memory,
    /// Values that were asked for so far, in that order.
    values: Vec<Lookup<'e>>,
}

impl<'p, 'e> Run<'p, 'e> {
    /// Forgets the event before. `rules`: how many rules there are to pick.
    pub fn new(graph: &'p Graph, event: &'e dyn Event, memory: &'p mut Memory, rules: usize) -> Self {
        let fits = memory.results.len() == graph.nodes.len() && memory.slots.len() == graph.fields.len();
        if !fits || memory.picked.len() != rules || memory.event == u32::MAX {
            memory.event = 0;
            memory.results.clear();
            memory.results.resize(graph.nodes.len(), (0, Truth::Unknown));
            memory.slots.clear();
            memory.slots.resize(graph.fields.len(), (0, 0));
            memory.picked.clear();
            memory.picked.resize(rules, 0);
            memory.values.reserve(graph.fields.len());
        }
        memory.event += 1;
        let values = recycle(std::mem::take(&mut memory.values));
        Self { graph, event, memory, values }
    }

    /// Keeps the room for the next event.
    pub fn end(self) {
        self.memory.values = recycle(self.values);
    }

    /// The event.
    pub fn event(&self) -> &'e dyn Event {
        self.event
    }

    /// The value of a field by its slot.
    pub fn value(&mut self, slot: u32) -> &Lookup<'e> {
        let (of, at) = self.memory.slots[slot as usize];
        let at = if of == self.memory.event {
            at as usize
        } else {
            let at = self.values.len();
            self.values.push(self.event.field(&self.graph.fields[slot as usize]));
            // No more values than slots, which are counted in 32 bits.
            self.memory.slots[slot as usize] = (self.memory.event, at as u32);
            at
        };
        &self.values[at]
    }

    /// Whether a rule is picked for the first time.
    pub fn pick(&mut self, rule: u32) -> bool {
        let last = std::mem::replace(&mut self.memory.picked[rule as usize], self.memory.event);
        last != self.memory.event
    }

    /// The truth of a planned condition.
    pub fn evaluate(&mut self, planned: Planned) -> Truth {
        match planned {
            Planned::Constant(truth) => truth.into(),
            Planned::Node(id) => self.node(id),
        }
    }

    fn node(&mut self, id: NodeId) -> Truth {
        let at = id as usize;
        if !self.graph.shared[at] {
            return self.compute(at);
        }
        let (of, result) = self.memory.results[at];
        if of == self.memory.event {
            return result;
        }
        let result = self.compute(at);
        self.memory.results[at] = (self.memory.event, result);
        result
    }

    fn compute(&mut self, at: usize) -> Truth {
        let graph = self.graph;
        match &graph.nodes[at] {
            Node::Leaf(leaf) => match &graph.leaves[*leaf as usize] {
                PlanLeaf::Test { slot, test } => judge(test, self.value(*slot)),
                PlanLeaf::Exists { slot } => match self.value(*slot) {
                    Lookup::Value(_) => Truth::True,
                    Lookup::Missing => Truth::False,
                    Lookup::Pending => Truth::Unknown,
                },
                PlanLeaf::Other(leaf) => leaf.evaluate(self.event),
            },
            Node::Not(inner) => !self.node(*inner),
            Node::And(parts) => {
                let mut result = Truth::True;
                for part in parts {
                    result = result.min(self.node(*part));
                    if result == Truth::False {
                        break;
                    }
                }
                result
            }
            Node::Or(parts) => {
                let mut result = Truth::False;
                for part in parts {
                    result = result.max(self.node(*part));
                    if result == Truth::True {
                        break;
                    }
                }
                result
            }
        }
    }
}

/// The room of a list, empty, for values that live less or longer: the standard library collects in place where the sizes
/// are the same. Would it not, this would be slower, never wrong (`no_alloc` tests it).
fn recycle<'b>(mut values: Vec<Lookup<'_>>) -> Vec<Lookup<'b>> {
    values.clear();
    values.into_iter().map(|_| Lookup::Missing).collect()
}

impl Graph {
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
}
