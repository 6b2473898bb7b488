//! The files that a mount shows: a place in the context, or in a root filesystem, copied out.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::build::copy;
use crate::build::error::Problem;
use crate::build::request::Times;
use crate::cache::Ingredient;
use crate::context::{
    self, Choice, Content as Hashed, Contents, Match, Meta, Role, Selected, Selection, Source, SourceSelection,
};
use crate::digest::{Canonical, ContentDigest};
use crate::layer::{self, Content};
use crate::path::{ContextPath, ImagePath};
use crate::tree::{Attributes, Entry, Kind, Timestamp};

/// A place in a source with everything below it.
pub(super) struct Files {
    source: Arc<dyn Source>,
    selection: Selection,
    contents: Contents,
    /// Where it is once symlinks are followed.
    pub(super) from: ContextPath,
    /// Its path in the folder that it is copied to: the root, unless it is a single file.
    pub(super) inside: ImagePath,
}

impl Files {
    /// Finds what is at `path`, and its content; symlinks are followed inside the source.
    pub(super) fn find(source: Arc<dyn Source>, path: &str) -> Result<Self, Problem> {
        let wanted = ContextPath::new(path);
        let (from, meta) = context::resolve(source.as_ref(), &wanted)?;
        let Some(meta) = meta else {
            return Err(context::not_found(source.as_ref(), path.trim_start_matches('/').as_bytes(), &from).into());
        };
        let is_directory = meta.kind.is_directory();
        let mut selected =
            vec![Selected { from: from.clone(), relative: ContextPath::root(), meta, role: Role::Meant }];
        if is_directory {
            let below = source.walk(&from, &mut |_, _| Choice { take: true, descend: true })?;
            selected.extend(below.into_iter().map(|(path, meta)| {
                let relative = ContextPath::new(path.strip_prefix(&from).unwrap_or_default());
                Selected { from: path, relative, meta, role: Role::Meant }
            }));
        }
        let inside = match is_directory {
            true => ImagePath::root(),
            false => ImagePath::new(from.file_name().unwrap_or_default()),
        };
        let matched =
            Match { name: from.file_name().unwrap_or_default().to_vec(), from: from.clone(), is_directory, selected };
        let source_selection = SourceSelection { pattern: path.as_bytes().to_vec(), matches: vec![matched] };
        let selection = Selection { sources: vec![source_selection] };
        let contents = context::contents(source.as_ref(), &selection)?;
        Ok(Self { source, selection, contents, from, inside })
    }

    /// Everything that counts of each path; its time only if layers keep times. The root of a source is no file that anybody
    /// chose.
    pub(super) fn ingredients(&self, number: usize, times: Times) -> impl Iterator<Item = Ingredient> + '_ {
        let matches = self.selection.sources.iter().flat_map(|source| &source.matches);
        matches.flat_map(move |matched| {
            let links = copy::link_numbers(matched, copy::Linked::All);
            let selected = matched.selected.iter().filter(|selected| !selected.from.is_root());
            selected
                .map(move |selected| copy::file((number, matched), selected, &self.contents, &links, (false, times)))
        })
    }

    /// The hash of everything that counts, times left out.
    pub(super) fn digest(&self) -> ContentDigest {
        let mut canonical = Canonical::new("files");
        for ingredient in self.ingredients(0, Times::Fixed) {
            if let Ingredient::File { path, digest, look: _ } = ingredient {
                canonical.text("path", &path);
                canonical.bytes("digest", digest.as_bytes());
            }
        }
        canonical.finish()
    }

    /// Every path as it will lie in a folder, with its true time.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut first_names: BTreeMap<context::LinkGroup, ImagePath> = BTreeMap::new();
        let entries = self.selection.selected().map(|selected| {
            let path = self.inside.join(selected.relative.as_bytes());
            let Meta { kind, mode, uid, gid, mtime, xattrs, link_group } = selected.meta.clone();
            let first = link_group.map(|group| first_names.entry(group).or_insert_with(|| path.clone()).clone());
            let kind = match first.filter(|first| *first != path) {
                Some(target) => Kind::Hardlink { target },
                None => self.kind(kind, &selected.from),
            };
            let mode = if selected.from.is_root() { 0o755 } else { mode };
            Entry { path, kind, attributes: Attributes { mode, uid, gid, mtime, xattrs } }
        });
        entries.collect()
    }

    /// Copies everything into an empty folder; `time` says which time each path gets.
    pub(super) fn fill(&self, folder: &Path, time: &dyn Fn(&Entry) -> Timestamp) -> Result<(), Problem> {
        let origins = self.selection.selected().map(|selected| selected.from.clone());
        let entries = self.entries().into_iter().zip(origins).map(|(mut entry, from)| {
            entry.attributes.mtime = time(&entry);
            let content = match entry.kind {
                Kind::File { .. } => self.content(from),
                _ => Content::None,
            };
            (entry, content)
        });
        Ok(layer::fill_folder(folder, entries.collect())?)
    }

    fn content(&self, from: ContextPath) -> Content {
        let source = self.source.clone();
        let open = move || -> std::io::Result<Box<dyn std::io::Read>> {
            let reader = source.open(&from).map_err(std::io::Error::other)?;
            Ok(Box::new(reader.take(u64::MAX)))
        };
        Content::Open(Box::new(open))
    }

    fn kind(&self, kind: context::Kind, from: &ContextPath) -> Kind {
        match kind {
            context::Kind::Directory => Kind::Directory { opaque: false },
            context::Kind::File { size } => {
                let unknown = Hashed { size, digest: ContentDigest::of(b"") };
                let Hashed { size, digest } = self.contents.get(from).copied().unwrap_or(unknown);
                Kind::File { size, digest }
            }
            context::Kind::Symlink { target } => Kind::Symlink { target },
            context::Kind::Fifo => Kind::Fifo,
            context::Kind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            context::Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        }
    }
}
