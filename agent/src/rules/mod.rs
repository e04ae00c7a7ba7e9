//! Where rulesets come from, other than the cluster's ConfigMap.
//!
//! ```text
//! embedded (the default rules in the binary) \
//! folder   (--rules DIR, watched)             > compile -> Compilation -> armer
//! state    (--state DIR: the last good ruleset, checked by its sum, armed before anything else is reachable)
//! ```
//! Invariant: none of these ever replaces a good ruleset by a bad one; what was wrong is told in words.
pub mod embedded;
pub mod folder;
pub mod state;

/// The namespace whose objects act on the whole cluster, and where objects without a namespace belong standalone.
pub const SYSTEM_NAMESPACE: &str = "eyas-system";

pub use folder::{Compilation, FolderWatch};
