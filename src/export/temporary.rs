//! A file that gets its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, RenameFlags};

use crate::fsx::{self, At as _, WriteBehind};

/// Leftovers of killed processes may hold this many names before we give up.
const ATTEMPTS: u32 = 100;

/// Whether a file at the target is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    /// It is.
    Yes,
    /// It is an error, of the kind `AlreadyExists`.
    No,
}

/// A file on its way; dropped, it is gone. Without a name where the file system can, so that a kill leaves nothing.
#[must_use = "a file that is not published is removed"]
pub(super) struct Temporary {
    file: WriteBehind,
    folder: PathBuf,
    name: Option<PathBuf>,
}

impl Temporary {
    /// Starts a file in `folder`, with the mode that the umask leaves of 0666.
    pub fn create(folder: &Path) -> fsx::Result<Self> {
        if let Some(file) = open_nameless(folder) {
            return Ok(Self { file: WriteBehind::new(file), folder: folder.to_path_buf(), name: None });
        }
        let (file, name) = with_free_name(folder, |name| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(name)
        })?;
        Ok(Self { file: WriteBehind::new(file), folder: folder.to_path_buf(), name: Some(name) })
    }

    /// The file, for its metadata.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Makes the bytes survive a power cut; needed before `publish`. Errors name the file as `target`, which it will be.
    pub fn sync(&mut self, target: &Path) -> fsx::Result<()> {
        self.file.sync().at("sync", target)
    }

    /// Gives the file its name, in the same folder, all at once.
    pub fn publish(self, target: &Path, replace: Replace) -> fsx::Result<()> {
        self.publish_by(target, replace, None)
    }

    /// As `publish`. A nameless file that replaces another one must have a name in between: this one, if there is one, at
    /// which nothing else may stand. Only a kill leaves it.
    pub fn publish_by(mut self, target: &Path, replace: Replace, between: Option<&Path>) -> fsx::Result<()> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => match self.link(target) {
                Ok(()) => return fsx::sync_dir(&self.folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && replace == Replace::Yes => {
                    match between {
                        Some(name) => {
                            self.link(name).at("create", name)?;
                            name.to_path_buf()
                        }
                        None => with_free_name(&self.folder, |name| self.link(name))?.1,
                    }
                }
                Err(error) => return Err(error).at("create", target),
            },
        };
        self.name = Some(name.clone());
        rename(&name, target, replace).at("rename to", target)?;
        self.name = None;
        fsx::sync_dir(&self.folder)
    }

    /// Names a file that has none.
    fn link(&self, name: &Path) -> io::Result<()> {
        let file = format!("/proc/self/fd/{}", self.file.file().as_raw_fd());
        Ok(rustix::fs::linkat(CWD, file.as_str(), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Whoever dropped it has a better error to tell than this one.
            let _unused = fs::remove_file(name);
        }
    }
}

/// None where the file system has no nameless files, or where `/proc` is missing and they could not get a name later.
fn open_nameless(folder: &Path) -> Option<File> {
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    // O_TMPFILE holds the bit of O_DIRECTORY: a kernel that does not know it fails instead of opening the folder.
    let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    // Any error comes again, and is told, from the file with a name.
    OpenOptions::new().read(true).write(true).custom_flags(flags).mode(0o666).open(folder).ok()
}

/// Tries names until `make` finds one that is free.
fn with_free_name<T>(folder: &Path, make: impl Fn(&Path) -> io::Result<T>) -> fsx::Result<(T, PathBuf)> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let mut attempts = 0;
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = folder.join(format!(".rbuild-{}-{count}.tmp", std::process::id()));
        attempts += 1;
        match make(&name) {
            Ok(made) => return Ok((made, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < ATTEMPTS => {}
            Err(error) => return Err(error).at("create", &name),
        }
    }
}

fn rename(from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
    match replace {
        Replace::Yes => fs::rename(from, to),
        Replace::No => match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some network file systems do not know the flag; a hard link does not replace either.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            other => other.map_err(io::Error::from),
        },
    }
}
