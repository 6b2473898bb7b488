//! Checkouts of git repositories.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};

use super::program::Git;
use super::{Error, Fetcher, Result, Watch};
use crate::fsx::{self, At as _};
use crate::remote::{GitSource, Submodules, Times};
use crate::store::{Store, TreeDraft};

/// A commit by its whole hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    hash: String,
}

/// The files of a commit in a private folder, which is removed when this is dropped.
pub struct Checkout {
    folder: PathBuf,
    _draft: TreeDraft,
}

impl Commit {
    /// The hash, in lower case.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl Checkout {
    /// The folder that the source means.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Fetcher {
    /// Asks a repository which commit a source means now. The commit that the source demands must be that one.
    pub fn commit_of(&self, store: &Store, source: &GitSource, watch: &dyn Watch) -> Result<Commit> {
        if let (true, Some(hash)) = (source.is_fetched_by_commit(), source.checksum().filter(|text| is_hash(text))) {
            return Ok(Commit { hash: hash.to_owned() });
        }
        let found = match source.reference() {
            Some(hash) if is_hash(hash) => Named { commit: hash.to_ascii_lowercase(), tag: None },
            reference => {
                let draft = store.tree_draft()?;
                let git = self.git(source, watch, &draft, draft.fs().join("none"), None);
                let name = reference.unwrap_or("HEAD");
                // The second pattern asks for the commit behind a tag that is an object of its own.
                let peeled = format!("{name}^{{}}");
                let listed =
                    git.run("list the refs of", &["ls-remote", "--quiet", "--", source.remote(), name, &peeled])?;
                let found = named(&String::from_utf8_lossy(&listed), name);
                found.ok_or_else(|| Error::NoRef { shown: source.remote().to_owned(), reference: name.to_owned() })?
            }
        };
        let is_demanded = |expected: &&str| {
            found.commit.starts_with(*expected) || found.tag.as_ref().is_some_and(|tag| tag.starts_with(*expected))
        };
        match source.checksum().filter(|expected| !is_demanded(expected)) {
            Some(expected) => {
                let (shown, expected) = (source.shown(), expected.to_owned());
                Err(Error::Commit { shown, expected, found: found.commit })
            }
            None => Ok(Commit { hash: found.commit }),
        }
    }

    /// Fetches a commit and checks it out.
    pub fn check_out(&self, store: &Store, source: &GitSource, commit: &Commit, watch: &dyn Watch) -> Result<Checkout> {
        let draft = store.tree_draft()?;
        let tree = draft.fs();
        let git_dir = if source.keeps_git_dir() { tree.join(".git") } else { draft.work().join("git") };
        let bare = self.git(source, watch, &draft, git_dir.clone(), None);
        prepare(&bare, commit)?;
        let git = Git { work_tree: Some(tree.clone()), ..bare };
        git.run("check out", &["checkout", "--quiet", "--force", "--detach", &commit.hash])?;
        if source.submodules == Submodules::Included && tree.join(".gitmodules").symlink_metadata().is_ok() {
            // Relative URLs of submodules are relative to this one.
            git.run("prepare the submodules of", &["config", "remote.origin.url", source.remote()])?;
            let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
            git.run("check out the submodules of", &update)?;
        }
        if source.keeps_git_dir() {
            git.run("name the origin of", &["config", "remote.origin.url", source.remote()])?;
            tidy(&git, &git_dir, commit)?;
        } else {
            // Each submodule leaves a file that says where its repository was.
            remove_git_files(&tree)?;
        }
        if source.times == Times::Commit {
            set_times(&tree, time(&git, commit)?)?;
        }
        let folder = folder_of(&tree, source)?;
        Ok(Checkout { folder, _draft: draft })
    }

    /// When a commit was made, in seconds since 1970.
    pub fn time_of_commit(&self, store: &Store, source: &GitSource, commit: &Commit, watch: &dyn Watch) -> Result<i64> {
        let draft = store.tree_draft()?;
        let git = self.git(source, watch, &draft, draft.work().join("git"), None);
        prepare(&git, commit)?;
        time(&git, commit)
    }

    fn git<'a>(
        &'a self,
        source: &'a GitSource,
        watch: &'a dyn Watch,
        draft: &TreeDraft,
        git_dir: PathBuf,
        work_tree: Option<PathBuf>,
    ) -> Git<'a> {
        Git { options: &self.options, source, watch, scratch: draft.work(), git_dir, work_tree }
    }
}

