//! Loading, problem by problem, and what is loaded.
mod loading;
mod messages;
mod problems;

use super::{Loaded, RulesText, load};

/// Files by name and text, loaded and compiled.
fn loaded(files: &[(&str, &str)]) -> Loaded {
    let texts: Vec<RulesText<'_>> = files.iter().map(|(name, text)| RulesText { name, text }).collect();
    let mut loaded = load(&texts);
    loaded.compile();
    loaded
}

/// Every problem: `line:column severity CODE`.
fn told(loaded: &Loaded) -> Vec<String> {
    let one = |p: &super::Problem| {
        let severity = if p.is_error() { "error" } else { "warning" };
        format!("{}:{} {severity} {}", p.line, p.column, p.diagnostic.code)
    };
    loaded.problems.iter().map(one).collect()
}
