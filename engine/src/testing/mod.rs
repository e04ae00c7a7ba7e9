//! Events made from field maps (rule tests, the command line's `eval`), and why a condition came out as it did.
//!
//! - `map`: [`MapEvent`], an event from a map of fields.
//! - `part`: [`Part`], a condition as a tree for people.
//! - `trace`: what each part gave for an event, and which parts decided.
mod map;
mod part;
#[cfg(test)]
mod tests;
mod trace;

pub use crate::eval::Truth;
pub use map::{MapError, MapEvent};
pub use part::{LeafPart, Origin, Part, Shape};
pub use trace::{Reason, Seen, Trace, explain, sentence, trace, word};

/// A file of the reference material beside the repository (or beside its worktrees), where it is present.
#[cfg(test)]
pub(crate) fn shared(path: &str) -> Option<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("EYAS_SHARED").map(std::path::PathBuf::from);
    let beside = ["../../shared", "../../../shared"].iter().map(|up| root.join(up));
    let found = given.into_iter().chain(beside).find_map(|folder| std::fs::read_to_string(folder.join(path)).ok());
    if found.is_none() {
        println!("skipped: ../shared/{path} is not here");
    }
    found
}
