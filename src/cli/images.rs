//! `rbuild images`, `inspect`, `save` and `rm`.

use std::io::{self, Write as _};
use std::path::Path;

use super::error::{Error, Result};
use super::outputs::{refuse_terminal, zstd_warning};
use super::progress::show_size;
use crate::build::{self, Interrupt, StoredImage};
use crate::digest::ConfigDigest;
use crate::export::{self, NamedImage, Overwrite};
use crate::layer::{Compression, Pulled};
use crate::reference::Reference;
use crate::store::{Bucket, Object, Store, Waiting};

/// Lists the images.
pub fn list(store: &Path) -> Result<()> {
    let mut lines = vec![["NAME".to_owned(), "IMAGE ID".to_owned(), "SIZE".to_owned()]];
    if let Some(store) = Store::open_existing(store)? {
        let names = build::names(&store)?;
        for id in build::image_ids(&store)? {
            let Some(image) = build::image(&store, &id)? else { continue };
            let size = show_size(image.layers.iter().map(|layer| layer.size).sum());
            let own: Vec<String> = names.iter().filter(|(_, image)| *image == id).map(|(n, _)| n.familiar()).collect();
            let own = if own.is_empty() { vec!["-".to_owned()] } else { own };
            lines.extend(own.into_iter().map(|name| [name, id.short(), size.clone()]));
        }
    }
    lines[1..].sort();
    table(&lines)
}

/// Shows one image as JSON.
pub fn inspect(store: &Path, name: &str) -> Result<()> {
    let store = existing(store)?;
    let (id, image) = find(&store, name)?;
    let names: Vec<String> =
        build::names(&store)?.into_iter().filter(|(_, image)| *image == id).map(|(name, _)| name.familiar()).collect();
    let layers: Vec<serde_json::Value> =
        image.layers.iter().map(|layer| serde_json::json!({ "diff_id": layer.diff_id, "size": layer.size })).collect();
    let config = image.config.config();
    let shown = serde_json::json!({
        "id": id,
        "names": names,
        "platform": config.platform().to_string(),
        "layers": layers,
        "config": config,
    });
    let text = serde_json::to_string_pretty(&shown).map_err(io::Error::other)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Writes one image to an archive.
pub fn save(store: &Path, name: &str, output: &str) -> Result<()> {
    let store = existing(store)?;
    let _lease = store.lease()?;
    let (id, image) = find(&store, name)?;
    let sealed = build::seal(&store, &image, Compression::DEFAULT, Pulled::Kept)?;
    let mut names: Vec<Reference> =
        build::names(&store)?.into_iter().filter(|(_, image)| *image == id).map(|(name, _)| name).collect();
    if let Ok(asked) = name.parse::<Reference>()
        && names.contains(&asked)
    {
        names = vec![asked];
    }
    let images = [NamedImage { image: &sealed, names: &names }];
    if let Some(text) = zstd_warning(&images[0], Compression::DEFAULT, "type=docker,dest=FILE") {
        io::stderr().write_all(format!("warning: {text}\n").as_bytes())?;
    }
    if output == "-" {
        let mut stdout = io::stdout().lock();
        refuse_terminal(&stdout)?;
        export::write_archive(&store, &images, &mut stdout)?;
        return Ok(stdout.flush()?);
    }
    export::write_file(&store, &images, Path::new(output), Overwrite::Any, &mut |_written| {})?;
    Ok(())
}

/// Removes names, and images that have none left.
///
/// An image that a running build makes or stands on stays, for the build may be about to name it.
pub fn remove(store: &Path, names: &[String], interrupt: &Interrupt) -> Result<()> {
    let store = existing(store)?;
    let mut ask = |asked| asked != Waiting::StillWanted || !interrupt.is_set();
    for name in names {
        // Before the names are read: builds that end from here on count as if they still ran.
        let collection = store.collection(&mut ask)?;
        let (id, _) = find(&store, name)?;
        let all = build::names(&store)?;
        let mine: Vec<&Reference> = all.iter().filter(|(_, image)| *image == id).map(|(name, _)| name).collect();
        let asked = name.parse::<Reference>().ok().filter(|asked| mine.contains(&asked));
        let gone = match &asked {
            Some(asked) => vec![asked],
            None => mine.clone(),
        };
        for name in &gone {
            build::remove_name(&store, name)?;
            writeln!(io::stdout(), "removed the name {}", name.familiar())?;
        }
        if gone.len() == mine.len() {
            let image = Object::Record(Bucket::Images, id.to_string());
            let removed = collection.remove_unless(&|object, _| *object != image)?;
            match removed.objects {
                0 => writeln!(io::stdout(), "the image {id} stays: a running build uses it")?,
                _ => writeln!(io::stdout(), "removed the image {id}; `rbuild prune` frees its space")?,
            }
        }
    }
    Ok(())
}

fn existing(path: &Path) -> Result<Store> {
    Store::open_existing(path)?.ok_or_else(|| Error::NoStore { path: path.to_path_buf() })
}

/// The image of that name, or whose id starts so.
pub fn find(store: &Store, name: &str) -> Result<(ConfigDigest, StoredImage)> {
    let missing = || Error::NoImage { name: name.to_owned() };
    if let Ok(reference) = name.parse::<Reference>()
        && let Some(id) = build::named(store, &reference)?
    {
        let image = build::image(store, &id)?.ok_or_else(missing)?;
        return Ok((id, image));
    }
    let start = name.strip_prefix("sha256:").unwrap_or(name);
    let is_id = start.len() >= 4 && start.bytes().all(|b| b.is_ascii_hexdigit());
    let ids = if is_id { build::image_ids(store)? } else { Vec::new() };
    let mut fitting = ids.into_iter().filter(|id| id.hex().starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok((id, build::image(store, &id)?.ok_or_else(missing)?)),
        (Some(_), Some(_)) => Err(Error::Ambiguous { name: name.to_owned() }),
        _ => Err(missing()),
    }
}

/// Prints rows in columns.
pub fn table<const N: usize>(rows: &[[String; N]]) -> Result<()> {
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut stdout = io::stdout().lock();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(stdout, "{}", cells.collect::<Vec<_>>().join("   ").trim_end())?;
    }
    Ok(())
}
