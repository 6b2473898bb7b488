//! What builds: rbuild, and whatever is measured beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{Before, Output};
use crate::content;
use crate::measure::{self, Cost};

/// The name that every image gets.
pub const NAME: &str = "bench-app";

/// A program that builds images, with a store of its own.
pub trait Builder {
    /// As it stands in the tables.
    fn name(&self) -> &str;

    /// The version, for the summary.
    fn version(&self) -> String;

    /// Whether it offers this output.
    fn offers(&self, output: Output) -> bool;

    /// Forgets all results, and gets the base if the case wants it there.
    fn forget(&self, base: &str, before: Before);

    /// Builds the context; `tarball` is where a tarball goes. A rival may fail: the error is what it said.
    fn build(&self, context: &Path, output: Output, tarball: &Path) -> Result<Cost, String>;

    /// Writes the image of the last build into an archive, for the comparison.
    fn save(&self, archive: &Path);

    /// Whether it tells what it took, and not only the time that passed.
    fn tells_all(&self) -> bool {
        false
    }
}

/// An rbuild program.
pub struct Rbuild {
    name: String,
    program: PathBuf,
    folder: PathBuf,
}

impl Rbuild {
    pub fn new(name: &str, program: &Path, folder: &Path) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("prime")).expect("the folder is writable");
        Self { name: name.to_owned(), program: program.to_owned(), folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.folder);
        command.env("RBUILD_STORE", self.folder.join("store")).current_dir(&self.folder);
        command
    }
}

impl Builder for Rbuild {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> String {
        "this tree".to_owned()
    }

    fn offers(&self, _output: Output) -> bool {
        true
    }

    fn forget(&self, base: &str, before: Before) {
        remove(&self.folder.join("store"));
        if before == Before::Cold {
            let prime = self.folder.join("prime");
            content::write(&prime.join("Dockerfile"), format!("FROM {base}\nRUN true\n").as_bytes());
            measure::run(self.command().args(["-q", "-o", "type=image", "-t", "prime"]).arg(&prime));
        }
    }

    fn build(&self, context: &Path, output: Output, tarball: &Path) -> Result<Cost, String> {
        let mut command = self.command();
        command.args(["--progress=plain", "-t", NAME, "-o"]);
        command.arg(match output {
            Output::Store => "type=image".to_owned(),
            Output::Tarball | Output::SameTarball => format!("type=docker,dest={}", tarball.display()),
            Output::TarballFast => format!("type=docker,dest={},compression-level=1", tarball.display()),
        });
        Ok(measure::run(command.arg(context)))
    }

    fn save(&self, archive: &Path) {
        measure::run(self.command().args(["save", NAME, "-o"]).arg(archive));
    }

    fn tells_all(&self) -> bool {
        true
    }
}

pub fn remove(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap_or_else(|error| panic!("cannot remove `{}`: {error}", folder.display()));
    }
}
