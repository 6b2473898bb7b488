//! Mounts a stack of layers as one tree.
//!
//! Layers are named to the kernel as `/proc/self/fd/N`: such names fit into its limits however deep the store lies, and are what
//! a step reads in `/proc/mounts` in place of the store's paths.
//!
//! The options do not depend on the kernel module's defaults. `redirect_dir`, `metacopy` and `index` are off because a
//! layer writer must find whole files and folders in the upper folder; `xino` is off so that inode numbers are the files' own.
//! `volatile` is on: a step's own fsyncs (dpkg makes one a file) then cost nothing, and protect nothing either, since
//! nobody trusts a half-made upper folder after a crash. It leaves `work/incompat/volatile` behind, so a work folder is never
//! used twice.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::wire::{Doing as _, Failure};

/// Where the changes go.
pub(super) struct Writable<'a> {
    /// The upper folder.
    pub(super) upper: &'a OwnedFd,
    /// The work folder, empty.
    pub(super) work: &'a OwnedFd,
}

const OFF: [&str; 4] = ["redirect_dir", "metacopy", "index", "xino"];

/// Where a tree is mounted: the folder `name` in `folder`, empty and nobody else's.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The folder above.
    pub(super) folder: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a str,
}

impl Place<'_> {
    /// Opens what is there now: the folder, or what was mounted on it last. (A descriptor of the folder goes on showing
    /// the folder.)
    fn open(self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.folder, self.name, flags, Mode::empty()).doing("open", self.name)
    }
}

/// Mounts `lowers`, bottom first, at least one, at `place`; returns the root of the mount.
pub(super) fn mount(lowers: &[OwnedFd], writable: Option<&Writable<'_>>, place: Place<'_>) -> Result<OwnedFd, Failure> {
    match (lowers, writable) {
        // Without an upper folder an overlay needs two layers; one is a plain bind mount.
        ([only], None) => attach(clone(only.as_fd(), "layer")?, place),
        _ => match append(lowers, writable) {
            Ok(mount) => attach(mount, place),
            Err(Refused::Append) => legacy(lowers, writable, place),
            Err(Refused::Mount(failure)) => Err(failure),
        },
    }
}

/// Attaches a detached mount.
fn attach(mount: OwnedFd, place: Place<'_>) -> Result<OwnedFd, Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount, c"", place.open()?, c"", flags).doing("attach", "overlay")?;
    Ok(mount)
}

/// A detached copy of the mount at `of`, of that place alone.
pub(super) fn clone(of: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(of, c"", flags).doing("bind", name)
}

enum Refused {
    /// The kernel is older than 6.8 and takes no layers one by one.
    Append,
    Mount(Failure),
}

fn append(lowers: &[OwnedFd], writable: Option<&Writable<'_>>) -> Result<OwnedFd, Refused> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .doing("open the file system", "overlay")
        .map_err(Refused::Mount)?;
    let explain = |error: Errno, what: &str| {
        let mut failure = Failure::setup("mount the root filesystem: overlay", what.as_bytes(), error);
        failure.detail = log(&context);
        Refused::Mount(failure)
    };
    fsconfig_set_string(&context, c"source", c"overlay").map_err(|error| explain(error, "source"))?;
    for lower in lowers.iter().rev() {
        match fsconfig_set_string(&context, c"lowerdir+", name(lower)) {
            Ok(()) => {}
            Err(Errno::INVAL) if log(&context).contains("nknown parameter") => return Err(Refused::Append),
            Err(error) => return Err(explain(error, "lowerdir")),
        }
    }
    if let Some(Writable { upper, work }) = writable {
        fsconfig_set_string(&context, c"upperdir", name(upper)).map_err(|error| explain(error, "upperdir"))?;
        fsconfig_set_string(&context, c"workdir", name(work)).map_err(|error| explain(error, "workdir"))?;
        fsconfig_set_flag(&context, c"volatile").map_err(|error| explain(error, "volatile"))?;
    }
    for option in OFF {
        fsconfig_set_string(&context, option, c"off").map_err(|error| explain(error, option))?;
    }
    match fsconfig_create(&context) {
        Ok(()) => {}
        Err(error) => {
            let refused = explain(error, "layers");
            return Err(match refused {
                // Before Linux 6.5 options were not looked at until now, and the log stayed empty.
                Refused::Mount(failure) if error == Errno::INVAL && failure.detail.is_empty() => Refused::Append,
                other => other,
            });
        }
    }
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
        .map_err(|error| explain(error, "layers"))
}

/// The call of older kernels, whose options share one page.
pub(super) fn legacy(
    lowers: &[OwnedFd],
    writable: Option<&Writable<'_>>,
    place: Place<'_>,
) -> Result<OwnedFd, Failure> {
    let names: Vec<String> = lowers.iter().rev().map(name).collect();
    let mut options = format!("lowerdir={}", names.join(":"));
    if let Some(Writable { upper, work }) = writable {
        options.push_str(&format!(",upperdir={},workdir={},volatile", name(upper), name(work)));
    }
    for option in OFF {
        options.push_str(&format!(",{option}=off"));
    }
    if options.len() >= 4096 {
        let mut failure = Failure::setup("mount the root filesystem: overlay", b"layers", Errno::TOOBIG);
        failure.detail = format!("this kernel takes about 200 layers, not {}; Linux 6.8 takes more", lowers.len());
        return Err(failure);
    }
    let options = std::ffi::CString::new(options).map_err(|_nul| Errno::INVAL).doing("mount", "overlay")?;
    let folder = place.open()?;
    rustix::mount::mount(c"overlay", name(&folder), c"overlay", MountFlags::NODEV, Some(options.as_c_str()))
        .doing("mount the root filesystem", "overlay")?;
    place.open()
}

fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// What the kernel has to say about a file system context, as one line.
pub(super) fn log(context: impl AsFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    // Each read gives one message; there is an error when there are no more.
    while let Ok(length) = rustix::io::read(&context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        lines.push(text.trim_start_matches("e ").trim_end().to_owned());
        if length == 0 || lines.len() == 8 {
            break;
        }
    }
    lines.join(", ")
}
