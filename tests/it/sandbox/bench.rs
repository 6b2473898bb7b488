//! A root filesystem with busybox, and the folders of one run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rbuild::path::ImagePath;
use rbuild::sandbox::{Access, Cancel, End, Error, Mount, Outcome, Sandbox, Source, Spec, Stream};

use crate::support::tools;

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub lowers: Vec<PathBuf>,
}

/// What a run said and did.
#[derive(Debug)]
pub struct Ran {
    pub outcome: Outcome,
    pub stdout: String,
    pub stderr: String,
}

/// What the scripts of these tests use.
const APPLETS: [&str; 37] = [
    "cat", "chmod", "chroot", "cut", "df", "dmesg", "env", "grep", "head", "hostname", "id", "ip", "ln", "ls", "mkdir",
    "mknod", "mount", "mv", "nohup", "ps", "pwd", "readlink", "rm", "setsid", "sh", "sleep", "stat", "swapoff", "tail",
    "touch", "tr", "true", "umount", "unshare", "wc", "yes", "echo",
];

impl Bench {
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests need root: a sandbox makes namespaces and mounts");
        assert!(Path::new("/bin/busybox").exists(), "these tests need a static /bin/busybox (Debian: busybox-static)");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let base = dir.path().join("base");
        for folder in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
            fs::create_dir_all(base.join(folder)).expect("a folder of the base");
        }
        tools::copy_program("/bin/busybox", base.join("bin/busybox"));
        for applet in APPLETS {
            symlink("busybox", base.join("bin").join(applet)).expect("an applet");
        }
        Self { lowers: vec![base], dir }
    }

    pub fn base(&self) -> &Path {
        &self.lowers[0]
    }

    pub fn upper(&self) -> PathBuf {
        self.dir.path().join("upper")
    }

    /// A new, empty folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("the last run's folder removed");
        }
        fs::create_dir(&path).expect("a fresh folder");
        path
    }

    /// A spec for a shell command, with fresh folders for its changes.
    pub fn spec(&self, script: &str) -> Spec {
        let (upper, work) = (self.folder("upper"), self.folder("work"));
        let argv = words(&["/bin/sh", "-c", script]);
        let mut spec = Spec::new(self.lowers.clone(), upper, work, argv);
        spec.env = words(&["PATH=/usr/bin:/bin"]);
        spec.hosts = Some(b"127.0.0.1 localhost\n".to_vec());
        spec.resolv_conf = Some(b"nameserver 10.0.0.1\n".to_vec());
        spec
    }

    /// Runs a shell command and returns its output, which must be all it says.
    #[track_caller]
    pub fn says(&self, script: &str) -> String {
        says(&self.spec(script))
    }

    /// The paths below the upper folder, sorted.
    pub fn changes(&self) -> Vec<String> {
        let mut paths = Vec::new();
        list(&self.upper(), "", &mut paths);
        paths.sort();
        paths
    }
}

pub fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn list(folder: &Path, prefix: &str, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder that can be listed") {
        let entry = entry.expect("an entry");
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a type").is_dir() {
            list(&entry.path(), &path, into);
        }
        into.push(path);
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::with_program(Path::new(env!("CARGO_BIN_EXE_rbuild")))
}

pub fn run(spec: &Spec) -> Result<Ran, Error> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let outcome = sandbox().run(spec, &Cancel::new()?, &mut |stream, bytes| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { outcome, stdout: text(stdout), stderr: text(stderr) })
}

/// Runs a step that must succeed and say nothing on standard error.
#[track_caller]
pub fn says(spec: &Spec) -> String {
    let ran = run(spec).expect("the step runs");
    assert_eq!((ran.outcome.end, ran.stderr.as_str()), (End::Code(0), ""), "{ran:?}");
    ran.stdout
}

pub fn mount(target: &str, source: Source) -> Mount {
    Mount { target: ImagePath::new(target), source, access: Access::ReadWrite }
}

pub fn tmpfs() -> Source {
    Source::Tmpfs { size: None, mode: 0o1777 }
}

pub fn host(path: &Path) -> Source {
    Source::Host { path: path.to_path_buf(), inside: ImagePath::root() }
}
