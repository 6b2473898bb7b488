//! Images that lie in files of this machine: brought into a store, to be looked at.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::catalog::{MAX_CONFIG, StoredImage};
use super::error::Problem;
use super::images::{self, BaseImage};
use super::layouts::{self, LayoutError};
use super::step::layer_of;
use crate::cache::Output;
use crate::digest::DiffId;
use crate::fsx::{self, At as _};
use crate::image::SealedConfig;
use crate::layer::{self, Lower, SpooledArchive, Unpack};
use crate::path::ImagePath;
use crate::plan::{ImageNeed, LayoutImage};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Store, TreeDraft};
use crate::tree::{Entry, Kind, Listing, Stack};

/// No document of an archive is longer, in bytes.
const MAX_DOCUMENT: u64 = 8 << 20;

/// A store for images that are only looked at; it goes when this is dropped.
pub struct ScratchStore {
    store: Store,
    draft: TreeDraft,
}

impl ScratchStore {
    /// A store among the temporary files of another one.
    pub fn within(store: &Store) -> Result<Self, Problem> {
        let draft = store.tree_draft()?;
        Ok(Self { store: Store::open(&draft.work().join("store"))?, draft })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Brings the image of an OCI layout: that of the tag, or the only one.
    pub fn add_layout(&self, folder: &Path, tag: Option<&str>) -> Result<StoredImage, Problem> {
        let platform = Platform::host();
        let layout = LayoutImage { folder: folder.to_path_buf(), tag: tag.map(str::to_owned), digest: None };
        let reference = named("layout", folder)?;
        let need = ImageNeed { reference, platform, layout: Some(Box::new(layout)) };
        let lease = self.store.lease()?;
        let nothing = super::Pull::Missing;
        let image = images::stored(&self.store, &lease, &need, nothing)?.ok_or_else(|| not_an_image(folder))?;
        self.listed(&lease, &image)
    }

    /// Brings the image of an archive, as `docker save` or an exporter of OCI layouts writes it; of several the first.
    pub fn add_archive(&self, path: &Path) -> Result<StoredImage, Problem> {
        let spooled = layer::spool_archive(&self.store, &mut fsx::open(path)?)?;
        let stack = Stack::new(vec![spooled.listing().clone()]);
        let archive = Archive { path, spooled: &spooled, stack: &stack };
        match archive.entry("manifest.json") {
            Some(_) => self.add_docker(&archive),
            None => self.add_oci(&archive),
        }
    }

    fn listed(&self, lease: &crate::store::Lease, image: &BaseImage) -> Result<StoredImage, Problem> {
        let rootfs = images::rootfs(&self.store, lease, image, Some(images::LISTING))?.ok_or(Problem::BaseMismatch)?;
        Ok(StoredImage { config: image.config.clone(), layers: rootfs.layers().to_vec() })
    }

    /// Docker's own form: `manifest.json` names the config and the layers by their paths.
    fn add_docker(&self, archive: &Archive<'_>) -> Result<StoredImage, Problem> {
        let manifest: Vec<DockerManifest> = serde_json::from_slice(&archive.document("manifest.json", MAX_DOCUMENT)?)
            .map_err(|_unreadable| archive.bad())?;
        let manifest = manifest.into_iter().next().ok_or_else(|| archive.bad())?;
        let config = SealedConfig::from_bytes(archive.document(&manifest.config, MAX_CONFIG)?)?;
        let diff_ids = config.config().rootfs.diff_ids.clone();
        if diff_ids.len() != manifest.layers.len() {
            return Err(archive.bad());
        }
        let (mut layers, mut listings): (Vec<layer::Layer>, Vec<Arc<Listing>>) = (Vec::new(), Vec::new());
        let mut chain = crate::digest::ChainId::empty();
        for (path, diff_id) in manifest.layers.iter().zip(&diff_ids) {
            chain = chain.push(diff_id);
            let mut writer = self.store.blob_writer()?;
            io::copy(&mut archive.open(path)?, &mut writer).at("copy a layer of", archive.path)?;
            writer.flush().at("copy a layer of", archive.path)?;
            let (digest, _) = writer.commit()?;
            let stack = Stack::new(listings.clone());
            let lower = Lower { layers: &layers, stack: &stack };
            let media = crate::image::media_type::LAYER;
            let layer = layer::import(&self.store, &digest, media, Some(diff_id), lower, &chain, Unpack::ListingOnly)?;
            listings.push(layer::listing(&self.store, layer.tree)?);
            layers.push(layer);
        }
        Ok(StoredImage { config, layers })
    }

    /// An image layout in an archive: its documents are put into a folder, its blobs into the store.
    fn add_oci(&self, archive: &Archive<'_>) -> Result<StoredImage, Problem> {
        let folder = self.draft.work().join("layout");
        fsx::create_dir_all(&folder.join("blobs/sha256"))?;
        for name in ["oci-layout", "index.json"] {
            let bytes = archive.document(name, MAX_DOCUMENT)?;
            std::fs::write(folder.join(name), bytes).at("write", &folder)?;
        }
        for entry in archive.spooled.listing().subtree(&ImagePath::new("blobs/sha256")) {
            let Kind::File { size, digest } = &entry.kind else { continue };
            // Blobs whose names are not their hashes would be refused: they are as good as absent.
            if entry.path.file_name() != Some(digest.hex().as_bytes()) {
                continue;
            }
            let mut content = archive.spooled.open(entry).at("read", archive.path)?;
            if *size <= MAX_DOCUMENT {
                let target = folder.join("blobs/sha256").join(digest.hex());
                let mut file = fsx::create_new(&target)?;
                io::copy(&mut content, &mut file).at("write", &target)?;
            } else {
                let mut writer = self.store.blob_writer()?;
                io::copy(&mut content, &mut writer).at("copy", archive.path)?;
                writer.commit()?;
            }
        }
        self.add_layout(&folder, None)
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    layers: Vec<String>,
}

struct Archive<'a> {
    path: &'a Path,
    spooled: &'a SpooledArchive,
    stack: &'a Stack,
}

impl Archive<'_> {
    /// The file of that name, links followed: archives of older Dockers name one layer several times.
    fn entry(&self, name: &str) -> Option<&Entry> {
        let found = self.stack.resolve(&ImagePath::new(name)).ok()?.found?;
        self.stack.content_of(found).map(|found| found.entry)
    }

