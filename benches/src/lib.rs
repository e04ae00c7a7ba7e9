//! What Eyas costs, measured on the live kernel with the release binary.
//!
//! ```text
//! loops     the system calls that are timed: the same loop with and without an agent, in turns, medians compared
//! agent     a release agent: when it is ready, its processor time, memory and counters
//! evaluate  the engine alone: events per second that one core evaluates
//! live      single calls in pairs with and without an agent, the flow beside them, a storm, reloads under load
//! node      events as a node makes them; variety: many rules; stable: Falco's published ones
//! table     the figures beside what is aimed at
//! ```
//!
//! Invariants: every figure about the kernel is a difference or a ratio within one run, as the machine's own speed is nobody's merit.
#![forbid(unsafe_code)]

pub mod agent;
pub mod evaluate;
pub mod live;
pub mod loops;
pub mod node;
mod programs;
pub mod run;
pub mod stable;
pub mod table;
pub mod variety;
