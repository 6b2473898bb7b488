//! What the tests of exports stand on.

use std::io::Write as _;
use std::path::Path;

use crate::digest::{BlobDigest, DiffId};
use crate::export::{NamedImage, write_archive};
use crate::image::{ImageConfig, LayerBlob, SealedImage, media_type};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;

/// A temporary folder with a store and room for outputs.
pub(super) struct Bench {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("store")).expect("a store");
        std::fs::create_dir(folder.path().join("out")).expect("a folder for outputs");
        Self { folder, store }
    }

    pub fn out(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// An image with a gzip layer for each text, holding one file of that content.
    pub fn image(&self, texts: &[&str]) -> SealedImage {
        let mut config = ImageConfig::scratch(&Platform::new("linux", "amd64", None));
        let mut blobs = Vec::new();
        for text in texts {
            let plain = layer_tar(text.as_bytes());
            config.rootfs.diff_ids.push(DiffId::of(&plain));
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&plain).expect("memory takes everything");
            let bytes = gzip.finish().expect("memory takes everything");
            let digest = self.store.put_blob(&bytes).expect("stored");
            blobs.push(LayerBlob { digest, size: bytes.len() as u64, media_type: media_type::LAYER_GZIP.into() });
        }
        config.seal().expect("seal").seal(blobs).expect("seal")
    }

    /// Breaks a blob without changing its length.
    pub fn damage(&self, digest: &BlobDigest) {
        let hex = digest.hex();
        let path = self.store.root().join("blobs").join(&hex[..2]).join(&hex);
        let mut bytes = std::fs::read(&path).expect("the blob");
        *bytes.last_mut().expect("a blob has bytes") ^= 1;
        std::fs::write(&path, bytes).expect("the blob can be written");
    }

    pub fn archive(&self, image: &SealedImage, names: &[Reference]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_archive(&self.store, &[NamedImage { image, names }], &mut bytes).expect("an archive");
        bytes
    }
}

fn layer_tar(content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "file", content).expect("memory takes everything");
    builder.into_inner().expect("memory takes everything")
}

pub(super) fn names(texts: &[&str]) -> Vec<Reference> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

#[track_caller]
pub(super) fn check_skopeo(arguments: &[&str]) -> String {
    let output = std::process::Command::new("skopeo").args(arguments).output().expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

pub(super) fn show(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
