//! Why a build failed.

use std::sync::Arc;

use super::copy::PlaceError;
use super::layouts::LayoutError;
use super::step::NotMade;
use crate::cache;
use crate::cdi;
use crate::context;
use crate::dockerfile::{Diagnostic, Source, Span};
use crate::fetch;
use crate::fsx;
use crate::image;
use crate::layer;
use crate::plan::ModeError;
use crate::platform::Platform;
use crate::registry;
use crate::sandbox;
use crate::store;

/// A failed build.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile is wrong: every problem that was found, and every warning.
    #[error("`{}` cannot be built", file.name())]
    Dockerfile {
        /// Its text.
        file: Arc<Source>,
        /// In the order of the file.
        problems: Vec<Diagnostic>,
    },
    /// One instruction failed.
    #[error("{text}: {problem}")]
    Step {
        /// The text of the Dockerfile.
        file: Arc<Source>,
        /// Where the instruction stands.
        span: Span,
        /// The instruction on one line.
        text: String,
        /// Why it failed.
        problem: Box<Problem>,
        /// What may be the cause, as far as the context tells.
        hints: Vec<Diagnostic>,
    },
    /// Something failed that belongs to no instruction.
    #[error(transparent)]
    General(#[from] Problem),
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A cache of another store cannot be used.
    #[error("{problem}")]
    BadCache {
        /// Why.
        problem: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A layer could not be made or read.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The context failed, or a source is not in it.
    #[error(transparent)]
    Context(#[from] context::Error),
    /// A copied file cannot go where it should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// `--chmod` is no mode.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A document of an image is wrong.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A registry failed.
    #[error(transparent)]
    Registry(Box<registry::Error>),
    /// A URL or repository could not be fetched.
    #[error(transparent)]
    Fetch(Box<fetch::Error>),
    /// An image in a folder cannot be read.
    #[error(transparent)]
    Layout(Box<LayoutError>),
    /// The step could not be started.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// What was asked for an image config is not valid for it.
    #[error("the image's config is not that of its layers")]
    BaseMismatch,
    /// The command ended with a status other than 0.
    #[error("the command ended with status {code}")]
    Exit {
        /// The status.
        code: i32,
        /// Whether the file system of the store was full then.
        full: bool,
    },
    /// The command was killed.
    #[error("the command was killed by signal {signal}{}", if *oom { ": it ran out of memory" } else { "" })]
    Signal {
        /// Which signal.
        signal: i32,
        /// Whether the kernel killed it for lack of memory.
        oom: bool,
    },
    /// The image is for another platform than this machine.
    #[error("cannot run a command of an image for {image} on this machine, which is {machine}")]
    Platform {
        /// The stage's.
        image: Box<Platform>,
        /// This machine's.
        machine: Box<Platform>,
    },
    /// This machine cannot run commands.
    #[error("this machine cannot run commands: {what}")]
    Machine {
        /// What it lacks.
        what: String,
        /// What to do about it.
        cure: String,
    },
    /// A source is an output of rbuild.
    #[error("`{path}` is an output of rbuild, which is left out of the context")]
    OutputCopied {
        /// The source.
        path: String,
    },
    /// A name in `--chown` that cannot be resolved.
    #[error("cannot find the owner `{owner}`: the image has no files yet, so it has no users")]
    OwnerOfNothing {
        /// As given.
        owner: String,
    },
    /// A mount cannot be made.
    #[error("{problem}")]
    Mount {
        /// Where the Dockerfile asks for it.
        span: Span,
        /// Why.
        problem: Box<Problem>,
    },
    /// A secret that a command cannot do without was not given.
    #[error("the secret `{id}` is required, but was not given; give it with `--secret id={id},src=FILE`")]
    NoSecret {
        /// Its id.
        id: String,
    },
    /// A secret could not be read, or a file for a mount not made.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// An ssh agent that a command cannot do without was not given.
    #[error("the ssh agent `{id}` is required, but was not given; give it with `--ssh {id}`")]
    NoAgent {
        /// Its id.
        id: String,
    },
    /// A device that a command asks for cannot be given to it.
    #[error(transparent)]
    Device(Box<cdi::Error>),
    /// The step is not in the cache, and nothing was to be made.
    #[error("it is not in the cache: {}", .0.reason)]
    NotMade(Box<NotMade>),
    /// The image of another request is needed.
    #[error("it needs the image of `{name}`, which was not built")]
    NotBuilt {
        /// The other request's name.
        name: String,
    },
    /// Requests that use each other's images.
    #[error("it needs an image that needs its own")]
    Circle,
    /// The user asked to stop, or another step failed.
    #[error("interrupted")]
    Interrupted,
}

impl From<fetch::Error> for Problem {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Interrupted => Problem::Interrupted,
            other => Problem::Fetch(Box::new(other)),
        }
    }
}

