//! Carries out the mounts of a plan.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags as Attrs, MoveMountFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen, move_mount,
};

use super::footprint::{Keep, Notes};
use super::mounts::{MountOp, Point};
use super::overlay::{self, Place, Writable};
use super::spec::{NodeKind, Source, Writes};
use super::sys;
use super::walk::{self, Links};
use super::wire::{Doing as _, Failure, Kind};
use crate::path::ImagePath;

const PROC_MAGIC: u64 = 0x9fa0;
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// A root filesystem being furnished.
pub(super) struct Room<'a> {
    /// Its root.
    pub(super) root: BorrowedFd<'a>,
    /// A folder in memory that only this namespace sees, for files and mounts that are bound from there.
    pub(super) staging: BorrowedFd<'a>,
    /// What was made in it.
    pub(super) notes: Notes,
    /// How many names are taken in `staging`.
    pub(super) staged: u32,
}

impl Room<'_> {
    /// Carries out one step.
    pub(super) fn carry_out(&mut self, op: &MountOp) -> Result<(), Failure> {
        match op {
            MountOp::Filesystem { kind, options, target, attrs, point } => {
                let mount = filesystem(kind, options, *attrs)?;
                let reached = match point {
                    Point::Stays => walk::make(self.root, target, Links::Refused, Kind::Folder, &mut Keep)?,
                    Point::Goes => walk::make(self.root, target, Links::Refused, Kind::Folder, &mut self.notes)?,
                };
                is_folder(&reached.fd, target)?;
                attach(&mount, &reached.fd, target)
            }
            MountOp::Device { name, numbers } => self.device(name, *numbers),
            MountOp::Symlink { at, to } => {
                let folder = walk::find(self.root, &at.parent().unwrap_or_default(), Links::Refused)?;
                rustix::fs::symlinkat(*to, &folder.fd, at.file_name().unwrap_or_default())
                    .doing("create", at.to_string())
            }
            MountOp::Show { source, target, attrs } => self.show(source, target, *attrs),
            MountOp::Mask { path } => mask(self.root, path),
            MountOp::Protect { path } => protect(self.root, path),
        }
    }

    /// Binds a node of the host. Its own mount is the one place where a device can be opened.
    fn device(&mut self, name: &str, numbers: (u32, u32)) -> Result<(), Failure> {
        let host = open_device(&format!("/dev/{name}"), numbers)?;
        let mount = usable(host.as_fd(), Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC, name)?;
        let target = ImagePath::new("dev").child(name.as_bytes());
        let reached = walk::make(self.root, &target, Links::Refused, Kind::File, &mut self.notes)?;
        attach(&mount, &reached.fd, &target)
    }

    fn show(&mut self, source: &Source, target: &ImagePath, attrs: Attrs) -> Result<(), Failure> {
        let mount = match source {
            Source::Tmpfs { size, mode } => {
                let mut options = vec![("mode", format!("{:o}", mode & 0o7777))];
                options.extend(size.map(|size| ("size", size.to_string())));
                filesystem("tmpfs", &options, attrs)?
            }
            Source::Host { path, inside } => bound(host(path, inside)?.as_fd(), attrs)?,
            Source::Lent { path, programs: _ } => bound(host(path, &ImagePath::root())?.as_fd(), attrs)?,
            Source::Node { kind, numbers, mode, uid, gid } => {
                let node = self.node(*kind, *numbers, *mode, (*uid, *gid))?;
                usable(node.as_fd(), attrs, &target.to_string())?
            }
            Source::Content { bytes, mode, uid, gid } => bound(self.content(bytes, *mode, *uid, *gid)?.as_fd(), attrs)?,
            Source::Tree { lowers, inside, writes } => {
                bound(self.tree(lowers, inside, writes.as_ref())?.as_fd(), attrs)?
            }
        };
        let stat = rustix::fs::fstat(&mount).doing("stat", target.to_string())?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let kind = if is_folder { Kind::Folder } else { Kind::File };
        let reached = walk::make(self.root, target, Links::Followed, kind, &mut self.notes)?;
        attach(&mount, &reached.fd, target)
    }

    fn stage(&mut self) -> String {
        self.staged += 1;
        self.staged.to_string()
    }

    fn content(&mut self, bytes: &[u8], mode: u32, uid: u32, gid: u32) -> Result<OwnedFd, Failure> {
        let name = self.stage();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(self.staging, name.as_str(), flags, Mode::RUSR).doing("create a file to mount", "")?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).doing("write a file to mount", "")?;
            rest = &rest[written..];
        }
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .doing("chown a file to mount", "")?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777)).doing("chmod a file to mount", "")?;
        Ok(file)
    }

    /// Makes a node of its own: the host's keeps its owner and mode.
    fn node(
        &mut self,
        kind: NodeKind,
        (major, minor): (u32, u32),
        mode: u32,
        (uid, gid): (u32, u32),
    ) -> Result<OwnedFd, Failure> {
        let kind = match kind {
            NodeKind::Character => FileType::CharacterDevice,
            NodeKind::Block => FileType::BlockDevice,
        };
        let (name, numbers) = (self.stage(), format!("{major}:{minor}"));
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(self.staging, name.as_str(), kind, Mode::empty(), device)
            .doing("make the node of the device", &numbers)?;
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(self.staging, name.as_str(), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            .doing("chown the node of the device", &numbers)?;
        rustix::fs::chmodat(self.staging, name.as_str(), Mode::from_raw_mode(mode & 0o777), AtFlags::empty())
            .doing("chmod the node of the device", &numbers)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.staging, name.as_str(), flags, Mode::empty())
            .doing("open the node of the device", &numbers)
    }

    fn tree(
        &mut self,
        lowers: &[std::path::PathBuf],
        inside: &ImagePath,
        writes: Option<&Writes>,
    ) -> Result<OwnedFd, Failure> {
        let name = self.stage();
        rustix::fs::mkdirat(self.staging, name.as_str(), Mode::RWXU).doing("create a folder to mount on", "")?;
        let place = Place { folder: self.staging, name: &name };
        let lowers = lowers.iter().map(|path| open_folder(CWD, path)).collect::<Result<Vec<_>, _>>()?;
        let root = match writes {
            None => overlay::mount(&lowers, None, place)?,
            Some(Writes { upper, work }) => {
                let (upper, work) = (open_folder(CWD, upper)?, open_folder(CWD, work)?);
                overlay::mount(&lowers, Some(&Writable { upper: &upper, work: &work }), place)?
            }
        };
        Ok(walk::find(root.as_fd(), inside, Links::Followed)?.fd)
    }
}

