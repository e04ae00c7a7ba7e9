//! PolicyReports out of matches: what `kubectl get policyreports` shows.
//!
//! ```text
//! Alert -> ReportSink (bounded queue) -> writer task ─┬─> journal (state dir: what was matched but not yet written)
//!                                                     └─> Reports (pure: books of findings) -> due -> API server
//! pods gone (crate::cluster) ─────────────────────────┘
//! ```
//! One report per pod and one for the node; one result per rule and fingerprint, with a count. The parts:
//! [`Finding`] a result, [`Book`] the results of one report, [`Reports`] all of this node and when to write which,
//! `render` to and from API objects, [`journal`] what survives a kill, [`writer`] the I/O.
//!
//! Invariants: for each report, the sum of its results' counts and of what was evicted is the number of matches recorded;
//! a report is written at most once per [`Limits::spacing`], save
//! a few writes ahead for results that are new (a first match is seen within a second); nothing is written before the node's reports were read back,
//! so that counts go on over restarts; a match is in a report exactly once, also after `kill -9` (each report carries the
//! journal position up to which it is whole).

mod book;
mod finding;
pub mod journal;
mod limits;
pub mod local;
mod readback;
mod render;
mod reports;
mod scope;
mod text;
mod tracked;
pub mod writer;

#[cfg(test)]
mod tests;

pub use book::Book;
pub use finding::Finding;
pub use limits::Limits;
pub use readback::Existing;
pub use reports::{Counts, Failure, Recorded, Reports, Write, WriteAction};
pub use scope::Scope;
pub use writer::{PodNews, ReportSink, Writes};
