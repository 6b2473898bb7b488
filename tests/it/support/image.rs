//! Reads one image out of an archive and believes nothing: every digest, size and count is made again from the bytes.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::support::archive::{Archive, sha256};
use crate::support::layer::{self, Entry, Kind};
use crate::support::rootfs::Rootfs;

/// An image whose digests and counts hold.
#[derive(Debug)]
pub struct Image {
    /// `docker.io/library/app:latest` and the like, as the archive has them.
    pub names: Vec<String>,
    /// The config.
    pub config: Value,
    /// The config's bytes; `sha256:` and their digest are the image id.
    pub config_bytes: Vec<u8>,
    /// The OCI manifest, if the archive is an OCI layout.
    pub manifest: Option<Value>,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
    /// The archive's files that the image is made of.
    pub used: BTreeSet<String>,
}

/// A layer whose digests hold.
#[derive(Debug)]
pub struct Layer {
    /// The digest of the bytes in the archive.
    pub digest: String,
    /// The digest of the plain tar.
    pub diff_id: String,
    /// How the bytes in the archive are compressed.
    pub compression: Compression,
    /// Its entries in their order.
    pub entries: Vec<Entry>,
}

/// How a layer's bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// One or more gzip members.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Image {
    /// Reads the one image of an OCI archive, a Docker archive, a file that is both, or an OCI layout's folder.
    pub fn open(path: &Path) -> Result<Self, String> {
        Self::read(&Archive::open(path)?)
    }

    /// Reads the one image of an archive.
    pub fn read(archive: &Archive) -> Result<Self, String> {
        let oci = archive.files.contains_key("index.json").then(|| read_oci(archive)).transpose()?;
        let docker = archive.files.contains_key("manifest.json").then(|| read_docker(archive)).transpose()?;
        match (oci, docker) {
            (Some(oci), Some(docker)) => agree(oci, docker),
            (Some(image), None) | (None, Some(image)) => Ok(image),
            (None, None) => Err("the archive has neither `index.json` nor `manifest.json`".to_owned()),
        }
    }

    /// What Docker calls the image id: the config's digest.
    pub fn id(&self) -> String {
        format!("sha256:{}", sha256(&self.config_bytes))
    }

    /// Panics unless a file of the image holds exactly this text; the path has no slash at its front.
    #[track_caller]
    pub fn assert_holds(&self, path: &str, text: &str) {
        let rootfs = self.rootfs().expect("its layers can be read");
        let entry = rootfs.get(path).unwrap_or_else(|| panic!("`{path}` is missing"));
        let Kind::File { sha256: found, .. } = &entry.kind else { panic!("`{path}` is no file") };
        assert_eq!(*found, sha256(text.as_bytes()), "`{path}` does not hold `{text}`");
    }

    /// The file tree of all layers together.
    pub fn rootfs(&self) -> Result<Rootfs, String> {
        Rootfs::merge(self.layers.iter().map(|layer| layer.entries.as_slice()))
    }
}

/// The image of an OCI layout; an index may point to an index, and attestations are no images.
fn read_oci(archive: &Archive) -> Result<Image, String> {
    let version = archive.json("oci-layout")?;
    if version["imageLayoutVersion"] != "1.0.0" {
        return Err(format!("`oci-layout` is {version}"));
    }
    let mut used = BTreeSet::from(["oci-layout".to_owned(), "index.json".to_owned()]);
    let mut names = Vec::new();
    let mut document = archive.json("index.json")?;
    while let Some(manifests) = document.get("manifests") {
        let is_image = |descriptor: &&Value| descriptor["annotations"]["vnd.docker.reference.type"].is_null();
        let mut images = list(manifests)?.iter().filter(is_image);
        let (Some(first), None) = (images.next(), images.next()) else {
            return Err("the index does not have just one image".to_owned());
        };
        for key in ["io.containerd.image.name", "org.opencontainers.image.ref.name"] {
            names.extend(first["annotations"][key].as_str().map(str::to_owned));
        }
        document = parse(blob(archive, first, &mut used)?, "the manifest")?;
    }
    let config_bytes = blob(archive, &document["config"], &mut used)?.to_vec();
    let mut layers = Vec::new();
    for descriptor in list(&document["layers"])? {
        let layer = read_layer(blob(archive, descriptor, &mut used)?)?;
        let told = compression_told(text(&descriptor["mediaType"])?);
        if told != Some(layer.compression) {
            return Err(format!("{} is {:?}, but called {}", layer.digest, layer.compression, descriptor["mediaType"]));
        }
        layers.push(layer);
    }
    finish(Image {
        names,
        config: parse(&config_bytes, "the config")?,
        config_bytes,
        manifest: Some(document),
        layers,
        used,
    })
}

