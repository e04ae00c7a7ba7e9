//! `check --stdin-jsonl`: a request a line, an answer a line, for editors and CI.
use crate::{
    args::{CheckArgs, Verdict},
    condition::{judge, libraries},
};
use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead as _, Read as _, Write as _};

/// Longest request in bytes.
const MAX_LINE: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    expr: String,
    #[serde(default)]
    syntax_only: bool,
}

/// Runs it until stdin ends. Every answer is flushed: an editor waits for it.
///
/// # Errors
/// A path cannot be read, stdin cannot be read, or stdout cannot be written.
pub fn run(args: &CheckArgs) -> Result<Verdict> {
    let sources = libraries(args)?;
    let mut input = std::io::stdin().lock();
    let mut out = std::io::stdout().lock();
    let mut good = true;
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(Verdict::of(good));
        }
        if !line.ends_with(b"\n") && line.len() as u64 == MAX_LINE {
            anyhow::bail!("a request is longer than {MAX_LINE} bytes");
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                let judged = judge(&request.expr, request.syntax_only || args.syntax_only, &sources);
                good &= judged.ok;
                judged.json()
            }
            Err(error) => {
                good = false;
                json!({"ok": false, "error": format!("malformed request: {error}; send {{\"expr\": \"...\"}}")})
            }
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
}
