//! What commands are given beside their root filesystem.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cdi::Grants;
use crate::sandbox::Limit;
use crate::ssh::Keys;

/// What `docker buildx build` calls by its flags for RUN.
#[derive(Debug, Clone, Default)]
pub struct CommandOptions {
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`, by id.
    pub agents: BTreeMap<String, Agent>,
    /// `--add-host`, in order.
    pub hosts: Vec<(IpAddr, String)>,
    /// `--shm-size`, in bytes.
    pub shm_size: Option<u64>,
    /// `--allow device`.
    pub devices: Grants,
    /// Where CDI files are looked for, those that count more last.
    pub cdi_folders: Vec<PathBuf>,
    /// `--ulimit`, in order.
    pub limits: Vec<Limit>,
}

/// Who signs for a command.
#[derive(Debug, Clone)]
pub enum Agent {
    /// An agent of the host, by its socket.
    Socket(PathBuf),
    /// Keys that were read from files.
    Keys(Arc<Keys>),
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file, which is read when a command needs it.
    File(PathBuf),
    /// Here.
    Value(Vec<u8>),
}

/// Without the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::File(path) => f.debug_tuple("File").field(path).finish(),
            Secret::Value(_) => f.write_str("Value(…)"),
        }
    }
}
