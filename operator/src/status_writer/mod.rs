//! Status on its way to the API server: which updates go now (pure), and the writes themselves.
//!
//! ```text
//! status::updates -> Gate (in flight? backing off? progress too soon? budget?) -> bounded queue -> write -> Written
//! ```
//! Invariants: one write per object at a time; progress of one object at most each PROGRESS; at most RATE writes a
//! second on average; what does not go now is computed anew later, so nothing queues up and nothing stale is written.
mod gate;
mod write;

pub use gate::Gate;
pub use write::{Back, Written, run};
