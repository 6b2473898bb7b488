//! Measures the cases in turns: each round has every builder once, and the next round begins with another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::{Bases, part};
use crate::builder::{Builder, Rbuild, remove};
use crate::cases::{Before, Case, Output, SCENARIOS, Scenario};
use crate::content::{self, Scale};
use crate::measure::Cost;
use crate::options::Options;
use crate::report::{Report, Row};
use crate::rivals;

/// What a part of the floor took, in seconds, and the bytes that came out.
pub type Parts = BTreeMap<String, (f64, u64)>;

/// One builder in one scenario.
struct Place<'a> {
    builder: &'a dyn Builder,
    context: PathBuf,
    tarball: PathBuf,
}

/// Runs everything that the options ask for and reports it.
pub fn run(options: &Options) {
    let work = tempfile::Builder::new().prefix("rbuild-versus-").tempdir().expect("a folder for the run");
    let bases = Bases::start();
    let rbuild = Rbuild::new("rbuild", Path::new(env!("CARGO_BIN_EXE_rbuild")), work.path());
    let mut builders: Vec<Box<dyn Builder>> = vec![Box::new(rbuild)];
    builders.extend(rivals::found(&options.rivals, work.path()));
    let mut report = Report::new(options, &builders);
    for scenario in &SCENARIOS {
        let wanted: Vec<&Case> = scenario.cases.iter().filter(|case| options.wants(case.name)).collect();
        if wanted.is_empty() && !options.wants(scenario.name) {
            continue;
        }
        eprintln!("{}", scenario.name);
        let folder = work.path().join("scenario");
        let parts = floor(scenario, options.scale, &bases, &folder);
        report.floor(scenario, &parts);
        measure(scenario, options, &bases, &builders, &folder, &mut report);
        remove(&folder);
    }
    if options.growth {
        grow(options, &bases, builders[0].as_ref(), &work.path().join("scenario"), &mut report);
    }
    report.finish();
}

/// Each case of a scenario, round after round.
fn measure(
    scenario: &Scenario,
    options: &Options,
    bases: &Bases,
    builders: &[Box<dyn Builder>],
    folder: &Path,
    report: &mut Report,
) {
    let base = bases.reference(scenario.base);
    let places: Vec<Place> = builders
        .iter()
        .map(|builder| {
            let own = folder.join(builder.name());
            let context = own.join("context");
            write_context(scenario, options.scale, &base, &context);
            Place { builder: builder.as_ref(), context, tarball: own.join("out.tar") }
        })
        .collect();
    for round in 0..options.rounds {
        for turn in 0..places.len() {
            let place = &places[(turn + round) % places.len()];
            for case in scenario.cases {
                let builder = place.builder.name().to_owned();
                match timed(scenario, case, place, &base, round) {
                    None => {}
                    Some(Ok((cost, bytes))) => {
                        let row = Row { case: case.name, builder, round, cost, bytes };
                        eprintln!("  {row}");
                        report.add(row);
                    }
                    Some(Err(problem)) => {
                        eprintln!("  {},{builder},{round}: {problem}", case.name);
                        report.failed(case, &builder, round);
                    }
                }
                // No time counts before the results are the same: the first round compares them all, case by case.
                if round == 0 && place.builder.offers(case.output) {
                    dump(case, place, folder);
                }
            }
        }
        if round == 0 {
            compare(scenario, &places, folder);
        }
        for place in &places {
            // So that one builder's leftovers do not slow down the next scenario.
            place.builder.forget(&base, Before::Nothing);
        }
    }
}

fn write_context(scenario: &Scenario, scale: Scale, base: &str, context: &Path) {
    fs::create_dir_all(context).expect("the folder is writable");
    (scenario.context)(context, scale);
    let dockerfile = (scenario.dockerfile)(scale).replace("BASE", base);
    content::write(&context.join("Dockerfile"), dockerfile.as_bytes());
}

/// Puts the builder into the state that the case begins with, and builds. None if it has no such output.
///
/// If a rival fails, it builds once more, for the cases that come after, and what it said is the error: no time counts.
fn timed(
    scenario: &Scenario,
    case: &Case,
    place: &Place<'_>,
    base: &str,
    round: usize,
) -> Option<Result<(Cost, u64), String>> {
    if !place.builder.offers(case.output) {
        return None;
    }
    match case.before {
        Before::Nothing | Before::Cold => place.builder.forget(base, case.before),
        Before::Unchanged => {}
        Before::Edited => content::edit(&place.context.join(scenario.edited), round),
    }
    if case.output.is_tarball() && case.output != Output::SameTarball {
        drop(fs::remove_file(&place.tarball));
    }
    let build = || place.builder.build(&place.context, case.output, &place.tarball);
    let cost = match build() {
        Ok(cost) => cost,
        Err(problem) => {
            build().unwrap_or_else(|again| panic!("{problem}\nand once more: {again}"));
            return Some(Err(problem));
        }
    };
    let bytes = if case.output.is_tarball() { fs::metadata(&place.tarball).expect("it was written").len() } else { 0 };
    Some(Ok((cost, bytes)))
}

