//! `kubectl eyas`: check and test rules before anything is applied. See `args` for what it offers.
#![forbid(unsafe_code)]
mod args;
mod check;
mod condition;
mod fields;
mod import;
mod jsonl;
mod problems;
mod test_rules;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    args::Cli::parse().run()
}
