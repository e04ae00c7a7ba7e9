//! Falco's published stable rules, where their file is.
use engine::{
    rules_file::{LIBRARY, RulesText, load},
    source::Sources,
};
use std::{env, fs, path::PathBuf};

/// The rules, their macros and lists.
///
/// # Errors
/// Why there are none: to be told after `skipped:`.
pub fn rules() -> Result<Sources, String> {
    let folder = env::var_os("EYAS_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = folder.join("falco/falco_rules.yaml").display().to_string();
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let loaded = load(&[RulesText { name: &file, text: &text }]);
    match loaded.problems.iter().find(|problem| problem.is_error()) {
        Some(problem) => Err(problem.render(false)),
        None => Ok(loaded.sources("eyas-system", LIBRARY)),
    }
}