fn dump_path(folder: &Path, case: &Case, builder: &str) -> PathBuf {
    folder.join(format!("{}-{builder}.txt", case.name))
}

/// Writes down what the image is: read from the tarball itself where there is one.
fn dump(case: &Case, place: &Place<'_>, folder: &Path) {
    let saved = folder.join("saved.tar");
    let archive = match case.output {
        Output::Store => {
            place.builder.save(&saved);
            &saved
        }
        Output::Tarball | Output::TarballFast | Output::SameTarball => &place.tarball,
    };
    let text = dump_path(folder, case, place.builder.name());
    part(&["dump", &archive.display().to_string(), &text.display().to_string()]);
    drop(fs::remove_file(&saved));
}

/// Panics with the first differences if two builders' images are not the same.
fn compare(scenario: &Scenario, places: &[Place<'_>], folder: &Path) {
    for case in scenario.cases {
        let ours = dump_path(folder, case, places[0].builder.name());
        for place in places[1..].iter().filter(|place| place.builder.offers(case.output)) {
            let theirs = dump_path(folder, case, place.builder.name());
            let output = Command::new("diff").arg(&ours).arg(&theirs).output().expect("diff runs");
            let text = String::from_utf8_lossy(&output.stdout);
            let first: Vec<&str> = text.lines().take(10).collect();
            assert!(output.status.success(), "{}: {} differs:\n{}", case.name, place.builder.name(), first.join("\n"));
        }
    }
}

/// What the hardware needs for a scenario's parts, now and here.
fn floor(scenario: &Scenario, scale: Scale, bases: &Bases, folder: &Path) -> Parts {
    let place = folder.join("floor");
    let context = place.join("context");
    fs::create_dir_all(&context).expect("the folder is writable");
    (scenario.context)(&context, scale);
    let names: &[&str] = match scenario.name {
        "app" | "runs" | "stages" => &["exec", "steps"],
        "files" => &["exec", "tree"],
        "large" | "large-fast" => &["file"],
        "usr" => &["usr"],
        "pull" => &["pull"],
        other => panic!("the scenario `{other}` has no floor"),
    };
    if matches!(scenario.name, "usr" | "pull") {
        content::write(&place.join("copies"), scale.copies.to_string().as_bytes());
        fs::copy(bases.debian_tar(), place.join("base.tar")).expect("the disk has room");
        fs::copy(bases.debian_blob(), place.join("blob")).expect("the disk has room");
    }
    let mut parts = Parts::new();
    for name in names {
        for line in part(&["floor", name, &place.display().to_string()]).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, seconds, bytes] = words.as_slice() else { panic!("a part printed `{line}`") };
            let seconds = seconds.parse().expect("it printed seconds");
            parts.insert((*name).to_owned(), (seconds, bytes.parse().expect("it printed bytes")));
        }
    }
    remove(&place);
    parts
}

/// Builds a tenth and the whole in turns, by rbuild alone: the machine's own speed may change from one minute to the next.
fn grow(options: &Options, bases: &Bases, rbuild: &dyn Builder, folder: &Path, report: &mut Report) {
    let tenth = Scale { files: options.scale.files / 10, mebibytes: options.scale.mebibytes / 10, ..options.scale };
    for scenario in SCENARIOS.iter().filter(|scenario| matches!(scenario.name, "files" | "large")) {
        let base = bases.reference(scenario.base);
        let places = [("tenth", tenth), ("whole", options.scale)].map(|(name, scale)| {
            let own = folder.join(name);
            let place = Place { builder: rbuild, context: own.join("context"), tarball: own.join("out.tar") };
            write_context(scenario, scale, &base, &place.context);
            place
        });
        let rounds = (0..options.rounds).map(|round| {
            places.each_ref().map(|place| {
                let all = scenario.cases.iter().map(|case| timed(scenario, case, place, &base, round));
                all.map(|timed| timed.expect("rbuild offers every output").expect("rbuild builds").0)
                    .collect::<Vec<_>>()
            })
        });
        let rounds: Vec<[Vec<Cost>; 2]> = rounds.collect();
        for (index, case) in scenario.cases.iter().enumerate() {
            let of = |place: usize| rounds.iter().map(|round| round[place][index]).collect::<Vec<Cost>>();
            report.growth(case, &of(0), &of(1));
        }
        remove(folder);
    }
}
