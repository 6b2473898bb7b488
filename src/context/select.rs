//! The files that the sources of a COPY or ADD mean.

use std::collections::{HashMap, HashSet};

use super::contents::PathHash;
use super::error::{Error, Result};
use super::nearest;
use super::rules::{BadLine, Last, Rules};
use super::source::{Choice, Kind, Meta, Shape, Source, resolve};
use crate::glob::{BadPattern, Dialect, Glob, has_wildcards};
use crate::path::{ContextPath, Printable as _};

/// The flags of an instruction that decide what is selected.
#[derive(Debug, Clone, Default)]
pub struct SelectOptions {
    /// The values of `--exclude`, in order.
    pub exclude: Vec<Vec<u8>>,
    /// Whether a source keeps the folders above it.
    pub parents: Parents,
}

/// Whether `--parents` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parents {
    /// Each source lands under its own name.
    #[default]
    Dropped,
    /// Each source lands under its path, from its `/./` on.
    Kept,
}

/// What the sources of one instruction select, in the order of the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// One for each source.
    pub sources: Vec<SourceSelection>,
}

/// What one source selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSelection {
    /// The source as given.
    pub pattern: Vec<u8>,
    /// In path order; none only if the source has a wildcard.
    pub matches: Vec<Match>,
}

/// A file, or a folder whose content is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its last name as the pattern sees it, before symlinks are followed; empty for the root.
    pub name: Vec<u8>,
    /// Where it is after symlinks are followed.
    pub from: ContextPath,
    /// Whether it is a folder. With `--parents` it always is: the one that paths are kept from.
    pub is_directory: bool,
    /// The file itself, or what is below the folder without the folder, in path order, parents first.
    pub selected: Vec<Selected>,
}

/// One path to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Where it is in the source.
    pub from: ContextPath,
    /// Where it is below its match; the root for a file that is the match.
    pub relative: ContextPath,
    /// What is there.
    pub meta: Meta,
    /// Why it is copied.
    pub role: Role,
}

/// Why a path is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The source means it.
    Meant,
    /// It is a folder that the source does not mean, above a path that it does.
    Above,
}

impl Selection {
    /// Everything that is selected, in the order of sources, matches and paths.
    pub fn selected(&self) -> impl Iterator<Item = &Selected> {
        self.sources.iter().flat_map(|source| &source.matches).flat_map(|matched| &matched.selected)
    }
}

/// Finds what `patterns`, the sources of one instruction after variables, mean in `source`.
///
/// A source without wildcards that is not there is an error, one with wildcards that matches nothing is none.
pub fn select(source: &dyn Source, patterns: &[&[u8]], options: &SelectOptions) -> Result<Selection> {
    let exclude = options.exclude.iter().enumerate().map(|(index, pattern)| (index, pattern.as_slice()));
    let exclude = Rules::new(exclude).map_err(|BadLine { problem, .. }| problem)?;
    let select_one = |pattern: &&[u8]| {
        if pattern.contains(&0) {
            return Err(BadPattern::new(pattern, "it holds a NUL byte").into());
        }
        let matches = match options.parents {
            Parents::Dropped => select_plain(source, pattern, &exclude)?,
            Parents::Kept => select_with_parents(source, pattern, &exclude)?,
        };
        Ok(SourceSelection { pattern: pattern.to_vec(), matches })
    };
    Ok(Selection { sources: patterns.iter().map(select_one).collect::<Result<_>>()? })
}

fn select_plain(source: &dyn Source, pattern: &[u8], exclude: &Rules) -> Result<Vec<Match>> {
    let tops = expand(source, pattern, pattern)?;
    let matches = tops.into_iter().map(|Top { name, from, meta }| {
        let is_directory = meta.kind.is_directory();
        let selected = if is_directory {
            select_below(source, &from, None, exclude)?
        } else {
            // `--exclude` does not reach what a source names or matches by itself, as in BuildKit.
            vec![Selected { from: from.clone(), relative: ContextPath::root(), meta, role: Role::Meant }]
        };
        Ok(Match { name, from, is_directory, selected })
    });
    matches.collect()
}

fn select_with_parents(source: &dyn Source, pattern: &[u8], exclude: &Rules) -> Result<Vec<Match>> {
    let pivot = pattern.windows(3).position(|part| part == b"/./");
    let (base, rest) = pivot.map_or((&b"/"[..], pattern), |at| (&pattern[..at], &pattern[at + 3..]));
    let wanted = ContextPath::new(rest);
    let is_required = !has_wildcards(pattern);
    let include = if wanted.is_root() {
        None
    } else {
        Some(Rules::new([(1, wanted.as_bytes())]).map_err(|BadLine { problem, .. }| problem)?)
    };
    let mut matches = Vec::new();
    for Top { name, from, meta } in expand(source, base, pattern)? {
        let selected = match meta.kind {
            Kind::Directory => select_below(source, &from, include.as_ref(), exclude)?,
            _ => Vec::new(),
        };
        let is_found = wanted.is_root() || selected.iter().any(|entry| entry.relative.is_within(&wanted));
        if is_required && !is_found {
            return Err(not_found(source, pattern, &from.join(wanted.as_bytes())));
        }
        if meta.kind.is_directory() {
            matches.push(Match { name, from, is_directory: true, selected });
        }
    }
    Ok(matches)
}

