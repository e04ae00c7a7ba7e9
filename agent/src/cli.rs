//! The command line: arguments, logs, exit status.
//!
//! Exit status: 0 done, 1 something wrong in the input (or a hook that this kernel cannot serve), 2 used wrongly or could not
//! run.
use crate::{
    check::{self, Verdict},
    output::Format,
    probe, run,
    trace::{self, TraceArgs},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};
use tracing_subscriber::EnvFilter;

const ABOUT: &str =
    "Watches this node's kernel by eBPF, evaluates DetectionRules on what processes do, and tells of matches.";

const EXAMPLES: &str = "\
Examples:
  eyas-agent run                          the built-in rules; then `cat /etc/shadow` in another terminal
  eyas-agent run --rules DIR              your rules: YAML objects in a folder tree, armed anew when a file changes
  eyas-agent run --rules DIR -o json | jq .output
  eyas-agent trace --hook exec            every program that is started, with the fields that rules can ask for
  eyas-agent check                        what this kernel can do, hook by hook
  curl 127.0.0.1:9797/status              events, drops and rules of a running agent; also /readyz, /metrics, /reports

Logs go to stderr, matches to stdout. RUST_LOG=agent=debug says more. Needs root, or CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE.";

const RUN_EXAMPLES: &str = "\
In a pod (KUBERNETES_SERVICE_HOST is set) the rules come from the cluster: people apply DetectionRules, the operator compiles
them, this agent arms them, writes PolicyReports and hands alerts to the router. Elsewhere everything is here: rules from a
folder (or the built-in ones), matches on stdout, OutputRoutes delivered by this process.

Ctrl-C ends with a summary of events, matches and losses.";

/// `eyas-agent`.
#[derive(Parser, Debug)]
#[command(name = "eyas-agent", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    /// How logs are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people.
    Text,
    /// An object per line for log stores.
    Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Watch, evaluate, tell.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Print events as they come, with all their fields: what a rule can ask for.
    #[command(after_help = trace::EXAMPLES)]
    Trace(TraceArgs),
    /// Say what this kernel can do: each hook loaded and set off, why not, and what to do about it.
    #[command(after_help = check::EXIT)]
    Check(CheckArgs),
}

/// Arguments of `check`.
#[derive(Args, Clone, Copy, Debug)]
struct CheckArgs {
    /// How it is told. text: tables for people; json: one object.
    #[arg(short, long, value_enum, default_value_t = Format::Text, hide_possible_values = true, value_name = "text|json")]
    output: Format,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Folder (or file) of DetectionRules, RuleLibraries, Exceptions and OutputRoutes. Hidden files and kinds that are not
    /// Eyas' are left alone. Without it: the rules built in (in a cluster: those of the ConfigMap).
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// How matches are printed on stdout.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Where /readyz, /healthz, /metrics, /status and /reports are served. Default: 127.0.0.1:9797, if it is free.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Folder that survives restarts: the last good ruleset is kept there and armed first; routes and reports queue there.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Bytes of the ring between kernel and agent (also 16M, 512K); a power of two, else rounded up. All of it
    /// is resident memory.
    #[arg(long, value_name = "BYTES", default_value = "8M", value_parser = size)]
    pub ring_size: usize,
    /// Do not attach programs to the kernel's own functions, as on a kernel that takes none: names and addresses of calls are then
    /// those in the caller's memory at their end.
    #[arg(long, env = "EYAS_BASELINE_ONLY")]
    pub baseline_only: bool,
    /// Processor time that the agent should keep to, in percent of one core (also 12.5; 0: no bound, the default). Above it for seconds,
    /// events that only rules of priority Debug want are left out in the kernel, then Informational, then Notice; never those of
    /// Warning and above. Status, metrics and the rules' lost events tell of it.
    #[arg(long, value_name = "PERCENT", env = "EYAS_CPU_BUDGET", value_parser = percent)]
    pub cpu_budget: Option<f64>,
    /// Take rules from the cluster even where KUBERNETES_SERVICE_HOST is not set (by KUBECONFIG).
    #[arg(long, conflicts_with = "rules")]
    pub cluster: bool,
    /// Name of this node.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Folder of Secrets for OutputRoutes, standalone: DIR/NAME/KEY.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
}

impl RunArgs {
    /// Whether rules come from a cluster.
    #[must_use]
    pub fn in_cluster(&self) -> bool {
        self.cluster || (self.rules.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())
    }
}

/// A share of one core; more than 100 on a machine with several.
fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.0..=100_000.0).contains(&number) {
        Ok(number)
    } else {
        Err("write a percentage of one core, such as 5".to_owned())
    }
}

/// Bytes, with an optional K, M or G (also Ki, KiB, KB: all by 1024).
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "ki" | "kib" | "kb" => 10,
        "m" | "mi" | "mib" | "mb" => 20,
        "g" | "gi" | "gib" | "gb" => 30,
        unit => return Err(format!("{unit:?} is no unit; write bytes, or K, M, G")),
    };
    let number: usize = digits.parse().map_err(|_| format!("{digits:?} is no number"))?;
    number
        .checked_mul(1 << shift)
        .filter(|n| (4096..=1 << 30).contains(n))
        .ok_or_else(|| "a ring has from 4096 bytes to 1 GiB".to_owned())
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    if probe::is_canary_child() {
        return ExitCode::SUCCESS;
    }
    let cli = Cli::parse();
    logs(cli.log_format);
    match cli.command {
        Command::Check(args) => match check::run(args.output) {
            Verdict::Well => ExitCode::SUCCESS,
            Verdict::Missing => ExitCode::FAILURE,
            Verdict::NotTried => ExitCode::from(2),
        },
        Command::Trace(args) => done(trace::run(&args)),
        Command::Run(args) => done(run::run(args, cli.log_format == LogFormat::Text)),
    }
}

fn done(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by tracing: it must be seen whatever RUST_LOG says.
            anstream::eprintln!("eyas-agent: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn logs(format: LogFormat) {
    // aya says at warn that it pins nothing and the like: not for people. What kube's client says, its callers say with more sense.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,aya=error,kube_client::client=off"));
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(color).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_with_and_without_unit() {
        assert_eq!((size("8M"), size("65536"), size("512KiB")), (Ok(8 << 20), Ok(65536), Ok(512 << 10)));
        assert_eq!((percent("5"), percent("12.5%"), percent("0")), (Ok(5.0), Ok(12.5), Ok(0.0)));
        assert!(percent("-1").is_err() && percent("nan").is_err() && percent("x").is_err());
        assert!(size("8X").is_err() && size("M").is_err() && size("1").is_err() && size("99G").is_err());
    }
}