/// Opens a folder of the host.
pub(super) fn open_folder(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    rustix::fs::openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing("open", path.as_os_str().as_bytes())
}

/// A file system of the kernel's, mounted nowhere yet.
pub(super) fn filesystem(kind: &str, options: &[(&str, String)], attrs: Attrs) -> Result<OwnedFd, Failure> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing("open the file system", kind)?;
    let explain = |error: Errno| {
        let mut failure = Failure::setup("mount the file system", kind.as_bytes(), error);
        failure.detail = overlay::log(&context);
        failure
    };
    fsconfig_set_string(&context, c"source", kind).map_err(explain)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, value.as_str()).map_err(explain)?;
    }
    fsconfig_create(&context).map_err(explain)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs).map_err(explain)
}

/// Opens a device node and makes sure that it is the one it is called.
pub(super) fn open_device(path: &str, (major, minor): (u32, u32)) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(CWD, path, flags, Mode::empty()).doing("open", path)?;
    check_device(&node, (major, minor)).doing("use the device", path)?;
    Ok(node)
}

fn check_device(node: &OwnedFd, (major, minor): (u32, u32)) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(node)?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (major, minor);
    if is_it { Ok(()) } else { Err(Errno::NODEV) }
}

fn host(path: &Path, inside: &ImagePath) -> Result<OwnedFd, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    let top = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing("open", path.as_os_str().as_bytes())?;
    if inside.is_root() { Ok(top) } else { Ok(walk::find(top.as_fd(), inside, Links::Followed)?.fd) }
}

