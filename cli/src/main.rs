//! `kubectl eyas`: check, test, explain and try rules before anything is applied. See `args` for what it offers.
#![forbid(unsafe_code)]
mod args;
mod armed;
mod check;
mod completion;
mod condition;
mod eval;
mod explain;
mod fields;
mod import;
mod jsonl;
mod lines;
mod load;
mod names;
mod problems;
mod style;
mod test_rules;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    args::Cli::parse().run()
}
