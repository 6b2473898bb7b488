//! What a client is told when it is made.

use std::path::PathBuf;
use std::time::Duration;

use super::Registries;

/// Where credentials and mirrors come from, and how long to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// Docker's `config.json`; one that does not exist holds nothing.
    pub docker_config: Option<PathBuf>,
    /// Files in the form of podman's `auth.json`, asked in this order after Docker's.
    pub auth_json: Vec<PathBuf>,
    /// The text of the variable `DOCKER_AUTH_CONFIG`, asked before any file.
    pub env_auth: Option<String>,
    /// Mirrors, insecure and blocked registries.
    pub registries: Registries,
    /// What requests say of this program.
    pub user_agent: String,
    /// Times and numbers of tries.
    pub timing: Timing,
}

/// How long to wait and how often to try.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub idle: Duration,
    /// For the answer after the last byte of an upload: the registry hashes it first.
    pub finish: Duration,
    /// For a small request with all its tries, and for a blob without any progress.
    pub total: Duration,
    /// For a credential helper.
    pub helper: Duration,
    /// The first pause between tries; each one after is twice as long.
    pub pause: Duration,
    /// The longest pause between tries.
    pub longest_pause: Duration,
    /// The longest pause that a registry may ask for.
    pub longest_asked: Duration,
    /// Tries of one request at a registry.
    pub tries: u32,
    /// Tries of one request at a mirror, and at a host that refuses connections.
    pub few_tries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            docker_config: None,
            auth_json: Vec::new(),
            env_auth: None,
            registries: Registries::default(),
            user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            finish: Duration::from_secs(300),
            total: Duration::from_secs(120),
            helper: Duration::from_secs(60),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
            longest_asked: Duration::from_secs(60),
            tries: 6,
            few_tries: 3,
        }
    }
}
