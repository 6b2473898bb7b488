//! What to run, as plain data that another process or machine could carry out.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caps::Capabilities;
use super::error::{Error, Result};
use super::limits::Limit;
use super::raw;
use super::user::Credentials;
use crate::path::ImagePath;

/// The most lower layers of one root filesystem; the kernel's own limit is 500.
pub const LOWER_LIMIT: usize = 400;

/// The host name of a step unless it is told otherwise; BuildKit's, because steps write it into files.
pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";

/// The size of `/dev/shm` unless it is told otherwise.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;

/// The most mounts of one step.
const MOUNT_LIMIT: usize = 1000;

/// One command, and everything it can see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The layers of the root filesystem, bottom first; none for `FROM scratch`.
    #[serde(with = "raw::paths")]
    pub lowers: Vec<PathBuf>,
    /// Where the step's changes go: an empty folder.
    #[serde(with = "raw::path")]
    pub upper: PathBuf,
    /// An empty folder on the file system of `upper` for the overlay's own use; to be removed after the run.
    #[serde(with = "raw::path")]
    pub work: PathBuf,
    /// Mounted in this order, each visible to the next.
    pub mounts: Vec<Mount>,
    /// The command. A first word without a slash is looked for in the `PATH` of `env`.
    #[serde(with = "raw::list")]
    pub argv: Vec<Vec<u8>>,
    /// The environment, exactly, as `NAME=value`.
    #[serde(with = "raw::list")]
    pub env: Vec<Vec<u8>>,
    /// The working folder; made, and given to the user, if it is missing.
    #[serde(with = "raw::image_path")]
    pub cwd: ImagePath,
    /// Who runs it.
    pub user: Credentials,
    /// What the step may do to others' files and processes.
    pub capabilities: Capabilities,
    /// What it is kept from beyond that.
    pub confinement: Confinement,
    /// The host name inside.
    pub hostname: String,
    /// The content of `/etc/hosts`; none leaves the image's.
    #[serde(with = "raw::optional_bytes")]
    pub hosts: Option<Vec<u8>>,
    /// The content of `/etc/resolv.conf`; none leaves the image's.
    #[serde(with = "raw::optional_bytes")]
    pub resolv_conf: Option<Vec<u8>>,
    /// What network it sees.
    pub network: Network,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Limits beyond the fixed defaults.
    pub limits: Vec<Limit>,
    /// Who is process 1 to the step.
    pub process_one: ProcessOne,
    /// How the namespaces are made.
    pub privilege: Privilege,
    /// How long a cancelled step may take to end by itself.
    pub grace: Duration,
}

impl Spec {
    /// A command of root in `/` with Docker's defaults, on the host's network, without files of its own in `/etc`.
    pub fn new(lowers: Vec<PathBuf>, upper: PathBuf, work: PathBuf, argv: Vec<Vec<u8>>) -> Self {
        Self {
            lowers,
            upper,
            work,
            mounts: Vec::new(),
            argv,
            env: Vec::new(),
            cwd: ImagePath::root(),
            user: Credentials::root(),
            capabilities: Capabilities::default_for(Network::Host),
            confinement: Confinement::Docker,
            hostname: DEFAULT_HOSTNAME.to_owned(),
            hosts: None,
            resolv_conf: None,
            network: Network::Host,
            shm_size: DEFAULT_SHM_SIZE,
            limits: Vec::new(),
            process_one: ProcessOne::Init,
            privilege: Privilege::Root,
            grace: Duration::from_secs(10),
        }
    }

    /// Refuses what no sandbox can carry out.
    ///
    /// # Errors
    /// `Error::Invalid` and `Error::TooManyLowers`.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
        if self.argv.first().is_none_or(Vec::is_empty) {
            return invalid("command", "is empty");
        }
        if self.argv.iter().any(|word| word.contains(&0)) {
            return invalid("command", "holds a NUL byte");
        }
        if self.env.iter().any(|entry| entry.contains(&0)) {
            return invalid("environment", "holds a NUL byte");
        }
        if self.hostname.is_empty() || self.hostname.len() > 64 || self.hostname.contains(char::is_control) {
            return invalid("host name", "must have 1 to 64 bytes and no control characters");
        }
        if self.mounts.len() > MOUNT_LIMIT {
            return invalid("mounts", &format!("are more than {MOUNT_LIMIT}"));
        }
        check_count(&self.lowers)?;
        self.mounts.iter().try_for_each(Mount::check)
    }
}

