//! Finds and reads the ignore file of a build.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::directory::DirectorySource;
use super::error::Result;
use super::ignore::Ignore;
use super::source::{Source as _, resolve};
use super::stat_cache::StatCache;
use crate::fsx::{self, At as _};
use crate::path::ContextPath;

/// More bytes than this are no ignore file.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// How ignore files beside a Dockerfile end, the one that counts more first: BuildKit knows the first alone, buildah both.
const BESIDE: [&[u8]; 2] = [b".dockerignore", b".containerignore"];

/// What ignore files of a context are called, the one that counts more first, as in buildah.
const INSIDE: [&str; 2] = [".containerignore", ".dockerignore"];

/// Reads the ignore file of a build; no rules if there is none.
///
/// It is `given`, if that is a file of the host that the user named; else `NAME.dockerignore` or `NAME.containerignore` beside
/// the Dockerfile `NAME`; else `.containerignore` or `.dockerignore` in the context. The first that exists is the only one.
/// `dockerfile` is none if the Dockerfile is not a file of the host. A symlink is followed inside the folder of the file only,
/// that of `given` wherever it leads. A `given` that is not there is an error.
pub fn read_ignore(context: &Path, dockerfile: Option<&Path>, given: Option<&Path>) -> Result<Ignore> {
    if let Some(given) = given {
        return Ignore::parse(&given.display().to_string(), &fsx::read_at_most(given, MAX_SIZE)?);
    }
    for own in dockerfile.map(own_ignore_files).unwrap_or_default() {
        if let Some(bytes) = read_inside(&own.folder, &own.name)? {
            return Ignore::parse(&String::from_utf8_lossy(&own.name), &bytes);
        }
    }
    for name in INSIDE {
        if let Some(bytes) = read_inside(context, name.as_bytes())? {
            return Ignore::parse(name, &bytes);
        }
    }
    Ok(Ignore::nothing())
}

struct IgnoreFile {
    folder: PathBuf,
    name: Vec<u8>,
}

fn own_ignore_files(dockerfile: &Path) -> Vec<IgnoreFile> {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = dockerfile.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = dockerfile.file_name() else { return Vec::new() };
    let file = |ending| IgnoreFile { folder: folder.to_path_buf(), name: [name.as_bytes(), ending].concat() };
    BESIDE.into_iter().map(file).collect()
}

fn read_inside(folder: &Path, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let source = DirectorySource::open(folder, Ignore::nothing(), &[], StatCache::disabled())?;
    let (path, meta) = resolve(&source, &ContextPath::root().child(name))?;
    if meta.is_none() {
        return Ok(None);
    }
    let host = path.in_dir(folder);
    let mut bytes = Vec::new();
    source.open(&path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes).at("read", &host)?;
    if bytes.len() as u64 > MAX_SIZE {
        let source = std::io::Error::other(format!("it is larger than {MAX_SIZE} bytes"));
        return Err(fsx::Error { action: "read", path: host, source }.into());
    }
    Ok(Some(bytes))
}
