//! How much a layer or an archive may ask for before it is refused. Every limit has a name here and nowhere else.

/// Entries of one layer, folders that only follow from other entries included.
pub const MAX_ENTRIES: u64 = 2_000_000;

/// Bytes of one path, in an archive and in an image.
pub const MAX_PATH: u64 = 64 << 10;

/// Components of one path: each of them costs an entry.
pub const MAX_DEPTH: u64 = 2048;

/// Bytes of one component; Linux allows no more.
pub const MAX_NAME: u64 = 255;

/// Bytes that a symbolic link may hold; Linux allows no more.
pub const MAX_SYMLINK: u64 = 4095;

/// Symbolic links followed in one path; Linux follows no more.
pub const MAX_SYMLINKS: u64 = 40;

/// Bytes of the paths looked at while names that lead through symbolic links, or to new folders, are followed.
pub const MAX_WALK: u64 = 256 << 20;

/// Bytes of one extended attribute; Linux allows no more.
pub const MAX_XATTR: u64 = 64 << 10;

/// Bytes of one PAX header.
pub const MAX_PAX: u64 = 1 << 20;

/// Bytes of one layer's plain tar, and of everything an archive unpacks to. Absolute, not a ratio: zeros are legal.
pub const MAX_LAYER_SIZE: u64 = 256 << 30;

/// Bytes that a layer's listing may take in memory and in the store.
pub const MAX_LISTING: u64 = 200 << 20;

/// The largest zstd window, as a power of two: 128 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory that an xz stream may ask for, in KiB: 128 MiB.
pub const XZ_MEMORY_KIB: u32 = 128 << 10;