fn check_count(lowers: &[PathBuf]) -> Result<()> {
    if lowers.len() > LOWER_LIMIT {
        return Err(Error::TooManyLowers { count: lowers.len(), limit: LOWER_LIMIT });
    }
    Ok(())
}

/// Something mounted for the length of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, resolved inside the root filesystem; made if it is missing and removed again afterwards.
    #[serde(with = "raw::image_path")]
    pub target: ImagePath,
    /// What.
    pub source: Source,
    /// Whether the step may write to it.
    pub access: Access,
}

impl Mount {
    fn check(&self) -> Result<()> {
        let reserved = ["proc", "sys"].map(ImagePath::new);
        if self.target.is_root() || reserved.iter().any(|path| self.target.is_within(path)) {
            let problem = format!("have the target `{}`, which belongs to the sandbox", self.target);
            return Err(Error::Invalid { field: "mounts", problem });
        }
        match &self.source {
            Source::Tree { lowers, .. } if lowers.is_empty() => {
                Err(Error::Invalid { field: "mounts", problem: "hold a tree without layers".to_owned() })
            }
            Source::Tree { lowers, .. } => check_count(lowers),
            Source::Host { .. }
            | Source::Lent { .. }
            | Source::Node { .. }
            | Source::Tmpfs { .. }
            | Source::Content { .. } => Ok(()),
        }
    }
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A file, folder or socket of the host.
    Host {
        /// A path the caller vouches for.
        #[serde(with = "raw::path")]
        path: PathBuf,
        /// A place in it that others may have shaped: symlinks are followed inside `path` only.
        #[serde(with = "raw::image_path")]
        inside: ImagePath,
    },
    /// A file or folder of the host without set-user-id rights: what belongs to a device. File systems that are mounted below
    /// it are not shown.
    Lent {
        /// A path the caller vouches for.
        #[serde(with = "raw::path")]
        path: PathBuf,
        /// Whether programs in it can be run.
        programs: Programs,
    },
    /// A device node, made for this step alone; the one mount besides those of `/dev` where a device can be opened.
    Node {
        /// What kind of device.
        kind: NodeKind,
        /// Its major and minor number.
        numbers: (u32, u32),
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A place in another root filesystem.
    Tree {
        /// Its layers, bottom first; at least one.
        #[serde(with = "raw::paths")]
        lowers: Vec<PathBuf>,
        /// The place, symlinks followed inside the tree.
        #[serde(with = "raw::image_path")]
        inside: ImagePath,
        /// Where the step's writes go; without it nothing can be written.
        writes: Option<Writes>,
    },
    /// An empty folder in memory.
    Tmpfs {
        /// The most bytes it holds; none for half of the memory.
        size: Option<u64>,
        /// Its mode.
        mode: u32,
    },
    /// A file in memory, which never rests on a disk: a secret.
    Content {
        /// What it holds.
        #[serde(with = "raw::bytes")]
        bytes: Vec<u8>,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Whether programs of a mount can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Programs {
    /// They can.
    Run,
    /// They cannot.
    Refused,
}

/// The kind of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// Where writes to a mounted tree go; both empty and on one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// The changes.
    #[serde(with = "raw::path")]
    pub upper: PathBuf,
    /// The overlay's own.
    #[serde(with = "raw::path")]
    pub work: PathBuf,
}

/// Whether a mount can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// What network a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    Host,
    /// A loopback interface of its own.
    None,
}

/// What a step is kept from beyond its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// What Docker keeps containers from: system calls, places of `/proc` and `/sys`.
    Docker,
    /// Nothing: `--security=insecure`. A step of root is as mighty as its caller.
    Nothing,
}

/// Who is process 1 to the step. Either way a process of ours is above it, and everything dies with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessOne {
    /// A process of ours, which reaps orphans; the step is process 2.
    Init,
    /// The step itself, as under BuildKit: `$$` is 1, and its default signal actions are those of an init.
    Step,
}

/// How the namespaces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// By the super user, without a user namespace.
    Root,
}
