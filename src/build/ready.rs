//! A planned request: what its pieces of work need to know, and how far they came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::bases::Base;
use super::copy::{self, NamedSources};
use super::engine::{Counters, Group, Piece};
use super::error::{Error, Problem, Result};
use super::images::BaseImage;
use super::lint;
use super::rootfs::Rootfs;
use super::run;
use super::step::Session;
use super::walk::{Ended, Walk, place_of, position};
use super::{BuildEvent, StepId};
use crate::cache::Journal;
use crate::context::{self, DirectorySource};
use crate::dockerfile::{Diagnostic, Source, Span};
use crate::image::{ImageConfig, SealedConfig};
use crate::layer::Unpack;
use crate::plan::{self, Action, ImageNeed, Plan, StageId};
use crate::reference::Reference;

/// A request that is planned.
pub(super) struct Ready<'g> {
    pub(super) session: Session<'g>,
    pub(super) plan: Box<Plan>,
    pub(super) source: Arc<Source>,
    pub(super) hints: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) images: BTreeMap<ImageNeed, Image>,
    pub(super) context: OnceLock<Arc<DirectorySource>>,
    pub(super) named: NamedSources,
    pub(super) stages: Vec<Slot>,
    pub(super) journal_id: String,
}

/// A base image of the plan.
pub(super) struct Image {
    pub(super) number: usize,
    pub(super) base: Arc<Base>,
    pub(super) config: SealedConfig,
    pub(super) span: Span,
    pub(super) unpack: Unpack,
    /// Set once it is here.
    pub(super) rootfs: OnceLock<Rootfs>,
}

/// A stage of the plan.
#[derive(Default)]
pub(super) struct Slot {
    /// The number of its first step.
    pub(super) first_step: u32,
    /// The steps that need nothing of those before them, by their numbers among the stage's instructions.
    pub(super) linked: BTreeMap<usize, Mutex<Option<Ended>>>,
    /// How far it came.
    pub(super) going: Mutex<Option<Walk>>,
    pub(super) done: OnceLock<Walk>,
}

