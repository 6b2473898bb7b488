//! Paths inside images and contexts: byte strings that are cleaned on the way in, so no `..` survives to be followed.
//!
//! An `ImagePath` names a place under the root of an image; a `ContextPath` a place under the root of a context. They are
//! never host paths: `in_dir` is where the two meet, lexically. Anything that may cross a symlink inside a root filesystem
//! is resolved elsewhere (`tree::Stack::resolve`, or `fsx::open_beneath`).
//!
//! # Invariants
//! No leading or trailing slash, no empty, `.` or `..` component, no NUL. The root is the empty string. Order is by
//! component, so a folder comes before its content and a subtree is one contiguous range.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Cleans a slash-separated path: `.` and empty components vanish, `..` removes one component and stops at the root.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut cleaned: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = cleaned.iter().rposition(|&b| b == b'/').unwrap_or(0);
                cleaned.truncate(end);
            }
            _ => {
                if !cleaned.is_empty() {
                    cleaned.push(b'/');
                }
                cleaned.extend_from_slice(part);
            }
        }
    }
    cleaned
}

/// Compares paths component by component: as bytes, with the slash before every other byte.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
    match (a.get(common), b.get(common)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        (Some(x), Some(y)) => x.cmp(y),
    }
}

macro_rules! path_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Default)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// The root itself.
            pub fn root() -> Self {
                Self::default()
            }

            /// Cleans `path`; a leading slash means nothing, `..` stops at the root, NUL bytes end the path.
            pub fn new(path: impl AsRef<[u8]>) -> Self {
                let path = path.as_ref();
                let end = path.iter().position(|&b| b == 0).unwrap_or(path.len());
                Self(clean(&path[..end]))
            }

            /// The bytes, without a leading slash; empty for the root.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// Whether this is the root.
            pub fn is_root(&self) -> bool {
                self.0.is_empty()
            }

            /// This path and `relative` below it, cleaned together: `..` in `relative` climbs, and stops at the root.
            pub fn join(&self, relative: impl AsRef<[u8]>) -> Self {
                let mut joined = self.0.clone();
                joined.push(b'/');
                joined.extend_from_slice(relative.as_ref());
                Self::new(joined)
            }

            /// One component below this path. `name` must be a file name: not empty, no slash, not `.` or `..`.
            pub fn child(&self, name: &[u8]) -> Self {
                debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..");
                let mut joined = Vec::with_capacity(self.0.len() + 1 + name.len());
                joined.extend_from_slice(&self.0);
                if !joined.is_empty() {
                    joined.push(b'/');
                }
                joined.extend_from_slice(name);
                Self(joined)
            }

            /// The folder that holds this path; none for the root.
            pub fn parent(&self) -> Option<Self> {
                if self.is_root() {
                    return None;
                }
                let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
                Some(Self(self.0[..end].to_vec()))
            }

            /// The bytes of the folder that holds this path; empty for the root, and for what lies in it.
            pub fn parent_bytes(&self) -> &[u8] {
                let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
                &self.0[..end]
            }

            /// The last component; none for the root.
            pub fn file_name(&self) -> Option<&[u8]> {
                self.0.rsplit(|&b| b == b'/').next().filter(|name| !name.is_empty())
            }

            /// The components, outermost first.
            pub fn components(&self) -> impl Iterator<Item = &[u8]> {
                self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
            }

            /// Every folder above this path from the one below the root down; neither the root nor the path itself.
            pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
                self.0.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| Self(self.0[..at].to_vec()))
            }

            /// Whether this is `other` or lies below it.
            pub fn is_within(&self, other: &Self) -> bool {
                self.strip_prefix(other).is_some()
            }

            /// What remains of this path below `base`: empty if they are equal, none if it does not lie below.
            pub fn strip_prefix(&self, base: &Self) -> Option<&[u8]> {
                if base.is_root() {
                    return Some(&self.0);
                }
                match self.0.strip_prefix(base.0.as_slice())? {
                    [] => Some(&[]),
                    [b'/', rest @ ..] => Some(rest),
                    _ => None,
                }
            }

            /// The host path of this path under `dir`, lexically: symlinks on the way are not looked at.
            pub fn in_dir(&self, dir: &Path) -> PathBuf {
                if self.is_root() { dir.to_path_buf() } else { dir.join(self.as_path()) }
            }

            /// The bytes as a relative host path.
            pub fn as_path(&self) -> &Path {
                Path::new(OsStr::from_bytes(&self.0))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                compare(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.escape_ascii_utf8())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{self}`")
            }
        }
    };
}

path_type!(
    /// A place in an image, shown with a leading slash.
    ImagePath,
    "/"
);
path_type!(
    /// A place in a context, shown without a leading slash.
    ContextPath,
    ""
);

/// Shows bytes from outside on a terminal without letting them steer it.
pub trait Printable {
    /// UTF-8 as it is, except that control characters and bytes that are not UTF-8 are escaped.
    fn escape_ascii_utf8(&self) -> String;
}

impl Printable for [u8] {
    fn escape_ascii_utf8(&self) -> String {
        if self.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return String::from_utf8_lossy(self).into_owned();
        }
        let mut shown = String::with_capacity(self.len());
        for chunk in self.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) {
                    shown.extend(c.escape_default());
                } else {
                    shown.push(c);
                }
            }
            for byte in chunk.invalid() {
                shown.push_str(&format!("\\x{byte:02x}"));
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_dot_stops_at_the_root() {
        for (given, cleaned) in [
            ("/a/../../x", "x"),
            ("a//b/./c/", "a/b/c"),
            ("../../..", ""),
            ("/", ""),
            ("a/..", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(ImagePath::new(given).as_bytes(), cleaned.as_bytes(), "{given}");
        }
        assert_eq!(ImagePath::new("a").join("../../b").to_string(), "/b");
    }

    #[test]
    fn a_subtree_is_contiguous() {
        let mut paths: Vec<_> = ["a.b", "a", "a/z", "a-b", "a/b/c", "b"].map(ContextPath::new).to_vec();
        paths.sort();
        let shown: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a", "a/b/c", "a/z", "a-b", "a.b", "b"]);
    }

    #[test]
    fn prefixes_end_at_components() {
        let base = ImagePath::new("usr/lib");
        assert_eq!(ImagePath::new("usr/lib/x").strip_prefix(&base), Some(&b"x"[..]));
        assert_eq!(ImagePath::new("usr/lib64").strip_prefix(&base), None);
        assert!(base.is_within(&ImagePath::root()));
        let above: Vec<_> = ImagePath::new("a/b/c").ancestors().map(|p| p.to_string()).collect();
        assert_eq!(above, ["/a", "/a/b"]);
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(ContextPath::new(b"a\x1b[31m\xff\xc3\xa9").to_string(), "a\\u{1b}[31m\\xff\u{e9}");
    }
}
