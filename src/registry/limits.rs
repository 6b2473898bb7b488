//! The largest of everything that a registry may send or a file may hold.

/// A manifest document, in bytes (the least that the distribution specification asks registries to take).
pub(super) const MANIFEST: u64 = 4 << 20;
/// An index document, in bytes.
pub(super) const INDEX: u64 = 8 << 20;
/// An image config, in bytes.
pub(super) const CONFIG: u64 = 8 << 20;
/// The body of an error answer, in bytes; what is beyond is not read.
pub(super) const ERROR_BODY: u64 = 64 << 10;
/// A token server's answer, in bytes.
pub(super) const TOKEN: u64 = 64 << 10;
/// A file with credentials, in bytes.
pub(super) const CREDENTIALS_FILE: u64 = 8 << 20;
/// What a credential helper may print, in bytes.
pub(super) const HELPER_OUTPUT: usize = 1 << 20;
/// A `WWW-Authenticate` header, in bytes.
pub(super) const CHALLENGE: usize = 16 << 10;
/// Redirects followed for one request.
pub(super) const REDIRECTS: usize = 10;
/// Indexes inside indexes.
pub(super) const INDEX_DEPTH: usize = 4;
/// Entries of one index.
pub(super) const INDEX_ENTRIES: usize = 10_000;
/// Layers of one image.
pub(super) const LAYERS: usize = 10_000;
/// Characters of a registry's own words that are shown.
pub(super) const SAID: usize = 300;
/// Transfers under way at once; `pull` and `push` join this many workers.
pub(super) const PARALLEL: usize = 4;
/// Times that one blob may be picked up again after bytes have arrived.
pub(super) const RESUMES: u32 = 200;
