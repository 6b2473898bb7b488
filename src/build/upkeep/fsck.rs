//! Verifies everything in the store, and removes what is damaged, so that the next build makes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::build::catalog;
use crate::build::error::Problem;
use crate::build::request::Interrupt;
use crate::digest::DiffId;
use crate::fsx;
use crate::layer::{self, Layer, LayerRecord};
use crate::path::Printable as _;
use crate::store::{Bucket, Collection, Object, Store, TreeId, Waiting};

/// Whether damage is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It is.
    Wanted,
    /// It is only told.
    Unwanted,
}

/// What became of something damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Removed,
    /// It is still there: a running build uses it.
    InUse,
    /// It is still there: nobody wanted it removed.
    Left,
}

/// Something damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, or its path in the store.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
    /// What became of it.
    pub fate: Fate,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkup {
    /// How many blobs were read.
    pub blobs: u64,
    /// The bytes of the blobs.
    pub blob_bytes: u64,
    /// How many records were read.
    pub records: u64,
    /// How many unpacked layers were compared with their listings.
    pub trees: u64,
    /// How many images were followed to their layers.
    pub images: u64,
    /// Everything that is damaged.
    pub findings: Vec<Finding>,
}

/// Reads everything in the store: blobs are hashed and decompressed, records must be as they were written, trees are compared
/// with their listings and hashed to their layers, images must have all their layers.
///
/// Costs reading the whole store, some of it twice. No gc runs meanwhile; builds may, and what these use is not removed.
/// Trees that turn out to be whole are trusted by later builds.
pub fn fsck(
    store: &Store,
    repair: Repair,
    interrupt: &Interrupt,
    tell: &dyn Fn(&'static str, usize),
) -> Result<Checkup, Problem> {
    let mut ask = |asked| asked != Waiting::StillWanted || !interrupt.is_set();
    let collection = store.collection(&mut ask)?;
    let mut check = Check { store, interrupt, checkup: Checkup::default(), damaged: BTreeMap::new() };
    let strays = store.strays()?;
    let objects = store.names()?;
    tell("objects", objects.len());
    for object in &objects {
        check.object(object)?;
    }
    tell("layers", objects.iter().filter(|object| matches!(object, Object::Tree(_))).count());
    check.layers()?;
    check.images()?;
    if repair == Repair::Wanted {
        store.mark_durable()?;
    }
    check.end(collection, &strays, repair)
}

struct Check<'a> {
    store: &'a Store,
    interrupt: &'a Interrupt,
    checkup: Checkup,
    damaged: BTreeMap<Object, String>,
}

