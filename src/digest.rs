//! Names bytes by their SHA-256: one newtype for each thing that is named, and none converts into another.
//!
//! A blob digest is the hash of stored bytes; a diff id the hash of a layer's plain tar; a chain id the hash of a stack of
//! diff ids; a config digest is what Docker calls the image id. Mixing two of them up is the classic bug of this field, so
//! the compiler refuses it.
//!
//! # Invariants
//! A digest in memory is well formed: parsing is the only way in from text, and accepts `sha256:` and 64 lower-case
//! hexadecimal digits and nothing else. `Canonical` writes a tag and a length before every value, so two different
//! sequences of fields never give the same bytes.
//!
//! # References
//! image-spec `descriptor.md` (digests), `config.md` (diff id and chain id).

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest as _;

/// Text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct ParseError {
    /// The text as given, cut to 100 characters.
    pub text: String,
}

/// A SHA-256 value that is being given its type.
pub trait Sha256Name: Sized {
    /// Wraps the 32 bytes of a finished hash.
    fn from_sha256(bytes: [u8; 32]) -> Self;
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The 64 hexadecimal digits, without the algorithm.
            pub fn hex(&self) -> String {
                hex(&self.0)
            }

            /// The first 12 digits: enough for a person.
            pub fn short(&self) -> String {
                hex(&self.0[..6])
            }

            /// The raw 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Hashes `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(sha2::Sha256::digest(bytes).into())
            }
        }

        impl Sha256Name for $name {
            fn from_sha256(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type!(
    /// The hash of a blob's bytes as they are stored or sent.
    BlobDigest
);
digest_type!(
    /// The hash of a layer's plain tar.
    DiffId
);
digest_type!(
    /// The name of a stack of layers: the content of a root filesystem.
    ChainId
);
digest_type!(
    /// The hash of a manifest or index document.
    ManifestDigest
);
digest_type!(
    /// The hash of an image config: the image's identity, Docker's image id.
    ConfigDigest
);
digest_type!(
    /// The name of a step together with everything that decides its result.
    CacheKey
);
digest_type!(
    /// The hash of one file's content.
    ContentDigest
);

impl DiffId {
    /// The layer that changes nothing: a tar that is only its end, two blocks of zeros.
    pub const EMPTY: Self = Self([
        0x5f, 0x70, 0xbf, 0x18, 0xa0, 0x86, 0x00, 0x70, 0x16, 0xe9, 0x48, 0xb0, 0x4a, 0xed, 0x3b, 0x82, 0x10, 0x3a,
        0x36, 0xbe, 0xa4, 0x17, 0x55, 0xb6, 0xcd, 0xdf, 0xaf, 0x10, 0xac, 0xe3, 0xc6, 0xef,
    ]);

    /// The blob that is this layer's plain tar: the same bytes, hence the same hash.
    pub fn plain_blob(&self) -> BlobDigest {
        BlobDigest(self.0)
    }

    /// The diff id of a blob that is known to be a plain layer tar.
    pub fn from_plain_blob(blob: BlobDigest) -> Self {
        Self(blob.0)
    }
}

impl ConfigDigest {
    /// The blob that holds this config.
    pub fn blob(&self) -> BlobDigest {
        BlobDigest(self.0)
    }

    /// Names the config that the blob holds.
    pub fn from_blob(blob: BlobDigest) -> Self {
        Self(blob.0)
    }
}

impl ManifestDigest {
    /// The blob that holds this manifest.
    pub fn blob(&self) -> BlobDigest {
        BlobDigest(self.0)
    }

    /// Names the manifest that the blob holds.
    pub fn from_blob(blob: BlobDigest) -> Self {
        Self(blob.0)
    }
}

impl ChainId {
    /// The chain of no layers: the empty root filesystem of `FROM scratch`.
    pub fn empty() -> Self {
        Self([0; 32])
    }

    /// The chain with one more layer on top.
    pub fn push(&self, layer: &DiffId) -> Self {
        if *self == Self::empty() {
            return Self(layer.0);
        }
        Self::of(format!("{self} {layer}").as_bytes())
    }

    /// The chain of `layers`, bottom first.
    pub fn of_layers<'a>(layers: impl IntoIterator<Item = &'a DiffId>) -> Self {
        layers.into_iter().fold(Self::empty(), |chain, layer| chain.push(layer))
    }
}

/// A running SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Starts an empty hash.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends the hash and gives it its type.
    pub fn finish<D: Sha256Name>(self) -> D {
        D::from_sha256(self.0.finalize().into())
    }
}

