//! An image archive as text: its config and the files that its layers make, a line each. Two builders' images are the
//! same if their texts are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::archive;

/// What the builders' sandboxes leave in images though no step made it.
const MOUNT_POINTS: [&str; 7] = ["dev", "etc/hosts", "etc/hostname", "etc/resolv.conf", "proc", "run", "sys"];

/// The parts of a config that say how an image runs.
const CONFIG: [&str; 8] = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "StopSignal", "User", "Volumes", "WorkingDir"];

/// Where a member's bytes lie in an archive.
type Members = BTreeMap<String, (u64, u64)>;

/// Reads an archive of Docker or of OCI and writes its text.
pub fn write(archive: &Path, output: &Path) {
    let members = members(archive);
    let json = |name: &str| -> Value {
        let mut bytes = Vec::new();
        open(archive, &members, name).read_to_end(&mut bytes).expect("the archive can be read");
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    };
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let blob = |value: &Value| format!("blobs/{}", text(&value["digest"]).replace(':', "/"));
    let (config, layers): (String, Vec<String>) = if members.contains_key("manifest.json") {
        let image = &json("manifest.json")[0];
        let layers = image["Layers"].as_array().expect("a list of layers");
        (text(&image["Config"]), layers.iter().map(text).collect())
    } else {
        let manifest = json(&blob(&json("index.json")["manifests"][0]));
        let layers = manifest["layers"].as_array().expect("a list of layers");
        (blob(&manifest["config"]), layers.iter().map(blob).collect())
    };
    let mut files = BTreeMap::new();
    for layer in layers {
        apply(&mut files, open(archive, &members, &layer));
    }
    let config = &json(&config)["config"];
    let mut dump = String::new();
    for name in CONFIG {
        let value = &config[name];
        // Absent, null and empty mean the same.
        let is_empty = value.is_null() || matches!(value.to_string().as_str(), "[]" | "{}" | "\"\"");
        writeln!(dump, "config {name} {}", if is_empty { &Value::Null } else { value }).expect("memory is writable");
    }
    for (path, line) in files.iter().filter(|(path, _)| !MOUNT_POINTS.contains(&path.as_str())) {
        writeln!(dump, "{line} {path}").expect("memory is writable");
    }
    fs::write(output, dump).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", output.display()));
}

/// The places of an archive's members. Docker's old archives have links for layers that repeat.
fn members(archive: &Path) -> Members {
    let file = File::open(archive).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", archive.display()));
    let mut tar = tar::Archive::new(file);
    let mut members = Members::new();
    let mut links = Vec::new();
    for entry in tar.entries_with_seek().expect("the archive can be read") {
        let entry = entry.expect("the archive is a tar");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.link_name_bytes() {
            Some(target) => links.push((name, String::from_utf8_lossy(&target).trim_start_matches("../").to_owned())),
            None => drop(members.insert(name, (entry.raw_file_position(), entry.size()))),
        }
    }
    for (name, target) in links {
        let place = members[&target];
        members.insert(name, place);
    }
    members
}

fn open(archive: &Path, members: &Members, name: &str) -> impl Read + use<> {
    let (place, size) = *members.get(name).unwrap_or_else(|| panic!("the archive has no `{name}`"));
    let mut file = File::open(archive).expect("it was read before");
    file.seek(SeekFrom::Start(place)).expect("it is a file");
    file.take(size)
}

/// Puts a layer over the files so far.
fn apply(files: &mut BTreeMap<String, String>, layer: impl Read + 'static) {
    let mut layer = BufReader::with_capacity(1 << 18, layer);
    let is_gzip = std::io::BufRead::fill_buf(&mut layer).expect("the archive can be read").starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(layer)) } else { Box::new(layer) };
    let mut tar = tar::Archive::new(plain);
    for entry in tar.entries().expect("the layer can be read") {
        let mut entry = entry.expect("the layer is a tar");
        let path =
            String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").trim_end_matches('/').to_owned();
        let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
        let below = |folder: &str| if folder.is_empty() { String::new() } else { format!("{folder}/") };
        if name == ".wh..wh..opq" {
            files.retain(|path, _| !path.starts_with(&below(folder)));
            continue;
        }
        if let Some(removed) = name.strip_prefix(".wh.") {
            let removed = format!("{}{removed}", below(folder));
            files.retain(|path, _| *path != removed && !path.starts_with(&below(&removed)));
            continue;
        }
        let header = entry.header().clone();
        let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
        let mut hasher = Sha256::new();
        std::io::copy(&mut entry, &mut HashWriter(&mut hasher)).expect("the layer can be read");
        let kind = header.entry_type();
        if kind.is_hard_link() {
            let target = target.unwrap_or_default();
            let same =
                files.get(target.trim_start_matches("./")).cloned().unwrap_or_else(|| format!("link to {target}"));
            files.insert(path, same);
            continue;
        }
        let number = |value: std::io::Result<u64>| value.expect("the header has numbers");
        let line = format!(
            "{kind:?} {:o} {}:{} {} {} -> {}",
            header.mode().expect("the header has a mode") & 0o7777,
            number(header.uid()),
            number(header.gid()),
            number(header.size()),
            &archive::hex(&hasher.finalize())[..16],
            target.unwrap_or_default(),
        );
        files.insert(path, line);
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
