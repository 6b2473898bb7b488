//! `rbuild prune`, `rbuild du` and `rbuild fsck`.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

use super::args::PruneArgs;
use super::error::{Error, Result};
use super::images::table;
use super::measures::{self, ago};
use super::progress::show_size;
use crate::build::{self, Checkup, Extent, Fate, Interrupt, Pruned, Pruning, Repair, Usage, UsageKind};
use crate::export;
use crate::store::{Bucket, Store};

/// Removes what nothing needs.
pub fn prune(store: &Path, args: &PruneArgs, interrupt: &Interrupt) -> Result<()> {
    let pruning = pruning(args)?;
    let pruned = match Store::open_existing(store)? {
        None => Pruned::default(),
        Some(store) => {
            export::forget_absent_outputs(&store)?;
            build::prune(&store, pruning, interrupt)?
        }
    };
    let noun = if pruned.objects == 1 { "object" } else { "objects" };
    let mut text = format!("removed {} {noun}, {}\n", pruned.objects, show_size(pruned.bytes));
    if let (Some(left), Some(limit)) = (pruned.left, pruning.keep_bytes)
        && left > limit
    {
        text.push_str(&format!(
            "{} are left: images with a name, and what running builds use or was used too lately, stay\n",
            show_size(left)
        ));
    }
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn pruning(args: &PruneArgs) -> Result<Pruning> {
    let mut older_than = args.older_than.as_deref().map(|text| measures::age("--older-than", text)).transpose()?;
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("until" | "unused-for", text)) => older_than = Some(measures::age("--filter until", text)?),
            _ => {
                let message = format!("`--filter` knows no `{filter}`");
                return Err(Error::usage(message, "it may be `until=AGE`, for example `until=24h`"));
            }
        }
    }
    let keep_bytes = args.keep_bytes.as_deref().map(|text| measures::size("--keep-bytes", text)).transpose()?;
    let extent = if args.all { Extent::Everything } else { Extent::Unused };
    Ok(Pruning { extent, older_than, keep_bytes })
}

/// Shows how much room each kind takes.
pub fn usage(store: &Path, json: bool) -> Result<()> {
    let store = Store::open_existing(store)?;
    let usage = store.as_ref().map(build::usage).transpose()?.unwrap_or_default();
    let sum = |of: &dyn Fn(&Usage) -> u64| usage.iter().map(of).sum::<u64>();
    let (objects, bytes, reclaimable) = (sum(&|u| u.objects), sum(&|u| u.bytes), sum(&|u| u.reclaimable));
    if json {
        let kinds = usage.iter().map(|usage| {
            serde_json::json!({
                "kind": machine_name(usage.kind),
                "objects": usage.objects,
                "bytes": usage.bytes,
                "reclaimable": usage.reclaimable,
                "last_used": usage.last_used.and_then(rfc3339),
            })
        });
        let kinds: Vec<_> = kinds.collect();
        let total = serde_json::json!({ "objects": objects, "bytes": bytes, "reclaimable": reclaimable });
        let space = store.map(|store| store.space()).transpose()?;
        let disk = space.map(|space| serde_json::json!({ "bytes": space.total, "free": space.free }));
        return print_json(&serde_json::json!({ "kinds": kinds, "total": total, "disk": disk }));
    }
    let now = SystemTime::now();
    let mut rows = vec![["KIND", "OBJECTS", "SIZE", "RECLAIMABLE", "LAST USED"].map(str::to_owned)];
    for usage in &usage {
        let last_used = usage.last_used.map_or_else(|| "-".to_owned(), |time| ago(time, now));
        let (size, reclaimable) = (show_size(usage.bytes), show_size(usage.reclaimable));
        rows.push([kind_name(usage.kind).to_owned(), usage.objects.to_string(), size, reclaimable, last_used]);
    }
    rows.push(["total".to_owned(), objects.to_string(), show_size(bytes), show_size(reclaimable), String::new()]);
    table(&rows)
}