/// A detached mount of what `fd` shows, with exactly `attrs`.
fn bound(fd: BorrowedFd<'_>, attrs: Attrs) -> Result<OwnedFd, Failure> {
    let mount = overlay::clone(fd, "a mount's source")?;
    sys::mount_setattr(&mount, attrs.bits().into(), 0).doing("set up a mount", "")?;
    Ok(mount)
}

/// A detached mount of a node, where it can be opened for reading and writing.
fn usable(node: BorrowedFd<'_>, attrs: Attrs, name: &str) -> Result<OwnedFd, Failure> {
    let mount = overlay::clone(node, name)?;
    let clear = (Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_RDONLY).bits();
    sys::mount_setattr(&mount, attrs.bits().into(), clear.into()).doing("set up the device", name)?;
    Ok(mount)
}

fn attach(mount: &OwnedFd, to: &OwnedFd, target: &ImagePath) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match move_mount(mount, c"", to, c"", flags) {
        Err(Errno::NOTDIR) => {
            Err(Failure::rootfs(target, "is a file where a folder is mounted, or the other way round"))
        }
        other => other.doing("mount on", target.to_string()),
    }
}

fn is_folder(fd: &OwnedFd, path: &ImagePath) -> Result<(), Failure> {
    let stat = rustix::fs::fstat(fd).doing("stat", path.to_string())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(()),
        _ => Err(Failure::rootfs(path, "is not a folder")),
    }
}

/// Opens a place in the `/proc` or `/sys` that the sandbox mounted itself; none if this kernel lacks it.
fn kernel_place(root: BorrowedFd<'_>, path: &ImagePath) -> Result<Option<OwnedFd>, Failure> {
    let reached = match walk::find(root, path, Links::Refused) {
        Err(failure) if failure.errno == Errno::NOENT.raw_os_error() => return Ok(None),
        other => other?,
    };
    let system = rustix::fs::fstatfs(&reached.fd).doing("stat", path.to_string())?;
    match u64::try_from(system.f_type) {
        Ok(PROC_MAGIC | SYSFS_MAGIC) => Ok(Some(reached.fd)),
        _ => Err(Failure::rootfs(path, "is not the kernel's")),
    }
}

fn mask(root: BorrowedFd<'_>, path: &ImagePath) -> Result<(), Failure> {
    let Some(place) = kernel_place(root, path)? else { return Ok(()) };
    let stat = rustix::fs::fstat(&place).doing("stat", path.to_string())?;
    let mount = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let attrs =
            Attrs::MOUNT_ATTR_RDONLY | Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC;
        filesystem("tmpfs", &[("size", "4k".to_owned()), ("mode", "755".to_owned())], attrs)?
    } else {
        let null = walk::find(root, &ImagePath::new("dev/null"), Links::Refused)?;
        check_device(&null.fd, (1, 3)).doing("use the device", "/dev/null")?;
        overlay::clone(null.fd.as_fd(), "/dev/null")?
    };
    attach(&mount, &place, path)
}

fn protect(root: BorrowedFd<'_>, path: &ImagePath) -> Result<(), Failure> {
    let Some(place) = kernel_place(root, path)? else { return Ok(()) };
    let mount = overlay::clone(place.as_fd(), &path.to_string())?;
    let attrs =
        Attrs::MOUNT_ATTR_RDONLY | Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC;
    sys::mount_setattr(&mount, attrs.bits().into(), 0).doing("protect", path.to_string())?;
    attach(&mount, &place, path)
}

/// Makes `root` the root of this process and lets go of the old one.
pub(super) fn enter(root: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::process::fchdir(root).doing("enter the root filesystem", "")?;
    rustix::process::pivot_root(c".", c".").doing("make the root filesystem the root", "")?;
    rustix::mount::unmount(c".", rustix::mount::UnmountFlags::DETACH).doing("unmount the host's root", "")?;
    rustix::process::chdir(c"/").doing("enter", "/")
}
