//! Events made from field maps (rule tests, the command line's `eval`), and why a condition came out as it did.
mod explain;
mod map;

pub use explain::explain;
pub use map::{MapError, MapEvent};

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
