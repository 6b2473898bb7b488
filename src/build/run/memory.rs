//! What the commands that used a cache folder were shown: the note in the folder.

use std::collections::BTreeMap;

use crate::digest::ContentDigest;
use crate::path::ImagePath;
use crate::tree::{Attributes, Entry, Kind, Listing, Timestamp};

/// The first line of a note; it changes with the format.
const VERSION: &str = "rbuild-shown 1";

/// So many paths are remembered; beyond that everything is forgotten, and then shown as new.
const MAX_PATHS: usize = 1 << 20;

/// A path as a command sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where the command sees it.
    pub(super) path: ImagePath,
    /// The hash of a file's content, or of the names in a folder.
    pub(super) digest: ContentDigest,
    /// Its time.
    pub(super) mtime: Timestamp,
}

/// What a cache folder's commands were shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Memory {
    /// Nothing yet: no command has used the folder.
    New,
    /// It is not known: everything in the folder may be newer than it should.
    Lost,
    /// This.
    Known {
        /// When the last command ended; none while one may be at work, or was killed.
        ended: Option<Timestamp>,
        /// Whether a path that is not in `shown` was never shown.
        complete: bool,
        /// The last content and time of each path.
        shown: BTreeMap<ImagePath, (ContentDigest, Timestamp)>,
    },
}

/// What a memory says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was never shown: nothing can have been made of it.
    Unknown,
    /// The same content was shown with this time.
    Same(Timestamp),
    /// Other content was shown, but its time is later than all that was made of that.
    Fresh,
    /// Other content was shown, and what was made of that may be later than its time.
    Stale,
}

impl Memory {
    /// Reads a note; none is that of a new folder, and a damaged one is as good as lost.
    pub(super) fn read(note: Option<&[u8]>) -> Self {
        match note {
            None => Self::New,
            Some(bytes) => Self::parse(bytes).unwrap_or(Self::Lost),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(VERSION.as_bytes())?.strip_prefix(b"\n")?;
        let end = rest.iter().position(|b| *b == b'\n')?;
        let state = std::str::from_utf8(&rest[..end]).ok()?;
        let (complete, state) = match state.strip_prefix("partly, ") {
            Some(state) => (false, state),
            None => (true, state),
        };
        let ended = match state {
            "at work" => None,
            time => {
                let (secs, nanos) = time.strip_prefix("ended ")?.split_once('.')?;
                let nanos = nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?;
                Some(Timestamp { secs: secs.parse().ok()?, nanos })
            }
        };
        let listing = Listing::from_bytes(&rest[end + 1..]).ok()?;
        let shown = listing.entries().iter().filter_map(|entry| match entry.kind {
            Kind::File { digest, .. } => Some((entry.path.clone(), (digest, entry.attributes.mtime))),
            _ => None,
        });
        Some(Self::Known { ended, complete, shown: shown.collect() })
    }

    /// The note that `read` reads. Paths and times stand in it as a listing.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // An empty note cannot be read, and is as good as lost.
        let Self::Known { ended, complete, shown } = self else { return Vec::new() };
        let partly = if *complete { "" } else { "partly, " };
        let line = match ended {
            None => format!("{partly}at work"),
            Some(Timestamp { secs, nanos }) => format!("{partly}ended {secs}.{nanos:09}"),
        };
        let entries = shown.iter().map(|(path, (digest, mtime))| Entry {
            path: path.clone(),
            kind: Kind::File { size: 0, digest: *digest },
            attributes: Attributes { mtime: *mtime, ..Attributes::of_root(0) },
        });
        let mut bytes = format!("{VERSION}\n{line}\n").into_bytes();
        bytes.extend(Listing::new(entries).to_bytes());
        bytes
    }

    /// What it says about a path.
    pub(super) fn verdict(&self, seen: &Seen) -> Verdict {
        match self {
            Self::New => Verdict::Unknown,
            Self::Lost => Verdict::Stale,
            Self::Known { ended, complete, shown } => match shown.get(&seen.path) {
                None if *complete => Verdict::Unknown,
                None => Verdict::Stale,
                Some((digest, time)) if *digest == seen.digest => Verdict::Same(*time),
                Some(_) if ended.is_some_and(|ended| seen.mtime > ended) => Verdict::Fresh,
                Some(_) => Verdict::Stale,
            },
        }
    }

    /// The memory of a folder whose next command is shown `seen` and has begun.
    pub(super) fn begun(self, seen: &[Seen]) -> Self {
        let (complete, mut shown) = match self {
            Self::New => (true, BTreeMap::new()),
            Self::Lost => (false, BTreeMap::new()),
            Self::Known { complete, shown, .. } => (complete, shown),
        };
        shown.extend(seen.iter().map(|seen| (seen.path.clone(), (seen.digest, seen.mtime))));
        if shown.len() > MAX_PATHS { Self::Lost } else { Self::Known { ended: None, complete, shown } }
    }

    /// The memory of a folder that no command uses any more.
    pub(super) fn ended(self, now: Timestamp) -> Self {
        match self {
            Self::Known { complete, shown, .. } => Self::Known { ended: Some(now), complete, shown },
            other => other,
        }
    }

    /// When the last command ended, if that is known.
    pub(super) fn last_end(&self) -> Option<Timestamp> {
        match self {
            Self::New | Self::Lost => None,
            Self::Known { ended, .. } => *ended,
        }
    }
}
