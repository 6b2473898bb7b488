//! A real registry on the loopback interface: Debian's docker-registry, with an empty store of its own.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::tools;
use crate::support::ward::Ward;

/// The one user of a registry with a login.
pub const USER: &str = "alice";
/// That user's password.
pub const PASSWORD: &str = "correct-horse";
/// The htpasswd line of the two; bcrypt is the one kind that the registry reads.
const HTPASSWD: &str = "alice:$2b$05$abcdefghijklmnopqrstuuZ0Fx87Pb/Aqb0E90lfvCwzXnaFKUHpS\n";

/// A running registry; it ends when this is dropped.
pub struct Registry {
    ward: Ward,
    port: u16,
}

impl Registry {
    /// Starts a registry that lets everybody in.
    pub fn start() -> Self {
        Self::with_access(Access::Open)
    }

    /// Starts a registry that asks for `USER` and `PASSWORD`.
    pub fn with_login() -> Self {
        Self::with_access(Access::Login)
    }

    fn with_access(access: Access) -> Self {
        let dir = Ward::folder("registry");
        let config = dir.join("config.yml");
        fs::write(dir.join("htpasswd"), HTPASSWD).expect("the registry's folder is writable");
        fs::write(&config, configuration(&dir, access)).expect("the registry's folder is writable");
        let program = tools::require("/usr/bin/docker-registry");
        let ward = Ward::start("docker-registry", &dir, &[program, "serve", &config.display().to_string()]);
        let port = ward.wait_for(|ward| port_in(&ward.log()));
        Self { ward, port }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The name `127.0.0.1:PORT/REPOSITORY`, as in a Dockerfile; the repository may have a tag.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host())
    }

    /// Where the registry keeps its files while it runs.
    pub fn folder(&self) -> &Path {
        self.ward.dir()
    }

    /// What the registry has logged: a line for each request.
    pub fn log(&self) -> String {
        self.ward.log()
    }

    /// A registries.conf (version 2) in which this registry is the mirror of Docker Hub, so that `FROM busybox` is
    /// `library/busybox` here.
    pub fn mirror_of_docker_hub(&self) -> String {
        let host = self.host();
        format!(
            "unqualified-search-registries = [\"docker.io\"]\n\n[[registry]]\nprefix = \"docker.io\"\n\
             location = \"docker.io\"\n\n[[registry.mirror]]\nlocation = \"{host}\"\ninsecure = true\n\n\
             [[registry]]\nprefix = \"{host}\"\nlocation = \"{host}\"\ninsecure = true\n"
        )
    }
}

/// Who may use a registry.
#[derive(Clone, Copy)]
enum Access {
    Open,
    Login,
}

/// The configuration, as JSON, which is YAML too. The kernel chooses the port, so no two registries ever collide.
fn configuration(dir: &Path, access: Access) -> String {
    let mut config = json!({
        "version": "0.1",
        "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": false}},
        "storage": {"filesystem": {"rootdirectory": dir.join("data")}, "delete": {"enabled": true}},
        "http": {"addr": "127.0.0.1:0"},
    });
    if let Access::Login = access {
        config["auth"] = json!({"htpasswd": {"realm": "rbuild tests", "path": dir.join("htpasswd")}});
    }
    config.to_string()
}

fn port_in(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening on 127.0.0.1:")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}
