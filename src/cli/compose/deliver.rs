//! Brings the images of a project where they belong.

use std::collections::BTreeMap;

use super::super::caches;
use super::super::error::Result;
use super::super::outputs::Delivery;
use super::super::progress::BuiltImage;
use super::args::ComposeBuildArgs;
use super::chosen::Chosen;
use super::places::{Destination, Outputs};
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
    /// Whether it goes in an index of its own where a place takes one.
    pub in_index: bool,
}

/// What became of a project.
pub struct Done<'a> {
    pub made: Vec<Made<'a>>,
    /// The images that were built, with the sizes that they leave with, or have in the store.
    pub images: Vec<BuiltImage>,
    /// What all builds together took.
    pub counters: Counters,
    /// What to tell the user at the end.
    pub hint: Option<String>,
}

/// What is needed to bring images anywhere.
pub struct Stack<'a, 'c> {
    pub engine: &'a Engine<'a>,
    pub delivery: &'a Delivery<'a>,
    pub args: &'a ComposeBuildArgs,
    pub chosen: &'c [Chosen<'c>],
}

/// An image, its names, the service that it is for.
struct Item<'a> {
    service: &'a Chosen<'a>,
    image: SealedImage,
    names: Vec<Reference>,
    /// Repositories that blobs of the image may be mounted from; none for an image that was not built here.
    bases: Option<Vec<Reference>>,
    /// The same in an index of its own, if one is asked for.
    indexed: Option<SealedImage>,
}

impl Item<'_> {
    /// As it comes to a place.
    fn named(&self, place: &Destination) -> NamedImage<'_> {
        let indexed = self.indexed.as_ref().filter(|_| place.takes_index());
        NamedImage { image: indexed.unwrap_or(&self.image), names: &self.names }
    }
}

impl<'c> Stack<'_, 'c> {
    /// Writes, loads and pushes what was asked for.
    pub fn bring(&self, (made, counters): (Vec<Made<'c>>, Counters), outputs: &Outputs) -> Result<Done<'c>> {
        for made in &made {
            for target in made.service.cache_targets()? {
                caches::write(self.engine.store, &made.built, &target)?;
            }
        }
        let mut items = Vec::new();
        let is_moved = !outputs.places.is_empty();
        for made in made.iter().filter(|_| is_moved) {
            let image = StoredImage { config: made.built.config.clone(), layers: made.built.layers.clone() };
            let image = build::seal(self.engine.store, &image, outputs.compression, outputs.pulled)?;
            let indexed = match made.in_index && outputs.takes_index() {
                true => Some(image.clone().indexed().map_err(build::Problem::from)?),
                false => None,
            };
            items.push(Item {
                service: made.service,
                image,
                indexed,
                names: exportable(&made.service.names),
                bases: Some(made.built.bases.clone()),
            });
        }
        if self.args.pull_images {
            self.pull(&mut items, outputs)?;
        }
        if let Some(output) = outputs.places.iter().find_map(Destination::docker_output) {
            for item in &items {
                self.delivery.warn_of_zstd(
                    &NamedImage { image: &item.image, names: &item.names },
                    outputs.compression,
                    &output,
                );
            }
        }
        let mut hint = None;
        for place in &outputs.places {
            let images: Vec<NamedImage<'_>> = items.iter().map(|item| item.named(place)).collect();
            let told = self.bring_to((place, outputs.compression), &items, &images)?;
            hint = hint.or(told);
        }
        let left = |made: &Made<'_>| items.iter().find(|item| std::ptr::eq(item.service, made.service));
        let images = made.iter().map(|made| shown(made, left(made).map(|item| &item.image))).collect();
        Ok(Done { made, images, counters, hint })
    }

    /// Brings all images to one place; gives what to tell of it at the end.
    fn bring_to(
        &self,
        (place, compression): (&Destination, Compression),
        items: &[Item<'_>],
        images: &[NamedImage<'_>],
    ) -> Result<Option<String>> {
        match place {
            Destination::File(path, _) => return Ok(Some(self.delivery.file(images, path, Overwrite::Any)?)),
            Destination::Stdout(_) => self.delivery.stdout(images)?,
            Destination::Folder(folder, _) => {
                for (item, image) in items.iter().zip(images) {
                    let path = Destination::file_of(folder, item.service);
                    self.delivery.file(std::slice::from_ref(image), &path, Overwrite::Any)?;
                }
            }
            Destination::Layout(folder, _) => self.delivery.layout(images, folder)?,
            Destination::Docker => {
                let _run_the_first = self.delivery.docker(images, compression)?;
                return Ok(Some("docker images".to_owned()));
            }
            Destination::Registry => self.push(items)?,
        }
        Ok(None)
    }

    /// Pulls the images of services that are not built, each once; those that another service builds are there.
    fn pull(&self, items: &mut Vec<Item<'c>>, outputs: &Outputs) -> Result<()> {
        let built: Vec<&Reference> = self
            .chosen
            .iter()
            .filter(|chosen| chosen.service.build.is_some())
            .flat_map(|chosen| &chosen.names)
            .collect();
        let mut wanted: BTreeMap<&Reference, &'c Chosen<'c>> = BTreeMap::new();
        for chosen in self.chosen.iter().filter(|chosen| chosen.service.build.is_none()) {
            if let Some(name) = chosen.service.image.as_ref().filter(|name| !built.contains(name)) {
                wanted.entry(name).or_insert(chosen);
            }
        }
        let pull = if self.args.pull { Pull::Always } else { Pull::Missing };
        for (name, service) in wanted {
            let platform = service.service.platform.clone().unwrap_or_else(Platform::host);
            let stored = build::bring_image(self.engine, name, &platform, pull)?;
            let names = exportable(std::slice::from_ref(name));
            for name in &names {
                build::name_image(self.engine.store, name, &stored.config.digest())?;
            }
            if !outputs.places.is_empty() {
                let image = build::seal(self.engine.store, &stored, outputs.compression, outputs.pulled)?;
                items.push(Item { service, image, names, bases: None, indexed: None });
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
            let image = item.indexed.as_ref().unwrap_or(&item.image);
            delivery.push(image, &item.names)?;
        }
        Ok(())
    }
}

fn shown(made: &Made<'_>, left: Option<&SealedImage>) -> BuiltImage {
    let size = match left {
        Some(sealed) => sealed.layers().iter().map(|layer| layer.size).sum(),
        None => made.built.layers.iter().map(|layer| layer.size).sum(),
    };
    BuiltImage { name: made.service.service.name.clone(), image: made.built.config.digest(), size }
}

/// The names under which an image can be loaded: one with a digest is none.
fn exportable(names: &[Reference]) -> Vec<Reference> {
    names.iter().filter(|name| name.tag().is_some() && name.digest().is_none()).cloned().collect()
}
