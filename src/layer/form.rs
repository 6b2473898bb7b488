//! The form in which a new layer is kept.

use std::io::{self, Write};

use super::compress::Compressing;
use super::record::{Blob, StoredBlob};
use super::{Compression, Result, TarWriter, TimePolicy};
use crate::digest::{BlobDigest, DiffId, HashingWriter};
use crate::store::Store;

/// The form in which a new layer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For steps that look into it: a plain tar, or a tree.
    #[default]
    Working,
    /// It leaves the store so compressed, and no step of this build looks into it: it is compressed while it is made, and
    /// then kept so, beside the tree if it has one. Bytes and names are as if it were compressed later.
    Leaving(Compression),
}

/// Whether a plain tar is what a layer is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Kept,
    /// There is a tree.
    Dropped,
}

/// What came of a tar.
pub(super) struct Written {
    pub(super) diff_id: DiffId,
    pub(super) size: u64,
    /// The blob it was written to.
    pub(super) blob: Option<StoredBlob>,
}

/// Has `fill` write a tar, and stores it in that form.
pub(super) fn write_tar(
    store: &Store,
    (form, plain): (Form, Plain),
    policy: TimePolicy,
    fill: impl FnOnce(&mut TarWriter<&mut dyn Write>) -> Result<()>,
) -> Result<Written> {
    match form {
        Form::Leaving(compression) if compression.has_parts() => {
            compressing(store, compression, |out| into(out, policy, fill))
        }
        Form::Working | Form::Leaving(_) => match plain {
            Plain::Kept => {
                let mut blob = store.blob_writer()?;
                into(&mut blob, policy, fill)?;
                let (digest, size) = blob.commit()?;
                let blob = Some(stored(digest, size, Compression::None));
                Ok(Written { diff_id: DiffId::from_plain_blob(digest), size, blob })
            }
            Plain::Dropped => {
                let mut hashing = HashingWriter::new(io::sink());
                into(&mut hashing, policy, fill)?;
                let (_, diff_id, size) = hashing.finish();
                Ok(Written { diff_id, size, blob: None })
            }
        },
    }
}

fn into(
    out: &mut dyn Write,
    policy: TimePolicy,
    fill: impl FnOnce(&mut TarWriter<&mut dyn Write>) -> Result<()>,
) -> Result<()> {
    let mut writer = TarWriter::new(out, policy);
    fill(&mut writer)?;
    writer.finish().map(|_| ())
}

fn compressing(
    store: &Store,
    compression: Compression,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<Written> {
    std::thread::scope(|scope| {
        let mut out = HashingWriter::new(Compressing::start(scope, compression, store.blob_writer()?));
        fill(&mut out)?;
        let (compressing, diff_id, size) = out.finish();
        let (digest, length) = compressing.finish()?.commit()?;
        Ok(Written { diff_id, size, blob: Some(stored(digest, length, compression)) })
    })
}

fn stored(digest: BlobDigest, size: u64, made: Compression) -> StoredBlob {
    StoredBlob { blob: Blob { digest, size, media_type: made.media_type().to_owned() }, made: Some(made) }
}
