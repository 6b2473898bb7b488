//! A folder of the host as a source.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath;
use super::contents::{Contents, PathHash};
use super::error::{Error, Result};
use super::hash;
use super::ignore::{Ignore, Verdict};
use super::rules::Last;
use super::source::{Chooser, Content, Hidden, Kind, LinkGroup, Meta, Shape, Source};
use super::stat::{Name, Stat, read_names, stat_at};
use super::stat_cache::StatCache;
use crate::fsx::{self, At as _};
use crate::path::ContextPath;

/// A context folder, seen through ignore rules. What was looked at once stays as it was seen.
pub struct DirectorySource {
    root: OwnedFd,
    host: PathBuf,
    ignore: Ignore,
    outputs: BTreeSet<ContextPath>,
    memo: Mutex<Memo>,
    cache: Mutex<StatCache>,
    devices: hash::Devices,
}

#[derive(Default)]
struct Memo {
    stats: HashMap<ContextPath, Stat, PathHash>,
    contents: Contents,
    /// Whether anything below an ignored folder is included.
    included_below: HashMap<ContextPath, bool, PathHash>,
}

struct Folder {
    fd: OwnedFd,
    names: Arc<Vec<Name>>,
}

impl DirectorySource {
    /// Opens the folder `root`; a symlink to a folder is followed. Of `outputs`, those below `root` are left out.
    pub fn open(root: &Path, ignore: Ignore, outputs: &[PathBuf], cache: StatCache) -> Result<Self> {
        let host = std::fs::canonicalize(root).at("find the context", root)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&host, flags, Mode::empty()).at("open the context", &host)?;
        let outputs = outputs.iter().filter_map(|output| below(&host, output)).collect();
        let memo = Mutex::default();
        Ok(Self { root: fd, host, ignore, outputs, memo, cache: Mutex::new(cache), devices: hash::Devices::default() })
    }

    /// The rules through which the folder is seen.
    pub fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// What is known now about the files that were read; valid for later builds.
    pub fn into_stat_cache(self) -> StatCache {
        self.cache.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outputs of earlier builds that exist and would belong to the context if they were not outputs.
    pub fn present_outputs(&self) -> Vec<ContextPath> {
        let included = |path: &&ContextPath| self.ignore.verdict(path) == Verdict::Included && self.exists(path);
        self.outputs.iter().filter(included).cloned().collect()
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, StatCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host_path(&self, path: &ContextPath) -> PathBuf {
        path.in_dir(&self.host)
    }

    fn open_fd(&self, path: &ContextPath, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        beneath::open(self.root.as_fd(), path, flags)
    }

    fn exists(&self, path: &ContextPath) -> bool {
        self.open_fd(path, OFlags::PATH).is_ok()
    }

    fn is_output(&self, path: &ContextPath) -> bool {
        !self.outputs.is_empty() && self.outputs.iter().any(|output| path.is_within(output))
    }

    /// Opens and lists a folder; none if there is no folder at `path`.
    fn read_folder(&self, path: &ContextPath) -> std::result::Result<Option<Folder>, fsx::Error> {
        let host = self.host_path(path);
        let fd = match self.open_fd(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(errno) if is_absence(errno) => return Ok(None),
            opened => opened.at("list", &host)?,
        };
        let known = self.memo().stats.get(path).copied();
        let stat = match known {
            Some(stat) => stat,
            None => stat_at(fd.as_fd(), b"").at("stat", &host)?,
        };
        if let Some(names) = self.cache().find_folder(&stat) {
            return Ok(Some(Folder { fd, names }));
        }
        let read_at = hash::now();
        let names = Arc::new(read_names(fd.as_fd()).at("list", &host)?);
        if self.devices.keep_change_times(&stat, fd.as_fd()) {
            self.cache().insert_folder(&stat, read_at, Arc::clone(&names));
        }
        Ok(Some(Folder { fd, names }))
    }

    /// What is at `name` in an open folder; none if nothing is.
    fn stat_child(&self, folder: &OwnedFd, path: &ContextPath) -> Result<Option<Stat>> {
        if let Some(stat) = self.memo().stats.get(path) {
            return Ok(Some(*stat));
        }
        match stat_at(folder.as_fd(), path.file_name().unwrap_or_default()) {
            Err(errno) if is_absence(errno) => Ok(None),
            stat => {
                let stat = stat.at("stat", &self.host_path(path))?;
                self.memo().stats.insert(path.clone(), stat);
                Ok(Some(stat))
            }
        }
    }

    fn meta(&self, folder: &OwnedFd, path: &ContextPath, stat: &Stat) -> Result<Option<Meta>> {
        let (major, minor) = stat.special;
        let kind = match stat.file_type() {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File { size: stat.size },
            FileType::Symlink => {
                let name = path.file_name().unwrap_or_default();
                match rustix::fs::readlinkat(folder, name, Vec::new()) {
                    Err(errno) if is_absence(errno) || errno == Errno::INVAL => return Ok(None),
                    target => Kind::Symlink { target: target.at("read", &self.host_path(path))?.into_bytes() },
                }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        let is_linked = stat.names > 1 && kind != Kind::Directory;
        let link_group = is_linked.then_some(LinkGroup { volume: stat.device, number: stat.inode });
        // Owners and extended attributes of the host mean nothing in an image: BuildKit resets the former on the client, and
        // of the latter its layers hold only file capabilities, which its receiver's chown has removed by then.
        let xattrs = Default::default();
        Ok(Some(Meta { kind, mode: stat.mode & 0o7777, uid: 0, gid: 0, mtime: stat.mtime, xattrs, link_group }))
    }

    /// Whether the ignored folder `path` holds something that is included, and hence belongs to the context.
    fn includes_below(&self, path: &ContextPath, last: Last) -> Result<bool> {
        if let Some(known) = self.memo().included_below.get(path) {
            return Ok(*known);
        }
        let mut visited = Vec::new();
        let mut pending = vec![(path.clone(), last)];
        let mut included = None;
        while let Some((dir, last)) = pending.pop() {
            if included.is_some() {
                break;
            }
            let names = match self.read_folder(&dir) {
                // As BuildKit: an ignored folder that may not be read stays ignored.
                Err(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => continue,
                folder => folder?.map(|folder| folder.names).unwrap_or_default(),
            };
            visited.push(dir.clone());
            for name in names.iter() {
                let child = dir.child(&name.bytes);
                if self.is_output(&child) {
                    continue;
                }
                let last = self.ignore.enter(&child, last);
                if self.ignore.verdict_of(last) == Verdict::Included {
                    included = Some(child);
                    break;
                }
                if name.is_directory && self.ignore.may_include_below_of(&child, last) {
                    pending.push((child, last));
                }
            }
        }
        let mut memo = self.memo();
        for dir in visited {
            // Folders are visited depth first: one that is not above the hit has been searched to its end.
            let holds = included.as_ref().is_some_and(|hit| hit.is_within(&dir));
            memo.included_below.insert(dir, holds);
        }
        Ok(included.is_some())
    }

    fn is_visible(&self, path: &ContextPath, last: Last, is_directory: bool) -> Result<bool> {
        if self.is_output(path) {
            return Ok(false);
        }
        if self.ignore.verdict_of(last) == Verdict::Included {
            return Ok(true);
        }
        Ok(is_directory && self.ignore.may_include_below_of(path, last) && self.includes_below(path, last)?)
    }
}

impl Source for DirectorySource {
    fn lookup(&self, path: &ContextPath) -> Result<Option<Meta>> {
        let last = self.ignore.last_match(path);
        if self.is_output(path) || !self.ignore.may_include_below_of(path, last) {
            return Ok(None);
        }
        let folder = match self.open_fd(&path.parent().unwrap_or_default(), OFlags::PATH | OFlags::DIRECTORY) {
            Err(errno) if is_absence(errno) => return Ok(None),
            folder => folder.at("open", &self.host_path(path))?,
        };
        let Some(stat) = self.stat_child(&folder, path)? else { return Ok(None) };
        if !self.is_visible(path, last, stat.file_type() == FileType::Directory)? {
            return Ok(None);
        }
        self.meta(&folder, path, &stat)
    }

    fn list(&self, path: &ContextPath) -> Result<Vec<Vec<u8>>> {
        let Some(folder) = self.read_folder(path)? else { return Ok(Vec::new()) };
        let above = self.ignore.last_match(path);
        let mut names = Vec::new();
        for name in folder.names.iter() {
            let child = path.child(&name.bytes);
            if self.is_visible(&child, self.ignore.enter(&child, above), name.is_directory)? {
                names.push(name.bytes.clone());
            }
        }
        Ok(names)
    }

    fn walk(&self, base: &ContextPath, choose: &mut Chooser<'_>) -> Result<Vec<(ContextPath, Meta)>> {
        let mut taken = Vec::new();
        let mut pending = vec![(base.clone(), self.ignore.last_match(base))];
        while let Some((dir, above)) = pending.pop() {
            let Some(folder) = self.read_folder(&dir)? else { continue };
            for name in folder.names.iter() {
                let child = dir.child(&name.bytes);
                let last = self.ignore.enter(&child, above);
                if !self.is_visible(&child, last, name.is_directory)? {
                    continue;
                }
                let shape = if name.is_directory { Shape::Directory } else { Shape::Other };
                let choice = choose(&child, shape);
                if choice.take {
                    let Some(stat) = self.stat_child(&folder.fd, &child)? else { continue };
                    taken.extend(self.meta(&folder.fd, &child, &stat)?.map(|meta| (child.clone(), meta)));
                }
                if choice.descend && name.is_directory {
                    pending.push((child, last));
                }
            }
        }
        taken.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(taken)
    }

    fn open(&self, path: &ContextPath) -> Result<Box<dyn Read + Send>> {
        let fd = self.open_fd(path, hash::READ_FLAGS).at("open", &self.host_path(path))?;
        let stat = stat_at(fd.as_fd(), b"").at("stat", &self.host_path(path))?;
        if stat.file_type() != FileType::RegularFile {
            return Err(Error::NotAFile { path: path.clone() });
        }
        Ok(Box::new(File::from(fd)))
    }

    fn content(&self, path: &ContextPath) -> Result<Content> {
        let (content, stat) = {
            let memo = self.memo();
            (memo.contents.get(path).copied(), memo.stats.get(path).copied())
        };
        if let Some(content) = content {
            return Ok(content);
        }
        let known = stat.and_then(|stat| {
            let digest = self.cache().find_file(&stat)?;
            Some(Content { size: stat.size, digest })
        });
        let content = match known {
            Some(content) => content,
            None => {
                let hashed = hash::file(&self.root, path, &self.host_path(path), &self.devices)?;
                if hashed.is_trusted {
                    self.cache().insert_file(&hashed.stat, hashed.read_at, hashed.content.digest);
                }
                hashed.content
            }
        };
        self.memo().contents.insert(path.clone(), content);
        Ok(content)
    }

    fn known_contents(&self, paths: &[&ContextPath]) -> Vec<Option<Content>> {
        let (memo, mut cache) = (self.memo(), self.cache());
        // What the stat cache knows stays known while the stat does, which this keeps: it need not be noted twice.
        let known = |path: &&ContextPath| {
            if !memo.contents.is_empty()
                && let Some(content) = memo.contents.get(*path)
            {
                return Some(*content);
            }
            let stat = memo.stats.get(*path)?;
            Some(Content { size: stat.size, digest: cache.find_file(stat)? })
        };
        paths.iter().map(known).collect()
    }

    fn hidden_by(&self, path: &ContextPath) -> Result<Option<Hidden>> {
        if !self.exists(path) {
            return Ok(None);
        }
        if self.is_output(path) {
            return Ok(Some(Hidden::Output));
        }
        match self.ignore.verdict(path) {
            Verdict::Ignored { line } => Ok(Some(Hidden::Ignored { file: self.ignore.file().to_owned(), line })),
            Verdict::Included => Ok(None),
        }
    }
}

/// Whether the call failed because nothing is there, as seen without following symlinks.
fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)
}

/// Where in the context `root` the file `output` lies or would lie; none if outside.
fn below(root: &Path, output: &Path) -> Option<ContextPath> {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder that does not exist holds no output.
    let folder = std::fs::canonicalize(folder).ok()?;
    let inside = folder.join(output.file_name()?).strip_prefix(root).ok()?.as_os_str().as_bytes().to_vec();
    Some(ContextPath::new(inside)).filter(|path| !path.is_root())
}
