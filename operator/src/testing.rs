//! Builders for tests.
#![allow(clippy::unwrap_used, reason = "tests")]
use crate::index::{Body, Change, Event, Object};
use crds::{DetectionRule, DetectionRuleSpec, NodeAgent, NodeAgentSpec, NodeAgentStatus};
use engine::source::ObjectRef;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Resource, ResourceExt};
use std::sync::Arc;

/// A sound rule in eyas-system.
pub(crate) fn rule(name: &str) -> DetectionRule {
    let mut rule = DetectionRule::new(
        name,
        DetectionRuleSpec {
            condition: "evt.type = execve and proc.name = nc".to_owned(),
            output: "ran %proc.name".to_owned(),
            priority: "Warning".to_owned(),
            ..DetectionRuleSpec::default()
        },
    );
    rule.metadata.namespace = Some("eyas-system".to_owned());
    rule
}

/// As the watch brings it.
pub(crate) fn object<K: Resource<DynamicType = ()>>(mut body: K, generation: i64) -> Object<K> {
    let uid = format!("uid-{}", body.name_any());
    body.meta_mut().uid = Some(uid.clone());
    body.meta_mut().generation = Some(generation);
    Object {
        id: ObjectRef { namespace: body.namespace().unwrap_or_default(), name: body.name_any() },
        uid,
        generation,
        created: 0,
        body: Body::Good(Arc::new(body)),
    }
}

/// A rule that does not fit the type.
pub(crate) fn unreadable(name: &str) -> Object<DetectionRule> {
    Object { body: Body::Unreadable("missing field `condition`".to_owned()), ..object(rule(name), 1) }
}

/// An agent that runs a revision and last told so at `heartbeat` (Unix seconds).
pub(crate) fn agent(node: &str, revision: &str, heartbeat: i64) -> Object<NodeAgent> {
    let mut agent = NodeAgent::new(node, NodeAgentSpec {});
    agent.status = Some(NodeAgentStatus {
        revision: revision.to_owned(),
        last_heartbeat: Some(Time(Timestamp::from_second(heartbeat).unwrap())),
        ..NodeAgentStatus::default()
    });
    object(agent, 1)
}

/// A node.
pub(crate) fn node(name: &str) -> Change {
    Change::Node(Event::Apply(Object {
        id: ObjectRef { namespace: String::new(), name: name.to_owned() },
        uid: name.to_owned(),
        generation: 0,
        created: 0,
        body: Body::Good(Arc::new(())),
    }))
}

/// Every watch has listed nothing.
pub(crate) fn all_synced() -> [Change; 6] {
    [
        Change::Rule(Event::InitDone),
        Change::Library(Event::InitDone),
        Change::Exception(Event::InitDone),
        Change::Route(Event::InitDone),
        Change::Agent(Event::InitDone),
        Change::Node(Event::InitDone),
    ]
}
