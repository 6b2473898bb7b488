//! Base images that differ in one thing: a setting of their config, or an entry of their upper layer.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::Dice;
use crate::support::layout;
use crate::support::{base, layer::LAYER_EPOCH};

/// Names that the cases copy to, so that a base image that has them is another one to them.
const NAMES: [&str; 12] = ["a", "b", "d", "x", "w", "out", "app", "dst", "dir", "src", "opt", "usr/bin/a"];

/// What becomes of such a name.
const ENTRIES: [Entry; 5] = [
    Entry::Folder { mode: 0o700, owner: 0 },
    Entry::Folder { mode: 0o755, owner: 7 },
    Entry::File("1\n"),
    Entry::Link("tmp"),
    Entry::Link("/etc"),
];

/// One entry of the upper layer.
#[derive(Clone, Copy)]
enum Entry {
    File(&'static str),
    Folder { mode: u32, owner: u64 },
    Link(&'static str),
}

/// One base image.
#[derive(Clone)]
struct Base {
    config: Value,
    entries: Vec<(&'static str, Entry)>,
    mode: u32,
    owner: u64,
    time: u64,
}

/// All of them, as OCI layouts that are written when they are first asked for; the first is the one that nothing was
/// edited of.
pub struct Bases {
    dir: PathBuf,
    busybox: OnceLock<Vec<u8>>,
    bases: Vec<(Base, OnceLock<PathBuf>)>,
}

impl Bases {
    /// None is written yet.
    pub fn below(dir: &Path) -> Self {
        let bases = bases().into_iter().map(|base| (base, OnceLock::new())).collect();
        Self { dir: dir.to_owned(), busybox: OnceLock::new(), bases }
    }

    /// One that was edited; mostly one with a name in it that the Dockerfile has too, and so perhaps as a destination.
    pub fn another(&self, text: &str, dice: &mut Dice) -> usize {
        let names: Vec<&str> = text.split(|char: char| !char.is_alphanumeric()).collect();
        let is_named = |base: &Base| base.entries.last().is_some_and(|(path, _)| names.contains(path));
        let named: Vec<usize> = (1..self.bases.len()).filter(|number| is_named(&self.bases[*number].0)).collect();
        match dice.below(3) {
            0 => 1 + dice.below(self.bases.len() - 1),
            _ => dice.one_of(&named).copied().unwrap_or_else(|| 1 + dice.below(self.bases.len() - 1)),
        }
    }

    /// The layout of one.
    pub fn layout(&self, number: usize) -> &Path {
        let (base, path) = &self.bases[number];
        path.get_or_init(|| {
            let busybox = self.busybox.get_or_init(|| {
                let mut tar = tar::Builder::new(Vec::new());
                base::fill_busybox(&mut tar);
                tar.into_inner().unwrap()
            });
            let path = self.dir.join(number.to_string());
            layout::write_layers(&path, &[busybox, &base.upper_layer()], &base.config);
            path
        })
    }
}

impl Base {
    fn upper_layer(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            match *entry {
                Entry::File(content) => {
                    let mut header = base::header(tar::EntryType::Regular, self.mode, content.len() as u64);
                    header.set_uid(self.owner);
                    header.set_mtime(self.time);
                    tar.append_data(&mut header, path, content.as_bytes()).unwrap();
                }
                Entry::Folder { mode, owner } => {
                    let mut header = base::header(tar::EntryType::Directory, mode, 0);
                    header.set_uid(owner);
                    tar.append_data(&mut header, format!("{path}/"), &[][..]).unwrap();
                }
                Entry::Link(target) => {
                    let mut header = base::header(tar::EntryType::Symlink, 0o777, 0);
                    tar.append_link(&mut header, path, target).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn with(&self, edit: impl FnOnce(&mut Self)) -> Self {
        let mut edited = self.clone();
        edit(&mut edited);
        edited
    }
}

fn bases() -> Vec<Base> {
    let config = json!({"Cmd": ["sh"], "Env": [base::path_variable(), "MARK=one"], "Labels": {"mark": "one"}});
    let entries = vec![("marker", Entry::File("one\n")), ("mark", Entry::Link("marker"))];
    let first = Base { config, entries, mode: 0o644, owner: 0, time: LAYER_EPOCH };
    let set = |name: &str, value: Value| first.with(|base| base.config[name] = value);
    let users = |text| first.with(|base| base.entries.push(("etc/passwd", Entry::File(text))));
    let groups = |text| first.with(|base| base.entries.push(("etc/group", Entry::File(text))));
    let mut all = vec![
        first.clone(),
        set("Env", json!([base::path_variable(), "MARK=two"])),
        set("Env", json!([base::path_variable()])),
        set("Env", json!([base::path_variable(), "MARK=one", "MORE="])),
        set("Env", json!(["MARK=one", "PATH=/bin:/usr/bin"])),
        set("User", json!("nobody")),
        set("User", json!("1:1")),
        set("WorkingDir", json!("/tmp")),
        set("WorkingDir", json!("/not/there")),
        set("Cmd", json!(["ls"])),
        set("Entrypoint", json!(["env"])),
        set("Labels", json!({"mark": "two"})),
        set("Shell", json!(["/bin/ash", "-c"])),
        set("StopSignal", json!("SIGINT")),
        set("ExposedPorts", json!({"80/tcp": {}})),
        set("Volumes", json!({"/a": {}})),
        first.with(|base| base.entries[0].1 = Entry::File("two\n")),
        first.with(|base| base.entries[1].1 = Entry::Link("/markers")),
        first.with(|base| base.mode = 0o600),
        first.with(|base| base.owner = 7),
        first.with(|base| base.time = LAYER_EPOCH + 1),
        users("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\ndaemon:x:2:1::/:/bin/sh\n"),
        users("root:x:0:0:root:/root:/bin/sh\nnobody:x:65533:65533:nobody:/:/bin/false\ndaemon:x:1:1::/:/bin/sh\n"),
        groups("root:x:0:\nnobody:x:7:\ndaemon:x:1:\n"),
        groups("root:x:0:\nnobody:x:65534:\ndaemon:x:1:nobody\n"),
    ];
    for name in NAMES {
        all.extend(ENTRIES.iter().map(|entry| first.with(|base| base.entries.push((name, *entry)))));
    }
    all
}
