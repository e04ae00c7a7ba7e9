//! `check --condition EXPR`: one condition.
use crate::{
    args::{CheckArgs, Output, Verdict},
    load::load,
    problems::print_json,
};
use anyhow::Result;
use engine::{
    compile::Checker,
    diagnostic::{Diagnostic, Severity, render},
    source::Sources,
    syntax::{Expr, parse_condition},
};
use serde::Serialize;
use std::io::Write as _;

/// A condition that is fine, or what is wrong with it.
pub struct Judged {
    /// The condition, macros and lists resolved; absent when only the grammar was looked at.
    pub resolved: Option<Expr>,
    /// Everything that was found, errors and warnings.
    pub problems: Vec<Diagnostic>,
    /// It is fine.
    pub ok: bool,
}

/// The answer for programs. Keys that would be empty are left out, but for `ok` and `error`.
#[derive(Serialize)]
pub struct Answer<'j> {
    ok: bool,
    /// The first error in one sentence, with what to do.
    error: Option<String>,
    /// Where and what the first error is.
    #[serde(flatten)]
    first: Option<Problem<'j>>,
    /// All errors, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Problem<'j>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Problem<'j>>,
}

/// One problem. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'j> {
    message: &'j str,
    code: &'j str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'j str>,
}

impl<'j> Problem<'j> {
    fn of(diagnostic: &'j Diagnostic) -> Self {
        let (line, column) = diagnostic.line_column();
        let (end_line, end_column) = diagnostic.end_line_column();
        let suggestion = diagnostic.suggestion.as_deref();
        Self { message: &diagnostic.message, code: &diagnostic.code, line, column, end_line, end_column, suggestion }
    }
}

/// Checks a condition.
pub fn judge(text: &str, syntax_only: bool, checker: &Checker) -> Judged {
    if syntax_only {
        let problems: Vec<Diagnostic> = parse_condition(text).err().map(|error| *error).into_iter().collect();
        return Judged { resolved: None, ok: problems.is_empty(), problems };
    }
    match checker.check(text) {
        Ok((expr, problems)) => Judged { resolved: Some(expr), problems, ok: true },
        Err(problems) => Judged { resolved: None, problems, ok: false },
    }
}

impl Judged {
    /// For programs.
    pub fn answer(&self) -> Answer<'_> {
        let of = |severity| self.problems.iter().filter(move |d| d.severity == severity);
        let first = of(Severity::Error).next();
        let several = of(Severity::Error).nth(1).is_some();
        Answer {
            ok: self.ok,
            error: first.map(|d| match &d.suggestion {
                Some(suggestion) => format!("{}; {suggestion}", d.message),
                None => d.message.clone(),
            }),
            first: first.map(Problem::of),
            errors: of(Severity::Error).filter(|_| several).map(Problem::of).collect(),
            warnings: of(Severity::Warning).map(Problem::of).collect(),
        }
    }
}

/// The macros and lists of files, for conditions that use them.
///
/// # Errors
/// A path cannot be read.
pub fn libraries(args: &CheckArgs) -> Result<Sources> {
    Ok(load(&args.paths)?.sources(&args.system.system_namespace))
}

/// Runs it.
///
/// # Errors
/// A path cannot be read, or the output cannot be written.
pub fn run(text: &str, args: &CheckArgs) -> Result<Verdict> {
    let judged = judge(text, args.syntax_only, &Checker::new(&libraries(args)?));
    if args.output == Output::Json {
        print_json(&judged.answer())?;
        return Ok(Verdict::of(judged.ok));
    }
    let mut out = anstream::stdout().lock();
    for problem in &judged.problems {
        writeln!(out, "{}\n", render(problem, true))?;
    }
    if judged.ok {
        writeln!(out, "ok{}", judged.resolved.as_ref().map(|c| format!(": {c}")).unwrap_or_default())?;
    }
    Ok(Verdict::of(judged.ok))
}
