//! `check PATH...`: objects in files, and Falco rules files.
use crate::{
    args::{CheckArgs, Output, Verdict},
    armed::Armed,
    problems::{Checked, check, count, plural, print_json},
};
use anyhow::Result;
use serde_json::json;
use std::io::Write as _;

/// Runs it.
///
/// # Errors
/// A path cannot be read, or the output cannot be written.
pub fn run(args: &CheckArgs) -> Result<Verdict> {
    let checked = check(&args.paths, &args.system.system_namespace)?;
    let errors = checked.problems.iter().filter(|p| p.is_error()).count();
    match args.output {
        Output::Json => print_json(&json!({
            "ok": errors == 0,
            "rulesFiles": checked.rules_files.as_ref().map(|rules| json!({
                "files": checked.loaded.rules_files.len(),
                "rules": rules.rules.len(),
                "macros": rules.macros.len(),
                "lists": rules.lists.len(),
            })),
            "files": checked.loaded.files,
            "objects": checked.loaded.len(),
            "revision": checked.compiled.ruleset.revision,
            "rules": Armed::of(&checked),
            "problems": checked.problems,
        }))?,
        Output::Text => text(&checked, errors)?,
    }
    Ok(Verdict::of(errors == 0))
}

fn text(checked: &Checked, errors: usize) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for problem in &checked.problems {
        writeln!(out, "{}\n", problem.render())?;
    }
    let warnings = checked.problems.len() - errors;
    let found = match (errors, warnings) {
        (0, 0) => "no problem".to_owned(),
        (0, _) => plural(warnings, "warning"),
        (_, 0) => plural(errors, "error"),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    if let Some(armed) = Armed::of(checked) {
        writeln!(out, "{armed}")?;
    }
    writeln!(out, "{}: {found}", count(checked))?;
    Ok(())
}