/// A writer that hashes and counts what passes through it.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: io::Write> HashingWriter<W> {
    /// Wraps `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(), written: 0 }
    }

    /// The inner writer, the digest of everything written, and its length in bytes.
    pub fn finish<D: Sha256Name>(self) -> (W, D, u64) {
        (self.inner, self.hasher.finish(), self.written)
    }
}

impl<W: io::Write> io::Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that hashes and counts what passes through it.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    read: u64,
}

impl<R: io::Read> HashingReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), read: 0 }
    }

    /// The inner reader, the digest of everything read, and its length in bytes.
    pub fn finish<D: Sha256Name>(self) -> (R, D, u64) {
        (self.inner, self.hasher.finish(), self.read)
    }
}

impl<R: io::Read> io::Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;
        Ok(count)
    }
}

/// Hashes typed fields without ambiguity: each is its tag, its length and its bytes.
pub struct Canonical {
    hasher: Hasher,
    /// What comes next: many short pieces are hashed in one go.
    pending: Vec<u8>,
}

/// So many bytes are gathered before they are hashed.
const GATHERED: usize = 4096;

impl Canonical {
    /// Starts a hash in a domain of its own, for example `"run-key/1"`.
    pub fn new(domain: &str) -> Self {
        let mut canonical = Self { hasher: Hasher::new(), pending: Vec::with_capacity(256) };
        canonical.bytes("domain", domain.as_bytes());
        canonical
    }

    /// Adds a byte string.
    pub fn bytes(&mut self, tag: &str, value: &[u8]) {
        self.pending.extend_from_slice(&(tag.len() as u64).to_le_bytes());
        self.pending.extend_from_slice(tag.as_bytes());
        self.pending.extend_from_slice(&(value.len() as u64).to_le_bytes());
        if value.len() < GATHERED {
            self.pending.extend_from_slice(value);
        }
        if self.pending.len() >= GATHERED || value.len() >= GATHERED {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
        if value.len() >= GATHERED {
            self.hasher.update(value);
        }
    }

    /// Adds text.
    pub fn text(&mut self, tag: &str, value: &str) {
        self.bytes(tag, value.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, tag: &str, value: u64) {
        self.bytes(tag, &value.to_le_bytes());
    }

    /// Ends the hash.
    pub fn finish<D: Sha256Name>(mut self) -> D {
        self.hasher.update(&self.pending);
        self.hasher.finish()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn parse(text: &str) -> Result<[u8; 32], ParseError> {
    let bad = || ParseError { text: text.chars().take(100).collect() };
    let digits = text.strip_prefix("sha256:").ok_or_else(bad)?.as_bytes();
    if digits.len() != 64 {
        return Err(bad());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = nibble(pair[0]).ok_or_else(bad)?;
        let low = nibble(pair[1]).ok_or_else(bad)?;
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_layer_is_two_blocks_of_zeros() {
        assert_eq!(DiffId::EMPTY.plain_blob(), BlobDigest::of(&[0; 1024]));
    }

    #[test]
    fn only_lower_case_sha256_is_a_digest() {
        let good = BlobDigest::of(b"x").to_string();
        assert_eq!(good.parse::<BlobDigest>().map(|d| d.to_string()), Ok(good.clone()));
        for bad in ["", "sha256:", "md5:00", "sha256:../../etc", &good.to_uppercase(), &good[..70], &format!("{good}0")]
        {
            assert!(bad.parse::<BlobDigest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn chain_of_one_layer_is_that_layer() {
        let a = DiffId::of(b"a");
        let b = DiffId::of(b"b");
        assert_eq!(ChainId::of_layers([&a]).hex(), a.hex());
        let two = ChainId::of_layers([&a, &b]);
        assert_eq!(two, ChainId::of(format!("{a} {b}").as_bytes()));
    }

    #[test]
    fn fields_that_differ_only_in_their_borders_differ() {
        let key = |fields: &[(&str, &str)]| {
            let mut canonical = Canonical::new("t");
            for (tag, value) in fields {
                canonical.text(tag, value);
            }
            canonical.finish::<CacheKey>()
        };
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_ne!(key(&[("a", "b"), ("a", "c")]), key(&[("a", "bac")]));
    }
}
