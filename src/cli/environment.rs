//! What the process finds around it: variables, home, configuration files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use crate::fetch;
use crate::fsx;
use crate::registry::{Options, Registries};

/// No configuration file is longer, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The variables that rbuild looks at.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    home: Option<PathBuf>,
    config_home: Option<PathBuf>,
    data_home: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads them.
    pub fn of_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let below_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
        Self {
            config_home: path("XDG_CONFIG_HOME").or_else(|| below_home(".config")),
            data_home: path("XDG_DATA_HOME").or_else(|| below_home(".local/share")),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            home,
        }
    }

    /// The value of any variable, as text.
    pub fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// All variables that are text.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// The value of any variable, as it is.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
    }

    /// The store: as asked for, else the system's for root, else the user's own.
    pub fn store(&self, asked: Option<&Path>) -> Result<PathBuf> {
        if let Some(asked) = asked {
            return Ok(asked.to_path_buf());
        }
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/rbuild"));
        }
        let data = self.data_home.as_ref().map(|data| data.join("rbuild"));
        data.ok_or_else(|| {
            Error::usage("there is no place for the store: HOME is not set", "name one with `--store DIR`")
        })
    }

    /// Where the registry room finds credentials and mirrors.
    pub fn registry_options(&self) -> Result<Options> {
        let docker = self.variable("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = docker.or_else(|| self.home.as_ref().map(|home| home.join(".docker")));
        let mut auth_json = Vec::new();
        auth_json.extend(self.variable("REGISTRY_AUTH_FILE").map(PathBuf::from));
        auth_json.extend(self.runtime_dir.as_ref().map(|dir| dir.join("containers/auth.json")));
        auth_json.extend(self.config_home.as_ref().map(|dir| dir.join("containers/auth.json")));
        Ok(Options {
            docker_config: docker.map(|dir| dir.join("config.json")),
            auth_json,
            env_auth: self.variable("DOCKER_AUTH_CONFIG").filter(|text| !text.is_empty()),
            registries: self.registries()?,
            ..Options::default()
        })
    }

    /// What the fetch room needs to know of the process.
    pub fn fetch_options(&self) -> fetch::Options {
        let os = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let proxies = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"].into_iter();
        let spellings = proxies.flat_map(|name| [name.to_owned(), name.to_ascii_uppercase()]);
        let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"];
        let names = spellings.chain(certificates.map(str::to_owned));
        fetch::Options {
            path: os("PATH"),
            ssh_auth_sock: os("SSH_AUTH_SOCK"),
            variables: names.filter_map(|name| os(&name).map(|value| (name, value))).collect(),
            ..fetch::Options::default()
        }
    }

    /// Docker's socket.
    pub fn docker_socket(&self) -> Result<PathBuf> {
        match self.variable("DOCKER_HOST").filter(|host| !host.is_empty()) {
            None => Ok(PathBuf::from("/var/run/docker.sock")),
            Some(host) => match host.strip_prefix("unix://") {
                Some(path) => Ok(PathBuf::from(path)),
                None => Err(Error::Unsupported { what: format!("`--load` into a Docker at `{host}` (DOCKER_HOST)") }),
            },
        }
    }

    /// `registries.conf` and its drop-ins, in the order of containers-registries.conf(5).
    fn registries(&self) -> Result<Registries> {
        let mut files = Vec::new();
        if let Some(path) = self.variable("CONTAINERS_REGISTRIES_CONF").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            let bytes = fsx::read_at_most(&path, MAX_CONFIG)?;
            return Ok(Registries::parse(&[(path, bytes)])?);
        }
        let user = self.config_home.as_ref().map(|dir| dir.join("containers"));
        let system = PathBuf::from("/etc/containers");
        let own = match &user {
            Some(user) => read(&user.join("registries.conf"))?,
            None => None,
        };
        let main = match own {
            Some(own) => Some(own),
            None => read(&system.join("registries.conf"))?,
        };
        files.extend(main);
        for folder in [Some(system), user].into_iter().flatten() {
            files.extend(drop_ins(&folder.join("registries.conf.d"))?);
        }
        Ok(Registries::parse(&files)?)
    }
}

fn read(path: &Path) -> Result<Option<(PathBuf, Vec<u8>)>> {
    Ok(fsx::read_if_exists(path, MAX_CONFIG)?.map(|bytes| (path.to_path_buf(), bytes)))
}

fn drop_ins(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    // A folder that is not there, or not for us, holds nothing.
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        files.extend(read(&path)?);
    }
    Ok(files)
}