/// The image of `docker save`'s `manifest.json`.
fn read_docker(archive: &Archive) -> Result<Image, String> {
    let mut used = BTreeSet::from(["manifest.json".to_owned()]);
    let manifest = archive.json("manifest.json")?;
    let [image] = list(&manifest)?.as_slice() else {
        return Err("`manifest.json` does not have just one image".to_owned());
    };
    let mut file = |name: &Value| -> Result<&[u8], String> {
        let name = text(name)?;
        used.insert(name.to_owned());
        let bytes = archive.file(name)?;
        let stem = name.trim_start_matches("blobs/sha256/").trim_end_matches(".json").trim_end_matches(".tar");
        let is_digest = stem.len() == 64 && !stem.contains('/');
        // skopeo names a layer by its diff id and compresses none, so a name of digits is the digest of the bytes.
        if is_digest && stem != sha256(bytes) {
            return Err(format!("`{name}` has the digest {}", sha256(bytes)));
        }
        Ok(bytes)
    };
    let config_bytes = file(&image["Config"])?.to_vec();
    let mut layers = Vec::new();
    for name in list(&image["Layers"])? {
        layers.push(read_layer(file(name)?)?);
    }
    let tags = image["RepoTags"].as_array().map_or(&[][..], Vec::as_slice);
    let names = tags.iter().map(|tag| text(tag).map(str::to_owned)).collect::<Result<_, _>>()?;
    finish(Image { names, config: parse(&config_bytes, "the config")?, config_bytes, manifest: None, layers, used })
}

/// Checks what the config says of the layers.
fn finish(image: Image) -> Result<Image, String> {
    let diff_ids: Vec<&str> = list(&image.config["rootfs"]["diff_ids"])?.iter().map(text).collect::<Result<_, _>>()?;
    let found: Vec<&str> = image.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    if diff_ids != found {
        return Err(format!("the config's diff ids are {diff_ids:?}, those of the layers {found:?}"));
    }
    Ok(image)
}

/// An archive for everybody must tell everybody the same.
fn agree(oci: Image, docker: Image) -> Result<Image, String> {
    if oci.config_bytes != docker.config_bytes {
        return Err("`index.json` and `manifest.json` lead to different configs".to_owned());
    }
    let mut names = oci.names;
    names.extend(docker.names);
    names.sort();
    names.dedup();
    Ok(Image { names, used: &oci.used | &docker.used, ..oci })
}

fn blob<'a>(archive: &'a Archive, descriptor: &Value, used: &mut BTreeSet<String>) -> Result<&'a [u8], String> {
    let digest = text(&descriptor["digest"])?;
    let digits = digest.strip_prefix("sha256:").ok_or_else(|| format!("`{digest}` is no SHA-256 digest"))?;
    let name = format!("blobs/sha256/{digits}");
    let bytes = archive.file(&name)?;
    if sha256(bytes) != digits {
        return Err(format!("`{name}` has the digest {}", sha256(bytes)));
    }
    if descriptor["size"].as_u64() != Some(bytes.len() as u64) {
        return Err(format!("`{name}` has {} bytes, its descriptor says {}", bytes.len(), descriptor["size"]));
    }
    used.insert(name);
    Ok(bytes)
}

fn read_layer(bytes: &[u8]) -> Result<Layer, String> {
    let digest = format!("sha256:{}", sha256(bytes));
    let (compression, tar) = decompress(bytes).map_err(|error| format!("layer {digest}: {error}"))?;
    let entries = layer::read(&tar).map_err(|error| format!("layer {digest}: {error}"))?;
    Ok(Layer { digest, diff_id: format!("sha256:{}", sha256(&tar)), compression, entries })
}

fn decompress(bytes: &[u8]) -> std::io::Result<(Compression, Vec<u8>)> {
    let mut tar = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut tar)?;
        return Ok((Compression::Gzip, tar));
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::copy_decode(bytes, &mut tar)?;
        return Ok((Compression::Zstd, tar));
    }
    Ok((Compression::None, bytes.to_vec()))
}

fn compression_told(media_type: &str) -> Option<Compression> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" => Some(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip" => Some(Compression::Gzip),
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

fn parse(bytes: &[u8], what: &str) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("{what}: {error}"))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{value} stands where a list must be"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} stands where a string must be"))
}
