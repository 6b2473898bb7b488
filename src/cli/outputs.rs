//! Bringing a finished image to its places.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::args::BuildArgs;
use super::environment::Environment;
use super::error::{Error, Result};
use super::progress::Progress;
use super::targets::{Place, Targets, targets};
use crate::build::{BuildEvent, ExportOutcome, Interrupt};
use crate::digest::{BlobDigest, ManifestDigest};
use crate::export::{self, NamedImage, Outcome, Overwrite};
use crate::image::{SealedImage, media_type};
use crate::layer::Compression;
use crate::reference::Reference;
use crate::registry::{self, Tally};
use crate::store::Store;

/// What is needed to bring an image anywhere.
pub struct Delivery<'a> {
    /// Where its layers are.
    pub store: &'a Store,
    /// What the process finds around it.
    pub environment: &'a Environment,
    /// For pushing.
    pub registry: &'a registry::Client,
    /// Told what happens.
    pub progress: &'a Progress,
    /// Asked whether to stop.
    pub interrupt: &'a Interrupt,
    /// Repositories that blobs of the image may be mounted from.
    pub bases: &'a [Reference],
}

/// What became of an image in its places.
#[derive(Debug, Default)]
pub struct Delivered {
    /// What to tell the user at the end.
    pub hint: Option<String>,
    /// The digest under which it was pushed.
    pub pushed: Option<ManifestDigest>,
}

