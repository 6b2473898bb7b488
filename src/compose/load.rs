//! From files to one tree: reads them, replaces variables, follows `include` and `extends`, merges.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::extends;
use super::include;
use super::interpolate::interpolate;
use super::merge::{drop_resets, long_build, merge};
use super::node::{Entry, FileId, Map, Node, Place, Value};
use super::paths::{Base, clean};
use super::problems::Problems;
use super::{dotenv, schema, yaml};
use crate::dockerfile::Span;

/// No file of a project is longer, in bytes.
pub const MAX_FILE: u64 = 4 << 20;
/// Files of a project, those that are read twice counted twice.
const MAX_FILES: usize = 500;

/// How a project's files are read: this room does not touch them.
pub trait Files {
    /// The content of a file, none if it is not there; `-` is standard input. Fails beyond `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;
}

/// Variables and the folder that relative paths begin in.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub folder: PathBuf,
    pub variables: BTreeMap<String, String>,
}

/// A file that was read, document by document.
#[derive(Debug)]
pub(super) struct Parsed {
    pub path: PathBuf,
    pub documents: Vec<Node>,
}

/// Reads files, and keeps what was found in them.
pub(super) struct Loader<'a> {
    pub files: &'a dyn Files,
    /// Where the person is: paths below it are shown without it.
    pub folder: &'a Path,
    pub problems: Problems,
    read: usize,
    warned: BTreeSet<String>,
}

impl<'a> Loader<'a> {
    pub fn new(files: &'a dyn Files, folder: &'a Path) -> Self {
        Self { files, folder, problems: Problems::default(), read: 0, warned: BTreeSet::new() }
    }

    /// Whether there is such a file; one that cannot be read is there.
    pub fn exists(&self, path: &Path) -> bool {
        !matches!(self.files.read(path, MAX_FILE), Ok(None))
    }

    /// Takes a file in.
    pub fn text(&mut self, path: &Path) -> Result<FileId> {
        self.read += 1;
        let failed = |problem: String| Error::File { path: self.shown(path), problem };
        if self.read > MAX_FILES {
            return Err(failed(format!("the project has more than {MAX_FILES} files")));
        }
        let bytes = self.files.read(path, MAX_FILE).map_err(|error| failed(error.to_string()))?;
        let bytes = bytes.ok_or_else(|| failed("there is no such file".to_owned()))?;
        let text = String::from_utf8(bytes).map_err(|_binary| failed("it is not UTF-8 text".to_owned()))?;
        let name = if path == Path::new("-") { "<stdin>".to_owned() } else { self.shown(path).display().to_string() };
        Ok(self.problems.add_file(&name, text))
    }

    /// Reads a compose file; what is wrong with its YAML is reported.
    pub fn parse(&mut self, path: &Path) -> Result<Parsed> {
        let file = self.text(path)?;
        let documents = yaml::read(file, &mut self.problems);
        for document in documents.iter().filter(|document| document.as_map().is_none() && !document.is_null()) {
            let problem = document.place.error("wrong-type", "a compose file must be a mapping");
            let problem = problem.with_label(format!("this is {}", document.kind()));
            self.problems.push(file, problem.with_help("write `services:`, and below it the services by name"));
        }
        Ok(Parsed { path: path.to_path_buf(), documents })
    }

    /// The same for a file that another one names: a file that cannot be read is a problem of the place that names it.
    pub fn parse_from(&mut self, path: &Path, place: Place) -> Option<Parsed> {
        match self.parse(path) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problems.push(place.file, place.error("no-file", error.to_string()).with_label("named here"));
                None
            }
        }
    }

    /// Adds the variables of an env file to those of a scope, which count more.
    pub fn env_file(
        &mut self,
        path: &Path,
        outer: &BTreeMap<String, String>,
        values: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        let file = self.text(path)?;
        dotenv::read(file, outer, values, &mut self.problems);
        Ok(())
    }

    /// Merges files into one tree whose paths are absolute, and that neither includes nor extends anything.
    pub fn model(&mut self, files: Vec<Parsed>, scope: &Scope, trail: &[PathBuf]) -> Node {
        let mut model = Node::new(Value::Map(Map::default()), nowhere());
        for parsed in files {
            for mut document in parsed.documents {
                if document.as_map().is_none() {
                    continue;
                }
                self.prepare(&mut document, scope);
                let mut inner = trail.to_vec();
                inner.push(parsed.path.clone());
                include::apply(self, &mut document, scope, &inner);
                extends::apply(self, &mut document, scope, &parsed.path);
                model = merge(model, document, &[], &mut self.problems);
                drop_resets(&mut model);
            }
        }
        default_contexts(&mut model, &scope.folder);
        model
    }

    /// Variables, shapes, paths: what a document needs before it meets others.
    pub fn prepare(&mut self, document: &mut Node, scope: &Scope) {
        interpolate(document, &scope.variables, &mut self.warned, &mut self.problems);
        schema::check(document, &mut self.problems);
        Base { folder: &scope.folder, home: scope.variables.get("HOME").map(String::as_str) }.rebase(document);
    }

    /// As messages show a path.
    pub fn shown(&self, path: &Path) -> PathBuf {
        let path = clean(path);
        path.strip_prefix(self.folder).map(Path::to_path_buf).unwrap_or(path)
    }
}

/// The place of a tree that stands in no file.
fn nowhere() -> Place {
    Place { file: FileId(0), span: Span::default() }
}

/// A build without a context has the folder of its project.
fn default_contexts(model: &mut Node, folder: &Path) {
    let Some(services) = model.as_map_mut().and_then(|root| root.get_mut("services")).and_then(Node::as_map_mut) else {
        return;
    };
    for service in &mut services.entries {
        let Some(build) = service.node.as_map_mut().and_then(|service| service.get_mut("build")) else { continue };
        *build = long_build(std::mem::replace(build, Node::null(service.key_place)));
        let place = build.place;
        if let Some(build) = build.as_map_mut()
            && build.given("context").is_none()
        {
            let node = Node::text(folder.display().to_string(), place);
            build.put(Entry { key: "context".to_owned(), key_place: place, node });
        }
    }
}
