//! Runs git: with a clean environment, its words in files, and an end if somebody asks for it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{Error, Options, Result, Watch, limits};
use crate::fsx::{self, At as _};
use crate::path::Printable as _;
use crate::remote::GitSource;

const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Settings for every call. They are given in the environment: a command line can be seen by everybody.
const SETTINGS: [(&str, &str); 16] = [
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.git.allow", "always"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("credential.helper", ""),
    ("http.lowSpeedLimit", "300"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.auto", "false"),
    ("gc.auto", "0"),
    ("init.defaultBranch", "master"),
];

/// Git for one source, and the folder for what it needs on the way.
pub(super) struct Git<'a> {
    pub(super) options: &'a Options,
    pub(super) source: &'a GitSource,
    pub(super) watch: &'a dyn Watch,
    /// Holds an empty home and git's words.
    pub(super) scratch: PathBuf,
    /// The repository.
    pub(super) git_dir: PathBuf,
    /// The folder of the files, if this call may touch them.
    pub(super) work_tree: Option<PathBuf>,
}

/// What git said.
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Git<'_> {
    /// Runs git, which must succeed; its standard output.
    pub(super) fn run(&self, action: &'static str, args: &[&str]) -> Result<Vec<u8>> {
        let said = self.try_run(args)?;
        if said.status.success() { Ok(said.stdout) } else { Err(self.failed(action, &said)) }
    }

    /// The error of a call that failed.
    pub(super) fn failed(&self, action: &'static str, said: &Said) -> Error {
        let lines = said.stderr.lines().filter(|line| !line.trim().is_empty());
        let words: Vec<String> = lines.map(|line| line.as_bytes().escape_ascii_utf8()).collect();
        let words: String = words.join("; ").chars().take(limits::SAID).collect();
        let said = if words.is_empty() { said.status.to_string() } else { words };
        Error::Git { action, shown: self.source.shown(), said }
    }

    /// Runs git to its end.
    pub(super) fn try_run(&self, args: &[&str]) -> Result<Said> {
        let home = self.scratch.join("home");
        fsx::create_dir_all(&home)?;
        let (out, err) = (self.scratch.join("stdout"), self.scratch.join("stderr"));
        let create = |path: &Path| File::create(path).at("create", path);
        // The modes of what is checked out must not depend on whoever calls; only a shell can set them for one program.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 022 && exec git \"$@\"", "git"]).args(args);
        command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
        command.current_dir(self.work_tree.as_deref().unwrap_or(&self.scratch)).process_group(0);
        command.env_clear().envs(self.environment(&home));
        let no_git = |source| Error::NoGit { shown: self.source.shown(), source };
        let status = self.wait(command.spawn().map_err(no_git)?)?;
        if status.code() == Some(127) {
            return Err(no_git(std::io::Error::new(std::io::ErrorKind::NotFound, "git is not installed")));
        }
        let stdout = fsx::read_at_most(&out, limits::GIT_OUTPUT)?;
        let stderr = fsx::read_at_most(&err, limits::GIT_OUTPUT)?;
        Ok(Said { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let gone = |source| Error::NoGit { shown: self.source.shown(), source };
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait().map_err(gone)? {
                return Ok(status);
            }
            if self.watch.cancelled() {
                let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(group) = group {
                    // One that has just ended needs no signal.
                    let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                child.wait().map_err(gone)?;
                return Err(Error::Interrupted);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn environment(&self, home: &Path) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: &str, value: OsString| env.push((name.into(), value));
        set("PATH", self.options.path.clone().unwrap_or_else(|| FOLDERS.into()));
        set("HOME", home.into());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS", "/bin/false"),
            ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
        ] {
            set(name, value.into());
        }
        set("GIT_DIR", self.git_dir.clone().into());
        if let Some(tree) = &self.work_tree {
            set("GIT_WORK_TREE", tree.clone().into());
        }
        if let Some(socket) = &self.options.ssh_auth_sock {
            set("SSH_AUTH_SOCK", socket.clone());
        }
        for (name, value) in &self.options.variables {
            set(name, value.clone());
        }
        let settings = self.settings();
        set("GIT_CONFIG_COUNT", settings.len().to_string().into());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{number}"), key.into());
            set(&format!("GIT_CONFIG_VALUE_{number}"), value.into());
        }
        env
    }

    fn settings(&self) -> Vec<(String, String)> {
        use base64::Engine as _;
        let mut settings: Vec<(String, String)> =
            SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let own = self.source.credentials().map(|(user, password)| {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            (self.source.remote().to_owned(), format!("Basic {pair}"))
        });
        if let Some((scope, value)) = self.options.credentials.of_git(self.source.remote()).or(own) {
            settings.push((format!("http.{scope}.extraHeader"), format!("Authorization: {value}")));
            // Git would go on sending it to wherever the first answer leads.
            settings.push((format!("http.{scope}.followRedirects"), "false".to_owned()));
        }
        settings
    }
}
