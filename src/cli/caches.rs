//! `--cache-from` and `--cache-to`.

use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::targets::{compression_of, level_of};
use crate::build::{self, Built, CACHE_CONFIG, CACHE_TAG, CacheContents, CacheSource, Carried};
use crate::export;
use crate::image::Descriptor;
use crate::layer::Compression;
use crate::store::Store;

/// How a cache to read from is given.
const FROM_FORM: &str = "write `--cache-from IMAGE` or `--cache-from type=local,src=DIR`";
/// How a cache to write is given.
const TO_FORM: &str = "write `--cache-to type=inline` or `--cache-to type=local,dest=DIR[,mode=min|max]`";
/// Types that other builders have.
const OTHERS: [&str; 6] = ["registry", "inline", "gha", "s3", "azblob", "oci"];

/// A cache that is to be written.
#[derive(Debug, PartialEq)]
pub struct CacheTarget {
    folder: PathBuf,
    carried: Carried,
    compression: Compression,
}

/// The caches of `--cache-from`.
pub fn sources(given: &[String]) -> Result<Vec<CacheSource>> {
    given.iter().map(|spec| source(spec)).collect()
}

/// The folders that `--cache-to` asks for.
pub fn targets(given: &[String]) -> Result<Vec<CacheTarget>> {
    given.iter().filter_map(|spec| target(spec).transpose()).collect()
}

/// Whether `--cache-to` asks for a cache in the image.
pub fn inline(given: &[String]) -> Result<bool> {
    given.iter().try_fold(false, |found, spec| Ok(target(spec)?.is_none() || found))
}

/// Writes the cache of a build to its folder.
pub fn write(store: &Store, built: &Built, target: &CacheTarget) -> Result<()> {
    let CacheContents { config, layers } = build::cache_contents(store, built, target.carried, target.compression)?;
    let layers = layers.iter().map(|blob| Descriptor::new(&blob.media_type, blob.digest, blob.size)).collect();
    Ok(export::write_artifact(store, (CACHE_CONFIG, &config), layers, CACHE_TAG, &target.folder)?)
}

fn source(spec: &str) -> Result<CacheSource> {
    if !spec.contains('=') {
        return image(spec);
    }
    let fields = fields("--cache-from", spec, FROM_FORM)?;
    let kind = kind(&fields);
    check_type("--cache-from", kind, &["local", "registry"], FROM_FORM)?;
    let mut place = None;
    for (key, value) in &fields {
        match (key.as_str(), kind) {
            ("type", _) => {}
            ("src", "local") => place = Some(CacheSource::Folder(PathBuf::from(value))),
            ("ref", "registry") => place = Some(image(value)?),
            (other, _) => return Err(unknown("--cache-from", other, FROM_FORM)),
        }
    }
    place.ok_or_else(|| Error::usage(format!("`--cache-from {spec}` does not say from where"), FROM_FORM))
}

fn image(name: &str) -> Result<CacheSource> {
    let name =
        name.parse().map_err(|error| Error::usage(format!("`--cache-from {name}` names no image: {error}"), FROM_FORM));
    Ok(CacheSource::Image(name?))
}

/// A folder, or none if the cache is to be in the image.
fn target(spec: &str) -> Result<Option<CacheTarget>> {
    let (mut folder, mut carried) = (None, Carried::OfImage);
    let (mut compression, mut level) = ("gzip", None);
    let fields = fields("--cache-to", spec, TO_FORM)?;
    let kind = kind(&fields);
    check_type("--cache-to", kind, &["local", "inline"], TO_FORM)?;
    for (key, value) in &fields {
        match (key.as_str(), kind) {
            ("type", _) => {}
            ("mode", "inline") if *value == "min" => {}
            ("mode", "inline") => {
                let hint = "leave `mode` out, or write a cache of type local";
                return Err(Error::usage("a cache in an image is one of its steps only", hint));
            }
            ("dest", "local") => folder = Some(PathBuf::from(value)),
            ("mode", "local") => {
                carried = match *value {
                    "min" => Carried::OfImage,
                    "max" => Carried::All,
                    other => {
                        let hint = "it may be `min`, the steps of the image, or `max`, all steps of the build";
                        return Err(Error::usage(format!("`{other}` is not a mode of `--cache-to`"), hint));
                    }
                };
            }
            ("compression", "local") => compression = value,
            ("compression-level", "local") => level = Some(level_of(value)?),
            (other, _) => return Err(unknown("--cache-to", other, TO_FORM)),
        }
    }
    if kind == "inline" {
        return Ok(None);
    }
    let folder = folder.ok_or_else(|| Error::usage(format!("`--cache-to {spec}` does not say where to"), TO_FORM))?;
    if folder.as_path() == Path::new("") {
        return Err(Error::usage("`--cache-to` names no folder", TO_FORM));
    }
    Ok(Some(CacheTarget { folder, carried, compression: compression_of(compression, level)? }))
}

