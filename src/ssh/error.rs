//! Why a file holds no usable key.

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no private key.
    #[error("it is not a private key")]
    NoKey,
    /// It ends too early, or contradicts itself.
    #[error("it is a damaged private key")]
    Damaged,
    /// It is locked.
    #[error("its key is protected by a passphrase")]
    Protected,
    /// Keys like this are not supported.
    #[error("its key is of the type `{kind}`, which is not supported")]
    Unsupported {
        /// The type, as the file has it.
        kind: String,
    },
}

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;