impl Ready<'_> {
    /// Fails now if a COPY further down will: better than after a long RUN.
    pub(super) fn check_sources(&self, request: &str) -> Result<()> {
        let brought = self.session.request.context_files.as_ref().map(|files| files.source().as_ref());
        let folder = || self.context.get().map(|folder| -> &dyn context::Source { folder.as_ref() });
        let Some(context) = brought.or_else(folder) else { return Ok(()) };
        for (stage, slot) in self.plan.stages.iter().zip(&self.stages) {
            let acting = stage.steps.iter().filter(|step| step.action != Action::Config);
            for (number, step) in (slot.first_step..).zip(acting) {
                if let Action::Copy(files) = &step.action
                    && files.from == plan::Origin::Context
                    && let Err(problem) = copy::check_sources(context, files)
                {
                    let (step_id, position) = (StepId(number), position(request, stage, step));
                    let (text, message) = (step.text.clone(), problem.to_string());
                    let refused = BuildEvent::StepRefused { step: step_id, position, text, message };
                    (self.session.engine.events)(refused);
                    return Err(self.at(place_of(step, &problem), &step.text, problem));
                }
            }
        }
        Ok(())
    }

    /// Fails now if a command further down cannot have its devices, as BuildKit does.
    pub(super) fn check_devices(&self) -> Result<()> {
        for step in self.plan.stages.iter().flat_map(|stage| &stage.steps) {
            if let Action::Run(command) = &step.action {
                let given = run::given(&self.session.request.commands, &command.devices);
                given.map_err(|problem| self.at(step.span, &step.text, problem))?;
            }
        }
        Ok(())
    }

    /// Looks which images are here; the others are pieces of work.
    pub(super) fn find_images(&self) -> Result<()> {
        for image in self.images.values() {
            let Session { engine, lease, .. } = &self.session;
            let found = image.base.known(engine, lease).map_err(|problem| self.at_from(image, problem))?;
            if let Some(rootfs) = found {
                image.rootfs.get_or_init(|| rootfs);
            }
        }
        Ok(())
    }

    /// Brings the image of this number.
    pub(super) fn bring(&self, number: usize, group: &Group<'_>, call: &(dyn Fn() + Sync)) -> Result<()> {
        let Some(image) = self.images.values().find(|image| image.number == number) else { return Ok(()) };
        let Session { engine, lease, .. } = &self.session;
        let rootfs = image.base.rootfs(engine, lease, image.unpack, &group.shared, call);
        let rootfs = rootfs.map_err(|problem| self.at_from(image, problem))?;
        image.rootfs.get_or_init(|| rootfs);
        Ok(())
    }

    fn at_from(&self, image: &Image, problem: Problem) -> Error {
        let name = self.images.iter().find(|(_, other)| other.number == image.number);
        let text = name.map(|(need, _)| need.reference.familiar()).unwrap_or_default();
        self.at(image.span, &text, problem)
    }

    /// The pieces of its work, each with what it waits for first.
    pub(super) fn pieces(&self, job: usize) -> Vec<(Piece, Option<Piece>)> {
        let missing = self.images.values().filter(|image| image.rootfs.get().is_none());
        let images = missing.map(|image| (Piece::Image(job, image.number), None));
        let stages = self.plan.stages.iter().enumerate().map(|(index, stage)| {
            let after = match &stage.base {
                plan::Base::Scratch => None,
                plan::Base::Stage(below) => Some(Piece::Stage(job, *below)),
                plan::Base::Image(need) => self.awaited(need, job),
            };
            (Piece::Stage(job, StageId(index)), after)
        });
        // Behind the stages: whoever works alone begins with what comes first in the Dockerfile.
        let linked = self.stages.iter().enumerate().flat_map(|(index, slot)| {
            slot.linked.keys().map(move |step| (Piece::Linked(job, StageId(index), *step), None))
        });
        images.chain(stages).chain(linked).collect()
    }

    /// The piece that brings an image, if it is not here.
    pub(super) fn awaited(&self, need: &ImageNeed, job: usize) -> Option<Piece> {
        let image = self.images.get(need)?;
        image.rootfs.get().is_none().then_some(Piece::Image(job, image.number))
    }

    /// An image of the plan: its config and, once it is here, its root filesystem.
    pub(super) fn image(&self, need: &ImageNeed) -> Option<(&SealedConfig, &Rootfs)> {
        let image = self.images.get(need)?;
        Some((&image.config, image.rootfs.get()?))
    }

    /// The base images, as far as they are known.
    pub(super) fn base_images(&self) -> Vec<(&ImageNeed, BaseImage)> {
        let known = |(need, image): (_, &Image)| Some((need, image.base.image()?));
        self.images.iter().filter_map(known).collect()
    }

    /// A stage that came to its end.
    pub(super) fn finished(&self, stage: StageId) -> Option<(&ImageConfig, &Rootfs)> {
        let walk = self.stages.get(stage.0)?.done.get()?;
        Some((&walk.config, &walk.rootfs))
    }

    /// An error at its place in the Dockerfile.
    pub(super) fn at(&self, span: Span, text: &str, problem: Problem) -> Error {
        let (span, problem) = match problem {
            Problem::Mount { span, problem } => (span, *problem),
            problem => (span, problem),
        };
        // They are about commands that fail, not about machines that cannot run any.
        let mut hints = match problem {
            Problem::Exit { .. } => lint::of_span(&self.hints, span),
            _ => Vec::new(),
        };
        hints.extend(lint::never_a_source(&problem, text));
        hints.extend(lint::undefined_in(&self.warnings, span));
        Error::Step { file: self.source.clone(), span, text: text.to_owned(), problem: Box::new(problem), hints }
    }

    /// How its steps ended.
    pub(super) fn counters(&self) -> Counters {
        self.walks(|walk| walk.counters).into_iter().fold(Counters::default(), |all, one| Counters {
            ran: all.ran + one.ran,
            cached: all.cached + one.cached,
            shared: all.shared + one.shared,
            blobs: all.blobs + one.blobs,
        })
    }

    /// The keys of its steps, as far as it came, in the order of the plan.
    pub(super) fn journal(&self) -> Journal {
        let mut journal = Journal::default();
        let walks = self.walks(|walk| (walk.base, walk.steps.clone()));
        for (stage, (base, steps)) in self.plan.stages.iter().zip(walks) {
            if let Some(base) = base {
                journal.set_base(&stage.label, base);
            }
            steps.into_iter().for_each(|step| journal.push(step));
        }
        journal
    }

    fn walks<T: Default>(&self, look: impl Fn(&Walk) -> T) -> Vec<T> {
        let look = |slot: &Slot| match slot.done.get() {
            Some(walk) => look(walk),
            None => {
                let going = slot.going.lock().unwrap_or_else(PoisonError::into_inner);
                going.as_ref().map(&look).unwrap_or_default()
            }
        };
        self.stages.iter().map(look).collect()
    }

    /// The warnings, and where the base images came from. Commands that succeeded did not lack the files that hints name.
    pub(super) fn told(mut self) -> ((Arc<Source>, Vec<Diagnostic>), Vec<Reference>) {
        self.warnings.retain(|warning| !self.hints.contains(warning));
        let pulled = self.images.into_iter().filter(|(need, image)| need.layout.is_none() && !image.base.is_made());
        ((self.source, self.warnings), pulled.map(|(need, _)| need.reference).collect())
    }
}
