//! The program that the helper process executes, out of the reach of steps.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, MemfdFlags, SealFlags};
use rustix::mount::{MountAttrFlags as Attrs, OpenTreeFlags, open_tree};

use super::error::{Error, Result};
use super::init::NAME;
use super::sys;
use crate::fsx::{self, At as _};

/// This program, or another that calls `init_main`, in a form that nothing can write to.
///
/// A step can name the program it was made by (`#!/proc/self/exe`), and would then run it and could open it for writing. What
/// it would open is a file on a read-only mount that is attached nowhere, or a sealed copy in memory.
#[derive(Debug)]
pub(super) struct Program(OwnedFd);

impl Program {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(match on_read_only_mount(path) {
            Ok(fd) => fd,
            // Without the right to mount, or when the file was replaced since this process started.
            Err(_) => sealed_copy(path)?,
        }))
    }

    /// Starts it as a helper, with nothing of this process but these three.
    pub(super) fn start(&self, input: OwnedFd, output: OwnedFd, error: OwnedFd) -> Result<Child> {
        // The child looks the name up in its own copy of the descriptors, before those are closed.
        Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(error))
            .spawn()
            .map_err(|source| Error::Start { action: "start", source })
    }
}

/// The file on a read-only mount of its own.
pub(super) fn on_read_only_mount(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, path, flags)?;
    let set = Attrs::MOUNT_ATTR_RDONLY | Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NODEV;
    sys::mount_setattr(mount.as_fd(), set.bits().into(), 0)?;
    Ok(mount)
}

/// A copy in memory that can never change again.
pub(super) fn sealed_copy(path: &Path) -> fsx::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create(c"rbuild", flags).at("copy", path)?);
    io::copy(&mut fsx::open(path)?, &mut copy).at("copy", path)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals).at("seal the copy of", path)?;
    // Executing what is open for writing is refused, so the copy is opened again.
    let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(fsx::open(Path::new(&name))?.into())
}
