//! Git repositories, and what of them is meant: `URL#ref:folder`, or `URL?ref=…&subdir=…`.

use std::fmt;

use url::Url;

use super::location::parse_url;
use super::{Error, Result};
use crate::path::ContextPath;

/// No ref or folder is longer, in bytes.
const MAX_PART: usize = 1024;

/// A repository, and what of it.
#[derive(Clone, PartialEq, Eq)]
pub struct GitSource {
    remote: String,
    written: String,
    credentials: Option<(String, String)>,
    reference: Option<String>,
    subdir: ContextPath,
    checksum: Option<String>,
    keep_git_dir: Option<bool>,
    /// Whether submodules are checked out.
    pub submodules: Submodules,
    /// The times of the files.
    pub times: Times,
    fetch_by_commit: bool,
}

/// Whether submodules are checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// They are.
    Included,
    /// Their folders stay empty.
    LeftOut,
}

/// The times of files that are checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// When it was done.
    Checkout,
    /// Those of the commit.
    Commit,
}

impl GitSource {
    /// Reads a git source; none if it is none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("git" | "ssh") => Self::of_url(text).map(Some),
            Some("http" | "https") => {
                let end = text.find(['?', '#']).unwrap_or(text.len());
                if text[..end].ends_with(".git") { Self::of_url(text).map(Some) } else { Ok(None) }
            }
            Some(_) => Ok(None),
            None => Self::of_scp(text),
        }
    }

    /// Reads the URL of a repository.
    pub(super) fn of_url(text: &str) -> Result<Self> {
        let mut url = parse_url(text)?;
        let fragment = url.fragment().map(decode).transpose()?;
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.set_fragment(None);
        url.set_query(None);
        let credentials = take_credentials(&mut url)?;
        let written = if credentials.is_some() { url.to_string() } else { text.to_owned() };
        let mut source = Self::new(url.to_string(), written, credentials);
        check_host(url.host_str().unwrap_or(""))?;
        source.read(fragment.as_deref().unwrap_or(""), &query)?;
        Ok(source)
    }

    /// Reads `user@host:path`.
    fn of_scp(text: &str) -> Result<Option<Self>> {
        let Some((user, rest)) = text.split_once('@') else { return Ok(None) };
        let Some((host, path)) = rest.split_once(':') else { return Ok(None) };
        let is_name = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || more.contains(c))
        };
        if !is_name(user, "_") || !is_name(host, ".") {
            return Ok(None);
        }
        check_part("user", user)?;
        check_host(host)?;
        let (rest, fragment) = path.split_once('#').unwrap_or((path, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        check_part("path", path)?;
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut source = Self::new(format!("{user}@{host}:{path}"), text.to_owned(), None);
        source.read(fragment, &query)?;
        Ok(Some(source))
    }

    fn new(remote: String, written: String, credentials: Option<(String, String)>) -> Self {
        Self {
            remote,
            written,
            credentials,
            reference: None,
            subdir: ContextPath::root(),
            checksum: None,
            keep_git_dir: None,
            submodules: Submodules::Included,
            times: Times::Checkout,
            fetch_by_commit: false,
        }
    }

    fn read(&mut self, fragment: &str, query: &[(String, String)]) -> Result<()> {
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        self.set_reference(reference)?;
        self.set_subdir(subdir)?;
        let mut seen: Vec<&str> = Vec::new();
        let (mut branch, mut tag) = (None, None);
        for (key, value) in query {
            if seen.contains(&key.as_str()) {
                return Err(Error::git("query", key, "it is given twice"));
            }
            seen.push(key);
            let is_switch = matches!(key.as_str(), "submodules" | "keep-git-dir" | "fetch-by-commit");
            if value.is_empty() && !is_switch {
                return Err(Error::git("query", key, "it has no value"));
            }
            match key.as_str() {
                "ref" => self.set_reference(value)?,
                "tag" => tag = Some(with_prefix("refs/tags/", value)),
                "branch" => branch = Some(with_prefix("refs/heads/", value)),
                "subdir" => self.set_subdir(value)?,
                "checksum" | "commit" => self.require(value)?,
                "keep-git-dir" => self.keep_git_dir = Some(switch(key, value)?),
                "submodules" => {
                    self.submodules = if switch(key, value)? { Submodules::Included } else { Submodules::LeftOut };
                }
                "mtime" => {
                    self.times = match value.as_str() {
                        "checkout" => Times::Checkout,
                        "commit" => Times::Commit,
                        _ => return Err(Error::git("query value", value, "`mtime` is `checkout` or `commit`")),
                    }
                }
                "fetch-by-commit" => self.fetch_by_commit = switch(key, value)?,
                _ => return Err(Error::git("query", key, "there is no such option")),
            }
        }
        if tag.is_some() && branch.is_some() {
            return Err(self.conflict("ref"));
        }
        for reference in [tag, branch].into_iter().flatten() {
            self.set_reference(&reference)?;
        }
        Ok(())
    }

    fn set_reference(&mut self, reference: &str) -> Result<()> {
        if reference.is_empty() {
            return Ok(());
        }
        check_part("ref", reference)?;
        let odd = |c: char| matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        if reference.contains(odd) || reference.contains("..") || reference.contains("@{") || reference.ends_with('/') {
            return Err(Error::git("ref", reference, "it is no name of a branch, tag or commit"));
        }
        if self.reference.as_deref().is_some_and(|known| known != reference) {
            return Err(self.conflict("ref"));
        }
        self.reference = Some(reference.to_owned());
        Ok(())
    }

    fn set_subdir(&mut self, subdir: &str) -> Result<()> {
        if subdir.is_empty() {
            return Ok(());
        }
        check_part("folder", subdir)?;
        if subdir.split('/').any(|part| part == "..") {
            return Err(Error::git("folder", subdir, "it leads out of the repository"));
        }
        let subdir = ContextPath::new(subdir);
        if !self.subdir.is_root() && self.subdir != subdir {
            return Err(self.conflict("folder"));
        }
        self.subdir = subdir;
        Ok(())
    }

    /// Demands a commit: its hash, or the first seven or more digits of it. One that was demanded before must be the same.
    pub fn require(&mut self, checksum: &str) -> Result<()> {
        let plain = checksum.len() >= 7 && checksum.len() <= 64 && checksum.bytes().all(|b| b.is_ascii_hexdigit());
        if !plain {
            return Err(Error::git("checksum", checksum, "it is no hash of a commit, nor the start of one"));
        }
        let checksum = checksum.to_ascii_lowercase();
        if self.checksum.as_ref().is_some_and(|known| *known != checksum) {
            return Err(self.conflict("checksum"));
        }
        self.checksum = Some(checksum);
        Ok(())
    }

    /// Says whether the folder `.git` is kept. What the source itself says must be the same.
    pub fn keep_git_dir(&mut self, keep: bool) -> Result<()> {
        if self.keep_git_dir.is_some_and(|known| known != keep) {
            return Err(self.conflict("folder `.git`"));
        }
        self.keep_git_dir = Some(keep);
        Ok(())
    }

    fn conflict(&self, part: &'static str) -> Error {
        Error::Conflict { shown: self.shown(), part }
    }

    /// The text it was read from; without its options if it had a user name or password.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What git is given to fetch from: a URL without credentials.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The user name and password of an http URL.
    pub fn credentials(&self) -> Option<&(String, String)> {
        self.credentials.as_ref()
    }

    /// The branch, tag or commit; none is the repository's own choice.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The folder that is meant; the root if none is named.
    pub fn subdir(&self) -> &ContextPath {
        &self.subdir
    }

    /// The start of the commit's hash that is demanded, in lower case.
    pub fn checksum(&self) -> Option<&str> {
        self.checksum.as_deref()
    }

    /// Whether the commit is fetched by its hash, without asking where the ref stands.
    pub fn is_fetched_by_commit(&self) -> bool {
        self.fetch_by_commit
    }

    /// Whether `.git` is kept. A folder of the repository has none.
    pub fn keeps_git_dir(&self) -> bool {
        self.keep_git_dir == Some(true) && self.subdir.is_root()
    }

    /// How messages show it: without credentials.
    pub fn shown(&self) -> String {
        let mut shown = self.remote.clone();
        if self.reference.is_some() || !self.subdir.is_root() {
            shown.push('#');
            shown.push_str(self.reference.as_deref().unwrap_or(""));
        }
        if !self.subdir.is_root() {
            shown.push(':');
            shown.push_str(&String::from_utf8_lossy(self.subdir.as_bytes()));
        }
        shown
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.shown())
    }
}

