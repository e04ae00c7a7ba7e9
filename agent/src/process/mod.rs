//! The process table: who every process is, what it runs, whose child it is.
//!
//! ```text
//! /proc at start (seed) -> Table <- exec, fork, exit records; a miss looks into /proc once
//! ```
//! Invariants: a process is named by pid *and* start time, so a reused pid is never mistaken; forked children share what was
//! executed with their parent; a process that has exited stays for [`EXITED_KEPT`] (its last events and its children's
//! ancestry need it); the table is bounded and what it gives up is counted. Owned by the detect thread: no lock.
mod info;
mod learn;
mod proc;
mod streams;
mod table;

pub(crate) use info::with_args;
pub use info::{Credentials, ExecInfo, Ids, Key, Process};
pub use streams::Held;
pub use table::{EXITED_KEPT, Stats, Table};