impl From<cdi::Error> for Problem {
    fn from(error: cdi::Error) -> Self {
        Problem::Device(Box::new(error))
    }
}

impl From<LayoutError> for Problem {
    fn from(error: LayoutError) -> Self {
        Problem::Layout(Box::new(error))
    }
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        Problem::Registry(Box::new(error))
    }
}

/// What kind of failure it is; the program's exit status follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The Dockerfile or the context is wrong.
    Input,
    /// A registry or another server failed.
    Registry,
    /// The store failed.
    Store,
    /// This machine cannot run steps.
    Machine,
    /// A command ended with this status.
    Command(i32),
    /// The user asked to stop.
    Interrupted,
}

/// The result of a build.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether it failed only because the image of another request was not built.
    pub fn is_not_built(&self) -> bool {
        match self {
            Error::Dockerfile { .. } => false,
            Error::Step { problem, .. } => matches!(**problem, Problem::NotBuilt { .. }),
            Error::General(problem) => matches!(problem, Problem::NotBuilt { .. }),
        }
    }

    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Dockerfile { .. } => Class::Input,
            Error::Step { problem, .. } => problem.class(),
            Error::General(problem) => problem.class(),
        }
    }
}

impl Problem {
    /// This at its place, if it is what is wrong with a mount; an interrupted build is interrupted anywhere.
    pub(super) fn at_mount(self, span: Span) -> Self {
        match self.class() {
            Class::Interrupted => self,
            _ => Self::Mount { span, problem: Box::new(self) },
        }
    }

    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        match self {
            Problem::Store(store::Error::Interrupted) | Problem::Interrupted => Class::Interrupted,
            Problem::Store(_) | Problem::Cache(_) => Class::Store,
            Problem::Layer(error) => layer_class(error),
            Problem::Registry(error) => match **error {
                registry::Error::Cancelled => Class::Interrupted,
                registry::Error::Store(_) => Class::Store,
                _ => Class::Registry,
            },
            Problem::Fetch(error) => fetch_class(error),
            // What the Dockerfile asks of the sandbox, which no machine could give.
            Problem::Sandbox(
                sandbox::Error::UnknownUser { .. }
                | sandbox::Error::UnknownGroup { .. }
                | sandbox::Error::IdRange { .. }
                | sandbox::Error::Invalid { .. },
            ) => Class::Input,
            Problem::Sandbox(error) => error.exec_status().map_or(Class::Machine, Class::Command),
            Problem::Machine { .. } | Problem::Platform { .. } => Class::Machine,
            Problem::Exit { code, .. } => Class::Command(*code),
            Problem::Signal { signal, .. } => Class::Command(128 + signal),
            Problem::Mount { problem, .. } => problem.class(),
            Problem::Context(_)
            | Problem::Place(_)
            | Problem::Mode(_)
            | Problem::Image(_)
            | Problem::Layout(_)
            | Problem::BaseMismatch
            | Problem::BadCache { .. }
            | Problem::NotBuilt { .. }
            | Problem::Circle
            | Problem::File(_)
            | Problem::NoSecret { .. }
            | Problem::NoAgent { .. }
            | Problem::Device(_)
            | Problem::NotMade(_)
            | Problem::OutputCopied { .. }
            | Problem::OwnerOfNothing { .. } => Class::Input,
        }
    }
}

/// A fetch fails because of the other side, unless it brought something else than was asked for.
fn fetch_class(error: &fetch::Error) -> Class {
    match error {
        fetch::Error::Store(store::Error::Interrupted) => Class::Interrupted,
        fetch::Error::Store(_) | fetch::Error::File(_) => Class::Store,
        fetch::Error::Checksum { .. }
        | fetch::Error::Commit { .. }
        | fetch::Error::NoRef { .. }
        | fetch::Error::NoFolder { .. } => Class::Input,
        fetch::Error::NoGit { .. } => Class::Machine,
        _ => Class::Registry,
    }
}

/// A layer fails because of the store, unless its own content is to blame.
fn layer_class(error: &layer::Error) -> Class {
    match error {
        layer::Error::Store(_) | layer::Error::File(_) | layer::Error::Write { .. } => Class::Store,
        _ => Class::Input,
    }
}
