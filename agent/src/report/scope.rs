//! What a report is about.
use super::limits::NAME;
use router::alert::Alert;
use serde::{Deserialize, Serialize};

/// A pod of this node, or the node itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Events of the host, and of containers that belong to no pod known here.
    Node,
    /// Events in a pod's containers.
    #[serde(rename_all = "camelCase")]
    Pod {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// UID: a pod made anew under the same name has a report of its own.
        uid: String,
    },
}

impl Scope {
    /// Which report an alert belongs to.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        match &alert.pod {
            Some(pod) if !pod.uid.is_empty() && !pod.name.is_empty() && !pod.namespace.is_empty() => {
                Self::Pod { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
            }
            _ => Self::Node,
        }
    }

    /// The pod's UID; empty for the node.
    #[must_use]
    pub fn uid(&self) -> &str {
        match self {
            Self::Node => "",
            Self::Pod { uid, .. } => uid,
        }
    }

    /// The pod's namespace, where its report is; `None`: cluster-wide.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Node => None,
            Self::Pod { namespace, .. } => Some(namespace),
        }
    }

    /// Name of the report: `eyas-<pod>-<8 digits of its UID>`, or `eyas-node-<node>`.
    #[must_use]
    pub fn report_name(&self, node: &str) -> String {
        match self {
            Self::Node => format!("eyas-node-{node}"),
            Self::Pod { name, uid, .. } => {
                let name = name.get(..NAME).unwrap_or(name).trim_end_matches(['-', '.']);
                let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
                format!("eyas-{name}-{}", digits.to_ascii_lowercase())
            }
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Pod { namespace, name, .. } => write!(f, "{namespace}/{name}"),
        }
    }
}
