//! Finds the files of a project, its variables and its name, and reads it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::check;
use super::error::{Error, Result};
use super::interpolate::interpolate;
use super::load::{Files, Loader, Parsed, Scope};
use super::model::Project;
use super::node::Node;
use super::paths::clean;
use crate::dockerfile::Diagnostic;

/// The names of compose files, the preferred one first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The names of the files that are laid over them.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// What a person says about a project beside its files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the person is; absolute.
    pub folder: PathBuf,
    /// `-f`, in order; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--env-file`, in order.
    pub env_files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// The services that are named: they are active whatever their profiles.
    pub services: Vec<String>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
}

/// Reads a project. Nothing is pulled, built or written; everything that is wrong is reported at once.
pub fn read(options: &Options, files: &dyn Files) -> Result<Project> {
    let folder = clean(&options.folder);
    let mut loader = Loader::new(files, &folder);
    let mut variables = options.variables.clone();
    let first = options.project_directory.as_deref().map(|path| clean(&folder.join(path)));
    let guess = first.clone().unwrap_or_else(|| folder_of(&options.files, &folder));
    env_files(&mut loader, options, &guess, &folder, &mut variables)?;
    let Found { paths, other } = compose_files(&loader, options, &variables, &folder, &guess)?;
    let project_folder = first.unwrap_or_else(|| folder_of(&paths, &folder));
    if project_folder != guess {
        env_files(&mut loader, options, &project_folder, &folder, &mut variables)?;
    }
    let mut parsed = Vec::new();
    for path in &paths {
        let path = if path == Path::new("-") { path.clone() } else { clean(&folder.join(path)) };
        parsed.push(loader.parse(&path)?);
    }
    if let Some(other) = other {
        warn_of_other(&mut loader, &parsed, &other);
    }
    let name = name(&mut loader, options, &parsed, &variables, &project_folder)?;
    variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let scope = Scope { folder: project_folder, variables };
    let model = loader.model(parsed, &scope, &[]);
    let profiles = profiles(options, &scope.variables);
    check::project(loader.problems, &model, name, scope, &profiles, &options.services)
}

/// The folder of the first file that is one.
fn folder_of(files: &[PathBuf], folder: &Path) -> PathBuf {
    let first = files.iter().find(|path| *path != Path::new("-"));
    let parent = first.and_then(|path| clean(&folder.join(path)).parent().map(Path::to_path_buf));
    parent.unwrap_or_else(|| folder.to_path_buf())
}

/// Adds the variables of `--env-file`, else of `.env`; those that are set already stay.
fn env_files(
    loader: &mut Loader<'_>,
    options: &Options,
    project: &Path,
    folder: &Path,
    variables: &mut BTreeMap<String, String>,
) -> Result<()> {
    let mut paths: Vec<PathBuf> = options.env_files.iter().map(|path| clean(&folder.join(path))).collect();
    if paths.is_empty() {
        let named = variables.get("COMPOSE_ENV_FILES").map(|list| list.split(',').map(str::to_owned).collect());
        let named: Vec<String> = named.unwrap_or_default();
        paths.extend(named.iter().filter(|path| !path.is_empty()).map(|path| clean(&folder.join(path))));
    }
    if paths.is_empty() {
        let off = variables.get("COMPOSE_DISABLE_ENV_FILE").map(|value| value.to_ascii_lowercase());
        let default = project.join(".env");
        if !matches!(off.as_deref(), Some("1" | "t" | "true")) && loader.exists(&default) {
            paths.push(default);
        }
    }
    let mut values = BTreeMap::new();
    for path in paths {
        loader.env_file(&path, variables, &mut values)?;
    }
    for (name, value) in values {
        variables.entry(name).or_insert(value);
    }
    Ok(())
}

/// The files of a project.
struct Found {
    paths: Vec<PathBuf>,
    /// A file of a usual name that is not one of them.
    other: Option<PathBuf>,
}

/// Whoever has two files and edits the other one wonders why nothing changes.
fn warn_of_other(loader: &mut Loader<'_>, parsed: &[Parsed], other: &Path) {
    let first = parsed.iter().flat_map(|parsed| &parsed.documents).find_map(Node::as_map);
    let Some(entry) = first.and_then(|root| root.entries.first()) else { return };
    let other = other.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let message = format!("`{other}` beside this file is not read");
    let warning = Diagnostic::warning("several-files", entry.key_place.span, message).with_label("this file is used");
    let help = format!("remove one of them, or name what is meant with `-f {other}`");
    loader.problems.push(entry.key_place.file, warning.with_help(help));
}

/// `-f`, else COMPOSE_FILE, else the nearest file of a usual name with its override file.
fn compose_files(
    loader: &Loader<'_>,
    options: &Options,
    variables: &BTreeMap<String, String>,
    folder: &Path,
    start: &Path,
) -> Result<Found> {
    let named = |paths| Ok(Found { paths, other: None });
    if !options.files.is_empty() {
        return named(options.files.clone());
    }
    if let Some(list) = variables.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        let separator = variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
        let separator = separator.map_or(":", String::as_str);
        return named(list.split(separator).map(|path| clean(&folder.join(path))).collect());
    }
    for place in start.ancestors() {
        let there = |name: &&&str| loader.exists(&place.join(name));
        let mut usual = NAMES.iter().filter(there).map(|name| place.join(name));
        if let Some(found) = usual.next() {
            let over = OVERRIDES.iter().find(there).map(|name| place.join(name));
            return Ok(Found { paths: [found].into_iter().chain(over).collect(), other: usual.next() });
        }
    }
    Err(Error::NoFile { folder: start.to_path_buf() })
}

/// `-p`, else COMPOSE_PROJECT_NAME, else the last `name` of the files, else the folder's.
fn name(
    loader: &mut Loader<'_>,
    options: &Options,
    parsed: &[Parsed],
    variables: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<String> {
    let given = options.project_name.as_ref().or_else(|| variables.get("COMPOSE_PROJECT_NAME"));
    if let Some(given) = given.filter(|name| !name.is_empty()) {
        let problem = "it may have lower-case letters, digits, `-` and `_`, and begins with a letter or digit";
        return match normalised(given) == *given {
            true => Ok(given.clone()),
            false => Err(Error::Name { name: given.clone(), problem }),
        };
    }
    let named = |document: &Node| document.as_map().and_then(|root| root.given("name")).cloned();
    let last = parsed.iter().flat_map(|parsed| &parsed.documents).filter_map(named).next_back();
    if let Some(mut node) = last {
        // What is wrong with it is reported when the whole file is looked at.
        interpolate(&mut node, variables, &mut Default::default(), &mut loader.problems);
        let name = normalised(&node.shown().unwrap_or_default());
        if !name.is_empty() {
            return Ok(name);
        }
    }
    let base = folder.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned();
    match normalised(&base) {
        name if name.is_empty() => {
            Err(Error::Name { name: base, problem: "nothing is left of the folder's name; give one with `-p NAME`" })
        }
        name => Ok(name),
    }
}

/// What compose makes of a name: lower case, and only letters, digits, `-` and `_`.
fn normalised(name: &str) -> String {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let kept: String = name.to_lowercase().chars().filter(allowed).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// `--profile`, else COMPOSE_PROFILES.
fn profiles(options: &Options, variables: &BTreeMap<String, String>) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let list = variables.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    list.split(',').map(|profile| profile.trim().to_owned()).filter(|profile| !profile.is_empty()).collect()
}
