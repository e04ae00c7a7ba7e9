//! Makes the graph: constants folded, nested `and` and `or` flattened, equal parts one node, cheap parts first.
use super::{
    graph::{Graph, Node, NodeId, PlanLeaf, Planned},
    known::{Known, is_decisive},
};
use crate::{
    eval::{Leaf, Truth, is_plain},
    event::{EventType, EventTypes},
    field::FieldRef,
    matching::{FastMap, TestError},
    syntax::{Comparison, Expr, Operand},
};

/// Builds a graph; kept apart so that its tables are freed when the plan is made.
#[derive(Default)]
pub struct Builder<'r> {
    graph: Graph,
    keys: FastMap<Node, NodeId>,
    slots: FastMap<FieldRef, u32>,
    leaves: Leaves<'r>,
    /// The rule and the group of event types that are being added, and by node the last that used it.
    pass: (u32, u32),
    used_in: Vec<(u32, u32)>,
}

/// Leaves by what they were made of: by its place first, since hashing a comparison with a long list takes time.
#[derive(Default)]
struct Leaves<'r> {
    prepared: Vec<Leaf>,
    /// In the graph, once a condition needs it.
    planned: Vec<Option<u32>>,
    /// The event types that decide it: to be true, to be false; once asked for.
    decided: Vec<Option<(EventTypes, EventTypes)>>,
    by_place: FastMap<usize, usize>,
    exists: FastMap<&'r Operand, usize>,
    comparisons: FastMap<&'r Comparison, usize>,
}

impl<'r> Leaves<'r> {
    fn get(&mut self, expr: &'r Expr) -> Result<usize, TestError> {
        // Conditions outlive the builder, so that no place is used twice.
        let place = std::ptr::from_ref(expr).addr();
        if let Some(known) = self.by_place.get(&place) {
            return Ok(*known);
        }
        let known = match expr {
            Expr::Exists(operand) => self.exists.get(operand),
            Expr::Compare(comparison) => self.comparisons.get(&**comparison),
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => None,
        };
        let id = match known {
            Some(known) => *known,
            None => {
                let id = self.prepared.len();
                self.prepared.extend(Leaf::build(expr)?);
                self.planned.push(None);
                self.decided.push(None);
                match expr {
                    Expr::Exists(operand) => _ = self.exists.insert(operand, id),
                    Expr::Compare(comparison) => _ = self.comparisons.insert(comparison, id),
                    Expr::And(_) | Expr::Or(_) | Expr::Not(_) => {}
                }
                id
            }
        };
        self.by_place.insert(place, id);
        Ok(id)
    }
}

impl Leaves<'_> {
    /// The event types for which a leaf is true, and for which it is false, whatever the event.
    fn decided(&mut self, leaf: usize) -> (EventTypes, EventTypes) {
        if let Some(known) = self.decided[leaf] {
            return known;
        }
        let mut sets = (EventTypes::NONE, EventTypes::NONE);
        for event_type in EventType::ALL.iter().copied() {
            let known = Known { event_type: Some(event_type), open_class: None };
            match known.decide(&self.prepared[leaf]) {
                Truth::True => sets.0 = sets.0.with(event_type),
                Truth::False => sets.1 = sets.1.with(event_type),
                Truth::Unknown => {}
            }
        }
        self.decided[leaf] = Some(sets);
        sets
    }
}

impl<'r> Builder<'r> {
    /// Conditions added from now on belong to another rule.
    pub fn next_rule(&mut self) {
        self.pass = (self.pass.0 + 1, 0);
    }

    /// Event types in groups: for all of a group the condition is specialised to the same.
    ///
    /// # Errors
    /// A literal that does not fit its field.
    pub fn groups(&mut self, expr: &'r Expr) -> Result<Vec<EventTypes>, TestError> {
        let mut groups = vec![EventTypes::ALL];
        self.split(expr, &mut groups)?;
        Ok(groups)
    }

