//! What the API server holds, as one value: a pure index that watches feed and others read.
//!
//! ```text
//! Change (one per watch event) -> Index::apply -> Effect (what must be done again)
//!                                  |-> sources()  for the compiler
//!                                  `-> fleet(now) which agents live, and what they run
//! ```
//! Invariants: no client, no clock, no lock; an object that cannot be read is there by name with its error, and stalls
//! nothing; after a watch starts anew (`Init` .. `InitDone`) the table is exchanged whole, never emptied in between.
mod fleet;
mod table;

pub use fleet::{Agent, Fleet};
pub use table::{Body, Event, Object, Table};

use crds::{DetectionRule, Exception, NodeAgent, OutputRoute, RuleLibrary, source};
use engine::source::{ExceptionSource, LibrarySource, Meta, RouteSource, RuleSource, Sources};

/// One event of one watch.
#[derive(Clone, Debug)]
pub enum Change {
    /// Of the DetectionRules.
    Rule(Event<DetectionRule>),
    /// Of the RuleLibraries.
    Library(Event<RuleLibrary>),
    /// Of the Exceptions.
    Exception(Event<Exception>),
    /// Of the OutputRoutes.
    Route(Event<OutputRoute>),
    /// Of the NodeAgents.
    Agent(Event<NodeAgent>),
    /// Of the Nodes; only their names matter.
    Node(Event<()>),
}

/// What a change makes necessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Sources differ: compile.
    pub sources: bool,
    /// Status of objects may differ: compute and compare.
    pub status: bool,
}

/// Everything that is watched.
#[derive(Debug)]
pub struct Index {
    system: String,
    /// DetectionRules.
    pub rules: Table<DetectionRule>,
    /// RuleLibraries.
    pub libraries: Table<RuleLibrary>,
    /// Exceptions.
    pub exceptions: Table<Exception>,
    /// OutputRoutes.
    pub routes: Table<OutputRoute>,
    agents: Table<NodeAgent>,
    nodes: Table<()>,
}

impl Index {
    /// An empty index. `system` is the namespace whose objects act on the whole cluster.
    #[must_use]
    pub fn new(system: &str) -> Self {
        Self {
            system: system.to_owned(),
            rules: Table::default(),
            libraries: Table::default(),
            exceptions: Table::default(),
            routes: Table::default(),
            agents: Table::default(),
            nodes: Table::default(),
        }
    }

    /// Takes a change in.
    pub fn apply(&mut self, change: Change) -> Effect {
        let source = |changed| Effect { sources: changed, status: true };
        match change {
            Change::Rule(event) => source(self.rules.apply(event)),
            Change::Library(event) => source(self.libraries.apply(event)),
            Change::Exception(event) => source(self.exceptions.apply(event)),
            Change::Route(event) => source(self.routes.apply(event)),
            Change::Agent(event) => {
                self.agents.apply(event);
                Effect { sources: false, status: true }
            }
            Change::Node(event) => Effect { sources: false, status: self.nodes.apply(event) },
        }
    }

    /// Whether every source has been listed once. Compiling earlier would drop rules that have not arrived.
    #[must_use]
    pub fn sources_synced(&self) -> bool {
        self.rules.synced() && self.libraries.synced() && self.exceptions.synced() && self.routes.synced()
    }

    /// Whether agents and nodes have been listed once.
    #[must_use]
    pub fn fleet_synced(&self) -> bool {
        self.agents.synced() && self.nodes.synced()
    }

    /// What the compiler needs.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let system = self.system.as_str();
        Sources {
            system_namespace: self.system.clone(),
            rules: convert(&self.rules, source::rule, unreadable_rule),
            libraries: convert(&self.libraries, source::library, |meta| LibrarySource {
                meta,
                ..LibrarySource::default()
            }),
            exceptions: convert(
                &self.exceptions,
                |e| source::exception(e, system),
                |meta| ExceptionSource { meta, ..ExceptionSource::default() },
            ),
            routes: convert(
                &self.routes,
                |r| source::route(r, system),
                |meta| RouteSource { meta, ..RouteSource::default() },
            ),
        }
    }

    /// The agents that live at this time (Unix seconds).
    #[must_use]
    pub fn fleet(&self, now: i64) -> Fleet {
        Fleet::of(&self.agents, &self.nodes, now)
    }

    /// How many objects of each kind there are, by the kind's name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 5] {
        [
            ("DetectionRule", self.rules.len()),
            ("RuleLibrary", self.libraries.len()),
            ("Exception", self.exceptions.len()),
            ("OutputRoute", self.routes.len()),
            ("NodeAgent", self.agents.len()),
        ]
    }
}

fn convert<K, S>(table: &Table<K>, good: impl Fn(&K) -> S, bad: impl Fn(Meta) -> S) -> Vec<S> {
    let one = |object: &Object<K>| match &object.body {
        Body::Good(body) => good(body),
        Body::Unreadable(error) => bad(Meta {
            id: object.id.clone(),
            uid: object.uid.clone(),
            generation: object.generation,
            created: object.created,
            problems: vec![source::problem("", "", format!("the object cannot be read: {error}"))],
            ..Meta::default()
        }),
    };
    table.iter().map(one).collect()
}

fn unreadable_rule(meta: Meta) -> RuleSource {
    RuleSource { meta, ..source::rule(&DetectionRule::new("", crds::DetectionRuleSpec::default())) }
}

#[cfg(test)]
mod tests;
