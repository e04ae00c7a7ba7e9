//! The Kubernetes face of Eyas: custom resource types, and what is done with them without a cluster.
//!
//! ```text
//! types       rule exception route library node_agent policy_report      (CustomResource; YAML by `crdgen`)
//! in          files (a folder tree of YAML) ──┐
//!             watch (operator) ───────────────┴─> source (-> engine::source, problems marked) -> engine::compile
//! out         ruleset_map (a Ruleset <-> the data of a ConfigMap)
//! status      conditions (builders that keep transition times)
//! ```
//!
//! Invariants: a bad object is a value with a problem, never an error that takes others with it; every input is bounded.
#![forbid(unsafe_code)]
#![expect(clippy::duplicated_attributes, reason = "printer columns repeat their types and priorities")]

pub mod common;
pub mod conditions;
pub mod duration;
pub mod exception;
pub mod files;
pub mod library;
pub mod node_agent;
pub mod policy_report;
pub mod route;
pub mod rule;
pub mod ruleset_map;
pub mod schema;
pub mod source;
pub mod yaml;

pub use common::{Condition, SecretKeyRef};
pub use exception::{Exception, ExceptionSpec, ExceptionStatus};
pub use library::{RuleLibrary, RuleLibrarySpec, RuleLibraryStatus};
pub use node_agent::{NodeAgent, NodeAgentSpec, NodeAgentStatus};
pub use policy_report::{ClusterPolicyReport, PolicyReport};
pub use route::{OutputRoute, OutputRouteSpec, OutputRouteStatus};
pub use rule::{DetectionRule, DetectionRuleSpec, DetectionRuleStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of our kinds.
pub const GROUP: &str = "eyas.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// The namespace whose objects act on the whole cluster, where Eyas itself runs.
pub const SYSTEM_NAMESPACE: &str = "eyas-system";
/// Field manager of the operator: conditions, `observedGeneration`, `nodes`.
pub const OPERATOR_MANAGER: &str = "eyas-operator";
/// Field manager of the router: counters in status.
pub const ROUTER_MANAGER: &str = "eyas-router";
/// Field manager of the agents: NodeAgent and reports.
pub const AGENT_MANAGER: &str = "eyas-agent";

/// The definitions of the reports that we write, for clusters where no other policy tool brought them.
#[must_use]
pub fn report_definitions() -> Vec<CustomResourceDefinition> {
    vec![PolicyReport::crd(), ClusterPolicyReport::crd()].into_iter().map(schema::tidy).collect()
}

/// The definitions of our own kinds, in the order they are listed in the documentation.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![DetectionRule::crd(), Exception::crd(), OutputRoute::crd(), RuleLibrary::crd(), NodeAgent::crd()]
        .into_iter()
        .map(schema::tidy)
        .collect()
}
