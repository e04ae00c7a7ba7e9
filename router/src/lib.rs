//! Delivery of alerts.
//!
//! ```text
//! alerts in -> per route: match -> disk queue -> group -> destination (one folder each), retried with back-off
//! ```
#![forbid(unsafe_code)]

pub mod alert;
pub mod batch;
pub mod deliver;
pub mod destination;
pub mod format;
pub mod group;
pub mod matching;
pub mod network;
pub mod queue;
pub mod route;
#[cfg(test)]
mod testing;
