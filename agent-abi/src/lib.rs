//! What the eBPF programs and the agent have in common: records, map values, kernel offsets.
//!
//! Invariants, checked at compile time on both sides:
//! - every type that crosses the border is `repr(C)`, made of unsigned integers and arrays of them, without padding
//!   (so that any bytes are a valid value and no kernel memory leaks through a hole);
//! - no `bool`, `Option` or enum crosses it: tags are plain numbers that user space checks before it trusts them.
//!
//! `record` is what travels through the ring, `map` what user space tells the programs and what they count,
//! `call` which system calls are served and what their arguments are, `offsets` where the running kernel keeps the members that the programs read, `plain` what the programs can know of a path that
//! a call was given.
#![no_std]

#[macro_use]
mod wire;
pub mod call;
pub mod map;
pub mod offsets;
pub mod plain;
pub mod record;

pub use wire::Wire;
