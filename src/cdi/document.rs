//! Reads one CDI file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::edits::{Edits, Mount, Node, NodeKind, Programs, Unsupported};
use super::error::{Error, Result};
use super::names::{check_device, check_word, qualifier};
use super::reader::Reader;
use crate::compose::{self, Map, read_yaml};
use crate::dockerfile::{Source, Span};

/// The versions of the specification; those before 0.3.0 are of the same shape.
const VERSIONS: [&str; 10] = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

const DOCUMENT: [&str; 5] = ["cdiVersion", "kind", "annotations", "devices", "containerEdits"];
const DEVICE: [&str; 3] = ["name", "annotations", "containerEdits"];
const EDITS: [&str; 7] = ["env", "deviceNodes", "netDevices", "hooks", "mounts", "intelRdt", "additionalGids"];
const NODE: [&str; 9] = ["path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"];
const MOUNT: [&str; 4] = ["hostPath", "containerPath", "options", "type"];
const HOOK: [&str; 5] = ["hookName", "path", "args", "env", "timeout"];

/// One CDI file.
#[derive(Debug)]
pub struct Document {
    file: Arc<Source>,
    kind: String,
    annotations: BTreeMap<String, String>,
    edits: Edits,
    devices: Vec<Device>,
}

/// A device of a document.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) edits: Edits,
}

impl Document {
    /// Reads a file, JSON or YAML; `name` is for messages.
    ///
    /// # Errors
    /// `Error::Document` with everything that is wrong.
    pub fn parse(name: &str, text: String) -> Result<Self> {
        let fail = |file: &Arc<Source>, problems| Error::Document { file: Box::new(Source::clone(file)), problems };
        let (file, nodes) = match read_yaml(name, text) {
            Ok(read) => read,
            Err(report) => return Err(fail(&report.file, report.problems)),
        };
        let mut reader = Reader { file: file.clone(), found: Vec::new() };
        let document = match nodes.as_slice() {
            [node] => document(&mut reader, node),
            _ => {
                let message = format!("a CDI file has one document, and here are {}", nodes.len());
                reader.wrong(Span::default(), message);
                None
            }
        };
        match document {
            Some(document) if reader.found.is_empty() => Ok(document),
            _ => Err(fail(&file, reader.found)),
        }
    }

    /// Its text.
    pub fn file(&self) -> &Source {
        &self.file
    }

    /// What all of its devices share.
    pub(super) fn edits(&self) -> &Edits {
        &self.edits
    }

    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    pub(super) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The qualified name of a device, by its place.
    pub(super) fn qualified_name(&self, index: usize) -> String {
        let name = self.devices.get(index).map(|device| device.name.as_str()).unwrap_or_default();
        format!("{}={name}", self.kind)
    }
}

fn document(reader: &mut Reader, node: &compose::Node) -> Option<Document> {
    let map = reader.map(node, "a CDI file", &DOCUMENT)?;
    if let Some(version) = reader.required(map, "cdiVersion", node)
        && !VERSIONS.contains(&version.strip_prefix('v').unwrap_or(version))
        && let Some(at) = map.get("cdiVersion")
    {
        let newest = VERSIONS[VERSIONS.len() - 1];
        reader.wrong(at.place.span, format!("`{version}` is no known version of CDI, the newest of which is {newest}"));
    }
    let kind = reader.required(map, "kind", node).unwrap_or_default().to_owned();
    if let Some(at) = map.given("kind").filter(|_| !kind.is_empty()) {
        check_kind(reader, at, &kind);
    }
    let annotations = annotations(reader, map);
    let edits = map.given("containerEdits").map(|node| edits(reader, node)).unwrap_or_default();
    let mut devices: Vec<Device> = Vec::new();
    for node in reader.list(map, "devices") {
        let Some(device) = device(reader, node) else { continue };
        if devices.iter().any(|known| known.name == device.name) {
            reader.wrong(node.place.span, format!("there are two devices `{}`", device.name));
        }
        devices.push(device);
    }
    if devices.is_empty() && reader.found.is_empty() {
        reader.wrong(node.place.span, "a CDI file must have devices");
    }
    Some(Document { file: reader.file.clone(), kind, annotations, edits, devices })
}

fn check_kind(reader: &mut Reader, node: &compose::Node, kind: &str) {
    let Some((vendor, class)) = qualifier(kind) else {
        return reader.wrong(node.place.span, format!("`{kind}` is no kind of devices: write `vendor/class`"));
    };
    for (what, word) in [("vendor", vendor), ("class", class)] {
        if let Err(problem) = check_word(word) {
            reader.wrong(node.place.span, format!("`{word}` is no {what}: {problem}"));
        }
    }
}

fn annotations(reader: &mut Reader, map: &Map) -> BTreeMap<String, String> {
    let Some(node) = map.given("annotations") else { return BTreeMap::new() };
    let Some(given) = node.as_map() else {
        reader.wrong(node.place.span, format!("`annotations` must be a mapping, and is {}", node.kind()));
        return BTreeMap::new();
    };
    let found = given.entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.shown()?)));
    found.collect()
}

fn device(reader: &mut Reader, node: &compose::Node) -> Option<Device> {
    let map = reader.map(node, "a device", &DEVICE)?;
    // A name may look like a number.
    let name = match map.given("name").and_then(compose::Node::shown) {
        Some(name) => name,
        None => reader.required(map, "name", node)?.to_owned(),
    };
    if let (Err(problem), Some(at)) = (check_device(&name), map.get("name")) {
        reader.wrong(at.place.span, format!("`{name}` is no name of a device: {problem}"));
    }
    let annotations = annotations(reader, map);
    let edits = map.given("containerEdits").map(|node| edits(reader, node)).unwrap_or_default();
    if edits.is_empty() && reader.found.is_empty() {
        reader.wrong(node.place.span, format!("the device `{name}` changes nothing: `containerEdits` must do"));
    }
    Some(Device { name, annotations, edits })
}

