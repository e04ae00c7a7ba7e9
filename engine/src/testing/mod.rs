//! Events made from field maps (rule tests, the command line's `eval`), and why a condition came out as it did.
mod explain;
mod map;

pub use explain::explain;
pub use map::{MapError, MapEvent};

/// A file of the reference material beside the repository (or beside its worktrees), where it is present.
#[cfg(test)]
pub(crate) fn shared(path: &str) -> Option<String> {
    let found = ["../../shared", "../../../shared"].iter().find_map(|up| {
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(up).join(path)).ok()
    });
    if found.is_none() {
        println!("skipped: ../shared/{path} is not here");
    }
    found
}
