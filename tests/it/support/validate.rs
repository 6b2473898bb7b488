//! Judges an image that rbuild has written; every test that builds one calls this.

use std::path::Path;

use serde_json::Value;

use crate::support::archive::Archive;
use crate::support::image::Image;
use crate::support::layer;

/// What is asked of an image beyond digests that hold.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The number of lowest layers that came from a base image and keep the bytes they came with.
    pub base_layers: usize,
    /// Whether layers must carry fixed times, as they do by default.
    pub fixed_times: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { base_layers: 0, fixed_times: true }
    }
}

/// Reads an archive or an OCI layout's folder that rbuild has written; panics with everything that is wrong.
#[track_caller]
pub fn validate(path: &Path, rules: Rules) -> Image {
    let (image, found) = judge(path, rules).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    assert!(found.is_empty(), "`{}`:\n{}", path.display(), found.join("\n"));
    image
}

/// Reads an image, which fails if a digest, size or count is wrong, and lists what else rbuild must not do.
pub fn judge(path: &Path, rules: Rules) -> Result<(Image, Vec<String>), String> {
    let archive = Archive::open(path)?;
    let image = Image::read(&archive)?;
    image.rootfs()?;
    let mut found = archive.problems.clone();
    found.extend(stray_files(&archive, &image));
    found.extend(loose_json(&archive, &image));
    found.extend(config_problems(&image));
    for (number, layer) in image.layers.iter().enumerate().skip(rules.base_layers) {
        let here = layer::problems(&layer.entries, rules.fixed_times);
        found.extend(here.into_iter().map(|problem| format!("layer {}: {problem}", number + 1)));
    }
    Ok((image, found))
}

/// Nothing may lie in the archive that the image does not need.
fn stray_files(archive: &Archive, image: &Image) -> Vec<String> {
    let files = archive.files.keys().filter(|name| !image.used.contains(*name));
    let folders = archive.folders.iter().filter(|name| !matches!(name.as_str(), "blobs" | "blobs/sha256"));
    files.chain(folders).map(|name| format!("the archive has `{name}`, which the image does not use")).collect()
}

/// JSON that is hashed is canonical: sorted keys, no white space.
fn loose_json(archive: &Archive, image: &Image) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in archive.files.iter().filter(|(name, _)| image.used.contains(*name)) {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { continue };
        if serde_json::to_vec(&value).ok().as_deref() != Some(bytes) {
            found.push(format!("`{name}` is JSON that is not canonical"));
        }
    }
    found
}

fn config_problems(image: &Image) -> Vec<String> {
    let mut found = Vec::new();
    let config = &image.config;
    for key in ["architecture", "os"] {
        if config[key].as_str().is_none_or(str::is_empty) {
            found.push(format!("the config has no {key}"));
        }
    }
    if config["rootfs"]["type"] != "layers" {
        found.push(format!("the config's rootfs is of the type {}", config["rootfs"]["type"]));
    }
    // An image without any history is legal; one with some must account for every layer.
    let history = config["history"].as_array().map_or(&[][..], Vec::as_slice);
    let with_layer = history.iter().filter(|step| step["empty_layer"] != Value::Bool(true)).count();
    if !history.is_empty() && with_layer != image.layers.len() {
        found.push(format!("the history tells of {with_layer} layers, the image has {}", image.layers.len()));
    }
    found
}
