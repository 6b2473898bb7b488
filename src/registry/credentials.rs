//! Finds the credentials that somebody configured for a repository.
//!
//! The rules are Docker's: a credential belongs to a host with its port, exactly; Docker Hub's is known as
//! `https://index.docker.io/v1/`. On top come podman's keys for a part of a registry (`quay.io/team`), which serve that
//! namespace only; the longest that matches counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD_NO_PAD};
use serde::Deserialize;

use super::{Error, Options, Result, helper, limits};
use crate::fsx;

/// The server's name under which Docker keeps the credentials of Docker Hub.
const HUB_SERVER: &str = "https://index.docker.io/v1/";
const HUB_HOST: &str = "index.docker.io";

/// What may be shown to a registry. Not `Debug`: it must not end up in a message.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A user and a password.
    Password {
        /// Who.
        user: String,
        /// The secret.
        password: String,
    },
    /// A refresh token for the token server.
    Identity(String),
    /// A token for the registry itself.
    Bearer(String),
}

/// Credentials, if any, and what the user should know about the search.
#[derive(Default)]
pub(super) struct Found {
    pub(super) credentials: Option<Credentials>,
    pub(super) notes: Vec<String>,
}

/// Everything that may hold credentials, read when it is first asked.
pub(super) struct Keyring {
    env_auth: Option<String>,
    files: Vec<PathBuf>,
    timeout: std::time::Duration,
}

/// The parts of Docker's `config.json` that concern credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Option<Entry>>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

impl Keyring {
    pub(super) fn new(options: &Options) -> Self {
        let docker = options.docker_config.iter();
        Self {
            env_auth: options.env_auth.clone(),
            files: docker.chain(&options.auth_json).cloned().collect(),
            timeout: options.timing.helper,
        }
    }

    /// The credentials for a repository, from the first source that has some. Blocks; may run a credential helper.
    pub(super) fn find(&self, registry: &str, repository: &str) -> Result<Found> {
        let mut found = Found::default();
        if let Some(text) = &self.env_auth {
            let config = parse(Path::new("DOCKER_AUTH_CONFIG"), text.as_bytes())?;
            self.search(&config, registry, repository, &mut found)?;
        }
        for path in &self.files {
            if found.credentials.is_some() {
                break;
            }
            if let Some(config) = read(path)? {
                self.search(&config, registry, repository, &mut found)?;
            }
        }
        Ok(found)
    }

    fn search(&self, config: &Config, registry: &str, repository: &str, found: &mut Found) -> Result<()> {
        if let Some(name) = config.helper(registry) {
            match helper::ask(name, &server(registry), self.timeout)? {
                helper::Answer::Credentials(credentials) => {
                    found.credentials = Some(credentials);
                    return Ok(());
                }
                helper::Answer::Nothing => {}
                helper::Answer::NotInstalled => {
                    found.notes.push(format!("the credential helper `docker-credential-{name}` is not installed"));
                }
            }
        }
        found.credentials = config.entry(registry, repository).and_then(Entry::credentials);
        Ok(())
    }
}