impl Check<'_> {
    /// A blob or a record by itself.
    fn object(&mut self, object: &Object) -> Result<(), Problem> {
        if self.interrupt.is_set() {
            return Err(Problem::Interrupted);
        }
        match object {
            Object::Blob(digest) => match self.store.verify_blob(digest) {
                Ok(bytes) => {
                    self.checkup.blobs += 1;
                    self.checkup.blob_bytes += bytes;
                }
                Err(crate::store::Error::NoBlob { .. }) => {}
                Err(error) => self.wrong(object, error.to_string()),
            },
            Object::Record(bucket, name) => match self.store.verify_record(*bucket, name) {
                Ok(None) => {}
                Ok(Some(true)) => self.checkup.records += 1,
                Ok(Some(false)) => self.wrong(object, "it is not as it was written".to_owned()),
                Err(error) => self.wrong(object, error.to_string()),
            },
            Object::Tree(_) | Object::Cache(_) => {}
        }
        Ok(())
    }

    /// Trees, and compressed blobs: both must hold the layer that they stand for.
    fn layers(&mut self) -> Result<(), Problem> {
        let mut of_trees: BTreeMap<String, (DiffId, LayerRecord)> = BTreeMap::new();
        for name in self.store.record_names(Bucket::Layers)? {
            let Ok(diff_id) = name.parse::<DiffId>() else { continue };
            let object = Object::Record(Bucket::Layers, name);
            let record = match layer::record(self.store, &diff_id) {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) => {
                    self.wrong(&object, error.to_string());
                    continue;
                }
            };
            for (stored, error) in layer::check_blobs(self.store, &diff_id, &record)? {
                let blob = Object::Blob(stored.blob.digest);
                if self.damaged.contains_key(&blob) {
                    // The record is right about what the blob was, and about the layer's other blobs.
                    continue;
                }
                // The blob may be what it says, and the record wrong about it: both are made again.
                self.wrong(&blob, error.to_string());
                self.wrong(&object, format!("its blob {} does not hold it", stored.blob.digest));
            }
            for tree in record.trees.clone() {
                of_trees.insert(tree, (diff_id, record.clone()));
            }
        }
        for object in self.store.names()? {
            let Object::Tree(id) = object else { continue };
            if self.interrupt.is_set() {
                return Err(Problem::Interrupted);
            }
            self.tree(id, of_trees.get(&id.to_string()))?;
        }
        Ok(())
    }

    fn tree(&mut self, id: TreeId, of: Option<&(DiffId, LayerRecord)>) -> Result<(), Problem> {
        let listing = Object::Record(Bucket::Listings, id.to_string());
        if !self.is_whole(&listing)? {
            self.wrong(&Object::Tree(id), "nothing tells what it must hold".to_owned());
            return Ok(());
        }
        match layer::check_tree(self.store, id, of.map(|(diff_id, record)| (diff_id, record))) {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.checkup.trees += 1;
                self.store.trust_tree(id);
            }
            // Removed by somebody while it was looked at.
            Err(_) if self.store.tree(id)?.is_none() => {}
            Err(error) => {
                let problem = match &error {
                    layer::Error::DamagedTree { path, problem, .. } => format!("`{path}`: {problem}"),
                    other => other.to_string(),
                };
                self.wrong(&Object::Tree(id), problem);
                let is_packed = match of {
                    Some((diff_id, _)) => self.is_packed(diff_id, self.whole_record(diff_id)?.as_ref())?,
                    None => false,
                };
                if !is_packed {
                    // Nothing is left that the listing could be of: the step that made the layer must run again.
                    self.damaged.insert(listing, "its layer is lost".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Names lead to images, and these to layers that are whole in some form.
    fn images(&mut self) -> Result<(), Problem> {
        for id in catalog::image_ids(self.store)? {
            let object = Object::Record(Bucket::Images, id.to_string());
            if self.damaged.contains_key(&object) {
                continue;
            }
            self.checkup.images += 1;
            let config = self.is_whole(&Object::Blob(id.blob()))?.then(|| catalog::image(self.store, &id));
            let problem = match config.unwrap_or(Ok(None)) {
                Ok(Some(image)) => {
                    self.lost_layer(&image.layers)?.map(|lost| format!("its layer {} is lost", lost.diff_id))
                }
                Ok(None) => Some("its config is lost".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem {
                self.wrong(&object, problem);
            }
        }
        for (name, id) in catalog::names(self.store)? {
            let image = Object::Record(Bucket::Images, id.to_string());
            if self.damaged.contains_key(&image) || self.store.last_used(&image)?.is_none() {
                let object = Object::Record(Bucket::Names, name.to_string());
                self.wrong(&object, format!("its image {id} is lost"));
            }
        }
        Ok(())
    }

    fn lost_layer<'l>(&self, layers: &'l [Layer]) -> Result<Option<&'l Layer>, Problem> {
        for layer in layers {
            let listing = Object::Record(Bucket::Listings, layer.tree.to_string());
            if !self.is_whole(&listing)? || !self.has_tar(layer)? {
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    /// Whether the layer's tar is here, or follows from a tree, for which the record must tell how.
    fn has_tar(&self, layer: &Layer) -> Result<bool, Problem> {
        let record = self.whole_record(&layer.diff_id)?;
        let follows = record.as_ref().is_some_and(|record| record.times.is_some());
        Ok(self.is_packed(&layer.diff_id, record.as_ref())? || follows && self.is_whole(&Object::Tree(layer.tree))?)
    }

    /// What the store knows about a layer; none if that is damaged, for then it is about to go.
    fn whole_record(&self, diff_id: &DiffId) -> Result<Option<LayerRecord>, Problem> {
        let object = Object::Record(Bucket::Layers, diff_id.to_string());
        Ok(if self.is_whole(&object)? { layer::record(self.store, diff_id).ok().flatten() } else { None })
    }

    /// Whether a blob is here and whole that holds the layer's tar.
    fn is_packed(&self, diff_id: &DiffId, record: Option<&LayerRecord>) -> Result<bool, Problem> {
        let told = record.into_iter().flat_map(|record| &record.blobs).map(|stored| stored.blob.digest);
        for digest in told.chain([diff_id.plain_blob()]) {
            if self.is_whole(&Object::Blob(digest))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_whole(&self, object: &Object) -> Result<bool, Problem> {
        Ok(!self.damaged.contains_key(object) && self.store.last_used(object)?.is_some())
    }

    fn wrong(&mut self, object: &Object, problem: String) {
        self.damaged.entry(object.clone()).or_insert(problem);
    }

    /// Removes what is damaged, unless a build uses it, and says what became of it.
    fn end(self, collection: Collection, strays: &[PathBuf], repair: Repair) -> Result<Checkup, Problem> {
        let Self { store, mut checkup, damaged, .. } = self;
        if repair == Repair::Wanted {
            collection.remove_unless(&|object, _| !damaged.contains_key(object))?;
            let keys: BTreeSet<_> =
                damaged.keys().filter(|object| matches!(object, Object::Record(Bucket::Keys, _))).collect();
            for object in keys {
                // Gc never takes these; one that cannot be read is made anew.
                if let Object::Record(bucket, name) = object {
                    store.remove_record(*bucket, name)?;
                }
            }
            strays.iter().try_for_each(|path| fsx::remove_tree(path)).map_err(crate::store::Error::from)?;
        }
        for (object, problem) in damaged {
            let fate = match (repair, store.last_used(&object)?) {
                (Repair::Unwanted, _) => Fate::Left,
                (Repair::Wanted, None) => Fate::Removed,
                (Repair::Wanted, Some(_)) => Fate::InUse,
            };
            checkup.findings.push(Finding { name: object.to_string(), problem, fate });
        }
        for path in strays {
            let fate = if repair == Repair::Wanted { Fate::Removed } else { Fate::Left };
            checkup.findings.push(Finding {
                name: shown(store, path),
                problem: "it is no part of a store".to_owned(),
                fate,
            });
        }
        Ok(checkup)
    }
}

fn shown(store: &Store, path: &Path) -> String {
    let below = path.strip_prefix(store.root()).unwrap_or(path);
    below.as_os_str().as_encoded_bytes().escape_ascii_utf8()
}
