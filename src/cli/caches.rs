//! `--cache-from` and `--cache-to`.

use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::targets::compression_of;
use crate::build::{self, Built, CACHE_CONFIG, CACHE_TAG, CacheContents, Carried};
use crate::export;
use crate::image::Descriptor;
use crate::layer::Compression;
use crate::store::Store;

/// How a cache to read from is given.
const FROM_FORM: &str = "write `--cache-from type=local,src=DIR`";
/// How a cache to write is given.
const TO_FORM: &str = "write `--cache-to type=local,dest=DIR[,mode=min|max]`";
/// Types that other builders have.
const OTHERS: [&str; 6] = ["registry", "inline", "gha", "s3", "azblob", "oci"];

/// A cache that is to be written.
#[derive(Debug, PartialEq)]
pub struct CacheTarget {
    folder: PathBuf,
    carried: Carried,
    compression: Compression,
}

/// The folders of `--cache-from`.
pub fn sources(given: &[String]) -> Result<Vec<PathBuf>> {
    given.iter().map(|spec| source(spec)).collect()
}

/// What `--cache-to` asks for.
pub fn targets(given: &[String]) -> Result<Vec<CacheTarget>> {
    given.iter().map(|spec| target(spec)).collect()
}

/// Writes the cache of a build to its folder.
pub fn write(store: &Store, built: &Built, target: &CacheTarget) -> Result<()> {
    let CacheContents { config, layers } = build::cache_contents(store, built, target.carried, target.compression)?;
    let layers = layers.iter().map(|blob| Descriptor::new(&blob.media_type, blob.digest, blob.size)).collect();
    Ok(export::write_artifact(store, (CACHE_CONFIG, &config), layers, CACHE_TAG, &target.folder)?)
}

fn source(spec: &str) -> Result<PathBuf> {
    let mut folder = None;
    for (key, value) in fields("--cache-from", spec, FROM_FORM)? {
        match key.as_str() {
            "type" => check_type("--cache-from", value, FROM_FORM)?,
            "src" => folder = Some(PathBuf::from(value)),
            other => return Err(unknown("--cache-from", other, FROM_FORM)),
        }
    }
    folder.ok_or_else(|| Error::usage(format!("`--cache-from {spec}` does not say from where"), FROM_FORM))
}

fn target(spec: &str) -> Result<CacheTarget> {
    let (mut folder, mut carried) = (None, Carried::OfImage);
    let (mut kind, mut level) = ("gzip", None);
    for (key, value) in fields("--cache-to", spec, TO_FORM)? {
        match key.as_str() {
            "type" => check_type("--cache-to", value, TO_FORM)?,
            "dest" => folder = Some(PathBuf::from(value)),
            "mode" => {
                carried = match value {
                    "min" => Carried::OfImage,
                    "max" => Carried::All,
                    other => {
                        let hint = "it may be `min`, the steps of the image, or `max`, all steps of the build";
                        return Err(Error::usage(format!("`{other}` is not a mode of `--cache-to`"), hint));
                    }
                };
            }
            "compression" => kind = value,
            "compression-level" => {
                let parsed = value.parse::<u8>();
                level = Some(parsed.map_err(|_bad| {
                    Error::usage(format!("`{value}` is not a compression level"), "gzip takes 1 to 12, zstd 1 to 19")
                })?);
            }
            other => return Err(unknown("--cache-to", other, TO_FORM)),
        }
    }
    let folder = folder.ok_or_else(|| Error::usage(format!("`--cache-to {spec}` does not say where to"), TO_FORM))?;
    if folder.as_path() == Path::new("") {
        return Err(Error::usage("`--cache-to` names no folder", TO_FORM));
    }
    Ok(CacheTarget { folder, carried, compression: compression_of(kind, level)? })
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

fn check_type(flag: &str, kind: &str, form: &str) -> Result<()> {
    match kind {
        "local" => Ok(()),
        other if OTHERS.contains(&other) => Err(other_type(flag, other, form)),
        other => Err(Error::usage(format!("`{other}` is not a type of cache"), form)),
    }
}

fn other_type(flag: &str, kind: &str, form: &str) -> Error {
    let hint = format!("{form}, and keep the folder where your jobs keep theirs");
    Error::usage(format!("`{flag} type={kind}` is not supported by this version of rbuild"), hint)
}

fn unknown(flag: &str, key: &str, form: &str) -> Error {
    Error::usage(format!("`{flag}` has no option `{key}`"), form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_local_folders_and_other_types_are_refused_by_name() {
        assert_eq!(sources(&["type=local,src=/c".into()]).expect("valid"), [PathBuf::from("/c")]);
        let read = targets(&["type=local,dest=c,mode=max,compression=zstd".into()]).expect("valid");
        let compression = Compression::Zstd { level: 3 };
        assert_eq!(read, [CacheTarget { folder: "c".into(), carried: Carried::All, compression }]);
        for (spec, message) in [
            ("type=gha", "`--cache-from type=gha` is not supported by this version of rbuild"),
            ("user/app:cache", "`--cache-from type=registry` is not supported by this version of rbuild"),
            ("type=local", "`--cache-from type=local` does not say from where"),
            ("src=c", "`--cache-from src=c` has no type"),
            ("type=loca,src=c", "`loca` is not a type of cache"),
            ("type=local,src=c,x=y", "`--cache-from` has no option `x`"),
            ("type=local,src=", "`src=` in `--cache-from type=local,src=` has no value"),
        ] {
            assert_eq!(sources(&[spec.to_owned()]).expect_err(spec).to_string(), message);
        }
        for spec in ["type=local,dest=c,mode=most", "type=local,dest=c,compression=lz4", "type=inline"] {
            targets(&[spec.to_owned()]).expect_err(spec);
        }
    }
}