/// What a source leads to, its symlinks followed.
struct Top {
    name: Vec<u8>,
    from: ContextPath,
    meta: Meta,
}

/// Finds the paths that `pattern` means, in path order; `given` is the whole source, for messages.
fn expand(source: &dyn Source, pattern: &[u8], given: &[u8]) -> Result<Vec<Top>> {
    let cleaned = ContextPath::new(pattern);
    let parts: Vec<&[u8]> = cleaned.components().collect();
    let plain = parts.iter().take_while(|part| !has_wildcards(part)).count();
    let base = ContextPath::new(parts[..plain].join(&b'/'));
    let (from, meta) = resolve(source, &base)?;
    let Some(meta) = meta else { return Err(not_found(source, given, &from)) };
    if plain == parts.len() {
        return Ok(vec![Top { name: base.file_name().unwrap_or_default().to_vec(), from, meta }]);
    }
    let glob = Glob::new(&parts[plain..].join(&b'/'), Dialect::SingleStar)?;
    let hits = source.walk(&from, &mut |path, shape| {
        let relative = path.strip_prefix(&from).unwrap_or_default();
        let take = glob.matches(relative);
        // What is below a match belongs to it already.
        Choice { take, descend: !take && shape == Shape::Directory && glob.could_match_below(relative) }
    })?;
    let follow = |(path, meta): (ContextPath, Meta)| {
        let name = path.file_name().unwrap_or_default().to_vec();
        if !matches!(meta.kind, Kind::Symlink { .. }) {
            return Ok(Top { name, from: path, meta });
        }
        match resolve(source, &path)? {
            (from, Some(meta)) => Ok(Top { name, from, meta }),
            (from, None) => Err(not_found(source, path.as_bytes(), &from)),
        }
    };
    hits.into_iter().map(follow).collect()
}

/// What rules decided about a folder, for what is in it.
#[derive(Clone, Copy, Default)]
struct Decided {
    include: Last,
    exclude: Last,
}

/// What of the content of the folder `dir` is included and not excluded, with the folders above it.
fn select_below(
    source: &dyn Source,
    dir: &ContextPath,
    include: Option<&Rules>,
    exclude: &Rules,
) -> Result<Vec<Selected>> {
    let mut folders: HashMap<ContextPath, Decided, PathHash> = HashMap::default();
    // The folder of the path before, mostly that of the next one too.
    let mut around: Option<(Vec<u8>, Decided)> = None;
    let below_dir = |path: &ContextPath| ContextPath::new(path.strip_prefix(dir).unwrap_or_default());
    let hits = source.walk(dir, &mut |path, shape| {
        let relative = below_dir(path);
        let parent = relative.parent_bytes();
        let above = match &around {
            Some((folder, decided)) if folder == parent => *decided,
            _ => folders.get(&ContextPath::new(parent)).copied().unwrap_or_default(),
        };
        if around.as_ref().is_none_or(|(folder, _)| folder != parent) {
            around = Some((parent.to_vec(), above));
        }
        let now = Decided {
            include: include.map(|rules| rules.enter(&relative, above.include)).unwrap_or_default(),
            exclude: exclude.enter(&relative, above.exclude),
        };
        let is_included = include.is_none_or(|rules| rules.matched_line(now.include).is_some());
        let is_excluded = exclude.matched_line(now.exclude).is_some();
        let descend = shape == Shape::Directory
            && (is_included || include.is_some_and(|rules| rules.may_match_below(&relative)))
            && (!is_excluded || exclude.may_except_below(&relative, now.exclude));
        if descend {
            folders.insert(relative, now);
        }
        Choice { take: is_included && !is_excluded, descend }
    })?;
    // Hits come in path order, so a folder that is one comes before what is below it.
    let mut selected: Vec<Selected> = Vec::with_capacity(hits.len());
    let mut folders: HashSet<ContextPath, PathHash> = HashSet::default();
    let mut around: Option<Vec<u8>> = None;
    for (from, meta) in hits {
        let relative = below_dir(&from);
        if around.as_deref() != Some(relative.parent_bytes()) {
            for above in relative.ancestors() {
                if !folders.insert(above.clone()) {
                    continue;
                }
                let from = dir.join(above.as_bytes());
                let meta = source.lookup(&from)?.ok_or_else(|| not_found(source, from.as_bytes(), &from))?;
                selected.push(Selected { from, relative: above, meta, role: Role::Above });
            }
            around = Some(relative.parent_bytes().to_vec());
        }
        if meta.kind.is_directory() {
            folders.insert(relative.clone());
        }
        selected.push(Selected { from, relative, meta, role: Role::Meant });
    }
    Ok(selected)
}

/// The error for `pattern`, which leads to `missing`, with what may help.
pub fn not_found(source: &dyn Source, pattern: &[u8], missing: &ContextPath) -> Error {
    // An error while looking for help must not take the place of the one being reported.
    let hidden_by = source.hidden_by(missing).unwrap_or_default();
    let nearest = nearest::find(source, missing).unwrap_or_default();
    Error::NotFound { pattern: pattern.escape_ascii_utf8(), nearest: nearest.map(|path| path.to_string()), hidden_by }
}
