//! The command line: arguments, logs, exit status.
//!
//! Exit status: 0 done, 1 something wrong in the input, 2 used wrongly or could not run.
use crate::router_cmd;
use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

mod run;
pub use run::RunArgs;

const ABOUT: &str = "Compiles DetectionRules, Exceptions, OutputRoutes and RuleLibraries into the ruleset that Eyas agents arm, \
                     and keeps their status.";

const EXAMPLES: &str = "\
Examples:
  eyas-operator run                       in a pod, with its service account
  eyas-operator run --kubeconfig ~/.kube/config --listen 127.0.0.1:8080
                                          from your desk; kubectl get dr then shows READY and ARMED
  eyas-operator router                    the process that delivers alerts to OutputRoutes
  eyas-operator crds -o manifests         writes the CustomResourceDefinitions as YAML

Logs go to stderr; RUST_LOG=operator=debug says more.";

/// `eyas-operator`.
#[derive(Parser, Debug)]
#[command(name = "eyas-operator", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    /// How logs are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// A line for people.
    Text,
    /// An object per line for log stores.
    Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Watch the objects, write the ruleset, keep status.
    Run(RunArgs),
    /// Take alerts from agents and deliver them.
    Router(router_cmd::RouterArgs),
    /// Write the CustomResourceDefinitions as YAML.
    Crds {
        /// Folder of the manifests; files go to its crds and components/policyreport-crds.
        #[arg(short, long, default_value = "manifests", value_name = "DIR")]
        output: std::path::PathBuf,
    },
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logs(cli.log_format);
    let done = match cli.command {
        Command::Crds { output } => write_crds(&output),
        Command::Run(args) => block_on(crate::run::run(args)),
        Command::Router(args) => block_on(router_cmd::run(args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by tracing: it must be seen whatever RUST_LOG says.
            eprintln!("eyas-operator: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Without RUST_LOG. What the client says there, its callers say with more sense.
const FILTER: &str = "info,kube_client::client=off";

fn logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(color).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

fn block_on(run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run)
}

fn write_crds(manifests: &std::path::Path) -> anyhow::Result<()> {
    for file in crds::yaml::write(manifests)? {
        println!("{}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::Cli;
    use clap::Parser;

    /// The command of the only container in a manifest.
    fn command(manifest: &str) -> Vec<String> {
        let path = format!("{}/../manifests/base/{manifest}", env!("CARGO_MANIFEST_DIR"));
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
        let deployment = documents.iter().find(|d| d["kind"] == "Deployment").unwrap();
        let command = deployment["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap();
        command.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_manifests_use_arguments_that_exist() {
        for manifest in ["operator.yaml", "router.yaml"] {
            let command = command(manifest);
            assert_eq!(command[0], "/usr/bin/eyas-operator");
            Cli::try_parse_from(&command).unwrap_or_else(|error| panic!("{manifest}: {error}"));
        }
    }
}
