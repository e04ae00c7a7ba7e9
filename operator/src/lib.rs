//! The Eyas operator: from objects to the ConfigMap that agents arm, and back from agents to the objects' status.
//!
//! ```text
//! watch (one per kind) -> index (pure) -> compile -> publish (ConfigMap eyas-ruleset, debounced)
//!                           |               `-> outcomes
//!                           `-> status (pure: desired) -> writer (compare, server-side apply, only the lease holder)
//! ```
//! `index` and `status` know no client: tests apply objects and assert on what they yield. `router_cmd` runs delivery,
//! the other half of this binary, as a process of its own.
#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
pub mod http;
pub mod index;
pub mod lease;
pub mod metrics;
pub mod publish;
pub mod router_cmd;
pub mod run;
pub mod status;
pub mod status_writer;
pub mod watch;

#[cfg(test)]
pub(crate) mod testing;
