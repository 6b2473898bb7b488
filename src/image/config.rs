//! The image config: how a container starts, and the layers it stands on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Result, SealedConfig, canonical_json};
use crate::digest::{ChainId, DiffId};
use crate::platform::Platform;

/// The value of each member of Docker's sets: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// How a container of this image is started. An absent field and a JSON null mean the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct RunConfig {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Fields that this program does not know, kept as they came.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A container's health check; times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are those of Docker's image specification, under its names")]
pub struct Healthcheck {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The layers, as the hashes of their plain tars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bottom first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One line of `docker history`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct ImageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    pub architecture: String,
    pub os: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(default, deserialize_with = "or_default")]
    pub config: RunConfig,
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The fields in which builders keep what they know of an image's steps: rbuild's, and BuildKit's.
pub const CACHE_FIELDS: [&str; 2] = ["rbuild.cache.v1", "moby.buildkit.cache.v0"];

impl ImageConfig {
    /// Takes out what builders know of the image's steps: it says nothing of an image that is built upon this one.
    pub fn forget_caches(&mut self) {
        CACHE_FIELDS.iter().for_each(|field| drop(self.extra.remove(*field)));
    }

    /// An image of no layers for `platform`: what `FROM scratch` starts from.
    pub fn scratch(platform: &Platform) -> Self {
        Self {
            created: None,
            author: String::new(),
            architecture: platform.architecture().to_owned(),
            os: platform.os().to_owned(),
            variant: platform.variant().unwrap_or("").to_owned(),
            config: RunConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Reads a config document.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| Error::Json { document: "image config", source })
    }

    /// The platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, Some(&self.variant))
    }

    /// The content of the root filesystem.
    pub fn chain_id(&self) -> ChainId {
        ChainId::of_layers(&self.rootfs.diff_ids)
    }

    /// Fixes the bytes and names them.
    ///
    /// Fails if a value holds a NUL byte, or if a history that is there tells of another number of layers.
    pub fn seal(&self) -> Result<SealedConfig> {
        self.check_nul()?;
        let told = self.history.iter().filter(|line| !line.empty_layer).count();
        if !self.history.is_empty() && told != self.rootfs.diff_ids.len() {
            return Err(Error::History { history: told, diff_ids: self.rootfs.diff_ids.len() });
        }
        let bytes = canonical_json(self, "image config")?;
        Ok(SealedConfig::new(bytes, self.clone()))
    }

    fn check_nul(&self) -> Result<()> {
        let run = &self.config;
        let lists = [
            ("Env", Some(&run.env)),
            ("Cmd", run.cmd.as_ref()),
            ("Entrypoint", run.entrypoint.as_ref()),
            ("Shell", run.shell.as_ref()),
        ];
        for (field, list) in lists {
            if list.is_some_and(|values| values.iter().any(|value| value.contains('\0'))) {
                return Err(Error::Nul { field });
            }
        }
        for (field, value) in [("User", &run.user), ("WorkingDir", &run.working_dir)] {
            if value.contains('\0') {
                return Err(Error::Nul { field });
            }
        }
        Ok(())
    }
}

impl RunConfig {
    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sets an environment variable: in its old place if it has one, else at the end.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let place = self.env.iter_mut().find(|old| old.split('=').next() == Some(name));
        match place {
            Some(old) => *old = pair,
            None => self.env.push(pair),
        }
    }
}

/// Docker writes `null` where a field has no value.
fn or_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
