//! Image references: `[registry/]repository[:tag][@digest]`, as Docker reads them.
//!
//! # Invariants
//! A reference in memory is normalised: `python` is `docker.io/library/python:latest`. The registry, repository and tag match
//! the grammar of distribution/reference, so they can go into a URL or a file name as they are.
//!
//! # References
//! distribution/reference `regexp.go`, `normalize.go`.

use std::fmt;
use std::str::FromStr;

use crate::digest::ManifestDigest;

const DEFAULT_REGISTRY: &str = "docker.io";

/// A normalised image reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<ManifestDigest>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {problem}")]
pub struct ParseError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Reference {
    /// For example `docker.io` or `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// For example `library/python`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none if only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&ManifestDigest> {
        self.digest.as_ref()
    }

    /// The last component of the repository: `python` for `docker.io/library/python`.
    pub fn short_name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// The same repository, with only this digest.
    pub fn with_digest(&self, digest: ManifestDigest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag at another registry and with another repository prefix, as a mirror has it.
    ///
    /// Fails if the parts are not those of a reference.
    pub fn at(&self, registry: &str, repository: &str) -> Result<Self, ParseError> {
        let bad = |problem| ParseError { text: format!("{registry}/{repository}"), problem };
        check_registry(registry).map_err(bad)?;
        check_repository(repository).map_err(bad)?;
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), ..self.clone() })
    }

    /// The name as people write it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let mut shown = match (self.registry.as_str(), self.repository.strip_prefix("library/")) {
            (DEFAULT_REGISTRY, Some(name)) => name.to_owned(),
            (DEFAULT_REGISTRY, None) => self.repository.clone(),
            _ => format!("{}/{}", self.registry, self.repository),
        };
        if let Some(tag) = &self.tag {
            shown.push(':');
            shown.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            shown.push_str(&format!("@{digest}"));
        }
        shown
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).map_err(|problem| ParseError { text: text.chars().take(300).collect(), problem })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest = digest
                .parse()
                .map_err(|_bad: crate::digest::ParseError| "its digest is not `sha256:` and 64 hexadecimal digits")?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (registry, repository) = split_registry(name);
    check_registry(registry)?;
    let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    check_repository(&repository)?;
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io", rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let problem = "its registry is not a host name with an optional port";
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(problem)?;
            address.parse::<std::net::Ipv6Addr>().ok().ok_or(problem)?;
            ("v6", port.strip_prefix(':').or((port.is_empty()).then_some("0")).ok_or(problem)?)
        }
        None => registry.split_once(':').unwrap_or((registry, "0")),
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let good = host.split('.').all(label) && port.parse::<u16>().is_ok() && registry.len() <= 260;
    good.then_some(()).ok_or(problem)
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.len() > 255 {
        return Err("its repository name is longer than 255 characters");
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("its repository name must be lower case");
    }
    if repository.split('/').all(is_repository_component) {
        Ok(())
    } else {
        Err("its repository name may hold only `a-z`, `0-9`, `/` and single separators `.`, `_`, `__`, `-`")
    }
}

fn is_repository_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.filter(|s| !s.is_empty()).all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    good.then_some(()).ok_or("its tag may hold only letters, digits, `_`, `.` and `-`, 128 at most")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, full, familiar) in [
            ("python", "docker.io/library/python:latest", "python:latest"),
            ("python:3.8", "docker.io/library/python:3.8", "python:3.8"),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("index.docker.io/x", "docker.io/library/x:latest", "x:latest"),
        ] {
            let reference: Reference = given.parse().expect(given);
            assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
        }
        let pinned: Reference = format!("python@{digest}").parse().expect("pinned");
        assert_eq!(pinned.tag(), None);
        assert_eq!(pinned.to_string(), format!("docker.io/library/python@{digest}"));
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for bad in
            ["", "UPPER", "a:b:c", "a b", "-x", "x:", "a//b", "a/../b", "x@sha256:12", "x:-t", "ho_st.io/x", "a..b"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
