//! `rbuild build`.

use std::io::{self, Write as _};
use std::path::Path;

use super::args::BuildArgs;
use super::call::{self, Call};
use super::environment::Environment;
use super::error::{Error, Result};
use super::means::Means;
use super::outputs::{Delivered, Delivery, left_out};
use super::progress::{Choice, Progress, Summary, Surroundings, ViewKind};
use super::report::{self, Told};
use super::targets::{LayerTimes, Place, Targets, targets};
use super::{build_args, caches, gc, inputs, json};
use crate::build::{self, BuildEvent, Built, InlineCache, Interrupt, Request, StoredImage};
use crate::export;
use crate::fsx::{self, At as _};
use crate::image::{SealedImage, canonical_json};
use crate::store::Store;

/// Builds, and brings the image where it belongs.
pub fn run(args: &BuildArgs, environment: &Environment, store: &Path, interrupt: &Interrupt) -> Result<()> {
    if let Some(call) = Call::of(args)? {
        return call::run(call, args, environment, store, interrupt);
    }
    let targets = targets(args)?;
    let caches = caches::targets(&args.cache_to)?;
    let policy = gc::policy(args.gc.as_deref())?;
    if targets.has_stdout() {
        super::outputs::refuse_terminal(&io::stdout().lock())?;
    }
    let means = Means::open(args, environment, store)?;
    let Means { store, registry, .. } = &means;
    // Everything that is made or found from here on stays until the end.
    let lease = store.lease()?;
    store.sweep()?;
    let mut request = inputs::request(args, environment, means.tools(interrupt), left_out(store, args)?)?;
    request.leaving = targets.leaving();
    for place in &targets.places {
        if let Place::File { path, overwrite, .. } = place {
            export::check_destination(store, path, *overwrite)?;
        }
    }
    targets.times.check(&request.inputs.build_args)?;
    let choice = if args.quiet { Choice::Quiet } else { args.progress };
    let progress = Progress::start(choice, &Surroundings::of_process());
    let events = |event| progress.event(&event);
    let in_index = build_args::in_index(&request.inputs.build_args)? && targets.takes_index();
    for text in warnings(&request, targets.takes_index(), targets.times)? {
        events(BuildEvent::Warning { text });
    }
    let engine = means.engine(args, &events, interrupt);
    let outcome = build::build(&engine, &request).map_err(Error::from).and_then(|built| {
        let built = match targets.times {
            LayerTimes::AsBuilt => built,
            LayerTimes::Rewritten => build::rewrite_times(store, built, request.created)?,
        };
        name(store, &built, &targets)?;
        let image = StoredImage { config: built.config.clone(), layers: built.layers.clone() };
        // A manifest names compressed layers: nothing is compressed for an image that stays here.
        if !targets.leaves_store() && args.metadata_file.is_none() {
            caches.iter().try_for_each(|target| caches::write(store, &built, target))?;
            return Ok((built, None, Delivered::default()));
        }
        let sealed = build::seal(store, &image, targets.compression, targets.pulled)?;
        let indexed = match in_index {
            true => Some(sealed.clone().indexed().map_err(build::Problem::from)?),
            false => None,
        };
        let bases = &built.bases;
        let delivery = Delivery { store, environment, registry, progress: &progress, interrupt, bases };
        let delivered = delivery.deliver(&sealed, indexed.as_ref(), &targets)?;
        caches.iter().try_for_each(|target| caches::write(store, &built, target))?;
        Ok((built, Some(indexed.unwrap_or(sealed)), delivered))
    });
    drop(lease);
    let ran = outcome.as_ref().map_or(0, |(built, ..)| built.ran);
    let closed = match outcome {
        Ok((built, sealed, delivered)) => {
            write_reports(args, &targets, &built, sealed.as_ref(), &delivered)?;
            close(progress, &built, sealed.as_ref(), delivered, targets.has_stdout())
        }
        Err(error) => {
            // The error matters more than a screen that cannot be written to.
            let _unshown = progress.finish(&Summary::Failed, &mut io::stdout());
            Err(error)
        }
    };
    let collected = gc::after_build(store, policy.as_ref(), ran, args.quiet);
    closed.and(collected)
}

/// What of the flags and arguments has no effect.
pub fn warnings(request: &Request, takes_index: bool, times: LayerTimes) -> Result<Vec<String>> {
    let mut warnings = build_args::warnings(&request.inputs.build_args, takes_index)?;
    if request.inline_cache == InlineCache::Carried && times == LayerTimes::Rewritten {
        let text = "the image holds no cache: `rewrite-timestamp=true` makes other layers than those of the steps";
        warnings.push(text.to_owned());
    }
    Ok(warnings)
}

fn name(store: &Store, built: &Built, targets: &Targets) -> Result<()> {
    if targets.places == [Place::CacheOnly] {
        return Ok(());
    }
    for name in &targets.names {
        build::name_image(store, name, &built.config.digest())?;
    }
    Ok(())
}

fn close(
    progress: Progress,
    built: &Built,
    sealed: Option<&SealedImage>,
    delivered: Delivered,
    archive_on_stdout: bool,
) -> Result<()> {
    // What was not compressed has the size of its plain layers.
    let size = match sealed {
        Some(sealed) => sealed.layers().iter().map(|layer| layer.size).sum(),
        None => built.layers.iter().map(|layer| layer.size).sum(),
    };
    let summary = Summary::Built { image: built.config.digest(), size, hint: delivered.hint };
    let (file, warnings) = &built.warnings;
    match progress.kind() {
        ViewKind::Quiet => {}
        ViewKind::RawJson if warnings.is_empty() => {}
        ViewKind::RawJson => {
            let told = Told::InFile { file, problems: warnings.into() };
            io::stderr().write_all(json::line(&[told], None).as_bytes())?;
        }
        ViewKind::Tty | ViewKind::Plain => io::stderr().write_all(report::diagnostics(file, warnings).as_bytes())?,
    }
    let finished = match archive_on_stdout {
        true => progress.finish(&summary, &mut io::sink()),
        false => progress.finish(&summary, &mut io::stdout()),
    };
    Ok(finished?)
}

/// `--iidfile` and `--metadata-file`.
fn write_reports(
    args: &BuildArgs,
    targets: &Targets,
    built: &Built,
    sealed: Option<&SealedImage>,
    delivered: &Delivered,
) -> Result<()> {
    if let Some(path) = &args.iidfile {
        write(path, built.config.digest().to_string().as_bytes())?;
    }
    if let (Some(path), Some(sealed)) = (&args.metadata_file, sealed) {
        let names: Vec<String> = targets.names.iter().map(ToString::to_string).collect();
        let digest = delivered.pushed.unwrap_or_else(|| sealed.digest());
        let metadata = serde_json::json!({
            "containerimage.config.digest": sealed.config().digest(),
            "containerimage.descriptor": sealed.descriptor(),
            "containerimage.digest": digest,
            "image.name": names.join(","),
        });
        let bytes = canonical_json(&metadata, "metadata").map_err(build::Problem::from)?;
        write(path, &bytes)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> std::result::Result<(), fsx::Error> {
    std::fs::write(path, bytes).at("write", path)
}