fn edits(reader: &mut Reader, node: &compose::Node) -> Edits {
    let mut edits = Edits::default();
    let Some(map) = reader.map(node, "`containerEdits`", &EDITS) else { return edits };
    for node in reader.list(map, "env") {
        let Some(text) = reader.text(node, "a variable") else { continue };
        match text.split_once('=').filter(|(name, _)| !name.is_empty()) {
            Some((name, value)) => edits.env.push((name.to_owned(), value.to_owned())),
            None => reader.wrong(node.place.span, "a variable must be `NAME=VALUE`"),
        }
    }
    for node in reader.list(map, "deviceNodes") {
        let added = device_node(reader, node, &mut edits.unsupported);
        edits.nodes.extend(added);
    }
    for node in reader.list(map, "mounts") {
        let added = mount(reader, node, &mut edits.unsupported);
        edits.mounts.extend(added);
    }
    for node in reader.list(map, "additionalGids") {
        // As in the Go package, the group of root is not added.
        edits.groups.extend(reader.number_of(node, "a group").filter(|group| *group != 0));
    }
    for node in reader.list(map, "hooks") {
        let Some(hook) = reader.map(node, "a hook", &HOOK) else { continue };
        let name = reader.required(hook, "hookName", node).unwrap_or_default();
        let program = reader.required(hook, "path", node).unwrap_or_default();
        let what = format!("a hook `{name}` that runs `{program}` on the host");
        edits.unsupported.push(Unsupported { what, place: reader.place(node) });
    }
    for node in reader.list(map, "netDevices") {
        edits.unsupported.push(Unsupported { what: "a network interface".to_owned(), place: reader.place(node) });
    }
    if let Some(node) = map.given("intelRdt") {
        edits.unsupported.push(Unsupported { what: "`intelRdt`".to_owned(), place: reader.place(node) });
    }
    edits
}

fn device_node(reader: &mut Reader, node: &compose::Node, unsupported: &mut Vec<Unsupported>) -> Option<Node> {
    let map = reader.map(node, "a device node", &NODE)?;
    reader.required(map, "path", node)?;
    let path = reader.path(map.given("path"), "path");
    let host_path = reader.path(map.given("hostPath"), "hostPath");
    let kind = match reader.optional(map, "type") {
        None => None,
        Some("c" | "u") => Some(NodeKind::Character),
        Some("b") => Some(NodeKind::Block),
        Some("p") => {
            unsupported.push(Unsupported { what: "a pipe as a device node".to_owned(), place: reader.place(node) });
            None
        }
        Some(other) => {
            let message = format!("`{other}` is no type of a device node: it may be `c`, `u`, `b` or `p`");
            reader.wrong(map.get("type").unwrap_or(node).place.span, message);
            None
        }
    };
    if let Some(permissions) = reader.optional(map, "permissions") {
        if permissions.chars().any(|c| !"rwm".contains(c)) {
            let message = format!("`{permissions}` are no permissions: they are made of `r`, `w` and `m`");
            reader.wrong(map.get("permissions").unwrap_or(node).place.span, message);
        } else if !permissions.contains('r') || !permissions.contains('w') {
            // No device cgroup stands behind the node, and root may open what its mode forbids.
            let what = format!("a device node with the permissions `{permissions}`, without `r` or `w`");
            unsupported.push(Unsupported { what, place: reader.place(node) });
        }
    }
    let numbers = (reader.number(map, "major").unwrap_or(0), reader.number(map, "minor").unwrap_or(0));
    let mode = reader.number(map, "fileMode").map(|mode| mode & 0o777);
    let (uid, gid) = (reader.number(map, "uid"), reader.number(map, "gid"));
    Some(Node { path: path?, host_path, kind, numbers, mode, uid, gid })
}

fn mount(reader: &mut Reader, node: &compose::Node, unsupported: &mut Vec<Unsupported>) -> Option<Mount> {
    let map = reader.map(node, "a mount", &MOUNT)?;
    reader.required(map, "hostPath", node)?;
    reader.required(map, "containerPath", node)?;
    let host_path = reader.path(map.given("hostPath"), "hostPath");
    let path = reader.path(map.given("containerPath"), "containerPath");
    if let Some(kind) = reader.optional(map, "type").filter(|kind| !matches!(*kind, "bind" | "none")) {
        unsupported.push(Unsupported { what: format!("a mount of type `{kind}`"), place: reader.place(node) });
    }
    let (mut read_only, mut programs) = (false, Programs::Run);
    for option in reader.list(map, "options") {
        match reader.text(option, "an option of a mount") {
            None => {}
            Some("ro") => read_only = true,
            Some("rw") => read_only = false,
            Some("noexec") => programs = Programs::Refused,
            Some("exec") => programs = Programs::Run,
            // Every such mount is without devices and set-user-id rights, and nothing is mounted while a command runs.
            Some("bind" | "rbind" | "nosuid" | "nodev" | "private" | "rprivate" | "slave" | "rslave") => {}
            Some(other) => {
                let what = format!("the mount option `{other}`");
                unsupported.push(Unsupported { what, place: reader.place(option) });
            }
        }
    }
    Some(Mount { host_path: host_path?, path: path?, read_only, programs })
}
