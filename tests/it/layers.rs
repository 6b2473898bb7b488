//! The forms in which layers are kept and leave the store.

use std::fs;

use crate::support::run::Project;
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

const RULES: Rules = Rules { base_layers: 1, fixed_times: true };

/// A COPY of many small files and a large one, and a command before it.
fn project() -> Project {
    let project = base::project(
        "//- Dockerfile\nFROM busybox\nRUN seq 200000 >/numbers\nCOPY files /files\nENV A=b\n//- files/0\nnothing\n",
    );
    let files = project.context().join("files");
    for number in 0..400 {
        fs::write(files.join(format!("f{number}")), format!("{number}\n").repeat(number % 50)).unwrap();
    }
    let large: Vec<u8> = (0..1_500_000_u32).flat_map(|number| (number ^ (number >> 7)).to_le_bytes()).collect();
    fs::write(files.join("large"), large).unwrap();
    project
}

#[test]
fn an_image_exported_at_once_is_the_one_exported_later() {
    let (at_once, later) = (project(), project());
    at_once.rbuild(["-o", "../image.tar", "."]).run().success();
    later.rbuild(["-o", "type=image", "."]).run().success();
    later.rbuild(["-o", "../image.tar", "."]).run().success();
    let archive = |project: &Project| fs::read(project.root().join("image.tar")).unwrap();
    assert!(archive(&at_once) == archive(&later), "the archives differ");
    validate(&at_once.root().join("image.tar"), RULES);
    leaks::assert_none(&at_once);
}

#[test]
fn a_command_sees_a_layer_that_was_kept_compressed_only() {
    let project = project();
    project.rbuild(["-o", "../image.tar", "."]).run().success();
    let text = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    fs::write(project.context().join("Dockerfile"), format!("{text}RUN sha256sum /files/* | sha256sum >/sum\n"))
        .unwrap();
    let ran = project.rbuild(["-o", "../second.tar", "."]).run().success();
    assert!(ran.stderr.contains("2 cached, 1 ran"), "{}", ran.stderr);
    validate(&project.root().join("second.tar"), RULES);
    let cold = self::project();
    fs::copy(project.context().join("Dockerfile"), cold.context().join("Dockerfile")).unwrap();
    cold.rbuild(["-o", "../second.tar", "."]).run().success();
    let archive = |project: &Project| fs::read(project.root().join("second.tar")).unwrap();
    assert!(archive(&project) == archive(&cold), "the archives differ");
}

#[test]
fn an_image_that_stays_in_the_store_is_not_compressed() {
    let project = project();
    project.rbuild(["-t", "app", "-o", "type=image", "."]).run().success();
    let size = |path: &std::path::Path| fs::metadata(path).unwrap().len();
    let blobs = crate::support::leaks::files_below(&project.store().join("blobs"));
    // The tar of the COPY; the base's layer and the documents are smaller.
    let large: Vec<u64> = blobs.iter().map(|path| size(path)).filter(|size| *size > 3 << 20).collect();
    assert!(matches!(large.as_slice(), [one] if *one > 6_000_000), "{large:?}");
    project.rbuild(["save", "app", "-o", "../app.tar"]).run().success();
    validate(&project.root().join("app.tar"), RULES);
}
