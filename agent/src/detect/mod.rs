//! Evaluation of events by rules.
//!
//! ```text
//! record -> process table -> View -> plan of the record's generation -> hits
//!   undecided, or matched before the pod's metadata is there -> Hold (asked again, at most 5 s) -.
//!   suppressed -> counters                                                                       v
//!   matched -> counters -> Folding (first at once, repeats per second) -> channel of alerts -> sinks
//! ```
//! While another agent watches (crate::handover), all that has a hit is put aside instead, and judged again when this one takes over.
//!
//! Invariants: one thread owns all of it but [`Store`] and the counters; a record is evaluated by the rules of the
//! generation that the kernel let it through for, so a reload loses nothing; every bound that is reached is counted.
mod alert;
mod aside;
mod detector;
mod duty;
mod fold;
mod hold;
mod home;
mod store;
mod totals;

pub use alert::clock;
pub use detector::{Detector, Parts};
pub use duty::Told;
pub use store::{Armed, Store};
pub use totals::{ExceptionCounter, ExceptionTotal, RuleCounter, RuleTotal, Totals, TotalsHandle};
