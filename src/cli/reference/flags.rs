//! The command line, from clap.

use clap::{Arg, Command, CommandFactory as _, builder::StyledStr};

use super::{code, document, section, table};
use crate::cli::Cli;

/// The page.
pub fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let name = command.get_name().to_owned();
    let sections: Vec<String> = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help")
        .map(|subcommand| {
            let about = text(subcommand.get_long_about().or_else(|| subcommand.get_about()));
            section(
                subcommand.get_name(),
                &[
                    format!("{}: {about}", code(&format!("{name} {}", subcommand.get_name()))),
                    table(["flag", "variable", "default", ""], flags(subcommand).map(row)),
                ],
            )
        })
        .collect();
    let introduction = "`--help` of each subcommand has the same text. A flag wins over its variable.";
    document("Flags", introduction, &sections)
}

fn flags(subcommand: &Command) -> impl Iterator<Item = &Arg> {
    subcommand
        .get_arguments()
        .filter(|flag| !flag.is_hide_set() && flag.get_id() != "help" && flag.get_id() != "version")
}

fn row(flag: &Arg) -> [String; 4] {
    let variable = flag.get_env().map(|variable| code(&variable.to_string_lossy()));
    let defaults: Vec<String> = flag
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .filter(|value| !value.is_empty())
        .map(|value| code(&value))
        .collect();
    let default = match (flag.is_required_set(), flag.get_action().takes_values(), defaults.as_slice()) {
        (true, _, _) => "required".to_owned(),
        (false, false, _) => "not given".to_owned(),
        (false, true, []) => derived_default(flag).unwrap_or("none").to_owned(),
        (false, true, defaults) => defaults.join(", "),
    };
    let values: Vec<String> = flag
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && flag.get_action().takes_values())
        .map(|value| code(value.get_name()))
        .collect();
    let about = text(flag.get_long_help().or_else(|| flag.get_help()));
    let about = if values.is_empty() { about } else { format!("{about} One of {}.", values.join(", ")) };
    [code(&format!("--{}", flag.get_long().expect("a long flag"))), variable.unwrap_or_default(), default, about]
}

/// The default of a flag without a fixed default: the operator derives the value at its start.
fn derived_default(flag: &Arg) -> Option<&'static str> {
    match flag.get_long()? {
        "regions" => Some("the operator's own"),
        "lease-namespace" => Some("that of the pod, or of the kubeconfig's context"),
        _ => None,
    }
}

fn text(help: Option<&StyledStr>) -> String {
    let text = help.expect("a help text").to_string();
    if text.ends_with('.') { text } else { format!("{text}.") }
}
