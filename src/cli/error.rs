//! What ends the program with a status other than 0.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::build;
use crate::compose;
use crate::dockerfile::{Diagnostic, Source};
use crate::export;
use crate::fsx;
use crate::registry;
use crate::sandbox;
use crate::store;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build failed.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// Some images of a project could not be built.
    #[error("not built: {}; built: {}", names(failed), listed(built))]
    Services {
        /// Why, by service.
        failed: Vec<(String, build::Error)>,
        /// The services whose images were built nevertheless.
        built: Vec<String>,
    },
    /// Some Dockerfiles of a project are wrong.
    #[error("wrong: {}; not wrong: {}", names(failed), listed(passed))]
    Checks {
        /// Why, by service.
        failed: Vec<(String, build::Error)>,
        /// The services whose Dockerfiles are not.
        passed: Vec<String>,
    },
    /// The compose files are wrong.
    #[error(transparent)]
    Compose(#[from] compose::Error),
    /// A file of build arguments is wrong.
    #[error("`{}` is no file of build arguments", file.name())]
    ArgumentFile {
        /// Its text without the values.
        file: Arc<Source>,
        /// In the order of the text.
        problems: Vec<Diagnostic>,
    },
    /// The command line asks for something that cannot be.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead; empty if that is plain.
        hint: String,
    },
    /// A file or folder that the command line names is not there, or cannot be read.
    #[error("{message}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// Something was asked for that this version cannot do.
    #[error("{what} is not supported by this version of rbuild")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Writing the image failed.
    #[error(transparent)]
    Export(#[from] export::Error),
    /// A registry failed.
    #[error(transparent)]
    Registry(Box<registry::Error>),
    /// The sandbox failed before a build began.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// A file that the command line asks for could not be written.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// There is no such image.
    #[error("there is no image `{name}` in the store")]
    NoImage {
        /// As given.
        name: String,
    },
    /// The start of an id that several images share.
    #[error("`{name}` is the start of several image ids")]
    Ambiguous {
        /// As given.
        name: String,
    },
    /// A check found warnings, which it told.
    #[error("the check found warnings")]
    Warnings,
    /// What was compared is not the same; the differences were told.
    #[error("they differ")]
    Differ,
    /// One of the two builds of `verify` failed, and has told why.
    #[error("the {half} of the two builds {end}")]
    Half {
        /// `first` or `second`.
        half: String,
        /// `failed`, or how else it ended.
        end: &'static str,
        /// Its exit status.
        status: u8,
    },
    /// What was to be compared could not be; status 1 would say that it differs.
    #[error(transparent)]
    NotCompared(Box<Error>),
    /// There is no store.
    #[error("there is no store at `{}`", path.display())]
    NoStore {
        /// Where it would be.
        path: PathBuf,
    },
    /// A command looked for something and found it; its answer is in the status.
    #[error("{message}")]
    Verdict {
        /// What was found.
        message: String,
        /// What to do about it.
        hint: String,
        /// The exit status.
        status: u8,
    },
    /// Standard output or error could not be written to.
    #[error("cannot write to standard output: {0}")]
    Stream(#[from] io::Error),
}

/// What a build is made from, as far as errors tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Context,
    Dockerfile,
    BuildArgs,
}

/// An error, and which part it is about.
#[derive(Debug)]
pub struct InPart {
    pub part: Part,
    pub error: Error,
}

/// What is about nothing else is about the context.
impl<E: Into<Error>> From<E> for InPart {
    fn from(error: E) -> Self {
        Part::Context.is_wrong(error)
    }
}

impl Part {
    /// Says that the error is about this part.
    pub fn is_wrong(self, error: impl Into<Error>) -> InPart {
        InPart { part: self, error: error.into() }
    }
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, Error>;

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Error::Registry(Box::new(error))
    }
}

impl From<build::Problem> for Error {
    fn from(problem: build::Problem) -> Self {
        Error::Build(problem.into())
    }
}

impl Error {
    /// Something wrong with the command line.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// The exit status, as the help text lists them.
    pub fn status(&self) -> u8 {
        match self {
            Error::Build(error) => status_of(error.class()),
            Error::Checks { .. } => 1,
            Error::Services { failed, .. } => {
                // What waited for another image failed because of that one.
                let own = failed.iter().map(|(_, error)| error).find(|error| !error.is_not_built());
                own.map_or(1, |error| status_of(error.class()))
            }
            Error::Usage { .. } | Error::Unsupported { .. } => 2,
            Error::NotCompared(error) => match error.status() {
                1 => 2,
                own => own,
            },
            Error::Compose(_)
            | Error::ArgumentFile { .. }
            | Error::Input { .. }
            | Error::NoImage { .. }
            | Error::Ambiguous { .. } => 1,
            Error::Differ | Error::Warnings => 1,
            Error::Half { status, .. } | Error::Verdict { status, .. } => *status,
            Error::Registry(error) if matches!(**error, registry::Error::Cancelled) => 130,
            Error::Registry(_) => 3,
            Error::Store(_) | Error::NoStore { .. } => 4,
            Error::Export(_) | Error::File(_) | Error::Stream(_) => 5,
            Error::Sandbox(_) => 6,
        }
    }
}

fn names(failed: &[(String, build::Error)]) -> String {
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn status_of(class: build::Class) -> u8 {
    match class {
        build::Class::Input => 1,
        build::Class::Registry => 3,
        build::Class::Store => 4,
        build::Class::Machine => 6,
        build::Class::Command(status) => u8::try_from(status).unwrap_or(1).max(1),
        build::Class::Interrupted => 130,
    }
}
