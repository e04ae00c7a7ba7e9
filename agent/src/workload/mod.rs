//! Which pod and container a process belongs to, as the API server tells it.
//!
//! ```text
//! pod watch (crate::cluster) -> Writer::{apply, delete, relist} -> shards of Index -> fields, reports (lock-free)
//! ```
//!
//! [`Writer`] is the one owner of the state and is pure: no I/O, time is passed in. [`Index`] is what everybody else
//! holds: a cheap clone whose reads take no lock and see each pod whole. An update touches only the shards of that pod.
//!
//! Invariants: a pod that is gone stays readable for [`LOOKUP_GRACE_SECONDS`], since its last events arrive after the API
//! told of its end; [`Index::version`] rises after each change that a reader can see; at most [`MAX_PODS`] pods are kept,
//! what goes beyond is counted.

mod convert;
mod index;
mod model;
#[cfg(test)]
mod tests;
mod writer;

pub use convert::{NoIdentity, pod_meta};
pub use index::Index;
pub use model::{ContainerKind, ContainerMeta, Mount, Owner, PodMeta};
pub use writer::{Change, Writer};

/// How long a pod that is gone can still be looked up, in seconds: records and process exits that were under way.
pub const LOOKUP_GRACE_SECONDS: i64 = 60;

/// Most pods kept. kubelet's default limit is 110 a node and the largest in use are 500; more means a wrong selector.
pub const MAX_PODS: usize = 2048;
