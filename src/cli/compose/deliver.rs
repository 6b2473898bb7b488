//! Brings the images of a project where they belong.

use std::collections::BTreeMap;

use super::super::caches;
use super::super::error::Result;
use super::super::outputs::Delivery;
use super::args::ComposeBuildArgs;
use super::chosen::Chosen;
use super::places::Destination;
use crate::build::{self, BuildEvent, Built, Counters, Engine, Pull, StoredImage};
use crate::export::{NamedImage, Overwrite};
use crate::image::SealedImage;
use crate::layer::Compression;
use crate::platform::Platform;
use crate::reference::Reference;

/// A service whose image was built.
pub struct Made<'a> {
    pub service: &'a Chosen<'a>,
    pub built: Built,
    /// Whether it is pushed in an index of its own.
    pub in_index: bool,
}

/// What became of a project.
pub struct Done<'a> {
    pub made: Vec<Made<'a>>,
    /// What all builds together took.
    pub counters: Counters,
    /// What to tell the user at the end.
    pub hint: Option<String>,
}

/// What is needed to bring images anywhere.
pub struct Stack<'a> {
    pub engine: &'a Engine<'a>,
    pub delivery: &'a Delivery<'a>,
    pub args: &'a ComposeBuildArgs,
    pub chosen: &'a [Chosen<'a>],
}

/// An image, its names, the service that it is for.
struct Item<'a> {
    service: &'a Chosen<'a>,
    image: SealedImage,
    names: Vec<Reference>,
    /// Repositories that blobs of the image may be mounted from; none for an image that was not built here.
    bases: Option<Vec<Reference>>,
    /// Whether it is pushed in an index of its own.
    in_index: bool,
}

impl<'a> Stack<'a> {
    /// Writes, loads and pushes what was asked for.
    pub fn bring(&self, (made, counters): (Vec<Made<'a>>, Counters), destination: &Destination) -> Result<Done<'a>> {
        for made in &made {
            for target in made.service.cache_targets()? {
                caches::write(self.engine.store, &made.built, &target)?;
            }
        }
        let mut items = Vec::new();
        let is_moved = *destination != Destination::Store || self.args.push || self.args.load;
        for made in made.iter().filter(|_| is_moved) {
            let image = StoredImage { config: made.built.config.clone(), layers: made.built.layers.clone() };
            items.push(Item {
                service: made.service,
                image: build::seal(self.engine.store, &image, Compression::DEFAULT)?,
                names: exportable(&made.service.names),
                bases: Some(made.built.bases.clone()),
                in_index: made.in_index,
            });
        }
        if self.args.pull_images {
            self.pull(&mut items, is_moved)?;
        }
        let images: Vec<NamedImage<'_>> =
            items.iter().map(|item| NamedImage { image: &item.image, names: &item.names }).collect();
        let mut hint = match destination {
            Destination::Store => None,
            Destination::File(path) => Some(self.delivery.file(&images, path, Overwrite::Any)?),
            Destination::Stdout => {
                self.delivery.stdout(&images)?;
                None
            }
            Destination::Folder(folder) => {
                for (item, image) in items.iter().zip(&images) {
                    let path = Destination::file_of(folder, item.service);
                    self.delivery.file(std::slice::from_ref(image), &path, Overwrite::Any)?;
                }
                None
            }
        };
        if self.args.load {
            hint = hint.or(Some(self.delivery.docker(&images)?).map(|_run| "docker images".to_owned()));
        }
        if self.args.push {
            self.push(&items)?;
        }
        Ok(Done { made, counters, hint })
    }

    /// Pulls the images of services that are not built, each once; those that another service builds are there.
    fn pull(&self, items: &mut Vec<Item<'a>>, is_moved: bool) -> Result<()> {
        let built: Vec<&Reference> = self
            .chosen
            .iter()
            .filter(|chosen| chosen.service.build.is_some())
            .flat_map(|chosen| &chosen.names)
            .collect();
        let mut wanted: BTreeMap<&Reference, &'a Chosen<'a>> = BTreeMap::new();
        for chosen in self.chosen.iter().filter(|chosen| chosen.service.build.is_none()) {
            if let Some(name) = chosen.service.image.as_ref().filter(|name| !built.contains(name)) {
                wanted.entry(name).or_insert(chosen);
            }
        }
        let pull = if self.args.pull { Pull::Always } else { Pull::Missing };
        for (name, service) in wanted {
            let stored = build::bring_image(self.engine, name, &Platform::host(), pull)?;
            let names = exportable(std::slice::from_ref(name));
            for name in &names {
                build::name_image(self.engine.store, name, &stored.config.digest())?;
            }
            if is_moved {
                let image = build::seal(self.engine.store, &stored, Compression::DEFAULT)?;
                items.push(Item { service, image, names, bases: None, in_index: false });
            }
        }
        Ok(())
    }

    /// As compose does it pushes what the project names itself; default names are for this machine.
    fn push(&self, items: &[Item<'_>]) -> Result<()> {
        for item in items {
            let Some(bases) = &item.bases else { continue };
            if item.service.service.image.is_none() {
                let text = format!("`{}` is not pushed: it has no `image`", item.service.service.name);
                self.delivery.progress.event(&BuildEvent::Warning { text });
                continue;
            }
            let delivery = Delivery { bases, ..*self.delivery };
            match item.in_index {
                true => delivery.push(&item.image.clone().indexed().map_err(build::Problem::from)?, &item.names)?,
                false => delivery.push(&item.image, &item.names)?,
            };
        }
        Ok(())
    }
}

/// The names under which an image can be loaded: one with a digest is none.
fn exportable(names: &[Reference]) -> Vec<Reference> {
    names.iter().filter(|name| name.tag().is_some() && name.digest().is_none()).cloned().collect()
}
