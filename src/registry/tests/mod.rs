//! The room's tests: parsers on text, and whole pulls and pushes against servers on this machine.

mod fake;
mod faults;
mod helpers;
mod origins;
mod parsers;
mod pushes;
mod real;
mod tls;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Client, Options, Progress, PulledImage, Registries, Result, Timing};
use crate::digest::{BlobDigest, DiffId};
use crate::image::{ImageConfig, LayerBlob, SealedImage, media_type};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;

/// A store that is gone with the test.
struct Place {
    store: Store,
    _folder: tempfile::TempDir,
}

/// What a transfer reported.
#[derive(Default)]
struct Recorder {
    bytes: AtomicU64,
    done: Mutex<Vec<BlobDigest>>,
    cancel: AtomicBool,
}

impl Progress for Recorder {
    fn bytes(&self, _digest: &BlobDigest, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    fn blob_done(&self, digest: &BlobDigest) {
        self.done.lock().expect("lock").push(*digest);
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Place { store: Store::open(&folder.path().join("store")).expect("a store"), _folder: folder }
}

/// Short times, so that a test of a fault ends soon.
fn quick() -> Options {
    let ms = Duration::from_millis;
    let timing = Timing {
        connect: ms(5000),
        idle: ms(5000),
        finish: ms(10_000),
        total: ms(30_000),
        helper: ms(1500),
        pause: ms(2),
        longest_pause: ms(8),
        longest_asked: ms(20),
        ..Timing::default()
    };
    Options { timing, ..Options::default() }
}

fn linux() -> Platform {
    Platform::new("linux", "amd64", None)
}

fn reference(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// Bytes that differ from seed to seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(step).collect()
}

/// Stores layers with these contents and seals an image over them.
fn image(store: &Store, layers: &[Vec<u8>]) -> SealedImage {
    let mut config = ImageConfig::scratch(&linux());
    let mut blobs = Vec::new();
    for layer in layers {
        config.rootfs.diff_ids.push(DiffId::of(layer));
        let digest = store.put_blob(layer).expect("stored");
        blobs.push(LayerBlob { digest, size: layer.len() as u64, media_type: media_type::LAYER.to_owned() });
    }
    config.seal().expect("sealed").seal(blobs).expect("sealed")
}

fn pull(options: Options, store: &Store, name: &str) -> Result<PulledImage> {
    Client::new(options).pull(store, &reference(name), &linux(), &super::Silent)
}

/// The image is in the store, byte for byte.
#[track_caller]
fn check_pulled(store: &Store, pulled: &PulledImage, image: &SealedImage) {
    assert_eq!(pulled.manifest, image.digest());
    assert_eq!(pulled.config.bytes(), image.config().bytes());
    assert_eq!(pulled.layers, image.layers());
    assert_eq!(store.read_blob(&image.digest().blob(), 1 << 20).expect("manifest"), image.manifest());
    assert_eq!(store.read_blob(&image.config().digest().blob(), 1 << 20).expect("config"), image.config().bytes());
    for layer in image.layers() {
        assert_eq!(store.read_blob(&layer.digest, 1 << 30).expect("layer").len() as u64, layer.size);
    }
}

fn registries(text: &str) -> Registries {
    Registries::parse(&[("registries.conf".into(), text.as_bytes().to_vec())]).expect("a registries.conf")
}
