//! What a URL had when it was last fetched.

use serde::{Deserialize, Serialize};

use super::Result;
use super::limits;
use crate::digest::{BlobDigest, Canonical, ContentDigest};
use crate::remote::HttpUrl;
use crate::store::{Bucket, Object, Store};

/// A body that is in the store, and by what the server will know it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) blob: BlobDigest,
    pub(super) size: u64,
    /// `ETag`, as it was sent.
    pub(super) tag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub(super) modified: Option<String>,
}

/// The name of a URL's record: a hash, because a query may hold a secret.
fn name(url: &HttpUrl) -> String {
    let mut canonical = Canonical::new("fetched");
    canonical.text("url", url.without_credentials().as_str());
    canonical.finish::<ContentDigest>().hex()
}

/// What the URL had, if its body is still in the store.
pub(super) fn read(store: &Store, url: &HttpUrl) -> Result<Option<Known>> {
    let Some(bytes) = store.read_record(Bucket::Fetched, &name(url))?.filter(|bytes| bytes.len() <= limits::RECORD)
    else {
        return Ok(None);
    };
    // A record that cannot be read is as good as none.
    let Ok(known) = serde_json::from_slice::<Known>(&bytes) else { return Ok(None) };
    let is_there = store.blob_size(&known.blob)? == Some(known.size);
    Ok(is_there.then_some(known))
}

/// Remembers what the URL has.
pub(super) fn write(store: &Store, url: &HttpUrl, known: &Known) -> Result<()> {
    if read(store, url)?.as_ref() == Some(known) {
        return Ok(());
    }
    let bytes = serde_json::to_vec(known).expect("strings and numbers are JSON");
    Ok(store.write_record(Bucket::Fetched, &name(url), &bytes)?)
}

/// The records of URLs with the blobs that they name.
pub fn remembered(store: &Store) -> Result<Vec<(Object, Object)>> {
    let mut found = Vec::new();
    for name in store.record_names(Bucket::Fetched)? {
        let Some(bytes) = store.read_record(Bucket::Fetched, &name)? else { continue };
        if let Ok(known) = serde_json::from_slice::<Known>(&bytes) {
            found.push((Object::Record(Bucket::Fetched, name), Object::Blob(known.blob)));
        }
    }
    Ok(found)
}
