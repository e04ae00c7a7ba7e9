//! The ruleset on its way to the API server.
//!
//! ```text
//! sources changed -> Pace (when) -> compile -> unchanged revision: nothing; else chunks, then the index -> stale chunks go
//! ```
//! Invariants: the index is written last, so that no reader sees half a ruleset; an unchanged ruleset is not written; a
//! ConfigMap that somebody altered is written anew; at most one write a second.
mod pace;
mod writer;

pub use pace::Pace;
pub use writer::{PublishError, Publisher};
