//! What builds use beside the kernel: the network, Docker, git, registries.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::machine::read;
use super::report::Line;
use crate::cli::environment::Environment;
use crate::fsx;

/// No file of credentials is longer, in bytes.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// Where systems keep the certificates that they trust, as the TLS library looks for them.
const BUNDLES: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
];

pub(super) fn lines(environment: &Environment) -> Vec<Line> {
    let mut lines = vec![network(), certificates(environment), registries(environment)];
    lines.extend(credentials(environment));
    lines.extend([docker(environment), git()]);
    lines
}

fn network() -> Line {
    let (subject, resolv_conf) = ("network", read("/etc/resolv.conf"));
    let servers: Vec<&str> =
        resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).collect();
    let devices = read("/proc/net/dev");
    let up =
        devices.lines().skip(2).filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo").count();
    match (up, servers.as_slice()) {
        (0, _) => {
            Line::warning(subject, "this machine has no network device", "builds work with base images that are stored")
        }
        (_, []) => Line::warning(
            subject,
            "/etc/resolv.conf names no server",
            "add a line `nameserver ADDRESS`: registries are found by name",
        ),
        (_, servers) => Line::good(subject, format!("names are asked of {}", servers.join(", "))),
    }
}

fn certificates(environment: &Environment) -> Line {
    let subject = "certificates";
    let named = environment.variable("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let is_filled = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.len() > 0);
    match named {
        Some(path) if is_filled(&path) => Line::good(subject, format!("`{}` (SSL_CERT_FILE)", path.display())),
        Some(path) => Line::warning(
            subject,
            format!("SSL_CERT_FILE names `{}`, which is empty or not there", path.display()),
            "name a file of certificates, or unset it",
        ),
        None => match BUNDLES.into_iter().find(|path| is_filled(Path::new(path))) {
            Some(path) => Line::good(subject, format!("`{path}`")),
            None => Line::warning(
                subject,
                "no file with the certificates of authorities",
                "install `ca-certificates`, or name a file with SSL_CERT_FILE: registries are not trusted without",
            ),
        },
    }
}

fn registries(environment: &Environment) -> Line {
    match environment.registry_options() {
        Ok(_) => Line::good("registries.conf", "readable, or not there"),
        Err(error) => Line::warning(
            "registries.conf",
            error.to_string(),
            "correct the file, or name another with CONTAINERS_REGISTRIES_CONF",
        ),
    }
}

/// The files that hold credentials, and the programs that they name; never what they hold.
fn credentials(environment: &Environment) -> Vec<Line> {
    let subject = "credentials";
    let Ok(options) = environment.registry_options() else { return Vec::new() };
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    for path in options.docker_config.iter().chain(&options.auth_json) {
        let bytes = match fsx::read_if_exists(path, MAX_CREDENTIALS) {
            Ok(None) => continue,
            Ok(Some(bytes)) => bytes,
            Err(error) => {
                lines.push(Line::warning(subject, error.to_string(), "make it readable for you, or remove it"));
                continue;
            }
        };
        // The error of the parser would show what stands in the file.
        let Ok(config) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            lines.push(Line::warning(
                subject,
                format!("`{}` is no JSON", path.display()),
                "log in again: `docker login`",
            ));
            continue;
        };
        for helper in helpers(&config).into_iter().filter(|helper| !is_on_path(&format!("docker-credential-{helper}")))
        {
            lines.push(Line::warning(
                subject,
                format!("`{}` names the helper `docker-credential-{helper}`, which is not on PATH", path.display()),
                "install it, or remove its name from the file",
            ));
        }
        found.push(format!("`{}`", path.display()));
    }
    if lines.is_empty() {
        let told = if found.is_empty() { "none: pulls are anonymous".to_owned() } else { found.join(", ") };
        lines.push(Line::good(subject, told));
    }
    lines
}

fn helpers(config: &serde_json::Value) -> Vec<String> {
    let store = config["credsStore"].as_str().into_iter();
    let by_registry =
        config["credHelpers"].as_object().into_iter().flat_map(|map| map.values()).filter_map(|v| v.as_str());
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let mut helpers: Vec<String> = store.chain(by_registry).filter(is_name).map(str::to_owned).collect();
    helpers.sort();
    helpers.dedup();
    helpers
}

fn docker(environment: &Environment) -> Line {
    let subject = "docker (--load)";
    let socket = match environment.docker_socket() {
        Ok(socket) => socket,
        Err(error) => {
            return Line::warning(subject, error.to_string(), "write an archive with `-o`, and load it there");
        }
    };
    match UnixStream::connect(&socket) {
        Ok(_) => Line::good(subject, format!("answers at `{}`", socket.display())),
        Err(_) => Line::warning(
            subject,
            format!("no Docker at `{}`", socket.display()),
            "nothing else needs it; start Docker, or name its socket with DOCKER_HOST=unix://PATH",
        ),
    }
}

fn git() -> Line {
    match is_on_path("git") {
        true => Line::good("git", "there"),
        false => Line::warning("git", "not on PATH", "install it to build from git repositories, and to ADD them"),
    }
}

/// Whether a program is on `PATH`.
pub(super) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        let metadata = folder.join(program).metadata();
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_named_once_and_only_by_what_can_be_a_program() {
        let config = serde_json::json!({
            "auths": {}, "credsStore": "pass", "credHelpers": { "a.io": "pass", "b.io": "ecr-login", "c.io": "../x" },
        });
        assert_eq!(helpers(&config), ["ecr-login", "pass"]);
        assert_eq!(helpers(&serde_json::json!([])), Vec::<String>::new());
    }
}
