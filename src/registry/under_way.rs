//! The blobs that are on their way, so that images with a layer in common, pulled at the same time, fetch it once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::BlobDigest;

/// A lock for each blob that was ever fetched by this client.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<BTreeMap<BlobDigest, Arc<tokio::sync::Mutex<()>>>>);

impl UnderWay {
    /// Held while the blob is fetched. Whoever waited looks into the store first.
    pub(super) fn lock_of(&self, digest: BlobDigest) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(digest).or_default())
    }
}