impl Config {
    /// The helper that keeps the credentials of a host: its own one, or the one for all.
    fn helper(&self, registry: &str) -> Option<&str> {
        let wanted = canonical(registry);
        let own = self.cred_helpers.iter().find(|(key, _)| split_key(key) == (wanted.clone(), ""));
        own.map(|(_, name)| name).or(Some(&self.creds_store)).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The entry of `auths` that covers the repository, with the longest key.
    fn entry(&self, registry: &str, repository: &str) -> Option<&Entry> {
        let wanted = canonical(registry);
        let covering = self.auths.iter().filter_map(|(key, entry)| {
            let (host, namespace) = split_key(key);
            let covers = namespace.is_empty() || is_below(repository, namespace);
            (host == wanted && covers).then_some(())?;
            let entry = entry.as_ref().filter(|e| !e.is_empty())?;
            // Docker's own key for a host comes before its other spellings.
            let exact = *key == server(registry);
            Some(((namespace.len(), exact), entry))
        });
        covering.max_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        let Self { auth, username, password, identity_token, registry_token } = self;
        [auth, username, password, identity_token, registry_token].iter().all(|field| field.is_empty())
    }

    fn credentials(&self) -> Option<Credentials> {
        if !self.registry_token.is_empty() {
            return Some(Credentials::Bearer(self.registry_token.clone()));
        }
        if !self.identity_token.is_empty() {
            return Some(Credentials::Identity(self.identity_token.clone()));
        }
        let (user, password) = match decode(&self.auth) {
            Some(pair) => pair,
            None => (self.username.clone(), self.password.clone()),
        };
        (!user.is_empty()).then_some(Credentials::Password { user, password })
    }
}

/// What a credential helper is asked for, and Docker's exact key in `auths`.
fn server(registry: &str) -> String {
    if canonical(registry) == HUB_HOST { HUB_SERVER.to_owned() } else { registry.to_owned() }
}

/// The host that names of one registry have in common. A port is part of it.
fn canonical(host: &str) -> String {
    match host.to_ascii_lowercase().as_str() {
        "docker.io" | "registry-1.docker.io" => HUB_HOST.to_owned(),
        other => other.to_owned(),
    }
}

/// A key of `auths` as host and namespace. `/v1/` and `/v2/` are what clients append to a host, not namespaces.
fn split_key(key: &str) -> (String, &str) {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let namespace = match path.trim_end_matches('/') {
        "v1" | "v2" => "",
        other => other,
    };
    (canonical(host), namespace)
}

fn is_below(repository: &str, namespace: &str) -> bool {
    repository.strip_prefix(namespace).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// User and password from base64; some writers leave out padding, some append NULs to the password.
fn decode(auth: &str) -> Option<(String, String)> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, config);
    // What is no base64 is no credential; the other fields of the entry may hold one.
    let bytes = lenient.decode(auth.trim()).or_else(|_bad| STANDARD_NO_PAD.decode(auth.trim())).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_matches('\0').to_owned()))
}

fn read(path: &Path) -> Result<Option<Config>> {
    let fail = |problem| Error::Credentials { path: path.to_path_buf(), problem };
    let bytes = fsx::read_if_exists(path, limits::CREDENTIALS_FILE).map_err(|bad| fail(bad.to_string()))?;
    bytes.filter(|b| !b.iter().all(u8::is_ascii_whitespace)).map(|b| parse(path, &b)).transpose()
}

/// Reads the document. The parser's own words may quote a secret, so only the place is told.
fn parse(path: &Path, bytes: &[u8]) -> Result<Config> {
    serde_json::from_slice(bytes).map_err(|bad| {
        let what = match bad.classify() {
            serde_json::error::Category::Data => "a value of the wrong type",
            _ => "no valid JSON",
        };
        let problem = format!("{what} at line {}, column {}", bad.line(), bad.column());
        Error::Credentials { path: path.to_path_buf(), problem }
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Credentials, Path, parse};

    /// What a config's text has for a repository, without helpers: `user:password`, `identity …`, `bearer …`.
    pub(in crate::registry) fn look_up(text: &str, registry: &str, repository: &str) -> Option<String> {
        let config = parse(Path::new("test"), text.as_bytes()).expect("a config");
        config.entry(registry, repository).and_then(super::Entry::credentials).map(|found| match found {
            Credentials::Password { user, password } => format!("{user}:{password}"),
            Credentials::Identity(token) => format!("identity {token}"),
            Credentials::Bearer(token) => format!("bearer {token}"),
        })
    }

    /// The name of the helper that would be asked.
    pub(in crate::registry) fn helper(text: &str, registry: &str) -> Option<String> {
        parse(Path::new("test"), text.as_bytes()).expect("a config").helper(registry).map(str::to_owned)
    }
}
