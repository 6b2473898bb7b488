//! Runs the rbuild program in a place of its own and says what it did.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::fixture;

/// No build of a test takes this long; a program that hangs is killed then.
const LIMIT: Duration = Duration::from_secs(600);

/// A folder with a context, a store, an empty home and a folder for temporary files.
pub struct Project {
    root: TempDir,
}

impl Project {
    /// A project with an empty context.
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// The same in this folder.
    pub fn within(dir: &Path) -> Self {
        let root = tempfile::Builder::new().prefix("rbuild-it-").tempdir_in(dir).expect("a folder for a project");
        let project = Self { root };
        for dir in [project.context(), project.home(), project.temporary()] {
            fs::create_dir(&dir).unwrap_or_else(|error| panic!("cannot make `{}`: {error}", dir.display()));
        }
        project
    }

    /// A project whose context is the fixture.
    #[track_caller]
    pub fn with(text: &str) -> Self {
        let project = Self::new();
        project.write(text);
        project
    }

    /// Writes a fixture into the context.
    #[track_caller]
    pub fn write(&self, text: &str) {
        fixture::write(&self.context(), text);
    }

    /// The folder that holds all the others; `[ROOT]` in output.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The build context, and the program's working directory.
    pub fn context(&self) -> PathBuf {
        self.root().join("context")
    }

    /// The program's store (`RBUILD_STORE`); `[STORE]` in output.
    pub fn store(&self) -> PathBuf {
        self.root().join("store")
    }

    /// The program's home.
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The program's `TMPDIR`.
    pub fn temporary(&self) -> PathBuf {
        self.root().join("tmp")
    }

    /// Writes `~/.config/containers/registries.conf`.
    pub fn write_registries_conf(&self, text: &str) {
        self.write_in_home(".config/containers/registries.conf", text);
    }

    /// Writes `~/.docker/config.json`.
    pub fn write_docker_config(&self, text: &str) {
        self.write_in_home(".docker/config.json", text);
    }

    fn write_in_home(&self, name: &str, text: &str) {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().expect("the name has a folder")).expect("the home is writable");
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
    }

    /// A call of rbuild with these arguments, in the context, in an environment of our choosing.
    pub fn rbuild<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call<'_> {
        self.program(env!("CARGO_BIN_EXE_rbuild"), args)
    }

    /// The same for any program.
    pub fn program<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Call<'_> {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.context()).env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TZ", "UTC"),
            ("LC_ALL", "C"),
        ]);
        command.env("HOME", self.home()).env("TMPDIR", self.temporary()).env("RBUILD_STORE", self.store());
        Call { project: self, command, stdin: Vec::new() }
    }
}

/// A call of the program that is being prepared.
#[must_use = "a call does nothing before `run`"]
pub struct Call<'a> {
    project: &'a Project,
    command: Command,
    stdin: Vec<u8>,
}

impl Call<'_> {
    /// Adds a variable to the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets what the program reads from its standard input, which is empty otherwise.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Starts the program, for tests that signal or kill it; its output is piped.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start rbuild: {error}"));
        let mut stdin = child.stdin.take().expect("it is piped");
        // The program may end without reading; that is its right, and the pipe then breaks.
        thread::spawn(move || stdin.write_all(&self.stdin).is_ok());
        child
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(self) -> Ran {
        let project = self.project;
        let child = self.spawn();
        let pid = child.id();
        let (done, ended) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            let late = matches!(ended.recv_timeout(LIMIT), Err(mpsc::RecvTimeoutError::Timeout));
            if late {
                kill(pid);
            }
            late
        });
        let output = child.wait_with_output().expect("its output can be read");
        drop(done);
        let late = watch.join().expect("it does not panic");
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(!late, "rbuild did not end within {LIMIT:?}; standard error:\n{stderr}");
        let redact = |text: &str| redact(text, project);
        Ran { pid, status: output.status, stdout: redact(&stdout), stderr: redact(&stderr), raw_stdout: stdout }
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("the kernel gave it");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("our child can be killed");
}

/// What a call did. The texts are redacted.
pub struct Ran {
    /// The number its process had.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its standard output as it was printed.
    pub raw_stdout: String,
}

impl Ran {
    /// Panics unless the program succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "rbuild failed ({}):\n{}{}", self.status, self.stdout, self.stderr);
        self
    }

    /// How many steps were found in the cache, and how many ran, as the closing line tells.
    #[track_caller]
    pub fn counts(&self) -> (u32, u32) {
        let closing = self.stderr.lines().find(|line| line.starts_with("built sha256:"));
        let counts = closing.and_then(|line| line.rsplit_once(": ")).and_then(|(_, counts)| {
            let (cached, ran) = counts.strip_suffix(" ran")?.split_once(" cached, ")?;
            Some((cached.parse().ok()?, ran.parse().ok()?))
        });
        counts.unwrap_or_else(|| panic!("rbuild told no counts:\n{}{}", self.stdout, self.stderr))
    }

    /// Panics unless the program ended by itself with this status, which is not 0.
    #[track_caller]
    pub fn failure(self, code: i32) -> Self {
        assert!(self.status.signal().is_none(), "rbuild was killed ({}):\n{}", self.status, self.stderr);
        assert_eq!(self.status.code(), Some(code), "rbuild printed:\n{}{}", self.stdout, self.stderr);
        self
    }
}

/// Replaces what changes from run to run and nothing else: the project's folders and the times that steps took.
fn redact(text: &str, project: &Project) -> String {
    let text = text.replace(&project.store().display().to_string(), "[STORE]");
    let text = text.replace(&project.root().display().to_string(), "[ROOT]");
    redact_elapsed(&text)
}

/// Replaces `0.3s`, `12 ms` and the like by `[ELAPSED]`.
pub fn redact_elapsed(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let number = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let glued = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || "-_./:".contains(c));
        match unit_at(&from[number..]) {
            Some(unit) if !glued => {
                out.push_str("[ELAPSED]");
                rest = &from[number + unit..];
            }
            _ => {
                out.push_str(&from[..number]);
                rest = &from[number..];
            }
        }
    }
    out + rest
}

/// The length of a unit of time, and of the space before it, that `text` starts with.
fn unit_at(text: &str) -> Option<usize> {
    [" ms", " s", "ms", "s"].into_iter().find_map(|unit| {
        let after = text.strip_prefix(unit)?;
        let word_goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        (!word_goes_on).then_some(unit.len())
    })
}
