//! What the caller and the helper process tell each other, over one socket: a length of four bytes and that much JSON.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::raw;
use super::spec::Spec;
use crate::path::{ImagePath, Printable as _};

/// The most bytes of one message.
const LIMIT: u32 = 256 << 20;

/// The byte that asks for SIGTERM now and SIGKILL after the grace.
pub(super) const TERMINATE: u8 = b'T';
/// The byte that asks for SIGKILL now.
pub(super) const KILL: u8 = b'K';

/// What the helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run a step.
    Run(Box<Spec>),
    /// Find out whether a step could run with its root filesystem in this folder.
    Probe(#[serde(with = "raw::path")] PathBuf),
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The root filesystem is ready, and this was changed in it to make it so.
    Ready(Footprint),
    /// It cannot be done.
    Failed(Failure),
    /// The step has ended, and so has everything it started.
    Ended(Ended),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) max_rss_kib: u64,
    pub(super) user_micros: u64,
    pub(super) system_micros: u64,
}

/// Which traces the mounts left in the root filesystem.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Footprint {
    /// Mount points that were made, in order.
    pub(super) stubs: Vec<Stub>,
    /// The folders above them, parents first, the root included.
    pub(super) touched: Vec<Touched>,
}

/// A mount point that was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stub {
    #[serde(with = "raw::image_path")]
    pub(super) path: ImagePath,
    pub(super) kind: Kind,
}

/// What kind of mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
}

/// Seconds and nanoseconds.
pub(super) type Time = (i64, i64);

/// A folder something was made in or below.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Touched {
    #[serde(with = "raw::image_path")]
    pub(super) path: ImagePath,
    /// Its access and modification time before.
    pub(super) before: (Time, Time),
    /// Its modification and change time when all mounts were made.
    pub(super) after: (Time, Time),
}

/// Why something could not be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) about: About,
    /// For example `mount`, or for `About::Rootfs` the problem.
    pub(super) action: String,
    /// What it was done to.
    #[serde(with = "raw::bytes")]
    pub(super) object: Vec<u8>,
    pub(super) errno: i32,
    pub(super) detail: String,
}

/// Which kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum About {
    /// Making the sandbox.
    Setup,
    /// What the root filesystem holds.
    Rootfs,
    /// Starting the program.
    Exec,
}

impl Failure {
    /// A system call that failed while making the sandbox.
    pub(super) fn setup(action: &str, object: &[u8], error: rustix::io::Errno) -> Self {
        let (action, object) = (action.to_owned(), object.to_vec());
        Self { about: About::Setup, action, object, errno: error.raw_os_error(), detail: String::new() }
    }

    /// Something in the root filesystem that is refused.
    pub(super) fn rootfs(path: &ImagePath, problem: &str) -> Self {
        let object = path.as_bytes().to_vec();
        Self { about: About::Rootfs, action: problem.to_owned(), object, errno: 0, detail: String::new() }
    }

    /// A program that could not be started.
    pub(super) fn exec(program: &[u8], error: rustix::io::Errno) -> Self {
        let object = program.to_vec();
        Self { about: About::Exec, action: String::new(), object, errno: error.raw_os_error(), detail: String::new() }
    }

    /// What the caller is told.
    pub(super) fn into_error(self) -> Error {
        let source = io::Error::from_raw_os_error(self.errno);
        let object = self.object.escape_ascii_utf8();
        match self.about {
            About::Setup => {
                let action = if object.is_empty() { self.action } else { format!("{} `{object}`", self.action) };
                let detail = if self.detail.is_empty() { String::new() } else { format!("; {}", self.detail) };
                Error::Setup { action, source, detail }
            }
            About::Rootfs => Error::Rootfs { path: ImagePath::new(&self.object), problem: self.action },
            About::Exec => Error::Exec { program: object, source },
        }
    }
}

/// Says what a failed system call was about.
pub(super) trait Doing<T> {
    /// Adds the action and its object.
    fn doing(self, action: &str, object: impl AsRef<[u8]>) -> Result<T, Failure>;
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, action: &str, object: impl AsRef<[u8]>) -> Result<T, Failure> {
        self.map_err(|error| Failure::setup(action, object.as_ref(), error))
    }
}

/// Sends one message.
pub(super) fn send<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= LIMIT);
    let length = length.ok_or_else(|| io::Error::other(format!("a message of more than {LIMIT} bytes")))?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    to.write_all(&bytes)
}

/// Receives one message, and not a byte more.
pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LIMIT {
        return Err(io::Error::other(format!("a message of more than {LIMIT} bytes")));
    }
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
