//! Runs a service that cannot outlive its owner, and cleans up after it.
//!
//! A test binary drops no statics, and may be killed. So a service is started by a shell that reads from a pipe whose
//! other end only we hold: when it ends, for whatever reason, the kernel closes the pipe, and the shell leaves. It is
//! the first process of a pid and a mount namespace, so the kernel takes all processes and mounts of the service away
//! with it. The outer shell then removes the cgroups and the folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a service may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(90);

/// Signals are ignored by both shells: Ctrl-C must not end them before they have cleaned up.
const OUTER: &str = r#"
trap '' INT TERM HUP QUIT
unshare --mount --pid --fork --mount-proc -- sh -c "$INNER" inner "$@"
find /sys/fs/cgroup -depth -type d -path "*/$GROUP*" -exec rmdir {} + 2>/dev/null
rm -rf --one-file-system "$DIR"
"#;

/// The service's own /run keeps it apart from a service of the same kind on this machine. Cgroups are mounted the way
/// that dockerd needs them, where nobody did.
const INNER: &str = r#"
trap '' INT TERM HUP QUIT
mount -t tmpfs -o mode=755 tmpfs /run
if ! mountpoint -q /sys/fs/cgroup; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while read -r name _ _ enabled; do
        case "$name:$enabled" in
        *:1) mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" ;;
        esac
    done </proc/cgroups
fi
{ (trap - INT TERM HUP QUIT; exec "$@") </dev/null; echo "service ended with status $?"; } >"$DIR/log" 2>&1 &
read -r _
"#;

/// A running service; it is ended and its folder removed when this is dropped or its owner dies.
pub struct Ward {
    name: &'static str,
    dir: PathBuf,
    shell: Child,
}

impl Ward {
    /// A new folder for a service and the name of its cgroup, for `start`.
    pub fn folder(name: &'static str) -> PathBuf {
        let prefix = format!("rbuild-it-{name}-");
        tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for a service").keep()
    }

    /// The cgroup that the service in `dir` must stay in.
    pub fn cgroup(dir: &Path) -> String {
        dir.file_name().expect("folder() gave it a name").to_string_lossy().into_owned()
    }

    /// Starts a command as the service in `dir`, which came from `folder`.
    pub fn start(name: &'static str, dir: &Path, command: &[&str]) -> Self {
        let shell = Command::new("sh")
            .args(["-c", OUTER, "outer"])
            .args(command)
            .env("INNER", INNER)
            .env("DIR", dir)
            .env("GROUP", Self::cgroup(dir))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a shell for {name}: {error}"));
        Self { name, dir: dir.to_owned(), shell }
    }

    /// The service's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the service has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits until `ready` gives an answer; panics with the end of the log if the service ends before that.
    pub fn wait_for<T>(&self, ready: impl Fn(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ready(self) {
                return answer;
            }
            let log = self.log();
            let ended = log.contains("service ended with status") || start.elapsed() > PATIENCE;
            assert!(!ended, "{} did not get ready (this needs root):\n{}", self.name, tail(&log));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        if let Err(error) = self.shell.wait() {
            assert!(thread::panicking(), "cannot wait for the end of {}: {error}", self.name);
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
