//! A project, resolved: nothing in it depends on a variable, a folder or another file any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::node::{FileId, Place};
use super::problems::Report;
use crate::dockerfile::{Diagnostic, Source};
use crate::platform::Platform;
use crate::reference::Reference;

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The folder that the paths of its files begin in.
    pub folder: PathBuf,
    /// In the order of their names.
    pub services: Vec<Service>,
    /// What should be known of the files, though they can be used.
    pub warnings: Vec<Report>,
    pub(super) files: Vec<Arc<Source>>,
    pub(super) variables: Variables,
}

/// The variables of a project; nothing shows their values.
#[derive(Clone)]
pub(super) struct Variables(pub BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A service, as far as its image is concerned.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub place: Place,
    /// `image`.
    pub image: Option<Reference>,
    /// The platform that it runs on; none for that of this machine.
    pub platform: Option<Platform>,
    /// How its image is built; none if it is only pulled.
    pub build: Option<Build>,
    /// The services that it needs when it runs.
    pub depends_on: Vec<String>,
    /// Its profiles; a service without any is always active.
    pub profiles: Vec<String>,
    /// Whether one of its profiles is, or it is named.
    pub active: bool,
}

/// How an image is built.
#[derive(Debug, Clone)]
pub struct Build {
    /// An absolute folder, or a place elsewhere.
    pub context: String,
    /// Where the Dockerfile is.
    pub dockerfile: Dockerfile,
    /// Arguments that have a value.
    pub args: BTreeMap<String, String>,
    /// The stage to build; none for the last.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Names beside that of the service.
    pub tags: Vec<Reference>,
    /// The image's platform; none for that of this machine.
    pub platform: Option<Platform>,
    /// `default`, `host` or `none`.
    pub network: Option<String>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_size: Option<u64>,
    /// `NAME=ADDRESS` each.
    pub extra_hosts: Vec<String>,
    /// `NAME=SOFT:HARD` each.
    pub ulimits: Vec<String>,
    /// Whether the registry is asked for base images that are stored.
    pub pull: bool,
    /// Whether results of earlier builds are left alone.
    pub no_cache: bool,
    /// Stages of which they are left alone.
    pub no_cache_filter: Vec<String>,
    /// Caches of this machine, `type=local,src=FOLDER` each.
    pub cache_from: Vec<String>,
    /// `type=local,dest=FOLDER` each.
    pub cache_to: Vec<String>,
    /// What RUN may mount.
    pub secrets: Vec<Secret>,
    /// `ID` or `ID=SOCKET` each.
    pub ssh: Vec<String>,
    /// `security.insecure`, `network.host`.
    pub entitlements: Vec<String>,
    /// Named contexts.
    pub additional_contexts: BTreeMap<String, NamedContext>,
    /// Where the keys stand.
    pub(super) places: BTreeMap<String, Place>,
    pub(super) place: Place,
    /// What cannot be built, if this is to be built.
    pub(super) refused: Vec<(FileId, Diagnostic)>,
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// In the context, under its usual name.
    Default,
    /// A file, relative to the context.
    File(String),
    /// Here.
    Inline(String),
}

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// An absolute folder, or a place elsewhere.
    Value(String),
    /// The image of another service.
    Service(String),
}

impl NamedContext {
    /// The service whose image it is.
    pub fn service(&self) -> Option<&str> {
        match self {
            NamedContext::Service(name) => Some(name),
            NamedContext::Value(_) => None,
        }
    }
}

/// A secret that RUN may mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// As the Dockerfile names it.
    pub id: String,
    /// Where it is.
    pub source: SecretSource,
    /// Where that is said.
    pub place: Place,
    /// Whose file it is, unless the Dockerfile says.
    pub uid: Option<u32>,
    /// The file's group, unless the Dockerfile says.
    pub gid: Option<u32>,
    /// The file's permissions, unless the Dockerfile says.
    pub mode: Option<u32>,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the project.
    Variable(String),
}

impl Project {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The value of a variable, from the environment or an env file.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.0.get(name).map(String::as_str)
    }

    /// A report of what is wrong at some place of the project.
    pub fn report(&self, place: Place, problem: Diagnostic) -> Report {
        Report { file: self.files[place.file.0].clone(), problems: vec![problem] }
    }

    /// The name that its image has if the service does not say.
    pub fn default_name(&self, service: &Service) -> String {
        format!("{}-{}", self.name, service.name)
    }

    /// The same in the form of the older docker-compose.
    pub fn compatible_name(&self, service: &Service) -> String {
        format!("{}_{}", self.name, service.name)
    }
}

impl Build {
    /// Where a key stands; where it does not, the whole.
    pub fn place(&self, key: &str) -> Place {
        self.places.get(key).copied().unwrap_or(self.place)
    }
}
