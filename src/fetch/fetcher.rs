//! Who fetches, and what it must know.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::Client;

use super::Credentials;

/// What a fetcher is told when it is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// What requests say of this program.
    pub user_agent: String,
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub idle: Duration,
    /// The first pause before another try; the next is four times as long.
    pub pause: Duration,
    /// Where `git` and `ssh` are looked for; none is a fixed list of folders.
    pub path: Option<OsString>,
    /// The socket of an ssh agent.
    pub ssh_auth_sock: Option<OsString>,
    /// Variables that git gets: proxies, and where certificates are.
    pub variables: Vec<(String, OsString)>,
    /// Secrets for servers.
    pub credentials: Credentials,
}

/// Fetches; clients are made when they are first needed.
pub struct Fetcher {
    pub(super) options: Options,
    pub(super) public: OnceLock<Result<Client, String>>,
    pub(super) local: OnceLock<Result<Client, String>>,
}

/// Follows a transfer and may stop it; called often.
pub trait Watch {
    /// So many bytes have come, of so many if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);

    /// Whether to stop.
    fn cancelled(&self) -> bool;
}

impl Fetcher {
    /// One that has done nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, public: OnceLock::new(), local: OnceLock::new() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            pause: Duration::from_millis(250),
            path: None,
            ssh_auth_sock: None,
            variables: Vec::new(),
            credentials: Credentials::default(),
        }
    }
}