impl Delivery<'_> {
    /// Brings the image to every place, in order; in `indexed`, the same image in an index of its own, where there is one and
    /// the place takes it.
    pub fn deliver(&self, image: &SealedImage, indexed: Option<&SealedImage>, targets: &Targets) -> Result<Delivered> {
        let mut delivered = Delivered::default();
        if let Some(output) = targets.places.iter().find_map(Place::docker_output) {
            self.warn_of_zstd(&NamedImage { image, names: &targets.names }, targets.compression, &output);
        }
        for place in &targets.places {
            let image = indexed.filter(|_| place.takes_index()).unwrap_or(image);
            let images = [NamedImage { image, names: &targets.names }];
            let hint = match place {
                Place::File { path, overwrite, .. } => Some(self.file(&images, path, *overwrite)?),
                Place::Stdout(_) => {
                    self.stdout(&images)?;
                    None
                }
                Place::Layout(folder, _) => {
                    self.layout(&images, folder)?;
                    None
                }
                Place::Docker => Some(self.docker(&images, targets.compression)?),
                Place::Registry => {
                    delivered.pushed = Some(self.push(image, &targets.names)?);
                    targets.names.first().map(|name| format!("docker pull {}", name.familiar()))
                }
                Place::Store | Place::CacheOnly => None,
            };
            delivered.hint = delivered.hint.or(hint);
        }
        Ok(delivered)
    }

    /// Tells of layers in zstd that go to Docker by this `-o` and that nobody asked for.
    pub fn warn_of_zstd(&self, image: &NamedImage<'_>, asked: Compression, output: &str) {
        if let Some(text) = zstd_warning(image, asked, output) {
            self.progress.event(&BuildEvent::Warning { text });
        }
    }

    /// Writes one archive, and says how to load it.
    pub fn file(&self, images: &[NamedImage<'_>], path: &Path, overwrite: Overwrite) -> Result<String> {
        let target = path.display().to_string();
        let total = export::archive_size(images)?;
        self.started(&target);
        let mut progress = |done| self.progressed(&target, done, total);
        let outcome = export::write_file(self.store, images, path, overwrite, &mut progress)?;
        let (size, outcome) = match outcome {
            Outcome::Written { size } => (size, ExportOutcome::Written),
            Outcome::Unchanged { size } => (size, ExportOutcome::Unchanged),
        };
        self.finished(&target, size, outcome);
        Ok(format!("docker load -i {}", quoted(&target)))
    }

    /// Writes one archive to standard output.
    pub fn stdout(&self, images: &[NamedImage<'_>]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        refuse_terminal(&stdout)?;
        let size = export::archive_size(images)?;
        self.started("standard output");
        export::write_archive(self.store, images, &mut stdout)?;
        stdout.flush()?;
        self.finished("standard output", size, ExportOutcome::Written);
        Ok(())
    }

    /// Writes images into a layout.
    pub fn layout(&self, images: &[NamedImage<'_>], folder: &Path) -> Result<()> {
        let target = folder.display().to_string();
        self.started(&target);
        for NamedImage { image, names } in images {
            export::write_layout(self.store, image, names, folder)?;
        }
        let layers = images.iter().flat_map(|named| named.image.layers());
        let sizes: BTreeMap<BlobDigest, u64> = layers.map(|layer| (layer.digest, layer.size)).collect();
        self.finished(&target, sizes.values().sum(), ExportOutcome::Written);
        Ok(())
    }

    /// Loads images into Docker, and says how to run the first; or what may be why Docker refuses them.
    pub fn docker(&self, images: &[NamedImage<'_>], asked: Compression) -> Result<String> {
        let socket = self.environment.docker_socket()?;
        let size = export::archive_size(images)?;
        self.started("Docker");
        let mut write = |out: &mut dyn io::Write| export::write_archive(self.store, images, out);
        let loaded = export::load_into_docker(&socket, &mut write);
        if let Err(export::Error::Docker { .. }) = loaded {
            images.iter().for_each(|image| self.warn_of_zstd(image, asked, "type=docker"));
        }
        let loaded = loaded?;
        self.finished("Docker", size, ExportOutcome::Written);
        let name = loaded.names.into_iter().chain(loaded.ids).next();
        let id = || images.first().map(|first| first.image.config().digest().to_string());
        Ok(format!("docker run {}", name.or_else(id).unwrap_or_default()))
    }

    /// Pushes an image under every name.
    pub fn push(&self, image: &SealedImage, names: &[Reference]) -> Result<ManifestDigest> {
        let size: u64 = image.layers().iter().map(|layer| layer.size).sum();
        for name in names {
            let target = name.familiar();
            self.started(&target);
            let tell = |done, total| self.progressed(&target, done, total);
            let cancelled = || self.interrupt.is_set();
            let progress = Tally::new(&tell, &cancelled);
            self.registry.push(self.store, image, name, self.bases, &progress)?;
            self.finished(&target, size, ExportOutcome::Written);
        }
        Ok(image.digest())
    }

    fn started(&self, target: &str) {
        self.progress.event(&BuildEvent::ExportStarted { target: target.to_owned() });
    }

    fn progressed(&self, target: &str, done: u64, total: u64) {
        self.progress.event(&BuildEvent::ExportProgress { target: target.to_owned(), done, total });
    }

    fn finished(&self, target: &str, size: u64, outcome: ExportOutcome) {
        self.progress.event(&BuildEvent::ExportFinished { target: target.to_owned(), size, outcome });
    }
}

/// What to say of layers in zstd that go to Docker by this `-o`; none if there are none, or they were asked for.
pub fn zstd_warning(image: &NamedImage<'_>, asked: Compression, output: &str) -> Option<String> {
    let has_zstd = image.image.layers().iter().any(|layer| layer.media_type == media_type::LAYER_ZSTD);
    if !has_zstd || matches!(asked, Compression::Zstd { .. }) {
        return None;
    }
    let name = image.names.first().map_or("the image".to_owned(), |name| format!("`{}`", name.familiar()));
    // moby reads zstd since 23.0; long-term distributions have 20.10.
    Some(format!(
        "Docker before 23.0 cannot load {name}, which has layers in zstd as they were pulled; build with \
         `-o {output},force-compression=true` to have them in gzip"
    ))
}

/// What is left out of contexts: outputs of earlier builds, and what a build with these flags replaces.
pub fn left_out(store: &Store, args: &BuildArgs) -> Result<Vec<PathBuf>> {
    // Flags that are wrong are told by who writes there.
    let places = targets(args).map(|targets| targets.places).unwrap_or_default();
    let files = places.into_iter().filter_map(|place| match place {
        Place::File { path, .. } => Some(path),
        Place::Stdout(_) | Place::Layout(..) | Place::Store | Place::CacheOnly | Place::Registry | Place::Docker => {
            None
        }
    });
    Ok(export::outputs(store, &files.collect::<Vec<_>>())?)
}

/// An archive on a terminal helps nobody.
pub fn refuse_terminal(stdout: &io::StdoutLock<'_>) -> Result<()> {
    if stdout.is_terminal() {
        return Err(Error::usage(
            "an image is not written to a terminal",
            "send it to a file or a program: `… | docker load`",
        ));
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./+:@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
