//! `make bench`: see `benches::run`.
use clap::Parser;

fn main() -> anyhow::Result<()> {
    benches::run::run(&benches::run::Args::parse())
}
