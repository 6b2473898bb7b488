//! The same inputs give the same image, whatever the machine around them: umask, time zone, locale, clock, file times,
//! the order of folders, the places of store and context.

use std::fs;
use std::fs::FileTimes;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::base;
use crate::support::fixture::{self, Kind};
use crate::support::leaks::files_below;
use crate::support::run::{Project, Ran};
use crate::support::service::{self, manifest_digest, service};
use crate::support::validate::{Rules, validate};

/// What is around a build.
struct Surroundings {
    umask: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// Seconds since 1970 that all context files have.
    file_times: u64,
    /// Seconds that the program's clock goes ahead of the machine's.
    clock: &'static str,
}

const NEAR: Surroundings = Surroundings { umask: "022", variables: &[], file_times: 1_600_000_000, clock: "0" };

/// Files of 1970, as Nix and `git archive` may leave them, and a clock in the year 2056.
const FAR: Surroundings = Surroundings {
    umask: "077",
    variables: &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "C.UTF-8"), ("USER", "somebody"), ("HOSTNAME", "elsewhere")],
    file_times: 0,
    clock: "1000000000",
};

/// A clock that goes wrong, for the program's own process: its steps have the machine's clock, which has moved on by
/// itself from one build to the next.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (status == 0 && id == CLOCK_REALTIME) now->tv_sec += atol(getenv("CLOCK_AHEAD"));
    return status;
}
"#;

/// Compiles `CLOCK` for LD_PRELOAD.
fn clock_library(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(status.unwrap().success(), "cc cannot make a library");
    library
}

/// Writes the context's files from the last to the first, and gives all of them one time.
fn write_backwards(context: &Path, text: &str, time: u64) {
    let mut items = fixture::parse(text);
    items.reverse();
    // A folder that comes after its files keeps its mode from the fixture.
    items.sort_by_key(|item| item.kind == Kind::Dir);
    for item in &items {
        fixture::write_item(context, item);
    }
    set_times(context, time);
}

fn set_times(context: &Path, time: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    let times = FileTimes::new().set_modified(time).set_accessed(time);
    let mut paths = files_below(context);
    paths.retain(|path| !path.is_symlink());
    paths.extend(
        walkdir::WalkDir::new(context)
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter_map(|entry| entry.file_type().is_dir().then(|| entry.into_path())),
    );
    for path in paths {
        fs::File::open(&path).unwrap().set_times(times).unwrap();
    }
}

/// Builds from cold and gives the image id and the manifest's digest.
#[track_caller]
fn build(project: &Project, around: &Surroundings) -> (String, String) {
    let folder = TempDir::new().unwrap();
    let metadata = folder.path().join("metadata.json");
    let rbuild = env!("CARGO_BIN_EXE_rbuild");
    let script = format!("umask {} && exec \"$0\" \"$@\"", around.umask);
    let archive = folder.path().join("image.tar");
    let output = format!("type=docker,dest={}", archive.display());
    let metadata_flag = format!("--metadata-file={}", metadata.display());
    let mut call = project.program("/bin/sh", ["-c", &script, rbuild, "-t", "app", "-o", &output, &metadata_flag, "."]);
    for (name, value) in around.variables {
        call = call.env(name, value);
    }
    call = call.env("LD_PRELOAD", clock_library(folder.path())).env("CLOCK_AHEAD", around.clock);
    let ran: Ran = call.run().success();
    assert_eq!(ran.counts().0, 0, "{}", ran.stderr);
    let image = validate(&archive, Rules { base_layers: 1, ..Rules::default() });
    (image.id(), manifest_digest(&fs::read(&metadata).unwrap()))
}

#[test]
fn the_service_is_the_same_image_anywhere() {
    let project = Project::new();
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    write_backwards(&project.context(), service::CONTEXT, FAR.file_times);
    let first = (service().image.id(), service().digest.clone());
    assert_eq!(build(&project, &FAR), first);
}

/// What tends to differ from run to run or from machine to machine.
const CONTEXT: &str = r#"
    //- Dockerfile
    FROM busybox AS made
    RUN mkdir /made && cd /made && for i in 9 1 5 3 7; do echo $i > $i; ln $i hard-$i; ln -s $i soft-$i; done
    RUN date > /dev/null && umask > /made/umask && touch /made/now && mkfifo /made/pipe && echo $SOURCE_DATE_EPOCH > /made/epoch
    FROM busybox
    COPY . /context
    COPY --from=made /made /made
    WORKDIR /srv/dir
    RUN rm -r /context/sub && mkdir /context/sub && touch /context/sub/new && rm /made/5
    ADD a b sub/ /added/
    RUN env | sort > /env && hostname > /hostname && cat /etc/hosts > /hosts
    //- a
    a
    //- b
    b
    //- sub/one
    one
    //- sub/two mode=755
    two
    //- sub/deep/three
    three
    //- link -> a
    "#;

#[test]
fn a_build_is_the_same_image_anywhere() {
    let mut images = Vec::new();
    for around in [&NEAR, &FAR] {
        let project = Project::new();
        project.write_registries_conf(&base::registry().mirror_of_docker_hub());
        if images.is_empty() {
            project.write(CONTEXT);
            set_times(&project.context(), around.file_times);
        } else {
            write_backwards(&project.context(), CONTEXT, around.file_times);
        }
        images.push(build(&project, around));
    }
    assert_eq!(images[0], images[1]);
}
