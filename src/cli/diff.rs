//! `rbuild diff`.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;

use super::error::{Error, Result};
use super::images::find;
use super::progress::{escape, show_size};
use crate::build::{self, ScratchStore, StoredImage};
use crate::compare::{self, ConfigChange, Fate, FileChange};
use crate::digest::DiffId;
use crate::image::ImageConfig;
use crate::store::Store;
use crate::tree::Stack;

/// As many files of a kind are named; more are counted. `--json` has all.
const SHOWN: usize = 200;

/// One of the two images.
struct Side {
    config: ImageConfig,
    id: String,
    layers: Vec<DiffId>,
    files: Stack,
}

/// What differs between two images.
struct Difference {
    config: Vec<ConfigChange>,
    files: Vec<FileChange>,
}

/// Tells what differs between two images; fails with `Error::Differ` if anything does, and with `Error::NotCompared` if that
/// cannot be told.
pub fn run(store: &Path, left: &str, right: &str, as_json: bool) -> Result<()> {
    match compared(store, left, right, as_json) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Differ),
        Err(error) => Err(Error::NotCompared(Box::new(error))),
    }
}

/// Whether they are the same.
fn compared(store: &Path, left: &str, right: &str, as_json: bool) -> Result<bool> {
    let store = Store::open(store)?;
    let _lease = store.lease()?;
    store.sweep()?;
    let scratch = ScratchStore::within(&store)?;
    let (left, right) = (side(&store, &scratch, left)?, side(&store, &scratch, right)?);
    let config = compare::config_changes(&left.config, &right.config);
    let files = match left.layers == right.layers {
        true => Vec::new(),
        false => compare::file_changes(&left.files, &right.files),
    };
    let difference = Difference { config, files };
    let text = if as_json { json(&left, &right, &difference)? } else { text(&left, &right, &difference) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(left.id == right.id)
}

/// A name or id in the store, else an archive or an image layout. What starts like a path is one.
fn side(store: &Store, scratch: &ScratchStore, given: &str) -> Result<Side> {
    let is_path = given.starts_with('/') || given.starts_with('.') || given.ends_with(".tar");
    let path = Path::new(given);
    if !is_path {
        match find(store, given) {
            Err(Error::NoImage { .. }) if path.exists() => {}
            other => return of_image(store, &other?.1),
        }
    }
    let image = if path.is_dir() { scratch.add_layout(path, None)? } else { scratch.add_archive(path)? };
    of_image(scratch.store(), &image)
}

fn of_image(store: &Store, image: &StoredImage) -> Result<Side> {
    let layers = image.layers.iter().map(|layer| layer.diff_id).collect();
    let files = Stack::new(build::listings(store, image)?);
    let (config, id) = (image.config.config().clone(), image.config.digest().to_string());
    Ok(Side { config, id, layers, files })
}

fn text(left: &Side, right: &Side, difference: &Difference) -> String {
    if left.id == right.id {
        return format!("identical: {}\n", left.id);
    }
    let mut text = String::new();
    let Difference { config, files } = difference;
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), escape);
    text.push_str(&headline("config", config.len(), "difference"));
    for ConfigChange { key, left, right } in config {
        text.push_str(&format!("  {}: {} → {}\n", escape(key), value(left), value(right)));
    }
    let set = |side: &Side| side.layers.iter().copied().collect::<BTreeSet<DiffId>>();
    let (ours, theirs) = (set(left), set(right));
    let shared = ours.intersection(&theirs).count();
    text.push_str(&format!("layers: {shared} shared\n"));
    for (mark, side, other) in [('-', left, &theirs), ('+', right, &ours)] {
        for (index, layer) in side.layers.iter().enumerate().filter(|(_, layer)| !other.contains(*layer)) {
            let size = side.files.layers().get(index).map_or(0, |listing| listing.content_size());
            text.push_str(&format!("  {mark} layer {} {} ({} of files)\n", index + 1, layer.short(), show_size(size)));
        }
    }
    text.push_str(&headline("files", files.len(), "difference"));
    for change in files.iter().take(SHOWN) {
        text.push_str(&format!("  {}\n", file_line(change)));
    }
    if files.len() > SHOWN {
        text.push_str(&format!("  and {} more; `--json` has all\n", files.len() - SHOWN));
    }
    text
}

fn headline(what: &str, count: usize, noun: &str) -> String {
    match count {
        0 => format!("{what}: the same\n"),
        1 => format!("{what}: 1 {noun}\n"),
        count => format!("{what}: {count} {noun}s\n"),
    }
}

/// A path with a mark for what became of it, and in what it differs.
pub fn file_line(change: &FileChange) -> String {
    let path = change.path.to_string();
    match &change.fate {
        Fate::Added => format!("+ {path}"),
        Fate::Removed => format!("- {path}"),
        Fate::Changed(aspects) => {
            let aspects: Vec<String> = aspects.iter().map(|aspect| escape(&aspect.to_string())).collect();
            format!("~ {path}: {}", aspects.join(", "))
        }
    }
}

fn json(left: &Side, right: &Side, difference: &Difference) -> Result<String> {
    let Difference { config, files } = difference;
    let config: Vec<serde_json::Value> = config
        .iter()
        .map(|change| serde_json::json!({ "key": change.key, "left": change.left, "right": change.right }))
        .collect();
    let files: Vec<serde_json::Value> = files.iter().map(file_json).collect();
    let document = serde_json::json!({
        "identical": left.id == right.id,
        "left": { "id": left.id, "layers": left.layers },
        "right": { "id": right.id, "layers": right.layers },
        "config": config,
        "files": files,
    });
    let text = serde_json::to_string_pretty(&document).map_err(io::Error::other)?;
    Ok(format!("{text}\n"))
}

fn file_json(change: &FileChange) -> serde_json::Value {
    let (fate, aspects) = match &change.fate {
        Fate::Added => ("added", Vec::new()),
        Fate::Removed => ("removed", Vec::new()),
        Fate::Changed(aspects) => ("changed", aspects.iter().map(ToString::to_string).collect()),
    };
    serde_json::json!({ "path": change.path.to_string(), "fate": fate, "aspects": aspects })
}
