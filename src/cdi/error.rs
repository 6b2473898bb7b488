//! What can go wrong with a device.

use std::path::PathBuf;

use crate::dockerfile::{Diagnostic, Source};

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is no CDI document.
    #[error("{}", told(file, problems))]
    Document {
        /// Its text, under its path.
        file: Box<Source>,
        /// In the order of the text.
        problems: Vec<Diagnostic>,
    },
    /// No document has the device.
    #[error("there is no device `{name}`{}{}", advice(near.as_deref(), folders), wrong.iter().map(|line| format!("\n{line}")).collect::<String>())]
    Missing {
        /// As it was asked for.
        name: String,
        /// A name that there is.
        near: Option<String>,
        /// Where documents are looked for.
        folders: Vec<PathBuf>,
        /// What is wrong with documents, which may have it.
        wrong: Vec<String>,
    },
    /// The device is there, and may not be used.
    #[error(
        "the device `{name}` is not allowed; hint: if you trust this Dockerfile, build with `--allow device={name}`"
    )]
    Forbidden {
        /// Its qualified name.
        name: String,
    },
    /// The device needs what rbuild does not do.
    #[error("the device `{name}` asks for {what}, which rbuild cannot give: `{place}`")]
    Unsupported {
        /// Its qualified name.
        name: String,
        /// For example a hook.
        what: String,
        /// File and line.
        place: String,
    },
    /// The host does not have a node of the device.
    #[error("the device `{name}` needs the node `{}` of this machine: {problem}", path.display())]
    Node {
        /// Its qualified name.
        name: String,
        /// The node.
        path: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },
}

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;

fn told(file: &Source, problems: &[Diagnostic]) -> String {
    let lines = problems.iter().map(|problem| {
        let line = file.position(problem.span.start()).line;
        format!("`{}:{line}`: {}", file.name(), problem.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn advice(near: Option<&str>, folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
    match (near, folders.is_empty()) {
        (Some(near), _) => format!("; hint: did you mean `{near}`?"),
        (None, false) => format!("; hint: its CDI file, `.json` or `.yaml`, belongs in {}", folders.join(" or ")),
        (None, true) => String::new(),
    }
}
