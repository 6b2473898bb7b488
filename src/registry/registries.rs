//! Reads `registries.conf`, version 2: where a repository really is, and which mirrors have it too.
//!
//! `unqualified-search-registries` and the other keys for short names are accepted and have no effect: a name without a
//! registry is Docker Hub's, as in Docker. `notes` says so.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{Error, Result};
use crate::reference::Reference;

/// The registries that somebody configured. The default knows none.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    entries: Vec<Registry>,
    notes: Vec<String>,
}

/// One `[[registry]]`.
#[derive(Debug, Clone)]
struct Registry {
    prefix: String,
    location: Location,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

/// One `[[registry.mirror]]`.
#[derive(Debug, Clone)]
struct Mirror {
    location: Location,
    pulls: Pulls,
}

#[derive(Debug, Clone)]
struct Location {
    /// What stands for the prefix; none leaves the name as it is.
    replacement: Option<String>,
    insecure: Option<bool>,
}

/// Which references a mirror is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pulls {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

/// One place where a reference may be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) reference: Reference,
    /// What the file says; none if it says nothing.
    pub(super) insecure: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    registry: Vec<Spanned<FileRegistry>>,
    #[serde(default)]
    registries: Option<Spanned<toml::Value>>,
    #[serde(default)]
    unqualified_search_registries: Option<Vec<String>>,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileRegistry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    insecure: Option<bool>,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Spanned<FileMirror>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileMirror {
    location: String,
    insecure: Option<bool>,
    pull_from_mirror: Option<Pulls>,
}

impl Registries {
    /// Reads the files in this order; an entry replaces an earlier one of the same prefix, as drop-in files do.
    pub fn parse(files: &[(PathBuf, Vec<u8>)]) -> Result<Self> {
        let mut all = Self::default();
        for (path, bytes) in files {
            all.add(path, bytes)?;
        }
        Ok(all)
    }

    /// What in the files has no effect, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let fail = |line, problem: String| Error::RegistriesFile { path: path.to_path_buf(), line, problem };
        let text = std::str::from_utf8(bytes).map_err(|bad| {
            let before = bytes.get(..bad.valid_up_to()).unwrap_or(bytes);
            fail(1 + before.iter().filter(|b| **b == b'\n').count(), "it is not UTF-8".to_owned())
        })?;
        let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let file: File = toml::from_str(text)
            .map_err(|bad| fail(bad.span().map_or(1, |s| line(s.start)), bad.message().to_owned()))?;
        if let Some(old) = &file.registries {
            let problem = "`[registries.…]` is version 1 of this format; write `[[registry]]` entries";
            return Err(fail(line(old.span().start), problem.to_owned()));
        }
        if file.unqualified_search_registries.is_some_and(|names| !names.is_empty()) {
            self.note(path, "unqualified-search-registries");
        }
        for key in file.rest.keys() {
            self.note(path, key);
        }
        for entry in file.registry {
            let at = line(entry.span().start);
            let mirror_lines: Vec<usize> = entry.get_ref().mirror.iter().map(|m| line(m.span().start)).collect();
            let registry = checked(entry.into_inner(), &mirror_lines)
                .map_err(|(mirror, problem)| fail(mirror.unwrap_or(at), problem))?;
            self.entries.retain(|e| e.prefix != registry.prefix);
            self.entries.push(registry);
        }
        Ok(())
    }

    fn note(&mut self, path: &Path, key: &str) {
        self.notes.push(format!("`{key}` in `{}` has no effect here", path.display()));
    }

    /// The places to look for a reference: its mirrors in order, then where it really is.
    pub(super) fn places(&self, reference: &Reference) -> Result<Vec<Place>> {
        let Some((entry, matched)) = self.entry(reference) else {
            return Ok(vec![Place { reference: reference.clone(), insecure: None }]);
        };
        if entry.blocked {
            return Err(Error::Blocked { reference: reference.familiar() });
        }
        let by_digest = reference.digest().is_some();
        let mirrors = entry.mirrors.iter().filter(|mirror| match mirror.pulls {
            Pulls::All => true,
            Pulls::DigestOnly => by_digest,
            Pulls::TagOnly => !by_digest,
        });
        let locations = mirrors.map(|m| &m.location).chain([&entry.location]);
        locations.map(|location| location.place(reference, matched)).collect()
    }

