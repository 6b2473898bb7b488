//! Where the images of a project go.

use std::path::{Path, PathBuf};

use super::super::error::{Error, Result};
use super::super::outputs::refuse_terminal;
use super::super::targets::{Form, LayerTimes, Place, Targets};
use super::args::ComposeBuildArgs;
use super::chosen::Chosen;
use crate::export::{self, Overwrite};
use crate::fsx;
use crate::layer::{Compression, Pulled};
use crate::store::Store;

/// Where the images go, beside the store, and how their layers look there.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// In the order given.
    pub places: Vec<Destination>,
    /// For every place.
    pub compression: Compression,
    /// Whether layers that came compressed get that compression too, at every place.
    pub pulled: Pulled,
    /// The times of files in the layers.
    pub times: LayerTimes,
    /// Whether images get their names in the store.
    pub naming: Naming,
}

/// Whether images get their names in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// They do.
    Named,
    /// Only the cache is filled.
    CacheOnly,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// One archive.
    File(PathBuf, Form),
    /// An archive for each service, in this folder.
    Folder(PathBuf, Form),
    /// An OCI image layout in this folder.
    Layout(PathBuf, Form),
    /// One archive to standard output.
    Stdout(Form),
    /// The running Docker.
    Docker,
    /// The registries of the names.
    Registry,
}

impl Outputs {
    /// What `-o`, `--load` and `--push` say.
    pub fn of(args: &ComposeBuildArgs) -> Result<Self> {
        let (mut attributed, mut places) = (Targets::of_names(Vec::new()), Vec::new());
        let mut is_kept = args.output.is_empty();
        for spec in &args.output {
            if !spec.contains('=') {
                places.push(plain(spec)?);
                is_kept = true;
                continue;
            }
            attributed.add(spec)?;
            if !attributed.names.is_empty() {
                let hint = "a service's `image` and its build's `tags` name it";
                return Err(Error::usage(format!("`-o {spec}` names an image, but there are several"), hint));
            }
            for place in attributed.places.drain(..) {
                is_kept |= place != Place::CacheOnly;
                places.extend(destination(place));
            }
        }
        let flags = [(args.load, Destination::Docker), (args.push, Destination::Registry)];
        places.extend(flags.into_iter().filter_map(|(is_given, place)| is_given.then_some(place)));
        is_kept |= !places.is_empty();
        let outputs = Self {
            places,
            compression: attributed.compression,
            pulled: attributed.pulled,
            times: attributed.times,
            naming: if is_kept { Naming::Named } else { Naming::CacheOnly },
        };
        if outputs.has_stdout() {
            refuse_terminal(&std::io::stdout().lock())?;
        }
        Ok(outputs)
    }

    /// Whether an archive goes to standard output.
    pub fn has_stdout(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Destination::Stdout(_)))
    }

    /// Whether images in an index of their own have a place to go to.
    pub fn takes_index(&self) -> bool {
        self.places.iter().any(Destination::takes_index)
    }

    /// How layers are compressed while builds go on; none if they stay, or leave as others.
    pub fn leaving(&self) -> Option<Compression> {
        (!self.places.is_empty() && self.times == LayerTimes::AsBuilt).then_some(self.compression)
    }

    /// The archives that are written.
    pub fn files(&self, chosen: &[Chosen<'_>]) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for place in &self.places {
            match place {
                Destination::File(path, _) => files.push(path.clone()),
                Destination::Folder(folder, _) => {
                    files.extend(chosen.iter().map(|service| Destination::file_of(folder, service)));
                }
                Destination::Layout(..) | Destination::Stdout(_) | Destination::Docker | Destination::Registry => {}
            }
        }
        files
    }

    /// Fails if nothing can be written there: asked before a build, so that nobody waits for nothing.
    pub fn check(&self, store: &Store, chosen: &[Chosen<'_>]) -> Result<()> {
        for place in &self.places {
            if let Destination::Folder(folder, _) = place {
                fsx::create_dir_all(folder)?;
            }
        }
        for file in self.files(chosen) {
            export::check_destination(store, &file, Overwrite::Any)?;
        }
        Ok(())
    }
}

impl Destination {
    /// Whether an image comes here in an index of its own if one is asked for.
    pub fn takes_index(&self) -> bool {
        match self {
            Self::File(_, form) | Self::Folder(_, form) | Self::Layout(_, form) | Self::Stdout(form) => {
                *form == Form::Oci
            }
            Self::Registry => true,
            Self::Docker => false,
        }
    }

    /// The `-o` of a place from which some Docker loads images later; none for the others.
    pub fn docker_output(&self) -> Option<String> {
        match self {
            Self::File(path, Form::Docker) | Self::Folder(path, Form::Docker) => {
                Some(format!("type=docker,dest={}", path.display()))
            }
            Self::Stdout(Form::Docker) => Some("type=docker,dest=-".to_owned()),
            Self::File(..) | Self::Folder(..) | Self::Layout(..) | Self::Stdout(_) => None,
            Self::Registry | Self::Docker => None,
        }
    }

    /// The archive of one service.
    pub fn file_of(folder: &Path, service: &Chosen<'_>) -> PathBuf {
        folder.join(format!("{}.tar", service.service.name))
    }
}

/// `-o FILE`, `-o DIR/` and `-o -`.
fn plain(spec: &str) -> Result<Destination> {
    match spec {
        "" => Err(Error::usage(
            "`-o` names no place",
            "write `-o FILE.tar` for one archive, or `-o DIR/` for one a service",
        )),
        "-" => Ok(Destination::Stdout(Form::Docker)),
        path => Ok(file_or_folder(PathBuf::from(path), Form::Docker)),
    }
}

fn file_or_folder(path: PathBuf, form: Form) -> Destination {
    match path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir() {
        true => Destination::Folder(path, form),
        false => Destination::File(path, form),
    }
}

/// None for the store, where every image is anyway.
fn destination(place: Place) -> Option<Destination> {
    match place {
        Place::File { path, overwrite: _, form } => Some(file_or_folder(path, form)),
        Place::Stdout(form) => Some(Destination::Stdout(form)),
        Place::Layout(folder, form) => Some(Destination::Layout(folder, form)),
        Place::Store | Place::CacheOnly => None,
        Place::Registry => Some(Destination::Registry),
        Place::Docker => Some(Destination::Docker),
    }
}
