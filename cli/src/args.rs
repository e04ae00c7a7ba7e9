//! Commands, options and exit codes. The texts here are what `--help` teaches.
use crate::{check, condition, fields, import, jsonl, test_rules};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

/// What a command found: the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit 0.
    Good,
    /// Exit 1: something is wrong in the input.
    Bad,
}

impl Verdict {
    /// Good unless something is wrong.
    pub const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

const EXAMPLES: &str = "\
Examples:
  kubectl eyas check rules/                                  every object below a folder
  kubectl eyas check rules/ -o json                          the same for programs
  kubectl eyas check --condition 'evt.type = open and fd.name = /etc/shadow'
  kubectl eyas import falco_rules.yaml local.yaml -o rules/  Falco's rules as objects
  kubectl eyas test rules/                                   run the rules' own tests
  kubectl eyas fields fd.                                    what conditions may name

Exit status: 0 all is well (warnings included), 1 something is wrong in the input, 2 used wrongly or could not run.";

/// Check and test detection rules before anything is applied.
#[derive(Debug, Parser)]
#[command(name = "kubectl-eyas", bin_name = "kubectl eyas", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// Form of log lines on stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check objects, or a single condition: every problem with its place, a caret and what to do.
    Check(CheckArgs),
    /// Run the `tests` of DetectionRules, each event against its rule.
    Test(TestArgs),
    /// Turn Falco rules files into DetectionRule, RuleLibrary and Exception objects, one file each.
    Import(import::ImportArgs),
    /// List the fields that conditions and outputs may name.
    Fields(FieldsArgs),
}

/// Form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Options of `check`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["paths", "condition", "stdin_jsonl"]))]
pub struct CheckArgs {
    /// Files and folders of DetectionRule, RuleLibrary, Exception and OutputRoute objects, and Falco rules files (a
    /// list at the top), which are read together in their order. Hidden files and other kinds are left alone. With --condition, their macros and lists are known to it.
    pub paths: Vec<PathBuf>,
    /// A condition to check on its own.
    #[arg(long, value_name = "EXPR", conflicts_with = "stdin_jsonl")]
    pub condition: Option<String>,
    /// Look at the grammar only: macros, lists and fields need not exist.
    #[arg(long)]
    pub syntax_only: bool,
    /// For editors and CI: read {"expr": "...", "syntaxOnly": false} a line from stdin, write {"ok": ..., "error": ...}
    /// a line.
    #[arg(long)]
    pub stdin_jsonl: bool,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Options of `test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Files and folders of objects.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Where system objects live.
#[derive(Args, Debug)]
pub struct SystemArgs {
    /// The namespace whose objects act on the whole cluster; objects in files without a namespace belong to eyas-system.
    #[arg(long, value_name = "NAMESPACE", default_value = "eyas-system")]
    pub system_namespace: String,
}

/// Options of `fields`.
#[derive(Args, Debug)]
pub struct FieldsArgs {
    /// Only fields whose name or description has this text.
    pub filter: Option<String>,
    /// The whole catalogue as the Markdown of docs/fields.md.
    #[arg(long, conflicts_with = "filter")]
    pub markdown: bool,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
        let set = match self.log_format {
            LogFormat::Text => {
                // A command that people wait for: no time stamps.
                logs.without_time().with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
            }
            LogFormat::Json => logs.json().try_init(),
        };
        let result = set.map_err(anyhow::Error::from_boxed).and_then(|()| match self.command {
            Command::Check(args) if args.stdin_jsonl => jsonl::run(&args),
            Command::Check(args) => match &args.condition {
                Some(text) => condition::run(text, &args),
                None => check::run(&args),
            },
            Command::Test(args) => test_rules::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Fields(args) => fields::run(&args),
        });
        match result {
            Ok(Verdict::Good) => ExitCode::SUCCESS,
            Ok(Verdict::Bad) => ExitCode::from(1),
            // Whoever reads our output may stop early (`| head`): that is no failure of ours.
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "could not run");
                ExitCode::from(2)
            }
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    //! The command line itself.
    use super::*;

    #[test]
    fn options_fit_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["kubectl-eyas", "check"]).is_err(), "check wants something to check");
    }
}
