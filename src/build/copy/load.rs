//! The files that one instruction brings: selected, hashed, downloaded.

use std::sync::Arc;

use super::origin::{Open, Origins};
use crate::build::error::Problem;
use crate::build::files::{self, Told};
use crate::build::step::Current;
use crate::context::{
    self, Contents, Match, Parents, Role, SelectOptions, Selected, Selection, Source, SourceSelection,
};
use crate::digest::BlobDigest;
use crate::fetch::Commit;
use crate::layer;
use crate::path::ContextPath;
use crate::plan::{Copy, CopySource, Unpack, Verb};
use crate::remote::{GitSource, HttpUrl};

/// What sources that stand beside each other bring from one place.
pub(super) struct Load {
    pub(super) source: Arc<dyn Source>,
    /// The number of the first of these sources.
    pub(super) number: usize,
    pub(super) selection: Selection,
    pub(super) contents: Contents,
    /// Of each file that ADD takes to be an archive.
    pub(super) archives: Vec<ContextPath>,
}

/// A part of what an instruction brings.
pub(super) enum Piece {
    /// Files.
    Files(Load),
    /// Those of a commit, which says what they are: they are fetched only if the layer has to be made.
    Commit { source: GitSource, commit: Commit, number: usize },
}

/// Finds out what an instruction brings.
pub(super) fn pieces(current: &Current<'_>, origins: &Origins<'_>, copy: &Copy) -> Result<Vec<Piece>, Problem> {
    let mut pieces = Vec::new();
    let mut paths: Vec<&str> = Vec::new();
    let mut open: Option<Open> = None;
    let mut flush = |paths: &mut Vec<&str>, end: usize, pieces: &mut Vec<Piece>| -> Result<(), Problem> {
        if paths.is_empty() {
            return Ok(());
        }
        let place = match &open {
            Some(open) => open.clone(),
            None => open.insert(origins.open(current.session, &copy.from)?).clone(),
        };
        let load = current.session.shared.hash(|| select(place.source, paths, end - paths.len(), copy))?;
        paths.clear();
        pieces.push(Piece::Files(load));
        Ok(())
    };
    for (number, source) in copy.sources.iter().enumerate() {
        match source {
            CopySource::Path { pattern, .. } => paths.push(pattern),
            CopySource::Http { url, checksum, .. } => {
                flush(&mut paths, number, &mut pieces)?;
                pieces.push(Piece::Files(download(current, url, checksum.as_ref(), copy, number)?));
            }
            CopySource::Git { source, .. } => {
                flush(&mut paths, number, &mut pieces)?;
                let engine = &current.session.engine;
                let commit = engine.fetcher.commit_of(engine.store, source, &Told::new(engine, source.shown()))?;
                pieces.push(Piece::Commit { source: source.clone(), commit, number });
            }
        }
    }
    flush(&mut paths, copy.sources.len(), &mut pieces)?;
    Ok(pieces)
}

/// Fetches what has not been fetched yet.
pub(super) fn complete(current: &Current<'_>, pieces: Vec<Piece>, copy: &Copy) -> Result<Vec<Load>, Problem> {
    let engine = &current.session.engine;
    let complete = |piece| match piece {
        Piece::Files(load) => Ok(load),
        Piece::Commit { source, commit, number } => {
            let watch = Told::new(engine, source.shown());
            let files = files::check_out(engine.store, engine.fetcher, &source, &commit, &watch)?;
            select(files.source().clone(), &["/"], number, copy)
        }
    };
    pieces.into_iter().map(complete).collect()
}

fn select(source: Arc<dyn Source>, patterns: &[&str], number: usize, copy: &Copy) -> Result<Load, Problem> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let options = SelectOptions {
        exclude: copy.exclude.iter().map(|pattern| pattern.clone().into_bytes()).collect(),
        parents: if copy.parents { Parents::Kept } else { Parents::Dropped },
    };
    let selection = context::select(source.as_ref(), &patterns, &options)?;
    let contents = context::contents(source.as_ref(), &selection)?;
    let archives = match (copy.verb, copy.unpack) {
        (Verb::Add, Unpack::Paths | Unpack::All) => archives(source.as_ref(), &selection)?,
        (Verb::Copy, _) | (Verb::Add, Unpack::Never) => Vec::new(),
    };
    Ok(Load { source, number, selection, contents, archives })
}

/// Downloads a file. It is selected by its name, which is no pattern.
fn download(
    current: &Current<'_>,
    url: &HttpUrl,
    checksum: Option<&BlobDigest>,
    copy: &Copy,
    number: usize,
) -> Result<Load, Problem> {
    let engine = &current.session.engine;
    let download = engine.fetcher.download(engine.store, url, checksum, &Told::new(engine, url.shown()))?;
    let name = url.file_name();
    let files = files::one_file(engine.store, &download, &name, &url.shown());
    let source = files.source().clone();
    let from = ContextPath::root().child(name.as_bytes());
    let meta = source.lookup(&from)?.ok_or(Problem::BaseMismatch)?;
    let selected = vec![Selected { from: from.clone(), relative: ContextPath::root(), meta, role: Role::Meant }];
    let matched = Match { name: name.clone().into_bytes(), from, is_directory: false, selected };
    let selection = Selection { sources: vec![SourceSelection { pattern: name.into_bytes(), matches: vec![matched] }] };
    let contents = context::contents(source.as_ref(), &selection)?;
    let archives = match copy.unpack {
        Unpack::All => archives(source.as_ref(), &selection)?,
        Unpack::Paths | Unpack::Never => Vec::new(),
    };
    Ok(Load { source, number, selection, contents, archives })
}

/// The sources themselves that are archives; what lies in a copied folder is never one.
fn archives(source: &dyn Source, selection: &Selection) -> Result<Vec<ContextPath>, Problem> {
    let mut found = Vec::new();
    for matched in selection.sources.iter().flat_map(|source| &source.matches) {
        let is_file = matched.selected.first().is_some_and(|s| matches!(s.meta.kind, context::Kind::File { .. }));
        if !matched.is_directory && is_file {
            let mut reader = source.open(&matched.from)?;
            if layer::sniff(&mut reader).is_some() {
                found.push(matched.from.clone());
            }
        }
    }
    Ok(found)
}
