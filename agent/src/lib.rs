//! The Eyas node agent.
//!
//! ```text
//! kernel -> probe (ring, records) -> process, container, users (state) -> fields (event) -> detect (rules, exceptions)
//!        -> alert -> output (stdout), report (PolicyReports), deliver (router)
//! rules: a folder (standalone) or the ConfigMap (cluster) -> compile -> detect::store, probe filters
//! ```
//!
//! One thread owns the ring, the process table and the evaluation; all else is asynchronous and fed by bounded queues
//! whose losses are counted.

mod check;
pub mod cli;
pub mod cluster;
pub mod container;
pub mod deliver;
pub mod detect;
pub mod fields;
pub mod handover;
pub mod http;
pub mod metrics;
pub mod output;
pub mod probe;
pub mod process;
pub mod report;
pub mod rules;
pub mod run;
pub mod status;
pub mod trace;
pub mod users;
pub mod workload;
