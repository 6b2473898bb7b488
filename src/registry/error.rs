//! What can go wrong between this program and a registry.

use std::io;
use std::path::PathBuf;

use crate::digest::BlobDigest;
use crate::image;
use crate::store;

/// A failed registry operation.
///
/// References and hosts are kept as text: they are shown, never used again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what the message of its variant says of it")]
pub enum Error {
    /// `registries.conf` forbids it.
    #[error("`{reference}` is blocked by `registries.conf`")]
    Blocked { reference: String },
    /// The registry does not know the name or the tag.
    #[error("image not found: `{registry}` has no `{reference}`; check the name and the tag")]
    NotFound { reference: String, registry: String },
    /// The registry knows us and says no, or asks for credentials that we do not have.
    #[error("`{registry}` denied access to `{reference}`: {said}\nhint: {hint}")]
    Denied { reference: String, registry: String, said: String, hint: String },
    /// No connection.
    #[error("cannot connect to `{host}`: {problem}")]
    Unreachable { host: String, problem: String },
    /// No address.
    #[error("cannot find the address of `{host}`: check the name, the network and DNS")]
    UnknownHost { host: String },
    /// No TLS.
    #[error("cannot speak TLS with `{host}`: {problem}")]
    Tls { host: String, problem: String },
    /// Something else than TLS.
    #[error("`{host}` does not speak TLS; if plain http is right, set `insecure = true` for it in `registries.conf`")]
    NoTls { host: String },
    /// Silence.
    #[error("`{host}` did not answer for {seconds} s while {action}")]
    Timeout { host: String, seconds: u64, action: &'static str },
    /// The connection broke.
    #[error("the connection to `{host}` broke while {action}: {problem}")]
    Broken { host: String, action: &'static str, problem: String },
    /// Too many requests, also after waiting.
    #[error("`{host}` limits the rate of requests: {said}\nhint: wait, or log in for a higher limit")]
    RateLimited { host: String, said: String },
    /// An answer that is an error.
    #[error("`{host}` answered {status} while {action}: {said}")]
    Status { host: String, status: u16, action: &'static str, said: String },
    /// An answer that the protocol does not know.
    #[error("`{host}` gave an answer that makes no sense while {action}: {problem}")]
    Answer { host: String, action: &'static str, problem: String },
    /// A redirect, or a place for an upload, that is not followed.
    #[error("`{host}` redirects to `{target}`, which is refused: {problem}")]
    Redirect { host: String, target: String, problem: &'static str },
    /// A token server that is not asked.
    #[error("`{host}` names the token server `{realm}`, which is refused: {problem}")]
    Realm { host: String, realm: String, problem: &'static str },
    /// The bytes are not those of the digest.
    #[error("`{host}` sent a wrong {what}: expected {expected}, got {found}")]
    WrongDigest { host: String, what: &'static str, expected: BlobDigest, found: BlobDigest },
    /// The bytes are not as many as the descriptor says.
    #[error("`{host}` sent a {what} of the wrong size: {digest} should have {expected} bytes, not {found}")]
    WrongSize { host: String, what: &'static str, digest: BlobDigest, expected: u64, found: u64 },
    /// More than a limit allows.
    #[error("the {what} from `{host}` is larger than the limit of {limit} bytes")]
    TooLarge { host: String, what: &'static str, limit: u64 },
    /// Docker's manifests from before 2017.
    #[error(
        "`{reference}` has a manifest of Docker's old schema 1, which is not supported\nhint: pull it with an old Docker and push it again"
    )]
    Schema1 { reference: String },
    /// A chart, a signature or something else.
    #[error("`{reference}` is not a container image: its {part} is of type `{media_type}`")]
    NotAnImage { reference: String, part: &'static str, media_type: String },
    /// Two statements about one document.
    #[error("the manifest of `{reference}` is of type `{inside}`, but was sent as `{sent}`")]
    Ambiguous { reference: String, inside: String, sent: String },
    /// Nothing for us in the index.
    #[error("`{reference}` has no image for {platform}; it has {available}")]
    NoPlatform { reference: String, platform: String, available: String },
    /// An index that is too deep, or a document with too many entries.
    #[error("the {what} of `{reference}` has more than {limit} {unit}")]
    TooMany { reference: String, what: &'static str, limit: usize, unit: &'static str },
    /// A document that cannot be read.
    #[error("`{reference}` cannot be used: {source}")]
    Document { reference: String, source: image::Error },
    /// Config and manifest contradict each other.
    #[error("`{reference}` cannot be used: its config names {diff_ids} layers, its manifest {layers}")]
    LayerCount { reference: String, diff_ids: usize, layers: usize },
    /// A file with credentials that cannot be read.
    #[error("cannot read the credentials in `{}`: {problem}", path.display())]
    Credentials { path: PathBuf, problem: String },
    /// A credential helper failed.
    #[error("the credential helper `{program}` failed: {problem}")]
    Helper { program: String, problem: String },
    /// A registries.conf that cannot be read.
    #[error("`{}`, line {line}: {problem}", path.display())]
    RegistriesFile { path: PathBuf, line: usize, problem: String },
    /// A mirror in registries.conf makes a name that is none.
    #[error("`registries.conf` turns `{reference}` into a name that is none: {source}")]
    Rewrite { reference: String, source: crate::reference::ParseError },
    /// The last of several endpoints failed too.
    #[error("{source}\nbefore that: {trail}")]
    AfterMirrors { trail: String, source: Box<Error> },
    /// A digest cannot be pushed to.
    #[error("cannot push to `{reference}`: it has no tag")]
    NoTag { reference: String },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The caller wanted no more.
    #[error("interrupted")]
    Cancelled,
    /// Threads or the HTTP library cannot be set up.
    #[error("cannot start the network threads: {source}")]
    Start { source: io::Error },
    /// The HTTP library cannot be set up.
    #[error("cannot set up HTTP: {problem}")]
    Http { problem: String },
}

/// The result of a registry operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the registry has nothing of that name, as far as it tells.
    pub fn is_absent(&self) -> bool {
        match self {
            Error::NotFound { .. } => true,
            Error::AfterMirrors { source, .. } => source.is_absent(),
            _ => false,
        }
    }

    /// Whether another endpoint of the same reference may do better.
    pub(super) fn is_of_endpoint(&self) -> bool {
        !matches!(
            self,
            Error::Store(_) | Error::Cancelled | Error::Start { .. } | Error::Http { .. } | Error::Credentials { .. }
        )
    }
}
