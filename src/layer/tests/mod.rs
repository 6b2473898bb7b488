//! Rules of the room, by what they are about.

mod archives;
mod fidelity;
mod forms;
mod hostile;
mod links;
mod parallel;
mod uppers;
mod writing;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::*;
use crate::digest::{ChainId, ContentDigest};
use crate::path::ImagePath;
use crate::store::Store;
use crate::tree::{Attributes, Entry, Kind, Listing, Stack, Timestamp};

/// A store in a folder of its own.
struct Place {
    store: Store,
    _folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("store")).expect("a store");
    Place { store, _folder: folder }
}

impl Place {
    /// What is being made in the store: a process keeps a folder in `tmp/` that is empty between two makings.
    fn unfinished(&self) -> usize {
        let list =
            |path: &std::path::Path| std::fs::read_dir(path).expect("a folder").map(|e| e.expect("an entry").path());
        let own = list(&self.store.root().join("tmp")).filter(|path| path.is_dir());
        own.map(|folder| list(&folder).count()).sum()
    }
}

/// These tests make devices and change owners.
fn require_root() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root: it makes devices and changes owners");
}

fn at(secs: i64) -> Attributes {
    Attributes { mtime: Timestamp::from_secs(secs), ..Attributes::of_root(0o644) }
}

fn dir(path: &str) -> (Entry, Content) {
    (Entry::directory(ImagePath::new(path), Attributes { mode: 0o755, ..at(1_700_000_000) }), Content::None)
}

fn file(path: &str, text: &str) -> (Entry, Content) {
    let kind = Kind::File { size: text.len() as u64, digest: ContentDigest::of(text.as_bytes()) };
    (Entry { path: ImagePath::new(path), kind, attributes: at(1_700_000_001) }, Content::Bytes(text.into()))
}

fn other(path: &str, kind: Kind) -> (Entry, Content) {
    (Entry { path: ImagePath::new(path), kind, attributes: at(1_700_000_002) }, Content::None)
}

fn hardlink(path: &str, target: &str) -> (Entry, Content) {
    other(path, Kind::Hardlink { target: ImagePath::new(target) })
}

fn symlink(path: &str, target: &str) -> (Entry, Content) {
    other(path, Kind::Symlink { target: target.into() })
}

/// A member of a tar made by hand.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    flag: u8,
    link: Vec<u8>,
    data: Vec<u8>,
    mode: u64,
    device: (u32, u32),
    pax: Vec<(String, Vec<u8>)>,
}

fn raw(flag: u8, name: &str) -> Raw {
    let (name, link) = name.split_once(" -> ").unwrap_or((name, ""));
    let mode = if flag == b'5' { 0o755 } else { 0o644 };
    Raw { name: name.into(), flag, link: link.into(), data: Vec::new(), mode, device: (0, 0), pax: Vec::new() }
}

fn raw_file(name: &str, text: &str) -> Raw {
    Raw { data: text.into(), ..raw(b'0', name) }
}

fn block(name: &[u8], flag: u8, link: &[u8], size: u64, mode: u64, device: (u32, u32)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_size(size);
    header.set_mode(u32::try_from(mode).expect("a mode"));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header.set_device_major(device.0).expect("ustar has devices");
    header.set_device_minor(device.1).expect("ustar has devices");
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().div_ceil(512) * 512, 0);
    padded
}

fn record_line(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..10).map(|digits| rest + digits).find(|n| n - rest == n.to_string().len()).expect("a length");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// A tar of members, written with code that is not the crate's.
fn raw_tar(members: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    for Raw { name, flag, link, data, mode, device, pax } in members {
        if !pax.is_empty() {
            let body: Vec<u8> = pax.iter().flat_map(|(key, value)| record_line(key, value)).collect();
            out.extend(block(b"pax", b'x', b"", body.len() as u64, 0o644, (0, 0)));
            out.extend(padded(&body));
        }
        out.extend(block(name, *flag, link, data.len() as u64, *mode, *device));
        out.extend(padded(data));
    }
    out.extend([0; 1024]);
    out
}

const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// Layers put one over the other.
#[derive(Default)]
struct Pile {
    layers: Vec<Layer>,
    stack: Stack,
    chain: Option<ChainId>,
}

impl Pile {
    fn lower(&self) -> Lower<'_> {
        Lower { layers: &self.layers, stack: &self.stack }
    }

    /// Imports `bytes`, unpacked, on top.
    fn import(&mut self, store: &Store, bytes: &[u8], unpack: Unpack) -> Result<Arc<Listing>> {
        let blob = store.put_blob(bytes).expect("a blob");
        // The chain is only a name here: any that differs for each layer will do.
        let chain = ChainId::of(format!("{:?} {blob}", self.chain).as_bytes());
        let layer = import(store, &blob, PLAIN, None, self.lower(), &chain, unpack)?;
        let listing = listing(store, layer.tree)?;
        self.chain = Some(chain);
        self.stack = self.stack.pushed(listing.clone());
        self.layers.push(layer);
        Ok(listing)
    }
}

fn import_one(members: &[Raw]) -> Result<Arc<Listing>> {
    let place = place();
    Pile::default().import(&place.store, &raw_tar(members), Unpack::Tree)
}

/// A line an entry: kind, mode, path, and what the kind has.
fn lines(listing: &Listing) -> Vec<String> {
    listing.entries().iter().map(line).collect()
}

fn line(entry: &Entry) -> String {
    let (path, mode) = (&entry.path, entry.attributes.mode);
    match &entry.kind {
        Kind::Directory { opaque: false } => format!("d {mode:o} {path}"),
        Kind::Directory { opaque: true } => format!("o {mode:o} {path}"),
        Kind::File { size, .. } => format!("f {mode:o} {path} {size}"),
        Kind::Symlink { target } => format!("l {path} -> {}", String::from_utf8_lossy(target)),
        Kind::Hardlink { target } => format!("h {path} -> {target}"),
        Kind::Fifo => format!("p {mode:o} {path}"),
        Kind::CharDevice { major, minor } => format!("c {mode:o} {path} {major}:{minor}"),
        Kind::BlockDevice { major, minor } => format!("b {mode:o} {path} {major}:{minor}"),
        Kind::Whiteout => format!("w {path}"),
    }
}

fn bytes_of(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("content that is what its name says");
    bytes
}

fn xattrs(pairs: &[(&str, &[u8])]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
}