/// Verifies everything, and removes what is damaged unless `dry_run` is set.
pub fn fsck(store: &Path, dry_run: bool, json: bool, interrupt: &Interrupt) -> Result<()> {
    let repair = if dry_run { Repair::Unwanted } else { Repair::Wanted };
    let checkup = match Store::open_existing(store)? {
        None => Checkup::default(),
        Some(store) => build::fsck(&store, repair, interrupt, &|_, _| {})?,
    };
    if json {
        print_json(&checkup_json(&checkup))?;
    } else {
        io::stdout().write_all(checkup_text(&checkup).as_bytes())?;
    }
    let left = checkup.findings.iter().filter(|finding| finding.fate != Fate::Removed).count();
    let (message, hint, status) = match (checkup.findings.len(), left) {
        (0, _) => return Ok(()),
        (found, 0) => (format!("{found} damaged, and removed"), "the next build makes it again, or pulls it", 1),
        (_, left) if dry_run => {
            (format!("{left} damaged"), "`rbuild fsck` without `--dry-run` removes what is damaged", 4)
        }
        (_, left) => (format!("{left} damaged and in use"), "run `rbuild fsck` again when no build runs", 4),
    };
    Err(Error::Verdict { message, hint: hint.to_owned(), status })
}

fn checkup_text(checkup: &Checkup) -> String {
    let mut text = String::new();
    for finding in &checkup.findings {
        let fate = fate_name(finding.fate);
        text.push_str(&format!("{}: {}: {fate}\n", finding.name, finding.problem));
    }
    let Checkup { blobs, blob_bytes, records, trees, images, findings: _ } = checkup;
    let size = show_size(*blob_bytes);
    text + &format!("checked {blobs} blobs ({size}), {records} records, {trees} unpacked layers, {images} images\n")
}

fn checkup_json(checkup: &Checkup) -> serde_json::Value {
    let findings = checkup.findings.iter().map(|finding| {
        serde_json::json!({ "name": finding.name, "problem": finding.problem, "fate": fate_name(finding.fate) })
    });
    let findings: Vec<_> = findings.collect();
    let Checkup { blobs, blob_bytes, records, trees, images, findings: _ } = checkup;
    serde_json::json!({
        "blobs": blobs, "blob_bytes": blob_bytes, "records": records, "trees": trees, "images": images, "findings": findings,
    })
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Removed => "removed",
        Fate::InUse => "in use, left",
        Fate::Left => "left",
    }
}

pub(super) fn print_json(value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn rfc3339(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(jiff::Timestamp::from_second(time.as_second()).ok()?.to_string())
}

fn kind_name(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Trees => "layers, unpacked",
        UsageKind::PlainLayers => "layers, as tars",
        UsageKind::CompressedLayers => "layers, compressed",
        UsageKind::Documents => "configs, manifests, files from URLs",
        UsageKind::CacheMounts => "cache mounts",
        UsageKind::Temporary => "temporary files",
        UsageKind::Records(Bucket::Names) => "names",
        UsageKind::Records(Bucket::Images) => "images",
        UsageKind::Records(Bucket::Pulled) => "pulled base images",
        UsageKind::Records(Bucket::Layers) => "records of layers",
        UsageKind::Records(Bucket::Listings) => "listings of layers",
        UsageKind::Records(Bucket::Steps) => "build cache",
        UsageKind::Records(Bucket::Builds) => "journals of builds",
        UsageKind::Records(Bucket::Files) => "digests of context files",
        UsageKind::Records(Bucket::Outputs) => "records of outputs",
        UsageKind::Records(Bucket::Fetched) => "records of URLs",
        UsageKind::Records(Bucket::Keys) => "keys",
    }
}

fn machine_name(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Trees => "trees",
        UsageKind::PlainLayers => "plain-layers",
        UsageKind::CompressedLayers => "compressed-layers",
        UsageKind::Documents => "documents",
        UsageKind::CacheMounts => "cache-mounts",
        UsageKind::Temporary => "temporary",
        UsageKind::Records(bucket) => bucket.folder(),
    }
}
