//! `check --condition EXPR`: one condition.
use crate::{
    args::{CheckArgs, Output, Verdict},
    problems::print_json,
};
use anyhow::{Context as _, Result};
use engine::{
    compile::check_condition,
    diagnostic::{Diagnostic, render},
    source::Sources,
    syntax::parse_condition,
};
use serde_json::{Value, json};
use std::io::Write as _;

/// A condition that is fine, or what is wrong with it.
pub struct Judged {
    /// The canonical text, macros and lists resolved; absent when only the grammar was looked at.
    pub canonical: Option<String>,
    /// Warnings when it is fine, else errors first.
    pub problems: Vec<Diagnostic>,
    /// It is fine.
    pub ok: bool,
}

/// Checks a condition.
pub fn judge(text: &str, syntax_only: bool, sources: &Sources) -> Judged {
    if syntax_only {
        let problems: Vec<Diagnostic> = parse_condition(text).err().map(|error| *error).into_iter().collect();
        return Judged { canonical: None, ok: problems.is_empty(), problems };
    }
    match check_condition(text, sources) {
        Ok((expr, problems)) => Judged { canonical: Some(expr.to_string()), problems, ok: true },
        Err(problems) => Judged { canonical: None, problems, ok: false },
    }
}

impl Judged {
    /// The answer for programs: `ok`, `error` (a sentence, or null), where, and all problems.
    pub fn json(&self) -> Value {
        let first = self.problems.first().filter(|_| !self.ok);
        let mut answer = json!({
            "ok": self.ok,
            "error": first.map(|d| match &d.suggestion {
                Some(suggestion) => format!("{}; {suggestion}", d.message),
                None => d.message.clone(),
            }),
        });
        if let Some(first) = first {
            let (line, column) = first.line_column();
            answer["line"] = json!(line);
            answer["column"] = json!(column);
            answer["code"] = json!(first.code);
            answer["suggestion"] = json!(first.suggestion);
        }
        if !self.problems.is_empty() {
            answer["problems"] = json!(self.problems);
        }
        answer
    }
}

/// The macros and lists of files, for conditions that use them.
///
/// # Errors
/// A path does not exist.
pub fn libraries(args: &CheckArgs) -> Result<Sources> {
    for path in &args.paths {
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(crds::files::load(&args.paths).sources(&args.system.system_namespace))
}

/// Runs it.
///
/// # Errors
/// A path cannot be read, or the output cannot be written.
pub fn run(text: &str, args: &CheckArgs) -> Result<Verdict> {
    let judged = judge(text, args.syntax_only, &libraries(args)?);
    if args.output == Output::Json {
        print_json(&judged.json())?;
        return Ok(Verdict::of(judged.ok));
    }
    let mut out = anstream::stdout().lock();
    for problem in &judged.problems {
        writeln!(out, "{}\n", render(problem, true))?;
    }
    if judged.ok {
        writeln!(out, "ok{}", judged.canonical.as_ref().map(|c| format!(": {c}")).unwrap_or_default())?;
    }
    Ok(Verdict::of(judged.ok))
}
