//! The probe on the running kernel: each field against the truth learned otherwise, counters under floods, filters
//! changed under load.
//!
//! Needs root (or CAP_BPF and CAP_PERFMON) and a kernel with BTF; else each test prints `skipped: why`. Other activity on
//! the machine is tolerated: tests look for their own threads, children and paths.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod calls;
mod compat;
mod connects;
mod counting;
mod execs;
mod failed_execs;
mod filters;
mod given;
mod io_uring;
mod life;
mod opens;
mod reload;
mod shares;
mod support;
mod truth;
