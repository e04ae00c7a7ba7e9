//! `completion SHELL`: scripts for shells; and what `kubectl` asks a plugin for, by way of `kubectl_complete-eyas`.
use crate::args::{Cli, CompletionArgs, Verdict};
use anyhow::Result;
use clap::{Command, CommandFactory as _};
use std::io::Write as _;

/// Answers of Cobra's protocol (the last line): complete file names, or nothing else.
const FILES: &str = ":0";
const NOTHING_ELSE: &str = ":4";

/// Writes a script.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &CompletionArgs) -> Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell.generator(), &mut Cli::command(), "kubectl-eyas", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Verdict::Good)
}

/// Writes what may stand for the last of `words`, a line each, in Cobra's protocol: `word<TAB>description`.
///
/// # Errors
/// The output cannot be written.
pub fn answer(words: &[String]) -> Result<Verdict> {
    let mut out = std::io::stdout().lock();
    let (found, directive) = candidates(&Cli::command(), words);
    for (word, about) in found {
        writeln!(out, "{word}\t{about}")?;
    }
    writeln!(out, "{directive}")?;
    Ok(Verdict::Good)
}

fn candidates(cli: &Command, words: &[String]) -> (Vec<(String, String)>, &'static str) {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = cli;
    for word in before {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let options = || command.get_arguments().chain(cli.get_arguments().filter(|a| a.is_global_set()));
    // The value of the option before.
    let option = before.last().and_then(|word| {
        options().find(|arg| {
            arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                || arg.get_short().is_some_and(|short| *word == format!("-{short}"))
        })
    });
    let takes_value = |arg: &&clap::Arg| arg.get_action().takes_values();
    if let Some(option) = option.filter(takes_value) {
        let values: Vec<_> =
            option.get_possible_values().iter().map(|v| (v.get_name().to_owned(), help(v.get_help()))).collect();
        let directive = if values.is_empty() { FILES } else { NOTHING_ELSE };
        return (starting(last, values), directive);
    }
    if last.starts_with('-') {
        let longs = options().filter(|arg| !arg.is_hide_set());
        let longs = longs.filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help()))));
        return (starting(last, longs), NOTHING_ELSE);
    }
    if command.has_subcommands() {
        let subcommands = command.get_subcommands().filter(|c| !c.is_hide_set());
        let subcommands = subcommands.map(|c| (c.get_name().to_owned(), help(c.get_about())));
        return (starting(last, subcommands), NOTHING_ELSE);
    }
    let positionals = command.get_positionals().flat_map(clap::Arg::get_possible_values);
    let values: Vec<_> = positionals.map(|v| (v.get_name().to_owned(), help(v.get_help()))).collect();
    let directive = if values.is_empty() { FILES } else { NOTHING_ELSE };
    (starting(last, values), directive)
}

fn starting(last: &str, of: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    of.into_iter().filter(|(word, _)| word.starts_with(last)).collect()
}

/// The first line of a help text.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|text| text.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! What kubectl gets.
    use super::*;

    fn complete(words: &[&str]) -> (Vec<String>, &'static str) {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let (found, directive) = candidates(&Cli::command(), &words);
        (found.into_iter().map(|(word, _)| word).collect(), directive)
    }

    #[test]
    fn words_are_completed_where_they_are_known() {
        assert_eq!(complete(&["che"]), (vec!["check".to_owned()], NOTHING_ELSE));
        assert_eq!(complete(&["check", "--cond"]), (vec!["--condition".to_owned()], NOTHING_ELSE));
        assert_eq!(complete(&["check", "-o", ""]), (vec!["text".to_owned(), "json".to_owned()], NOTHING_ELSE));
        assert_eq!(complete(&["eval", "--events", ""]), (vec![], FILES));
        assert_eq!(complete(&["test", "ru"]), (vec![], FILES));
        assert_eq!(complete(&["completion", "ba"]), (vec!["bash".to_owned()], NOTHING_ELSE));
        assert!(complete(&["nonsense", "more", "--"]).0.contains(&"--log-format".to_owned()));
        assert!(!complete(&[""]).0.iter().any(|word| word.starts_with("__")), "what is hidden stays so");
        assert_eq!(complete(&[]).1, NOTHING_ELSE);
    }
}
