//! A real Docker daemon, Debian's, for the whole test binary: it loads, runs and builds what rbuild is compared with.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::tools;
use crate::support::ward::Ward;

/// How long a service in a container may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Docker daemon with its own socket, data and namespaces.
pub struct Docker {
    ward: Ward,
}

/// The daemon of this test binary; the first call starts it.
pub fn docker() -> &'static Docker {
    static DOCKER: OnceLock<Docker> = OnceLock::new();
    DOCKER.get_or_init(Docker::start)
}

impl Docker {
    fn start() -> Self {
        let dir = Ward::folder("docker");
        let at = |name: &str| dir.join(name).display().to_string();
        // A configuration of its own, since this machine may have one for its own daemon.
        fs::write(dir.join("daemon.json"), "{}").expect("the daemon's folder is writable");
        let init = tools::require("/usr/bin/docker-init");
        let dockerd = tools::require("/usr/sbin/dockerd");
        // The init reaps the shims that containerd leaves to the first process. Registries on 127.0.0.0/8 are
        // insecure by default; there is no bridge and no iptables, containers use the host's network or none.
        let ward = Ward::start(
            "dockerd",
            &dir,
            &[
                init,
                "-s",
                "--",
                dockerd,
                &format!("--host=unix://{}", at("socket")),
                &format!("--data-root={}", at("data")),
                &format!("--exec-root={}", at("exec")),
                &format!("--pidfile={}", at("pid")),
                &format!("--cgroup-parent=/{}", Ward::cgroup(&dir)),
                &format!("--config-file={}", at("daemon.json")),
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--log-level=warn",
            ],
        );
        let docker = Self { ward };
        docker.ward.wait_for(|_| docker.output(["version"]).status.success().then_some(()));
        docker
    }

    /// A `docker` command for this daemon: Debian's client, which has the daemon's version, and an empty home.
    pub fn command(&self) -> Command {
        let mut command = Command::new(tools::require("/usr/bin/docker"));
        command.env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.ward.dir());
        command.env("DOCKER_HOST", self.host());
        command.env("DOCKER_BUILDKIT", "1");
        command
    }

    /// The daemon's address, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.ward.dir().join("socket").display())
    }

    /// Runs `docker ARGS` to its end.
    pub fn output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.command();
        command.args(args);
        command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
    }

    /// Runs `docker ARGS`, which must succeed, and gives its standard output.
    #[track_caller]
    pub fn success<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        tools::text_of(&format!("docker {args:?}"), self.output(&args))
    }

    /// Loads an archive; gives the names, or the image id where it has none.
    #[track_caller]
    pub fn load(&self, archive: &Path) -> Vec<String> {
        let report = self.success(["load".as_ref(), "--input".as_ref(), archive.as_os_str()]);
        let loaded = |line: &str| {
            let name = line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "));
            name.map(str::to_owned)
        };
        let names: Vec<String> = report.lines().filter_map(loaded).collect();
        assert!(!names.is_empty(), "docker load of `{}` loaded nothing: {report}", archive.display());
        names
    }

    /// Runs a command, or the image's own, in a container without a network; gives what it printed.
    #[track_caller]
    pub fn run(&self, image: &str, command: &[&str]) -> String {
        self.success(["run", "--rm", "--network=none", image].iter().chain(command))
    }

    /// Starts an image in the background on the host's network; it ends when the answer is dropped.
    #[track_caller]
    pub fn start_container(&self, image: &str, flags: &[&str]) -> Container<'_> {
        let id = self.success(["run", "--detach", "--network=host"].iter().chain(flags).chain(&[image]));
        Container { docker: self, id: id.trim().to_owned() }
    }

    /// What `docker image inspect` says of an image.
    #[track_caller]
    pub fn inspect(&self, image: &str) -> Value {
        let text = self.success(["image", "inspect", image]);
        let mut all: Vec<Value> = serde_json::from_str(&text).expect("docker inspect prints JSON");
        all.swap_remove(0)
    }

    /// Builds a context with Docker's BuildKit, RUN on the host's network, and gives the image id.
    #[track_caller]
    pub fn build(&self, context: &Path, flags: &[&str]) -> String {
        let common = ["build", "--quiet", "--network=host"];
        let args = common.iter().chain(flags).map(OsStr::new).chain([context.as_os_str()]);
        self.success(args).trim().to_owned()
    }

    /// Writes an image to an archive with `docker save`.
    #[track_caller]
    pub fn save(&self, image: &str, archive: &Path) {
        self.success(["save".as_ref(), "--output".as_ref(), archive.as_os_str(), image.as_ref()]);
    }
}

/// A container that runs in the background.
pub struct Container<'a> {
    docker: &'a Docker,
    id: String,
}

impl Container<'_> {
    /// Asks `http://127.0.0.1:PORT/` until something answers there; gives the whole answer, and panics with the
    /// container's own words if it ends before.
    #[track_caller]
    pub fn http_get(&self, port: u16) -> String {
        let start = Instant::now();
        loop {
            if let Ok(answer) = http_get(port) {
                return answer;
            }
            let state = self.docker.success(["inspect", "--format={{.State.Running}}", &self.id]);
            if state.trim() != "true" || start.elapsed() > PATIENCE {
                let logs = self.docker.output(["logs", &self.id]);
                panic!("nothing answers at port {port}: {}", String::from_utf8_lossy(&logs.stderr));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let removed = self.docker.output(["rm", "--force", &self.id]);
        assert!(removed.status.success() || thread::panicking(), "cannot remove the container {}", self.id);
    }
}

fn http_get(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
