//! The Eyas rule language, pure: no I/O, no clock, no Kubernetes.
//!
//! ```text
//! source (objects as people wrote them)
//!   -> syntax (lexer, parser, tree with spans)
//!   -> compile (macros, lists, type check against the field catalogue, tests)
//!   -> ruleset (resolved, serialisable: what the ConfigMap carries)
//!   -> plan (immutable evaluator) + event (trait that yields field values)
//! ```
#![forbid(unsafe_code)]

pub mod compile;
pub mod diagnostic;
mod eval;
pub mod event;
mod event_names;
pub mod field;
mod matching;
pub mod output;
pub mod plan;
pub mod priority;
pub mod rules_file;
pub mod ruleset;
pub mod source;
pub mod syntax;
pub mod testing;
pub mod value;