    /// The place to push a reference to: never a mirror.
    pub(super) fn origin(&self, reference: &Reference) -> Result<Place> {
        let place = self.places(reference)?.pop();
        Ok(place.expect("the last place is the origin, and there is always one"))
    }

    /// The entry with the longest prefix that matches, and how much of the name it matches.
    fn entry(&self, reference: &Reference) -> Option<(&Registry, usize)> {
        let name = name(reference);
        let matching = self.entries.iter().filter_map(|e| Some((e, matched(&name, &e.prefix)?)));
        matching.max_by_key(|(entry, _)| entry.prefix.len())
    }
}

impl Location {
    fn place(&self, reference: &Reference, matched: usize) -> Result<Place> {
        let Some(replacement) = &self.replacement else {
            return Ok(Place { reference: reference.clone(), insecure: self.insecure });
        };
        let name = name(reference);
        let moved = format!("{replacement}{}", name.get(matched..).unwrap_or(""));
        let (registry, repository) = moved.split_once('/').unwrap_or((&moved, ""));
        let reference = reference
            .at(registry, repository)
            .map_err(|source| Error::Rewrite { reference: reference.familiar(), source })?;
        Ok(Place { reference, insecure: self.insecure })
    }
}

fn name(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

/// How many bytes of `name` the prefix covers: whole components only.
fn matched(name: &str, prefix: &str) -> Option<usize> {
    let covered = match prefix.strip_prefix('*') {
        Some(suffix) => {
            let host = name.split('/').next().unwrap_or(name);
            (host.len() > suffix.len() && host.ends_with(suffix)).then_some(host.len())?
        }
        None => name.starts_with(prefix).then_some(prefix.len())?,
    };
    let next = name.as_bytes().get(covered);
    matches!(next, None | Some(b'/')).then_some(covered)
}

/// Gives an entry its defaults, or says what is wrong with it and on the line of which mirror.
fn checked(entry: FileRegistry, mirror_lines: &[usize]) -> Result<Registry, (Option<usize>, String)> {
    let location = entry.location.trim_end_matches('/').to_owned();
    let prefix = match entry.prefix.trim_end_matches('/') {
        "" => location.clone(),
        prefix => prefix.to_owned(),
    };
    let wildcard = prefix.starts_with("*.");
    if prefix.is_empty() {
        return Err((None, "a `[[registry]]` needs a `prefix` or a `location`".to_owned()));
    }
    if prefix.contains("://") || location.contains("://") {
        return Err((
            None,
            "`prefix` and `location` are names such as `example.com/team`, without `https://`".to_owned(),
        ));
    }
    if prefix.contains('*') && (!wildcard || prefix.len() < 3 || prefix[1..].contains(['*', '/'])) {
        return Err((None, format!("`{prefix}`: a `*` may only stand for subdomains, as in `*.example.com`")));
    }
    let mut mirrors = Vec::new();
    for (mirror, line) in entry.mirror.into_iter().zip(mirror_lines) {
        mirrors.push(checked_mirror(mirror.into_inner(), entry.mirror_by_digest_only).map_err(|p| (Some(*line), p))?);
    }
    let replacement = (!location.is_empty() && location != prefix).then_some(location);
    let location = Location { replacement, insecure: entry.insecure };
    Ok(Registry { prefix, location, blocked: entry.blocked, mirrors })
}

fn checked_mirror(mirror: FileMirror, by_digest_only: bool) -> Result<Mirror, String> {
    let location = mirror.location.trim_end_matches('/').to_owned();
    if location.is_empty() || location.contains("://") {
        return Err("a mirror's `location` is a name such as `mirror.example.com/hub`, without `https://`".to_owned());
    }
    let pulls = match (by_digest_only, mirror.pull_from_mirror) {
        (true, Some(_)) => {
            return Err("`pull-from-mirror` and `mirror-by-digest-only` cannot both be given".to_owned());
        }
        (true, None) => Pulls::DigestOnly,
        (false, pulls) => pulls.unwrap_or_default(),
    };
    Ok(Mirror { location: Location { replacement: Some(location), insecure: mirror.insecure }, pulls })
}
