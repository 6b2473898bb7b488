//! What clap finds wrong with a command line, in the words and the form of all other errors.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::Error;

/// The error to report; none for help and version, which are no errors, and where clap's own text says more.
pub fn error_of(error: &clap::Error) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // Without what clap writes of its value behind it.
    let option = || Some(text(ContextKind::InvalidArg)?.split([' ', '[', '=']).next().unwrap_or_default().to_owned());
    let command = command(error);
    let help = format!("`{command} --help` tells all of them");
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let given = text(ContextKind::InvalidArg)?;
            let near = text(ContextKind::SuggestedArg).map(|near| format!("did you mean `{near}`?"));
            let (what, hint) = match given.starts_with('-') {
                true => (format!("there is no option `{given}`"), near.unwrap_or(help)),
                false => {
                    (format!("`{given}` is one argument too many"), format!("`{command} --help` tells how to write it"))
                }
            };
            Some(Error::usage(what, hint))
        }
        // A second word behind the folder is taken for a command.
        ErrorKind::ArgumentConflict => {
            let given = text(ContextKind::InvalidSubcommand)?;
            let hint = "commands and their options come first: `rbuild [build] [OPTIONS] PATH` takes one folder";
            Some(Error::usage(format!("`{given}` is one argument too many"), hint))
        }
        ErrorKind::InvalidValue => {
            let option = option()?;
            let given = text(ContextKind::InvalidValue)?;
            let message = match given.as_str() {
                "" => format!("`{option}` needs a value"),
                given => format!("`{given}` is not a value of `{option}`"),
            };
            let valid = texts(ContextKind::ValidValue);
            let hint = if valid.is_empty() { String::new() } else { format!("it may be one of: {valid}") };
            Some(Error::usage(message, hint))
        }
        ErrorKind::ValueValidation => {
            let option = option()?;
            let message = format!("`{}` is not a value of `{option}`", text(ContextKind::InvalidValue)?);
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            Some(Error::usage(message, if option == "--jobs" { "it is a number from 1 on".to_owned() } else { why }))
        }
        _ => None,
    }
}

/// The command that the line begins with, for example `rbuild compose build`.
fn command(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let words: Vec<&str> = words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
    if words.is_empty() { "rbuild".to_owned() } else { words.join(" ") }
}
