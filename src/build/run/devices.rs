//! The devices of a command: what their names stand for on this machine, and what the command gets with them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::build::CommandOptions;
use crate::build::error::Problem;
use crate::cache::Ingredients;
use crate::cdi::{self, Catalog, Document, Edits, NodeKind};
use crate::fsx::{self, At as _};
use crate::path::ImagePath;
use crate::plan::Device;
use crate::sandbox::{self, Access, Identity, Source};

/// No CDI file is longer, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// No folder has more CDI files.
const MAX_FILES: usize = 1000;
/// The mode of a node that nobody says anything about, as in runc.
const USUAL_MODE: u32 = 0o666;

/// The devices that a command is given.
#[derive(Debug, Default)]
pub(in crate::build) struct Given {
    /// Their qualified names, each once.
    names: Vec<String>,
    edits: Edits,
    /// Those that are not there, as they were asked for.
    absent: Vec<String>,
}

/// Finds the devices that a command asks for. Reads the CDI files anew each time, and only if it asks for any.
///
/// # Errors
/// `Problem::Mount` at the flag if a device is missing, not allowed, or needs what rbuild does not do.
pub(in crate::build) fn given(options: &CommandOptions, devices: &[Device]) -> Result<Given, Problem> {
    let Some(first) = devices.first() else { return Ok(Given::default()) };
    let catalog = catalog(&options.cdi_folders).map_err(|problem| problem.at_mount(first.span))?;
    let (mut names, mut absent) = (Vec::<String>::new(), Vec::new());
    for Device { name, required, span } in devices {
        let at = |error: cdi::Error| Problem::from(error).at_mount(*span);
        let found = catalog.given(name, *required, &options.devices).map_err(at)?;
        catalog.edits(&found).map_err(at)?;
        if found.is_empty() {
            absent.push(name.clone());
        }
        for name in found {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let edits = catalog.edits(&names).map_err(|error| Problem::from(error).at_mount(first.span))?;
    Ok(Given { names, edits, absent })
}

impl Given {
    /// As in BuildKit the names decide the result of a command, not what is behind them on this machine.
    pub(super) fn add_ingredients(&self, ingredients: &mut Ingredients) {
        if !self.names.is_empty() {
            ingredients.setting("--device", self.names.join(" "));
        }
    }

    /// The devices that the command does without, as it asked for them.
    pub(super) fn absent(&self) -> &[String] {
        &self.absent
    }

    /// The variables that come with the devices.
    pub(super) fn env(&self) -> impl Iterator<Item = (&String, &String)> {
        self.edits.env.iter().map(|(name, value)| (name, value))
    }

    /// Puts the command's user into the devices' groups.
    pub(super) fn add_groups(&self, identity: &mut Identity) {
        for group in &self.edits.groups {
            if !identity.credentials.groups.contains(group) {
                identity.credentials.groups.push(*group);
            }
        }
    }

    /// The mounts of the devices; looks at the host's nodes.
    pub(super) fn mounts(&self, identity: &Identity) -> Result<Vec<sandbox::Mount>, Problem> {
        let mut mounts = Vec::new();
        for node in &self.edits.nodes {
            let source = self.node(node, identity)?;
            mounts.push(sandbox::Mount { target: ImagePath::new(&node.path), source, access: Access::ReadWrite });
        }
        for mount in &self.edits.mounts {
            let path = PathBuf::from(&mount.host_path);
            fs::metadata(&path).at("find", &path)?;
            let programs = match mount.programs {
                cdi::Programs::Run => sandbox::Programs::Run,
                cdi::Programs::Refused => sandbox::Programs::Refused,
            };
            let access = if mount.read_only { Access::ReadOnly } else { Access::ReadWrite };
            let source = Source::Lent { path, programs };
            mounts.push(sandbox::Mount { target: ImagePath::new(&mount.path), source, access });
        }
        Ok(mounts)
    }

    /// What a document leaves open is as on the host; a document that says everything needs no node there.
    fn node(&self, node: &cdi::Node, identity: &Identity) -> Result<Source, Problem> {
        let path = Path::new(node.host_path.as_ref().unwrap_or(&node.path));
        let is_whole = node.kind.is_some() && node.numbers.0 != 0;
        let wrong = |problem: String| {
            let (name, path) = (self.names.join("` or `"), path.to_path_buf());
            Problem::from(cdi::Error::Node { name, path, problem })
        };
        let host = match host_node(path) {
            Ok(host) => Some(host),
            Err(_) if is_whole => None,
            Err(problem) => return Err(wrong(problem)),
        };
        let (kind, numbers) = match (&host, node.kind) {
            (_, Some(kind)) if is_whole => (kind, node.numbers),
            (Some(host), None) => (host.kind, host.numbers),
            (Some(host), Some(kind)) if host.kind == kind => (kind, host.numbers),
            (_, _) => return Err(wrong("it is of another type than the CDI file says".to_owned())),
        };
        let user = &identity.credentials;
        Ok(Source::Node {
            kind: match kind {
                NodeKind::Character => sandbox::NodeKind::Character,
                NodeKind::Block => sandbox::NodeKind::Block,
            },
            numbers,
            mode: node.mode.or(host.map(|host| host.mode)).unwrap_or(USUAL_MODE),
            uid: node.uid.unwrap_or(user.uid),
            gid: node.gid.unwrap_or(user.gid),
        })
    }
}

struct HostNode {
    kind: NodeKind,
    numbers: (u32, u32),
    mode: u32,
}

/// Looks at a node of the host; a symlink is none.
fn host_node(path: &Path) -> Result<HostNode, String> {
    let found = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "it is not there".to_owned(),
        _ => error.to_string(),
    })?;
    let kind = match found.file_type() {
        kind if kind.is_char_device() => NodeKind::Character,
        kind if kind.is_block_device() => NodeKind::Block,
        _ => return Err("it is no device node".to_owned()),
    };
    let numbers = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    Ok(HostNode { kind, numbers, mode: found.mode() & 0o777 })
}

/// Reads the CDI files of folders, as far as these are there.
fn catalog(folders: &[PathBuf]) -> Result<Catalog, Problem> {
    let mut catalog = Catalog::new(folders);
    for (number, folder) in folders.iter().enumerate() {
        for path in files(folder)? {
            let name = path.display().to_string();
            let text = String::from_utf8_lossy(&fsx::read_at_most(&path, MAX_FILE)?).into_owned();
            catalog.add(number, Document::parse(&name, text));
        }
    }
    Ok(catalog)
}

/// The CDI files of a folder in the order of their names. `.yml` is none in the specification, but in BuildKit's handbook.
fn files(folder: &Path) -> Result<Vec<PathBuf>, fsx::Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at("list", folder),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.at("list", folder)?.path();
        let is_cdi =
            path.extension().is_some_and(|ending| ["json", "yaml", "yml"].iter().any(|known| ending == *known));
        if is_cdi && path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            let error = std::io::Error::other(format!("it has more than {MAX_FILES} CDI files"));
            return Err(error).at("list", folder);
        }
    }
    files.sort();
    Ok(files)
}
