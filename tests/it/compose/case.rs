//! One folder of testdata/compose: a project's files, and in `case.txt` how it is called.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::run::{Call, Project};

/// A case.
pub struct Case {
    /// The folder.
    pub folder: PathBuf,
    /// `args`: the arguments behind `rbuild compose build --print`.
    pub args: Vec<String>,
    /// `env`: variables.
    pub env: Vec<(String, String)>,
    /// `unknown` or `differs`: why docker-compose 1.29 cannot be asked.
    pub apart: Option<String>,
}

impl Case {
    /// Every case in a folder of testdata/compose, in the order of names.
    #[track_caller]
    pub fn all(kind: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compose").join(kind);
        let mut folders: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("case.txt")).unwrap_or_default();
        let mut case = Self { folder, args: Vec::new(), env: Vec::new(), apart: None };
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("args", args)) => case.args.extend(args.split(' ').map(str::to_owned)),
                Some(("env", pair)) => {
                    let (name, value) = pair.split_once('=').unwrap();
                    case.env.push((name.to_owned(), value.to_owned()));
                }
                Some(("unknown" | "differs", why)) => case.apart = Some(why.to_owned()),
                _ => panic!("{}: `{line}` means nothing", case.folder.display()),
            }
        }
        case
    }

    /// The last part of its path.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// A project with its files.
    pub fn project(&self) -> Project {
        let project = Project::new();
        copy(&self.folder, &project.context());
        project
    }

    /// `rbuild compose build` with its arguments and variables.
    pub fn call<'a>(&self, project: &'a Project, flags: &[&str]) -> Call<'a> {
        let args = ["compose", "build"].iter().chain(flags).map(|arg| (*arg).to_owned());
        self.with_env(project.rbuild(args.chain(self.args.clone())))
    }

    /// A call with its variables.
    pub fn with_env<'a>(&self, mut call: Call<'a>) -> Call<'a> {
        for (name, value) in &self.env {
            call = call.env(name, value);
        }
        call
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else if !matches!(entry.file_name().to_str(), Some("case.txt" | "plan.json" | "errors.txt")) {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
