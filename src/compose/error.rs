//! Why a project cannot be read.

use std::path::PathBuf;

use super::problems::Report;

/// A project that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its files are wrong: every problem that was found, and every warning.
    #[error("{}", summary(.0))]
    Invalid(Vec<Report>),
    /// There is no compose file.
    #[error("there is no compose file in `{}` or above it", folder.display())]
    NoFile {
        /// Where the search began.
        folder: PathBuf,
    },
    /// A file that was named cannot be read.
    #[error("cannot read `{}`: {problem}", path.display())]
    File {
        /// As it was named.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A project cannot have this name.
    #[error("`{name}` is not the name of a project: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no such service.
    #[error("there is no service `{name}`")]
    NoService {
        /// As it was named.
        name: String,
        /// A service that may be meant.
        near: Option<String>,
    },
}

/// The result of reading a project.
pub type Result<T> = std::result::Result<T, Error>;

fn summary(reports: &[Report]) -> String {
    let names: Vec<String> = reports.iter().map(|report| format!("`{}`", report.file.name())).collect();
    format!("{} cannot be used", names.join(", "))
}