    fn split(&mut self, expr: &'r Expr, groups: &mut Vec<EventTypes>) -> Result<(), TestError> {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().try_for_each(|part| self.split(part, groups)),
            Expr::Not(inner) => self.split(inner, groups),
            Expr::Exists(_) | Expr::Compare(_) => {
                let leaf = self.leaves.get(expr)?;
                let (yes, no) = self.leaves.decided(leaf);
                for by in [yes, no] {
                    for n in 0..groups.len() {
                        let (inside, outside) = (groups[n].and(by), groups[n].without(by));
                        if !inside.is_empty() && !outside.is_empty() {
                            groups[n] = inside;
                            groups.push(outside);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Adds a condition, specialised to what is known.
    ///
    /// # Errors
    /// A literal that does not fit its field.
    pub fn add(&mut self, expr: &'r Expr, known: &Known) -> Result<Planned, TestError> {
        self.pass.1 += 1;
        self.add_part(expr, known)
    }

    fn add_part(&mut self, expr: &'r Expr, known: &Known) -> Result<Planned, TestError> {
        match expr {
            Expr::And(parts) => self.fold(parts, known, false),
            Expr::Or(parts) => self.fold(parts, known, true),
            Expr::Not(inner) => Ok(match self.add_part(inner, known)? {
                Planned::Constant(truth) => Planned::Constant(!truth),
                Planned::Node(id) => match &self.graph.nodes[id as usize] {
                    Node::Not(twice) => Planned::Node(*twice),
                    _ => Planned::Node(self.node(Node::Not(id))),
                },
            }),
            Expr::Exists(_) | Expr::Compare(_) => {
                let leaf = self.leaves.get(expr)?;
                Ok(match known.decide(&self.leaves.prepared[leaf]) {
                    Truth::True => Planned::Constant(true),
                    Truth::False => Planned::Constant(false),
                    Truth::Unknown => {
                        let leaf = self.plan_leaf(leaf);
                        Planned::Node(self.node(Node::Leaf(leaf)))
                    }
                })
            }
        }
    }

    /// `and` (decided by a false part) or `or` (decided by a true one). Parts go by cost beside how often they decide.
    fn fold(&mut self, parts: &'r [Expr], known: &Known, decisive: bool) -> Result<Planned, TestError> {
        let mut ids = Vec::with_capacity(parts.len());
        let mut decided = false;
        for part in parts {
            // All of them, also after the decisive one, so that every literal is checked.
            match self.add_part(part, known)? {
                Planned::Constant(truth) => decided |= truth == decisive,
                Planned::Node(id) => match &self.graph.nodes[id as usize] {
                    Node::And(inner) if !decisive => ids.extend(inner),
                    Node::Or(inner) if decisive => ids.extend(inner),
                    _ => ids.push(id),
                },
            }
        }
        if decided {
            return Ok(Planned::Constant(decisive));
        }
        // What is negated mostly holds: it seldom decides an `and`, and goes late in it.
        let graph = &self.graph;
        let late = |id: NodeId| !decisive && matches!(graph.nodes[id as usize], Node::Not(_));
        let cost = |id: NodeId| graph.costs[id as usize].saturating_mul(if late(id) { 4 } else { 1 });
        ids.sort_unstable_by_key(|id| (cost(*id), *id));
        ids.dedup();
        Ok(match ids.as_slice() {
            [] => Planned::Constant(!decisive),
            [only] => Planned::Node(*only),
            _ if decisive => Planned::Node(self.node(Node::Or(ids.into()))),
            _ => Planned::Node(self.node(Node::And(ids.into()))),
        })
    }

    fn plan_leaf(&mut self, leaf: usize) -> u32 {
        if let Some(planned) = self.leaves.planned[leaf] {
            return planned;
        }
        // A test may hold a million items: it moves into the graph, unless what is known of events may still decide it.
        let kept = &mut self.leaves.prepared[leaf];
        let cost = kept.cost();
        let prepared = match kept {
            Leaf::Test { operand, .. } if !is_decisive(operand) => {
                let operand = operand.clone();
                std::mem::replace(kept, Leaf::Exists(operand))
            }
            other => other.clone(),
        };
        let planned = match prepared {
            Leaf::Test { operand: Operand::Field(field), test, all: false } if is_plain(&field) => {
                PlanLeaf::Test { slot: self.slot(&field), test }
            }
            Leaf::Exists(Operand::Field(field)) if is_plain(&field) => PlanLeaf::Exists { slot: self.slot(&field) },
            other => PlanLeaf::Other(Box::new(other)),
        };
        let id = number(self.graph.leaves.len());
        self.graph.leaves.push(planned);
        self.graph.leaf_costs.push(cost);
        self.leaves.planned[leaf] = Some(id);
        id
    }

    fn slot(&mut self, field: &FieldRef) -> u32 {
        if let Some(slot) = self.slots.get(field) {
            return *slot;
        }
        let slot = number(self.graph.fields.len());
        self.graph.fields.push(field.clone());
        self.slots.insert(field.clone(), slot);
        slot
    }

    fn node(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.keys.get(&node) {
            let (rule, group) = std::mem::replace(&mut self.used_in[*id as usize], self.pass);
            // The same rule for other event types is no second use.
            self.graph.shared[*id as usize] |= rule != self.pass.0 || group == self.pass.1;
            return *id;
        }
        let graph = &mut self.graph;
        let sum = |ids: &[NodeId]| ids.iter().fold(0, |sum: u32, id| sum.saturating_add(graph.costs[*id as usize]));
        let cost = match &node {
            Node::And(ids) | Node::Or(ids) => sum(ids),
            Node::Not(id) => graph.costs[*id as usize],
            Node::Leaf(leaf) => graph.leaf_costs[*leaf as usize],
        };
        let id = number(graph.nodes.len());
        graph.nodes.push(node.clone());
        graph.ids.push(id);
        graph.costs.push(cost);
        graph.shared.push(false);
        self.used_in.push(self.pass);
        self.keys.insert(node, id);
        id
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }
}

/// Graphs are bounded by `MAX_NODES` times rules times types; beyond 32 bits memory has long run out.
fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