/// A commit, and the tag that was found for it if that is an object of its own.
struct Named {
    commit: String,
    tag: Option<String>,
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The commit that a list of refs gives a name; as git itself does, a branch before a tag, and these before other refs.
fn named(listed: &str, name: &str) -> Option<Named> {
    let refs: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let hash_of = |wanted: &str| refs.iter().find(|(_, name)| *name == wanted).map(|(hash, _)| *hash);
    let spellings =
        [format!("refs/heads/{name}"), format!("refs/tags/{name}"), name.to_owned(), format!("refs/{name}")];
    let (spelling, hash) = spellings.iter().find_map(|spelling| hash_of(spelling).map(|hash| (spelling, hash)))?;
    let peeled = hash_of(&format!("{spelling}^{{}}"));
    let commit = peeled.unwrap_or(hash);
    let tag = peeled.map(|_| hash.to_owned());
    is_hash(commit).then(|| Named { commit: commit.to_owned(), tag })
}

/// Makes a repository that holds one commit.
fn prepare(git: &Git<'_>, commit: &Commit) -> Result<()> {
    let format = if commit.hash.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run("prepare a repository for", &["init", "--quiet", "--template=", format])?;
    fetch(git, commit)
}

/// When a commit was made; git itself refuses commits that do not say it.
fn time(git: &Git<'_>, commit: &Commit) -> Result<i64> {
    let told = git.run("read the time of", &["show", "--no-patch", "--format=%ct", &commit.hash])?;
    Ok(String::from_utf8_lossy(&told).trim().parse().unwrap_or(0))
}

/// Fetches one commit; from a server that gives none by its hash, all branches and tags.
fn fetch(git: &Git<'_>, commit: &Commit) -> Result<()> {
    let remote = git.source.remote();
    let one = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", remote, &commit.hash];
    let said = git.try_run(&one)?;
    if said.status.success() {
        return Ok(());
    }
    let all = ["fetch", "--quiet", "--", remote, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
    let second = git.try_run(&all)?;
    if !second.status.success() {
        return Err(git.failed("fetch", &second));
    }
    let object = format!("{}^{{commit}}", commit.hash);
    if git.try_run(&["cat-file", "-e", &object])?.status.success() {
        return Ok(());
    }
    Err(Error::NoRef { shown: remote.to_owned(), reference: commit.hash.clone() })
}

/// Makes a kept `.git` the same each time as far as git allows: no index with inode numbers, no logs, no traces of the fetch.
fn tidy(git: &Git<'_>, git_dir: &Path, commit: &Commit) -> Result<()> {
    fsx::remove_file(&git_dir.join("index"))?;
    git.run("write the index of", &["read-tree", &commit.hash])?;
    for name in ["FETCH_HEAD", "ORIG_HEAD"] {
        fsx::remove_file(&git_dir.join(name))?;
    }
    Ok(fsx::remove_tree(&git_dir.join("logs"))?)
}

/// Removes the files and folders called `.git` below the root.
fn remove_git_files(tree: &Path) -> Result<()> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(tree).min_depth(1) {
        let entry = entry.map_err(|error| walk_error(tree, error))?;
        if entry.file_name() == ".git" {
            found.push(entry.into_path());
        }
    }
    for path in found {
        fsx::remove_tree(&path)?;
    }
    Ok(())
}

fn walk_error(tree: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(tree).to_path_buf();
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop"));
    fsx::Error { action: "list", path, source }.into()
}

fn set_times(tree: &Path, seconds: i64) -> Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.map_err(|error| walk_error(tree, error))?;
        let set = rustix::fs::utimensat(CWD, entry.path(), &times, AtFlags::SYMLINK_NOFOLLOW);
        set.at("set the time of", entry.path())?;
    }
    Ok(())
}

/// The folder that a source means: every part of its path is a real folder.
fn folder_of(tree: &Path, source: &GitSource) -> Result<PathBuf> {
    let subdir = source.subdir();
    if subdir.is_root() {
        return Ok(tree.to_path_buf());
    }
    let base = fsx::open(tree)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&base, subdir.as_path(), flags, Mode::empty(), resolve) {
        Ok(_) => Ok(subdir.in_dir(tree)),
        Err(_absent) => Err(Error::NoFolder { shown: source.remote().to_owned(), folder: subdir.to_string() }),
    }
}
