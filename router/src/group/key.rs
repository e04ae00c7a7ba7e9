//! What alerts are grouped by.
use crate::alert::Alert;
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A name in `grouping.by`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The rule's name.
    Rule,
    /// Its priority.
    Priority,
    /// The pod's namespace.
    Namespace,
    /// The pod.
    Pod,
    /// The container's name, or its id where the name is unknown.
    Container,
    /// The image.
    Image,
    /// The node.
    Node,
    /// A field of the output, such as `proc.name`.
    Field(String),
}

/// A word that nothing can be grouped by.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot group by {0:?}; one of rule, priority, namespace, pod, container, image, node, or a field that the rule's output names, such as proc.name"
)]
pub struct BadKey(String);

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Ok(match text {
            "rule" => Self::Rule,
            "priority" => Self::Priority,
            "namespace" | "k8s.ns.name" => Self::Namespace,
            "pod" | "k8s.pod.name" => Self::Pod,
            "container" | "container.name" => Self::Container,
            "image" | "container.image" => Self::Image,
            "node" => Self::Node,
            field if field.contains('.') => Self::Field(field.to_owned()),
            other => return Err(BadKey(other.to_owned())),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "rule",
            Self::Priority => "priority",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::Container => "container",
            Self::Image => "image",
            Self::Node => "node",
            Self::Field(name) => name,
        })
    }
}

impl Key {
    /// Its value in an alert; empty where the alert has none. Pods of one name in two namespaces differ.
    #[must_use]
    pub fn value(&self, alert: &Alert) -> String {
        let pod = alert.pod.as_ref();
        let container = alert.container.as_ref();
        match self {
            Self::Rule => alert.rule.clone(),
            Self::Priority => alert.priority.to_string(),
            Self::Namespace => pod.map_or_else(String::new, |p| p.namespace.clone()),
            Self::Pod => pod.map_or_else(String::new, |p| format!("{}/{}", p.namespace, p.name)),
            Self::Container => {
                container.map_or_else(String::new, |c| if c.name.is_empty() { c.id.clone() } else { c.name.clone() })
            }
            Self::Image => container.map_or_else(String::new, |c| c.image.clone()),
            Self::Node => alert.node.clone(),
            Self::Field(name) => match alert.output_fields.get(name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(s)) => s.clone(),
                Some(other) => other.to_string(),
            },
        }
    }
}