/// Takes user and password out of an http URL; an ssh URL keeps its user, who is no secret, and may have no password.
fn take_credentials(url: &mut Url) -> Result<Option<(String, String)>> {
    let (user, password) = (decode(url.username())?, url.password().map(decode).transpose()?);
    if user.is_empty() && password.is_none() {
        return Ok(None);
    }
    if !matches!(url.scheme(), "http" | "https") {
        // A host is there, so it can be removed.
        let _removed = url.set_password(None);
        check_part("user", &user)?;
        return Ok(None);
    }
    let _removed = (url.set_username(""), url.set_password(None));
    Ok(Some((user, password.unwrap_or_default())))
}

fn decode(text: &str) -> Result<String> {
    // `=` and `&` mean nothing here, and `+` is itself.
    let escaped = text.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    let (decoded, _) = url::form_urlencoded::parse(escaped.as_bytes()).next().unwrap_or_default();
    Ok(decoded.into_owned())
}

fn with_prefix(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

fn switch(key: &str, value: &str) -> Result<bool> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::git("query", key, "its value is neither true nor false")),
    }
}

fn check_host(host: &str) -> Result<()> {
    check_part("host", host)
}

/// What may stand in a command line: no option, nothing unseen.
fn check_part(part: &'static str, value: &str) -> Result<()> {
    if value.starts_with('-') {
        return Err(Error::git(part, value, "it begins with a dash"));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::git(part, value, "it holds a control character"));
    }
    if value.len() > MAX_PART {
        return Err(Error::git(part, value, "it is too long"));
    }
    Ok(())
}
