//! Where the images of a project go.

use std::path::{Path, PathBuf};

use super::super::error::{Error, Result};
use super::super::outputs::refuse_terminal;
use super::args::ComposeBuildArgs;
use super::chosen::Chosen;
use crate::export::{self, Overwrite};
use crate::fsx;
use crate::store::Store;

/// Where the images go, beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Store,
    /// Into one archive.
    File(PathBuf),
    /// Into an archive for each service, in this folder.
    Folder(PathBuf),
    /// As one archive to standard output.
    Stdout,
}

impl Destination {
    /// What `-o` says.
    pub fn of(args: &ComposeBuildArgs) -> Result<Self> {
        match args.output.as_deref() {
            None => Ok(Self::Store),
            Some("-") => {
                refuse_terminal(&std::io::stdout().lock())?;
                Ok(Self::Stdout)
            }
            Some(text) if text.starts_with("type=") || text.is_empty() => Err(Error::usage(
                format!("`-o {text}` is not a place for several images"),
                "write `-o FILE.tar` for one archive, or `-o DIR/` for one a service",
            )),
            Some(text) if text.ends_with('/') || Path::new(text).is_dir() => Ok(Self::Folder(PathBuf::from(text))),
            Some(text) => Ok(Self::File(PathBuf::from(text))),
        }
    }

    /// The archive of one service.
    pub fn file_of(folder: &Path, service: &Chosen<'_>) -> PathBuf {
        folder.join(format!("{}.tar", service.service.name))
    }

    /// Fails if nothing can be written there: asked before a build, so that nobody waits for nothing.
    pub fn check(&self, store: &Store, chosen: &[Chosen<'_>]) -> Result<()> {
        match self {
            Self::Store | Self::Stdout => Ok(()),
            Self::File(path) => Ok(export::check_destination(store, path, Overwrite::Any)?),
            Self::Folder(folder) => {
                fsx::create_dir_all(folder)?;
                for service in chosen {
                    export::check_destination(store, &Self::file_of(folder, service), Overwrite::Any)?;
                }
                Ok(())
            }
        }
    }
}
