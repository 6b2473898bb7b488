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

/// Reads `NAME.dockerignore` beside the Dockerfile `NAME`, or else `.dockerignore` in the context; no rules if neither is there.
///
/// `dockerfile` is none if the Dockerfile is not a file of the host. A symlink is followed inside the folder of the file only.
pub fn read_ignore(context: &Path, dockerfile: Option<&Path>) -> Result<Ignore> {
    if let Some(own) = dockerfile.and_then(own_ignore_file)
        && let Some(bytes) = read_inside(&own.folder, &own.name)?
    {
        return Ignore::parse(&String::from_utf8_lossy(&own.name), &bytes);
    }
    match read_inside(context, b".dockerignore")? {
        Some(bytes) => Ignore::parse(".dockerignore", &bytes),
        None => Ok(Ignore::nothing()),
    }
}

struct IgnoreFile {
    folder: PathBuf,
    name: Vec<u8>,
}

fn own_ignore_file(dockerfile: &Path) -> Option<IgnoreFile> {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = dockerfile.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = [dockerfile.file_name()?.as_bytes(), b".dockerignore"].concat();
    Some(IgnoreFile { folder: folder.to_path_buf(), name })
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
