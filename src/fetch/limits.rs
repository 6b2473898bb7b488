//! The largest of everything that a server may send. Every limit has a name here and nowhere else.

use std::time::Duration;

/// The body of a URL, in bytes.
pub const BODY: u64 = 64 << 30;
/// Redirects followed for one download.
pub const REDIRECTS: usize = 10;
/// Tries of one download, as long as no byte of its body has come.
pub const TRIES: u32 = 3;
/// A transfer that brings less than `SLOWEST` bytes within this time is given up.
pub const SLOW_WINDOW: Duration = Duration::from_secs(60);
/// See `SLOW_WINDOW`.
pub const SLOWEST: u64 = 16 << 10;
/// The tag that a server gives a body, in bytes; a longer one is not remembered.
pub const ETAG: usize = 1 << 10;
/// The record of a URL, in bytes.
pub const RECORD: usize = 64 << 10;
/// What git may print, in bytes: the list of a large repository's refs.
pub const GIT_OUTPUT: u64 = 64 << 20;
/// Characters of git's own words that are shown.
pub const SAID: usize = 600;
