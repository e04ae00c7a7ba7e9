//! `check --stdin-jsonl`: a request a line, an answer a line, for editors and CI.
//!
//! Invariant: every line but empty ones has an answer, in order, whatever it is; each is flushed, since an editor waits.
use crate::{
    args::{CheckArgs, Verdict},
    condition::{judge, libraries},
    lines::{Line, Lines, MAX_LINE},
};
use anyhow::Result;
use engine::compile::Checker;
use serde::Deserialize;
use serde_json::json;
use std::{
    borrow::Cow,
    io::{BufReader, BufWriter, Write as _},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'r> {
    #[serde(borrow)]
    expr: Cow<'r, str>,
    #[serde(default)]
    syntax_only: bool,
}

/// Runs it until stdin ends.
///
/// # Errors
/// A path cannot be read, stdin cannot be read, or stdout cannot be written.
pub fn run(args: &CheckArgs) -> Result<Verdict> {
    let checker = Checker::new(&libraries(args)?);
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, std::io::stdin().lock()));
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut good = true;
    while let Some((_, line)) = lines.next()? {
        let request = match line {
            Line::Bytes(bytes) if bytes.trim_ascii().is_empty() => continue,
            Line::Bytes(bytes) => serde_json::from_slice::<Request<'_>>(bytes).map_err(|error| {
                format!("malformed request: {error}; send {{\"expr\": \"...\", \"syntaxOnly\": false}}")
            }),
            Line::TooLong => Err(format!("the request is longer than {MAX_LINE} bytes")),
        };
        match request {
            Ok(request) => {
                let judged = judge(&request.expr, request.syntax_only || args.syntax_only, &checker);
                good &= judged.ok;
                serde_json::to_writer(&mut out, &judged.answer()).map_err(std::io::Error::from)?;
            }
            Err(error) => {
                good = false;
                write!(out, "{}", json!({"ok": false, "error": error, "code": "EYAS_REQUEST"}))?;
            }
        }
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(Verdict::of(good))
}
