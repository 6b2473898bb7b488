//! `BUILDKIT_MULTI_PLATFORM`: an image in an index of its own, as images for several platforms come.

use std::fs;

use serde_json::Value;

use crate::support::docker::docker;
use crate::support::registry::Registry;
use crate::support::run::{Project, Ran};
use crate::support::{base, tools};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const ARG: &str = "--build-arg=BUILDKIT_MULTI_PLATFORM=1";

fn project() -> Project {
    base::project("//- Dockerfile\nFROM busybox\nCOPY story /\nCMD [\"cat\", \"/story\"]\n//- story\nonce\n")
}

#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    project.rbuild(flags.iter().chain(&["--metadata-file=../metadata.json", "."])).run().success()
}

fn raw(source: &str) -> Value {
    let text = tools::success("/usr/bin/skopeo", ["inspect", "--raw", "--tls-verify=false", source]);
    serde_json::from_str(&text).unwrap()
}

/// The source is an index of one image for this machine, the one that the build tells; and the metadata name the index.
#[track_caller]
fn assert_indexed(project: &Project, ran: &Ran, source: &str) {
    let index = raw(source);
    assert_eq!(index["mediaType"], INDEX, "{index}");
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1, "{index}");
    // That skopeo finds a config proves that the platform is this machine's.
    let config = tools::skopeo_config(source);
    let platform = &manifests[0]["platform"];
    assert_eq!((&platform["os"], &platform["architecture"]), (&config["os"], &config["architecture"]), "{index}");
    let id = ran.stderr.lines().find_map(|line| line.strip_prefix("built ")).unwrap().split(' ').next().unwrap();
    let metadata: Value = serde_json::from_slice(&fs::read(project.root().join("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], id);
    assert_eq!(metadata["containerimage.descriptor"]["mediaType"], INDEX);
    assert_eq!(metadata["containerimage.digest"], metadata["containerimage.descriptor"]["digest"]);
    assert_ne!(metadata["containerimage.digest"], manifests[0]["digest"]);
}

#[test]
fn an_oci_layout_and_archive_hold_an_index_that_is_named() {
    let project = project();
    let ran = build(&project, &[ARG, "-t", "app:7", "-o", "type=oci,dest=../layout,tar=false"]);
    assert_indexed(&project, &ran, &format!("oci:{}:7", project.root().join("layout").display()));
    let archive = project.root().join("app.tar");
    let ran = build(&project, &[ARG, "-t", "app:7", "-o", "type=oci,dest=../app.tar"]);
    assert_indexed(&project, &ran, &format!("oci-archive:{}:7", archive.display()));
    // Docker reads its own list of what is in there.
    assert_eq!(docker().load(&archive), ["app:7"]);
    assert_eq!(docker().run("app:7", &[]), "once\n");
}

#[test]
fn a_pushed_index_is_pulled_by_others_and_built_upon() {
    let registry = Registry::start();
    let (project, name) = (project(), registry.name("several/app:1"));
    let ran = build(&project, &[ARG, "-t", &name, "--push"]);
    assert_indexed(&project, &ran, &format!("docker://{name}"));
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &[]), "once\n");
    let other = base::project(&format!("//- Dockerfile\nFROM {name}\nRUN test -e /story\n"));
    assert_eq!(other.rbuild(["-o", "type=image", "."]).run().success().counts(), (0, 1));
}

#[test]
fn what_is_for_docker_has_no_index_and_a_switch_that_is_off_changes_nothing() {
    let project = project();
    let plain = ["-t", "app:7", "-o", "type=docker,dest=../app.tar"];
    build(&project, &plain);
    let archive = project.root().join("app.tar");
    let before = fs::read(&archive).unwrap();
    let ran = build(&project, &[&[ARG], &plain[..]].concat());
    assert!(ran.stderr.contains("BUILDKIT_MULTI_PLATFORM has no effect here"), "{}", ran.stderr);
    assert_eq!(fs::read(&archive).unwrap(), before);
    let oci = ["-t", "app:7", "-o", "type=oci,dest=../app.tar", "--build-arg=BUILDKIT_MULTI_PLATFORM=0"];
    build(&project, &oci);
    assert_eq!(fs::read(&archive).unwrap(), before);
}
