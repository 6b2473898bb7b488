//! `rbuild prune` and `rbuild du`.

use std::io::{self, Write as _};
use std::path::Path;

use super::error::Result;
use super::images::table;
use super::progress::show_size;
use crate::build::{self, Extent, Interrupt};
use crate::export;
use crate::store::{Bucket, Kind, Store};

/// Removes what nothing needs.
pub fn prune(store: &Path, all: bool, interrupt: &Interrupt) -> Result<()> {
    let (objects, bytes) = match Store::open_existing(store)? {
        None => (0, 0),
        Some(store) => {
            export::forget_absent_outputs(&store)?;
            let extent = if all { Extent::Everything } else { Extent::Unused };
            let collected = build::prune(&store, extent, interrupt)?;
            (collected.objects, collected.bytes)
        }
    };
    let noun = if objects == 1 { "object" } else { "objects" };
    Ok(writeln!(io::stdout(), "removed {objects} {noun}, {}", show_size(bytes))?)
}

/// Shows how much room each kind takes.
pub fn usage(store: &Path) -> Result<()> {
    let mut rows = vec![["KIND".to_owned(), "OBJECTS".to_owned(), "SIZE".to_owned()]];
    let (mut objects, mut bytes) = (0, 0);
    if let Some(store) = Store::open_existing(store)? {
        for usage in store.usage()?.into_iter().filter(|usage| usage.objects > 0) {
            objects += usage.objects;
            bytes += usage.bytes;
            rows.push([kind_name(usage.kind), usage.objects.to_string(), show_size(usage.bytes)]);
        }
    }
    rows.push(["total".to_owned(), objects.to_string(), show_size(bytes)]);
    table(&rows)
}

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Blobs => "compressed and plain layers, configs",
        Kind::Trees => "unpacked layers",
        Kind::Caches => "cache mounts",
        Kind::Temporary => "temporary files",
        Kind::Records(Bucket::Names) => "names",
        Kind::Records(Bucket::Images) => "images",
        Kind::Records(Bucket::Pulled) => "pulled base images",
        Kind::Records(Bucket::Layers) => "records of layers",
        Kind::Records(Bucket::Listings) => "listings of layers",
        Kind::Records(Bucket::Steps) => "build cache",
        Kind::Records(Bucket::Builds) => "journals of builds",
        Kind::Records(Bucket::Files) => "digests of context files",
        Kind::Records(Bucket::Outputs) => "records of outputs",
        Kind::Records(Bucket::Fetched) => "records of URLs",
        Kind::Records(Bucket::Keys) => "keys",
    }
    .to_owned()
}
