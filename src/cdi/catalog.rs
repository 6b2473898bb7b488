//! The devices of all documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::document::{Device, Document};
use super::edits::Edits;
use super::error::{Error, Result};
use super::grants::Grants;
use super::names::qualifier;
use crate::dockerfile::nearest;

/// The annotation whose value is another name for a device.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// The annotation that allows a device to every build.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// The devices that there are, by their qualified names.
#[derive(Debug, Default)]
pub struct Catalog {
    folders: Vec<PathBuf>,
    devices: BTreeMap<String, Known>,
    /// Names that two documents of one folder have.
    hidden: BTreeSet<String>,
    wrong: Vec<String>,
}

#[derive(Debug)]
struct Known {
    priority: usize,
    document: Arc<Document>,
    /// Its place among the document's devices.
    index: usize,
}

impl Catalog {
    /// One without devices, whose documents come from these folders.
    pub fn new(folders: &[PathBuf]) -> Self {
        Self { folders: folders.to_vec(), ..Self::default() }
    }

    /// Adds a document, or what is wrong with it, of the folder with this number; folders come in their order.
    pub fn add(&mut self, folder: usize, document: Result<Document>) {
        let document = match document {
            Ok(document) => Arc::new(document),
            Err(error) => {
                self.wrong.push(error.to_string());
                return;
            }
        };
        for index in 0..document.devices().len() {
            let name = document.qualified_name(index);
            match self.devices.get(&name) {
                Some(other) if other.priority == folder => {
                    let (one, two) = (other.document.file().name(), document.file().name());
                    self.wrong.push(format!("`{one}` and `{two}` both have the device `{name}`"));
                    self.hidden.insert(name);
                }
                Some(_) | None => {
                    self.hidden.remove(&name);
                    self.devices.insert(name, Known { priority: folder, document: document.clone(), index });
                }
            }
        }
    }

    /// What a name stands for, in the order of the names: a qualified name itself, a kind its first device, `kind=*` all of its
    /// devices; if that is nothing, the devices that are annotated as of this class.
    pub fn find(&self, name: &str) -> Vec<&str> {
        let (kind, own) = name.split_once('=').unwrap_or((name, ""));
        let of_kind = |known: &&str| known.strip_prefix(kind).is_some_and(|rest| rest.starts_with('='));
        let mut found: Vec<&str> = match (qualifier(kind), own) {
            (None, _) => Vec::new(),
            (Some(_), "") => self.names().find(|known| of_kind(known)).into_iter().collect(),
            (Some(_), "*") => self.names().filter(of_kind).collect(),
            (Some(_), _) => self.names().find(|known| *known == name).into_iter().collect(),
        };
        if found.is_empty() {
            found = self.names().filter(|known| self.annotation(known, CLASS) == Some(name)).collect();
        }
        found
    }

    /// The qualified names that a command is given that asks for `name`; none if there is no such device and it can do without.
    ///
    /// # Errors
    /// `Error::Missing` and `Error::Forbidden`.
    pub fn given(&self, name: &str, required: bool, grants: &Grants) -> Result<Vec<String>> {
        let alias = grants.meant(name);
        let found = self.find(alias.unwrap_or(name));
        if found.is_empty() && required {
            return Err(Error::Missing {
                name: alias.unwrap_or(name).to_owned(),
                near: nearest(name, self.names()).map(str::to_owned),
                folders: self.folders.clone(),
                wrong: self.wrong.clone(),
            });
        }
        if alias.is_none() && !grants.is_all() {
            let granted: BTreeSet<&str> = grants.names().flat_map(|name| self.find(name)).collect();
            let is_allowed = |device: &&str| granted.contains(device) || self.is_for_everybody(device);
            if let Some(device) = found.iter().find(|device| !is_allowed(device)) {
                return Err(Error::Forbidden { name: (*device).to_owned() });
            }
        }
        Ok(found.into_iter().map(str::to_owned).collect())
    }

    /// What devices change together: of each document first what all of its devices share, once.
    ///
    /// # Errors
    /// `Error::Unsupported` if one asks for what rbuild does not do.
    pub fn edits(&self, names: &[String]) -> Result<Edits> {
        let (mut edits, mut seen) = (Edits::default(), Vec::<&Arc<Document>>::new());
        for name in names {
            let Some((document, device)) = self.device(name) else { continue };
            let mut own = Edits::default();
            if !seen.iter().any(|known| Arc::ptr_eq(known, document)) {
                seen.push(document);
                own.append(document.edits());
            }
            own.append(&device.edits);
            if let Some(unsupported) = own.unsupported.first() {
                let (what, place) = (unsupported.what.clone(), unsupported.place.clone());
                return Err(Error::Unsupported { name: name.clone(), what, place });
            }
            edits.append(&own);
        }
        Ok(edits)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(String::as_str).filter(|name| !self.hidden.contains(*name))
    }

    fn device(&self, name: &str) -> Option<(&Arc<Document>, &Device)> {
        let Known { document, index, .. } = self.devices.get(name)?;
        Some((document, document.devices().get(*index)?))
    }

    /// An annotation of the device or else of its document.
    fn annotation(&self, name: &str, key: &str) -> Option<&str> {
        let (document, device) = self.device(name)?;
        device.annotations.get(key).or_else(|| document.annotations().get(key)).map(String::as_str)
    }

    fn is_for_everybody(&self, name: &str) -> bool {
        matches!(self.annotation(name, AUTO_ALLOW), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
    }
}
