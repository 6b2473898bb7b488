//! What is sent to servers so that they let us in: the secrets whose ids name the host that they are for.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use reqwest::Url;

use super::{Error, Result};

/// Prefixes of ids; what follows is a host. Of an http token and a header the token counts, as in BuildKit.
const HTTP_HEADER: &str = "HTTP_AUTH_HEADER_";
const HTTP_TOKEN: &str = "HTTP_AUTH_TOKEN_";
/// For repositories: alone, or with a dot and a host behind it. The header counts before the token.
const GIT_HEADER: &str = "GIT_AUTH_HEADER";
const GIT_TOKEN: &str = "GIT_AUTH_TOKEN";

/// Where a token for a repository is good for its submodules too, as in BuildKit.
const WHOLE_HOSTS: [&str; 2] = ["https://github.com/", "https://www.github.com/"];

/// Secrets for servers, by id. Nothing shows them.
#[derive(Clone, Default)]
pub struct Credentials {
    secrets: BTreeMap<String, String>,
}

impl Credentials {
    /// Whether a secret with this id is for a server.
    pub fn is_one(id: &str) -> bool {
        let follows = |prefix: &str| id.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
        let git = |name: &str| {
            id == name || id.strip_prefix(name).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        };
        follows(HTTP_HEADER) || follows(HTTP_TOKEN) || git(GIT_HEADER) || git(GIT_TOKEN)
    }

    /// Takes a secret; a line feed at its end is no part of it.
    ///
    /// Fails if it cannot stand in a header.
    pub fn add(&mut self, id: &str, secret: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(secret).ok().map(|text| text.trim_end_matches(['\r', '\n']));
        match text.filter(|text| text.bytes().all(|byte| (b' '..0x7f).contains(&byte))) {
            Some(text) => drop(self.secrets.insert(id.to_owned(), text.to_owned())),
            None => return Err(Error::Credential { id: id.to_owned() }),
        }
        Ok(())
    }

    /// The value of `Authorization` for the origin of a URL.
    pub(super) fn of_http(&self, url: &Url) -> Option<String> {
        // An IPv6 address stands in brackets in a URL, but not in an id.
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let token = self.secrets.get(&format!("{HTTP_TOKEN}{host}")).map(|token| format!("Bearer {token}"));
        token.or_else(|| self.secrets.get(&format!("{HTTP_HEADER}{host}")).cloned())
    }

    /// The value of `Authorization` for a repository at an http URL, and the start of the URLs that may get it.
    pub(super) fn of_git(&self, remote: &str) -> Option<(String, String)> {
        let url = Url::parse(remote).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str()?);
        let header = |id: &str| self.secrets.get(id).cloned();
        let token = |id: &str| {
            let pair = self.secrets.get(id).map(|token| format!("x-access-token:{token}"))?;
            Some(format!("basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
        };
        let value = header(&format!("{GIT_HEADER}.{host}"))
            .or_else(|| token(&format!("{GIT_TOKEN}.{host}")))
            .or_else(|| header(GIT_HEADER))
            .or_else(|| token(GIT_TOKEN))?;
        let whole = WHOLE_HOSTS.into_iter().find(|prefix| remote.starts_with(prefix));
        Some((whole.unwrap_or(remote).to_owned(), value))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.secrets.keys()).finish()
    }
}
