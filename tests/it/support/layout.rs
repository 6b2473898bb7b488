//! Writes an image as an OCI layout, with nothing but a hash: what base images are made with.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::archive::sha256;

/// Writes a layout into the folder `dir`, which must not exist, with the tar as its one layer and the tag `latest`.
pub fn write(dir: &Path, layer: &[u8], config: &Value) {
    write_layers(dir, &[layer], config);
}

/// The same with several layers, the lowest first.
pub fn write_layers(dir: &Path, layers: &[&[u8]], config: &Value) {
    let plain: Vec<_> = layers.iter().map(|layer| Packed { tar: layer, bytes: layer, suffix: "" }).collect();
    write_packed(dir, &plain, config);
}

/// A layer as some tool has compressed it.
pub struct Packed<'a> {
    /// The plain tar.
    pub tar: &'a [u8],
    /// The same, compressed.
    pub bytes: &'a [u8],
    /// What the media type says of it: nothing, `+gzip` or `+zstd`.
    pub suffix: &'a str,
}

/// The same with layers that are compressed already.
pub fn write_packed(dir: &Path, layers: &[Packed<'_>], config: &Value) {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap_or_else(|error| panic!("cannot make the layout: {error}"));
    let made = json!({"created": "1980-01-01T00:00:00Z", "created_by": "rbuild's tests"});
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer.tar))).collect();
    let config = json!({
        "architecture": architecture(),
        "config": config,
        "created": "1980-01-01T00:00:00Z",
        "history": vec![made; layers.len()],
        "os": "linux",
        "rootfs": {"diff_ids": diff_ids, "type": "layers"},
    });
    let put_layer =
        |layer: &Packed<'_>| put(dir, &format!("application/vnd.oci.image.layer.v1.tar{}", layer.suffix), layer.bytes);
    let manifest = json!({
        "config": put(dir, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
        "layers": layers.iter().map(put_layer).collect::<Vec<_>>(),
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "schemaVersion": 2,
    });
    let mut descriptor = put(dir, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    save(&dir.join("index.json"), json!({"manifests": [descriptor], "schemaVersion": 2}).to_string().as_bytes());
    save(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
}

/// Adds a blob and gives its descriptor.
fn put(dir: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digits = sha256(bytes);
    save(&dir.join("blobs/sha256").join(&digits), bytes);
    json!({"digest": format!("sha256:{digits}"), "mediaType": media_type, "size": bytes.len()})
}

fn save(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
}

/// This machine's architecture by its OCI name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("the tests do not know the architecture `{other}`"),
    }
}
