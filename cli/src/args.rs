//! Commands, options and exit codes. The texts here are what `--help` teaches.
use crate::{check, completion, condition, eval, explain, fields, import, jsonl, style::BAD, test_rules};
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
  kubectl eyas check rules/                       every object below a folder: is it sound?
  kubectl eyas test rules/                        run the rules' own tests
  kubectl eyas explain shadow-read --rules rules/ what a rule comes down to, and what it costs
  kubectl eyas eval --rules rules/ --events events.jsonl
                                                  which recorded events match
  kubectl eyas import falco_rules.yaml -o rules/  Falco's rules as objects
  kubectl eyas fields fd.                         what conditions may name

Each command has its own: kubectl eyas check --help

Exit status: 0 all is well (warnings included), 1 something is wrong in the input, 2 used wrongly or could not run.";

const CHECK_EXAMPLES: &str = "\
Examples:
  kubectl eyas check rules/                       objects below a folder, hidden files left alone
  kubectl eyas check rule.yaml library.yaml       a rule with the library whose macros it uses
  kustomize build . | kubectl eyas check -        what would be applied
  kubectl eyas check --condition 'evt.type = open and fd.name = /etc/shadow'
  kubectl eyas check rules/ --condition 'file_read and fd.name = /etc/shadow'
                                                  with the macros of rules/
  kubectl eyas check rules/ -o json | jq '.problems[] | {file, line, message}'
  echo '{\"expr\": \"proc.nam = a\"}' | kubectl eyas check --stdin-jsonl

Exit status: 0 sound (warnings included), 1 an error was found, 2 used wrongly or could not run.";

const TEST_EXAMPLES: &str = "\
Examples:
  kubectl eyas test rules/
  kubectl eyas test rules/ --rule shadow-read     one rule, by spec.name or metadata.name
  kubectl eyas test rules/ -o json | jq '.rules[].failures[]'

A test is part of its rule:
  tests:
    - name: a shell reads it
      expect: Match                               or NoMatch
      events:
        - {evt.type: openat, fd.name: /etc/shadow, proc.name: bash}

Exit status: 0 all passed, 1 a test failed or an object is not sound, 2 used wrongly or could not run.";

const EVAL_EXAMPLES: &str = "\
Examples:
  kubectl eyas eval --rules rules/ --events events.jsonl
  kubectl eyas eval --rules rules/ --events events.jsonl --all      also what matches nothing
  kubectl eyas eval --rules rules/ --events events.jsonl -o json | jq -r 'select(.outcome == \"matched\") | .rule'
  jq -c .output_fields alerts.jsonl | kubectl eyas eval --rules rules/ --events -
                                                  alerts of `eyas-agent run -o json` through other rules

An event is one JSON object a line, from field names to values (`kubectl eyas fields` lists them):
  {\"evt.type\": \"openat\", \"fd.name\": \"/etc/shadow\", \"evt.is_open_read\": true, \"proc.name\": \"cat\"}

Matches go to stdout, bad lines and a summary to stderr.
Exit status: 0 done, whether anything matched or not; 1 a line is no event or a rule is not sound; 2 could not run.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  kubectl eyas explain shadow-read --rules rules/
  kubectl eyas explain shadow-read --rules rules/ --event '{\"evt.type\": \"openat\", \"fd.name\": \"/etc/shadow\"}'
  kubectl eyas explain shadow-read --rules rules/ --event @event.json
  kubectl eyas explain --condition 'evt.type = open and not fd.name startswith /tmp'

The tree has a line a part: with macros and lists taken in and named, what evaluating it costs (1 is comparing one short
text), and what supplies its fields. With --event each part also says what it gave and the values that it saw, and the
first line says which part decided.

Exit status: 0 explained, 1 no such rule or it does not compile, 2 used wrongly or could not run.";

const FIELDS_EXAMPLES: &str = "\
Examples:
  kubectl eyas fields                             all of them
  kubectl eyas fields proc.                       those of processes
  kubectl eyas fields 'service account'           by what they mean

Exit status: 0 found, 1 no field has the text in its name or description.";

const COMPLETION_EXAMPLES: &str = "\
For the binary itself:
  bash   source <(kubectl-eyas completion bash)
  zsh    kubectl-eyas completion zsh > \"${fpath[1]}/_kubectl-eyas\"
  fish   kubectl-eyas completion fish > ~/.config/fish/completions/kubectl-eyas.fish

For `kubectl eyas`, kubectl's own completion asks an executable called kubectl_complete-eyas on the PATH:
  printf '#!/bin/sh\\nexec kubectl-eyas __complete \"$@\"\\n' > /usr/local/bin/kubectl_complete-eyas
  chmod +x /usr/local/bin/kubectl_complete-eyas";

/// Check, test, explain and try detection rules before anything is applied.
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
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Run the `tests` of DetectionRules; of each event that fails, say which part of the condition decided.
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Turn Falco rules files into DetectionRule, RuleLibrary and Exception objects, one file each.
    Import(import::ImportArgs),
    /// Try rules on recorded events: events in, matches out, exceptions applied.
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// Explain a rule: its whole condition, what each part costs, which events and kernel filters it needs; and why it
    /// matches an event or does not.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// List the fields that conditions and outputs may name.
    #[command(after_help = FIELDS_EXAMPLES)]
    Fields(FieldsArgs),
    /// Write a completion script for a shell.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion(CompletionArgs),
    /// Answer kubectl, which asks by way of kubectl_complete-eyas.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
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
    /// list at the top), which are read together in their order; `-` for stdin. Hidden files and other kinds are left
    /// alone. With --condition, their macros and lists are known to it.
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
    /// Files and folders of objects, `-` for stdin.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Only this rule: spec.name, metadata.name or namespace/name.
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Options of `eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Files and folders of objects, `-` for stdin.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// A file of events, one JSON object a line; `-` for stdin.
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// Also show events that match nothing.
    #[arg(long)]
    pub all: bool,
    /// Form of the result; json is one object a line in Falco's shape.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Options of `explain`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["rule", "condition"]))]
pub struct ExplainArgs {
    /// The rule: spec.name, metadata.name or namespace/name.
    pub rule: Option<String>,
    /// A condition instead of a rule.
    #[arg(long, value_name = "EXPR")]
    pub condition: Option<String>,
    /// Files and folders of objects, `-` for stdin. For a rule, the folder you are in when not given.
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// An event: JSON as `eval` reads it, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON|@FILE")]
    pub event: Option<String>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Options of `completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Shells that a script can be written for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// What writes the script.
    pub const fn generator(self) -> clap_complete::Shell {
        match self {
            Self::Bash => clap_complete::Shell::Bash,
            Self::Zsh => clap_complete::Shell::Zsh,
            Self::Fish => clap_complete::Shell::Fish,
        }
    }
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
            Command::Eval(args) => eval::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Fields(args) => fields::run(&args),
            Command::Completion(args) => completion::run(&args),
            Command::Complete { words } => completion::answer(&words),
        });
        match result {
            Ok(Verdict::Good) => ExitCode::SUCCESS,
            Ok(Verdict::Bad) => ExitCode::from(1),
            // Whoever reads our output may stop early (`| head`): that is no failure of ours.
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                match self.log_format {
                    LogFormat::Text => anstream::eprintln!("{BAD}error{BAD:#}: {error:#}"),
                    LogFormat::Json => tracing::error!(error = format!("{error:#}"), "could not run"),
                }
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
