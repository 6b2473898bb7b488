//! The times that an image holds: its own, and those of its files.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::base;
use crate::support::image::Image;
use crate::support::run::Project;

const EPOCH: u64 = 1_500_000_000;

/// A context with a file older than `EPOCH` and one younger.
fn project() -> Project {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        COPY old young /x/
        RUN touch /ran && ln /x/young /x/again && mkfifo /pipe && rm /x/old
        //- old
        old
        //- young
        young
        ",
    );
    for (name, seconds) in [("old", EPOCH - 1000), ("young", EPOCH + 1000)] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(project.context().join(name)).unwrap().set_modified(time).unwrap();
    }
    project
}

#[track_caller]
fn build(project: &Project, output: &str, flags: &[&str]) -> Image {
    let archive = project.context().join("image.tar");
    let output = format!("type=oci,dest={}{output}", archive.display());
    let call = project.rbuild(["-o", &output].iter().chain(flags).chain(&["."]));
    call.env("SOURCE_DATE_EPOCH", EPOCH.to_string()).run().success();
    Image::open(&archive).unwrap()
}

#[test]
fn rewriting_leaves_no_time_behind_the_epoch_and_the_base_as_it_is() {
    let project = project();
    let kept = build(&project, "", &["--timestamps=preserve"]);
    let times = |image: &Image| -> Vec<u64> {
        image.layers[1..].iter().flat_map(|layer| &layer.entries).map(|entry| entry.mtime).collect()
    };
    assert!(times(&kept).contains(&(EPOCH + 1000)), "{:?}", times(&kept));
    let rewritten = build(&project, ",rewrite-timestamp=true", &["--timestamps=preserve"]);
    assert_eq!(times(&rewritten), times(&kept).iter().map(|time| *time.min(&EPOCH)).collect::<Vec<_>>());
    assert_eq!(rewritten.layers[0].diff_id, kept.layers[0].diff_id);
    assert_eq!(rewritten.rootfs().unwrap().get("x/young").unwrap().mtime, EPOCH);
    assert_eq!(rewritten.config["created"], "2017-07-14T02:40:00Z");
    // From the cache, the same again.
    assert_eq!(build(&project, ",rewrite-timestamp=true", &["--timestamps=preserve"]).id(), rewritten.id());
}

#[test]
fn fixed_times_are_before_every_epoch_so_that_nothing_is_rewritten() {
    let project = project();
    let fixed = build(&project, "", &[]);
    assert_eq!(build(&project, ",rewrite-timestamp=true", &[]).id(), fixed.id());
}

#[test]
fn rewriting_needs_an_epoch() {
    let project = project();
    let ran = project.rbuild(["-o", "type=oci,dest=x.tar,rewrite-timestamp=true", "."]).run().failure(2);
    assert!(ran.stderr.contains("needs SOURCE_DATE_EPOCH"), "{}", ran.stderr);
}

#[test]
fn the_epoch_may_be_a_build_argument() {
    let project = project();
    let archive = project.context().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let epoch = format!("SOURCE_DATE_EPOCH={EPOCH}");
    project.rbuild(["-o", &output, "--build-arg", &epoch, "."]).run().success();
    let by_argument = Image::open(&archive).unwrap().id();
    assert_eq!(build(&project, "", &[]).id(), by_argument);
}

#[test]
fn an_epoch_that_no_argument_declares_runs_nothing_again() {
    let project = project();
    let build = |seconds: u64| {
        let call = project.rbuild(["-o", "type=image", "."]).env("SOURCE_DATE_EPOCH", seconds.to_string());
        call.run().success().counts()
    };
    assert_eq!(build(EPOCH), (0, 2));
    assert_eq!(build(EPOCH + 1), (2, 0));
}
