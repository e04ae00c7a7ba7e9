//! Objects as people wrote them, free of Kubernetes types. `crds::source` converts custom resources into these.
use crate::{diagnostic::Diagnostic, priority::Priority};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Which object: the identity that alerts, counters and status refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Fields that every source object has from its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Namespace and name.
    pub id: ObjectRef,
    /// `metadata.uid`; empty standalone.
    pub uid: String,
    /// `metadata.generation`; 0 standalone.
    pub generation: i64,
    /// `metadata.creationTimestamp` in Unix seconds; of two macros with one name the newer is in conflict.
    pub created: i64,
    /// Where it was read (file path), empty in a cluster. For messages only.
    pub origin: String,
    /// What was already found wrong on the way here (an unknown word, an unreadable object). With an error among them
    /// the object is not accepted, so its last good generation stays in force; `compile` hands them on in its outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// Whether a rule is evaluated, and whether its matches go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuleState {
    /// Evaluated, reported, routed.
    #[default]
    Active,
    /// Evaluated and counted, never reported or routed.
    Shadow,
    /// Not evaluated.
    Disabled,
}

/// Macros and lists by name: of a rule (local) or of a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions {
    /// Name and condition.
    pub macros: Vec<(String, String)>,
    /// Name and items; an item may name another list.
    pub lists: Vec<(String, Vec<String>)>,
}

/// Falco's inline exception of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineException {
    /// Its name.
    pub name: String,
    /// Field names.
    pub fields: Vec<String>,
    /// Operators, one per field; empty: `=` each (`in` for a single scalar field).
    pub comps: Vec<String>,
    /// Tuples of values, one value per field.
    pub values: Vec<Vec<Vec<String>>>,
}

/// What a rule test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Expect {
    Match,
    NoMatch,
}

/// One `events` test of a rule: each event is a map from field name (`proc.aname[2]` too) to value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleTest {
    /// For messages.
    pub name: String,
    /// Every one of these events must match (or not).
    pub events: Vec<IndexMap<String, serde_json::Value>>,
    /// Match or not.
    pub expect: Expect,
}

/// A DetectionRule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSource {
    /// Identity.
    pub meta: Meta,
    /// `spec.name` or the object's name: what alerts call `rule`.
    pub title: String,
    /// `spec.description`.
    pub description: String,
    /// The condition text.
    pub condition: String,
    /// The output template text.
    pub output: String,
    /// Priority.
    pub priority: Priority,
    /// Tags.
    pub tags: Vec<String>,
    /// State.
    pub state: RuleState,
    /// Local macros and lists.
    pub definitions: Definitions,
    /// Inline exceptions.
    pub exceptions: Vec<InlineException>,
    /// Whether tenants' Exception objects may act on this rule; `None` is the default by priority.
    pub tenant_exceptions: Option<bool>,
    /// Event tests.
    pub tests: Vec<RuleTest>,
}

/// A RuleLibrary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LibrarySource {
    /// Identity.
    pub meta: Meta,
    /// Its macros and lists.
    pub definitions: Definitions,
}

/// Which rules an Exception or a route is about. Empty selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSelector {
    /// Rule names: spec.name or metadata.name.
    pub names: Vec<String>,
    /// Tags, any of.
    pub tags: Vec<String>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRequirement {
    /// Label key.
    pub key: String,
    /// Operator.
    pub op: LabelOp,
    /// Values of In and NotIn.
    pub values: Vec<String>,
}

/// Operators of label selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "Kubernetes' names")]
pub enum LabelOp {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// An Exception: all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExceptionSource {
    /// Identity.
    pub meta: Meta,
    /// Which rules.
    pub rules: RuleSelector,
    /// Pod labels (matchLabels are `In` with one value).
    pub pod_selector: Vec<LabelRequirement>,
    /// Service accounts: `name`, or `namespace/name` in the system namespace.
    pub service_accounts: Vec<String>,
    /// Image globs, over the whole reference.
    pub images: Vec<String>,
    /// Container names.
    pub containers: Vec<String>,
    /// Namespaces (system namespace only).
    pub namespaces: Vec<String>,
    /// Process names, or executable paths where they begin with `/` (globs).
    pub processes: Vec<String>,
    /// A condition; may use macros and lists of libraries.
    pub condition: Option<String>,
    /// Unix seconds after which it no longer acts.
    pub expires_at: Option<i64>,
}

/// The part of an OutputRoute that nodes need: which matches to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSource {
    /// Identity.
    pub meta: Meta,
    /// Least priority.
    pub min_priority: Option<Priority>,
    /// Which rules.
    pub rules: RuleSelector,
    /// Pod namespaces (system namespace only; a tenant's route sees its own).
    pub namespaces: Vec<String>,
}

/// Everything that a ruleset is compiled from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// The namespace whose objects act on the whole cluster (`eyas-system`).
    pub system_namespace: String,
    /// Rules.
    pub rules: Vec<RuleSource>,
    /// Libraries.
    pub libraries: Vec<LibrarySource>,
    /// Exceptions.
    pub exceptions: Vec<ExceptionSource>,
    /// Routes.
    pub routes: Vec<RouteSource>,
}
