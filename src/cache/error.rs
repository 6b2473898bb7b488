//! What can go wrong with cache records.

use crate::store;

/// A failed cache operation. A damaged record is none: it is a miss.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A record could not be put into JSON.
    #[error("cannot write the cache record of {key}: {source}")]
    Write {
        /// Whose.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// The result of a cache operation.
pub type Result<T> = std::result::Result<T, Error>;