    fn open(&self, name: &str) -> Result<std::fs::File, Problem> {
        let entry = self.entry(name).ok_or_else(|| self.bad())?;
        Ok(self.spooled.open(entry).at("read", self.path)?)
    }

    fn document(&self, name: &str, limit: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        self.open(name)?.take(limit + 1).read_to_end(&mut bytes).at("read", self.path)?;
        if bytes.len() as u64 > limit { Err(self.bad()) } else { Ok(bytes) }
    }

    fn bad(&self) -> Problem {
        not_an_image(self.path)
    }
}

fn not_an_image(path: &Path) -> Problem {
    let problem = "it is neither an image archive nor an image layout, or a part of it is missing";
    layouts::LayoutError::Document { folder: path.to_path_buf(), problem }.into()
}

fn named(text: &str, path: &Path) -> Result<Reference, Problem> {
    text.parse::<Reference>()
        .map_err(|_unlikely| LayoutError::Document { folder: path.to_path_buf(), problem: "no name" }.into())
}

/// The listings of an image's layers, bottom first, with the times that the bytes of the layers have.
pub fn listings(store: &Store, image: &StoredImage) -> Result<Vec<Arc<Listing>>, Problem> {
    image.layers.iter().map(|layer| timed(store, layer)).collect()
}

/// The listing of a layer that a step made, with the times that its bytes have.
pub fn layer_listing(store: &Store, diff_id: DiffId) -> Result<Arc<Listing>, Problem> {
    timed(store, &layer_of(&Output { diff_id, size: 0 }))
}

fn timed(store: &Store, layer: &layer::Layer) -> Result<Arc<Listing>, Problem> {
    let listing = layer::listing(store, layer.tree)?;
    let times = layer::record(store, &layer.diff_id)?.and_then(|record| record.times);
    let Some(times) = times else { return Ok(listing) };
    let entries = listing.entries().iter().cloned().map(|mut entry| {
        entry.attributes.mtime = times.apply(entry.attributes.mtime);
        entry
    });
    Ok(Arc::new(Listing::new(entries)))
}

/// Opens a file of a layer that a step made; none if the layer has no file of that name.
pub fn open_layer_file(store: &Store, diff_id: DiffId, path: &ImagePath) -> Result<Option<Box<dyn io::Read>>, Problem> {
    let layer = layer_of(&Output { diff_id, size: 0 });
    let stack = Stack::new(vec![layer::listing(store, layer.tree)?]);
    match stack.lookup(path).and_then(|found| stack.content_of(found)) {
        Some(found) => {
            let path = found.entry.path.clone();
            Ok(layer::open_file(store, &[layer], &stack, &path)?)
        }
        None => Ok(None),
    }
}
