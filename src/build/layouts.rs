//! Base images in an OCI layout, a folder of this machine.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::catalog::MAX_CONFIG;
use super::error::Problem;
use crate::digest::BlobDigest;
use crate::fsx::{self, At as _};
use crate::image::{Descriptor, Index, LayerBlob, Manifest, SealedConfig, media_type};
use crate::plan::{ImageNeed, LayoutImage};
use crate::platform::Platform;
use crate::store::Store;

/// No index or manifest is longer, in bytes.
const MAX_DOCUMENT: u64 = 8 << 20;
/// Indexes inside indexes.
const MAX_DEPTH: usize = 4;
/// Layers of one image.
const MAX_LAYERS: usize = 10_000;
/// The annotation that holds a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Marks the entries of an index that say something about another entry.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Why an image in a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of the layout cannot be read.
    #[error("cannot read the OCI layout: {0}")]
    File(#[from] fsx::Error),
    /// There is no such tag.
    #[error("the OCI layout `{}` has no image `{tag}`{}", folder.display(), offered(tags))]
    NoTag {
        /// The layout.
        folder: PathBuf,
        /// What was asked for.
        tag: String,
        /// What there is.
        tags: Vec<String>,
    },
    /// There is no image for the platform.
    #[error("the OCI layout `{}` has no image for {platform}", folder.display())]
    NoPlatform {
        /// The layout.
        folder: PathBuf,
        /// What was asked for.
        platform: Platform,
    },
    /// A blob does not hold what its name says.
    #[error("the blob {expected} of the OCI layout `{}` is damaged: it has {found}", folder.display())]
    Damaged {
        /// The layout.
        folder: PathBuf,
        /// Its name.
        expected: BlobDigest,
        /// What its bytes hash to.
        found: BlobDigest,
    },
    /// A document is none of an image.
    #[error("the OCI layout `{}` cannot be used: {problem}", folder.display())]
    Document {
        /// The layout.
        folder: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

fn offered(tags: &[String]) -> String {
    if tags.is_empty() { String::new() } else { format!("; it has {}", tags.join(", ")) }
}

/// The config and layers of an image in a layout, as they are in the store from now on.
pub(super) fn load(
    store: &Store,
    layout: &LayoutImage,
    need: &ImageNeed,
) -> Result<(SealedConfig, Vec<LayerBlob>), Problem> {
    let manifest = manifest(layout, &need.platform)?;
    let bad = |problem| LayoutError::Document { folder: layout.folder.clone(), problem };
    if !matches!(manifest.config.media_type.as_str(), media_type::CONFIG | media_type::DOCKER_CONFIG) {
        return Err(bad("it holds something else than a container image").into());
    }
    let bytes = read_blob(layout, &manifest.config, MAX_CONFIG)?;
    store.put_blob(&bytes)?;
    let config = SealedConfig::from_bytes(bytes)?;
    if config.config().rootfs.diff_ids.len() != manifest.layers.len() || manifest.layers.len() > MAX_LAYERS {
        return Err(bad("the image's config has another number of layers than its manifest").into());
    }
    for layer in &manifest.layers {
        copy_blob(store, layout, layer)?;
    }
    let layers = manifest.layers.into_iter();
    let layers = layers.map(|layer| LayerBlob { digest: layer.digest, size: layer.size, media_type: layer.media_type });
    Ok((config, layers.collect()))
}

fn manifest(layout: &LayoutImage, platform: &Platform) -> Result<Manifest, Problem> {
    let mut wanted = match layout.digest {
        Some(digest) => Descriptor::new("", digest.blob(), 0),
        None => {
            let bytes =
                fsx::read_at_most(&layout.folder.join("index.json"), MAX_DOCUMENT).map_err(LayoutError::from)?;
            top(layout, &Index::parse(&bytes)?)?
        }
    };
    for _depth in 0..=MAX_DEPTH {
        let bytes = read_blob(layout, &wanted, MAX_DOCUMENT)?;
        match Manifest::parse(&bytes) {
            Ok(manifest) => return Ok(manifest),
            Err(error) => match Index::parse(&bytes) {
                Ok(index) => wanted = best(layout, &index, platform)?,
                Err(_neither) => return Err(error.into()),
            },
        }
    }
    Err(LayoutError::Document { folder: layout.folder.clone(), problem: "its indexes are nested too deep" }.into())
}

/// The entry with the tag that was asked for; without one `latest`, or the only one there is.
fn top(layout: &LayoutImage, index: &Index) -> Result<Descriptor, LayoutError> {
    let tag_of = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
    let tag = layout.tag.as_deref().unwrap_or("latest");
    let is_named = |name: &str| name == tag || name.rsplit_once(':').is_some_and(|(_, last)| last == tag);
    let tagged = index.manifests.iter().find(|entry| tag_of(entry).is_some_and(|name| is_named(&name)));
    match (tagged, index.manifests.as_slice()) {
        (Some(entry), _) => Ok(entry.clone()),
        (None, [only]) if layout.tag.is_none() => Ok(only.clone()),
        (None, entries) => {
            let tags =
                entries.iter().filter_map(tag_of).filter(|tag| !tag.contains(char::is_control)).take(20).collect();
            Err(LayoutError::NoTag { folder: layout.folder.clone(), tag: tag.to_owned(), tags })
        }
    }
}

/// The entry of an index that fits the platform best.
fn best(layout: &LayoutImage, index: &Index, platform: &Platform) -> Result<Descriptor, LayoutError> {
    let images = || index.manifests.iter().filter(|entry| !entry.annotations.contains_key(REFERENCE_TYPE));
    let ranked = images().filter_map(|entry| {
        let found = entry.platform.as_ref()?;
        let found = Platform::new(&found.os, &found.architecture, found.variant.as_deref());
        Some((platform.distance(&found)?, entry))
    });
    let nearest = ranked.min_by_key(|(distance, _)| *distance).map(|(_, entry)| entry);
    let found = nearest.or_else(|| images().find(|entry| entry.platform.is_none()));
    let missing = || LayoutError::NoPlatform { folder: layout.folder.clone(), platform: platform.clone() };
    found.cloned().ok_or_else(missing)
}

pub(super) fn open(layout: &LayoutImage, digest: &BlobDigest) -> Result<std::fs::File, LayoutError> {
    let name = PathBuf::from("blobs/sha256").join(digest.hex());
    let file = fsx::open_beneath(&layout.folder, &name)?;
    let metadata = file.metadata().at("stat", &layout.folder.join(&name))?;
    if !metadata.is_file() {
        let source = io::Error::other("it is not a regular file");
        return Err(fsx::Error { action: "read", path: layout.folder.join(name), source }.into());
    }
    Ok(file)
}

/// A small blob, verified.
pub(super) fn read_blob(layout: &LayoutImage, wanted: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
    let file = open(layout, &wanted.digest)?;
    let bytes = fsx::read_open(&file, &blob_path(&layout.folder, &wanted.digest), limit)?;
    let found = BlobDigest::of(&bytes);
    if found != wanted.digest {
        return Err(LayoutError::Damaged { folder: layout.folder.clone(), expected: wanted.digest, found });
    }
    Ok(bytes)
}

fn blob_path(folder: &Path, digest: &BlobDigest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

/// Brings a layer into the store, unless it is there.
pub(super) fn copy_blob(store: &Store, layout: &LayoutImage, layer: &Descriptor) -> Result<(), Problem> {
    if store.blob_size(&layer.digest)? == Some(layer.size) {
        return Ok(());
    }
    let path = blob_path(&layout.folder, &layer.digest);
    // One byte more than told is enough to see that it is not the one.
    let mut file = open(layout, &layer.digest)?.take(layer.size.saturating_add(1));
    let mut writer = store.blob_writer()?;
    io::copy(&mut file, &mut writer).at("copy", &path).map_err(LayoutError::from)?;
    match writer.commit_expecting(&layer.digest) {
        Ok(_) => Ok(()),
        Err(crate::store::Error::Damaged { expected, found }) => {
            Err(LayoutError::Damaged { folder: layout.folder.clone(), expected, found }.into())
        }
        Err(error) => Err(error.into()),
    }
}
