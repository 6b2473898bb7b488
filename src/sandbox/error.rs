//! What can go wrong in the sandbox.

use std::io;

use crate::fsx;
use crate::path::ImagePath;

/// A failed sandbox operation. A command that ran and failed is an `Outcome`, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system call of the caller's side failed.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// The helper process could not be started or spoken to.
    #[error("cannot {action} the sandbox: {}", plain(source))]
    Start {
        /// For example `start`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A step of making the sandbox failed.
    #[error("cannot {action}: {}{detail}", plain(source))]
    Setup {
        /// What was being done, with the path or name it was done to.
        action: String,
        /// What the system said.
        source: io::Error,
        /// What the kernel's log of this mount added, after `; `, or nothing.
        detail: String,
    },
    /// The root filesystem holds something that cannot be mounted over or walked through.
    #[error("`{path}` in the root filesystem {problem}")]
    Rootfs {
        /// Where.
        path: ImagePath,
        /// Why it is refused.
        problem: String,
    },
    /// The program of the step could not be run.
    #[error("cannot run `{program}`: {}", plain(source))]
    Exec {
        /// The first word of the command.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The spec asks for something impossible.
    #[error("the step's {field} {problem}")]
    Invalid {
        /// For example `command`.
        field: &'static str,
        /// Why it cannot be.
        problem: String,
    },
    /// More lower layers than one overlay takes.
    #[error("a stack of {count} layers is more than the {limit} that one mount takes")]
    TooManyLowers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The step was stopped by its `Cancel`.
    #[error("interrupted")]
    Cancelled,
    /// The helper process ended without saying how the step ended.
    #[error("the sandbox process was killed before it could tell how the step ended")]
    Lost,
    /// The image has no such user.
    #[error("user `{}` is not in the image's /etc/passwd", name.escape_debug())]
    UnknownUser {
        /// As written.
        name: String,
    },
    /// The image has no such group.
    #[error("group `{}` is not in the image's /etc/group", name.escape_debug())]
    UnknownGroup {
        /// As written.
        name: String,
    },
    /// A number that no user or group can have.
    #[error("`{text}` is not a user or group id: ids go from 0 to 4294967294")]
    IdRange {
        /// As written.
        text: String,
    },
}

impl Error {
    /// The exit code that shells give where the program of a step cannot be run; none for other errors.
    pub fn exec_status(&self) -> Option<i32> {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(127),
            Self::Exec { .. } => Some(126),
            _ => None,
        }
    }
}

/// The result of a sandbox operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The system's words in lower case, without the number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
