//! Turns a file tree and the sources of a COPY into the files to copy, and their digests when asked.
//!
//! A *source* is a tree that files are copied from: the context, a folder seen through its *ignore rules*, or the root
//! filesystem of a stage or image. `select` finds what patterns mean in it: for each pattern its *matches*, for each match
//! its selected paths. `contents` hashes them, through the *stat cache* that spares reading what was read before.
//!
//! # Invariants
//! Only folders that a selection may reach are listed, and only paths that it takes cost a `statx`. A listing or digest in
//! the stat cache is used while device, inode, size, mtime and ctime are the same; what was changed less than a clock tick
//! before it was read is not kept, nor what lies on a file system that does not promise change times.
//! Nothing is read outside of a source: symlinks are data, followed inside it by `resolve` alone, and files are opened with
//! no symlink followed on the way. Pipes, sockets and devices are never opened. Names are bytes.
//! `ignore` and `rules` do no I/O.
//!
//! # Ignore rules
//! `ignorefile` and `patternmatcher` of moby, as documented: a byte order mark and lines that begin with `#` are dropped,
//! patterns are trimmed, cleaned and taken from the root; the last pattern that matches a path or a folder above it
//! decides. Where moby's translation into regular expressions shows through, the documented meaning holds here: `\d` is a
//! `d`, `[*]` a star, `^` outside of `[…]` itself, and `**` crosses names with a line feed. A rule that matches a folder
//! counts below it also where moby, having decided about the folder before, did not ask it. Which file holds the rules is
//! decided as BuildKit does, and between its names and `.containerignore` as buildah does (`ContainerIgnoreFile`).
//!
//! # Not here
//! Where selected files land, and with which owner and mode: `build`. The bytes of a layer: `layer`. Contexts from git, a
//! URL or a tar are sources too, and come with their own room for fetching.
//!
//! # Failure
//! A file that changes while it is hashed is read again, three times, then refused; `Verified` notices a change between
//! hashing and copying. The stat cache is a value: the caller stores it, and a damaged one is an error to start afresh from.
//! Known limit: a store through a memory mapping that was open across builds need not move mtime or ctime.
//!
//! # References
//! BuildKit 0.32: `dockerfile2llb/convert_copy.go`, `cache/contenthash`; `tonistiigi/fsutil` (`filter.go`, `copy/copy.go`);
//! `moby/patternmatcher`; Go's `path/filepath.Match`.

mod beneath;
mod contents;
mod directory;
mod error;
mod hash;
mod ignore;
mod ignore_file;
mod nearest;
mod rules;
mod select;
mod source;
mod stack;
mod stat;
mod stat_cache;

#[cfg(test)]
mod tests;

pub use contents::{Contents, contents};
pub use directory::DirectorySource;
pub use error::{Error, Result};
pub use ignore::{Ignore, Verdict};
pub use ignore_file::read_ignore;
pub use select::{Match, Parents, Role, SelectOptions, Selected, Selection, SourceSelection, not_found, select};
pub use source::{Choice, Chooser, Content, Hidden, Kind, LinkGroup, Meta, Shape, Source, Verified, resolve};
pub use stack::{LayerContents, StackSource};
pub use stat_cache::{Damaged, STAT_CACHE_VERSION, StatCache};