/// The type, which `fields` has found to be there.
fn kind<'a>(fields: &[(String, &'a str)]) -> &'a str {
    fields.iter().find(|(key, _)| key == "type").map_or("", |(_, kind)| kind)
}

fn fields<'a>(flag: &str, spec: &'a str, form: &str) -> Result<Vec<(String, &'a str)>> {
    let split = |field: &'a str| match field.split_once('=') {
        Some((key, value)) if !value.is_empty() => Ok((key.trim().to_ascii_lowercase(), value)),
        _ if !spec.contains('=') => Err(other_type(flag, "registry", form)),
        _ => Err(Error::usage(format!("`{field}` in `{flag} {spec}` has no value"), form)),
    };
    let fields: Vec<(String, &str)> = spec.split(',').map(split).collect::<Result<_>>()?;
    if fields.iter().any(|(key, _)| key == "type") {
        return Ok(fields);
    }
    Err(Error::usage(format!("`{flag} {spec}` has no type"), form))
}

fn check_type(flag: &str, kind: &str, known: &[&str], form: &str) -> Result<()> {
    match kind {
        known_kind if known.contains(&known_kind) => Ok(()),
        other if OTHERS.contains(&other) => Err(other_type(flag, other, form)),
        other => Err(Error::usage(format!("`{other}` is not a type of cache"), form)),
    }
}

fn other_type(flag: &str, kind: &str, form: &str) -> Error {
    let hint = format!("{form}; keep the folder where your jobs keep theirs");
    Error::usage(format!("`{flag} type={kind}` is not supported by this version of rbuild"), hint)
}

fn unknown(flag: &str, key: &str, form: &str) -> Error {
    Error::usage(format!("`{flag}` has no option `{key}`"), form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &str) -> CacheSource {
        CacheSource::Folder(folder.into())
    }

    #[test]
    fn caches_are_folders_and_images_and_other_types_are_refused_by_name() {
        assert_eq!(sources(&["type=local,src=/c".into()]).expect("valid"), [local("/c")]);
        let image = CacheSource::Image("user/app:cache".parse().expect("a name"));
        let both = ["user/app:cache".into(), "type=registry,ref=user/app:cache".into()];
        assert_eq!(sources(&both).expect("valid"), [image.clone(), image]);
        let given = ["type=local,dest=c,mode=max,compression=zstd".into(), "type=inline,mode=min".into()];
        let compression = Compression::Zstd { level: 3 };
        let target = CacheTarget { folder: "c".into(), carried: Carried::All, compression };
        assert_eq!(targets(&given).expect("valid"), [target]);
        assert!(inline(&given).expect("valid") && !inline(&given[..1]).expect("valid"));
        for (spec, message) in [
            ("type=gha", "`--cache-from type=gha` is not supported by this version of rbuild"),
            ("type=inline", "`--cache-from type=inline` is not supported by this version of rbuild"),
            ("type=local", "`--cache-from type=local` does not say from where"),
            ("type=registry", "`--cache-from type=registry` does not say from where"),
            ("src=c", "`--cache-from src=c` has no type"),
            ("type=loca,src=c", "`loca` is not a type of cache"),
            ("type=local,src=c,x=y", "`--cache-from` has no option `x`"),
            ("type=registry,src=c", "`--cache-from` has no option `src`"),
            ("type=local,src=", "`src=` in `--cache-from type=local,src=` has no value"),
        ] {
            assert_eq!(sources(&[spec.to_owned()]).expect_err(spec).to_string(), message);
        }
        sources(&["UPPER".to_owned()]).expect_err("no name of an image");
        for spec in [
            "type=local,dest=c,mode=most",
            "type=local,dest=c,compression=lz4",
            "type=inline,mode=max",
            "type=inline,dest=c",
            "type=registry,ref=x",
        ] {
            targets(&[spec.to_owned()]).expect_err(spec);
        }
    }
}
