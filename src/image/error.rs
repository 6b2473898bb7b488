//! What can be wrong with an image's documents.

/// A document that cannot be read or sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not of this kind.
    #[error("the {document} cannot be read: {source}")]
    Json {
        /// For example `image config`.
        document: &'static str,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The numbers of layers differ.
    #[error("the image config names {diff_ids} layers, but {blobs} blobs are given")]
    LayerCount {
        /// In the config.
        diff_ids: usize,
        /// Given.
        blobs: usize,
    },
    /// History and layers contradict each other.
    #[error("the image's history tells of {history} layers, but it has {diff_ids}")]
    History {
        /// Entries that are not marked empty.
        history: usize,
        /// Layers in `rootfs`.
        diff_ids: usize,
    },
    /// A value that would break whatever reads the image later.
    #[error("the image config's {field} holds a NUL byte")]
    Nul {
        /// The field's name.
        field: &'static str,
    },
}

/// The result of reading or sealing a document.
pub type Result<T> = std::result::Result<T, Error>;
