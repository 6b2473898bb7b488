//! Which kind of remote a text is, if any.

use super::{Error, GitSource, HttpUrl, Result};

/// A place on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// The body of a URL.
    Http(HttpUrl),
    /// Files of a repository.
    Git(GitSource),
}

impl Remote {
    /// Reads a source of ADD; none if it is a path.
    ///
    /// A URL that ends in `.git`, a URL with the scheme `git` or `ssh`, and `user@host:path` are repositories.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        if let Some(source) = GitSource::parse(text)? {
            return Ok(Some(Self::Git(source)));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return HttpUrl::parse(text).map(|url| Some(Self::Http(url)));
        }
        Ok(None)
    }

    /// Reads a context: as `parse`, and `github.com/owner/name` is a repository too.
    pub fn parse_context(text: &str) -> Result<Option<Self>> {
        match text.strip_prefix("github.com/") {
            Some(_) => GitSource::of_url(&format!("https://{text}")).map(|source| Some(Self::Git(source))),
            None => Self::parse(text),
        }
    }

    /// How messages show it: without user name, password and query.
    pub fn shown(&self) -> String {
        match self {
            Self::Http(url) => url.shown(),
            Self::Git(source) => source.shown(),
        }
    }
}

/// The URL of a text, whose credentials no error shows.
pub(super) fn parse_url(text: &str) -> Result<url::Url> {
    let bad = |problem: String| {
        let head: &str = text.split(['?', '#']).next().unwrap_or("");
        // Only the scheme, if user name and password may be in the rest.
        let head = match (head.contains('@'), head.split_once("://")) {
            (false, _) => head.to_owned(),
            (true, Some((scheme, _))) => format!("{scheme}://…"),
            (true, None) => "…".to_owned(),
        };
        let head = head.chars().filter(|c| !c.is_control()).take(100).collect();
        Error::Url { shown: head, problem }
    };
    if text.len() > 8192 {
        return Err(bad("it is longer than 8192 bytes".to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(bad("it holds a control character".to_owned()));
    }
    let url = url::Url::parse(text).map_err(|error| bad(error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it has no host".to_owned()));
    }
    Ok(url)
}
