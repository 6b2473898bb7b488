//! Where the images of a project go, and what programs are told meanwhile.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::archive::Archive;
use crate::support::docker::docker;
use crate::support::run::{Project, Ran};
use crate::support::{base, leaks, tools};

/// Two services that share a base.
const PAIR: &str = "\
//- compose.yaml
name: pair
services:
  one:
    build: one
  two:
    image: team/two:2
    build: two
//- one/Dockerfile
FROM busybox
RUN echo one | tee /file
CMD [\"cat\", \"/file\"]
//- two/Dockerfile
FROM busybox
RUN echo two | tee /file
CMD [\"cat\", \"/file\"]
";

#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    let ran = project.rbuild(["compose", "build"].iter().chain(flags)).run();
    leaks::assert_none(project);
    ran
}

/// The media types of all layers of an archive.
fn layer_types(project: &Project, archive: &str) -> BTreeSet<String> {
    let archive = Archive::open(&project.context().join(archive)).unwrap();
    let index = archive.json("index.json").unwrap();
    let mut types = BTreeSet::new();
    for manifest in index["manifests"].as_array().unwrap() {
        let digest = manifest["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let manifest = archive.json(&format!("blobs/sha256/{digest}")).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        types.extend(layers.iter().map(|layer| layer["mediaType"].as_str().unwrap().to_owned()));
    }
    types
}

#[test]
fn every_image_is_loaded_into_docker_at_once() {
    let docker = docker();
    let project = base::project(PAIR);
    let args = ["compose", "build", "--progress=plain", "--load"];
    let ran = project.rbuild(args).env("DOCKER_HOST", docker.host()).run().success();
    assert_eq!(
        ran.stderr.lines().filter(|line| line.starts_with("export to Docker DONE")).count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.ends_with("docker images\n"), "{}", ran.stderr);
    assert_eq!([docker.run("pair-one", &[]), docker.run("team/two:2", &[])], ["one\n", "two\n"]);
    let nobody = format!("unix://{}", project.root().join("nobody").display());
    let ran = project.rbuild(args).env("DOCKER_HOST", nobody).run().failure(5);
    assert!(ran.stderr.contains("is Docker running?"), "{}", ran.stderr);
}

#[test]
fn programs_are_told_of_each_step_under_the_name_of_its_service() {
    let docker = docker();
    // Other tests have the same Docker.
    let project = base::project(&PAIR.replace("pair", "told").replace("team/two", "team/told"));
    project.write("//- two/Dockerfile\nFROM busybox\nRUN echo two >&2\nMAINTAINER me\n");
    let ran = project.rbuild(["compose", "build", "--progress=rawjson", "--load"]);
    let ran = ran.env("DOCKER_HOST", docker.host()).run().success();
    assert_eq!(ran.stdout, "");
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let all =
        |key: &str| -> Vec<Value> { lines.iter().filter_map(|line| line[key].as_array()).flatten().cloned().collect() };
    let ended: Vec<Value> = all("vertexes").into_iter().filter(|vertex| !vertex["completed"].is_null()).collect();
    let named = |name: &str| ended.iter().find(|vertex| vertex["name"] == name).expect(name)["digest"].clone();
    let digests = [named("[one 2/2] RUN echo one | tee /file"), named("[two 2/2] RUN echo two >&2")];
    let digests = [&digests[0], &digests[1], &named("pull busybox:latest"), &named("exporting to Docker")];
    assert_eq!(digests.iter().map(|digest| digest.to_string()).collect::<BTreeSet<_>>().len(), 4);
    let logs: BTreeSet<String> =
        all("logs").iter().map(|log| format!("{} {} {}", log["vertex"], log["stream"], log["data"])).collect();
    let expected = [format!("{} 1 \"b25lCg==\"", digests[0]), format!("{} 2 \"dHdvCg==\"", digests[1])];
    assert_eq!(logs, BTreeSet::from(expected));
    let warned = all("diagnostics");
    assert_eq!((&warned[0]["code"], &warned[0]["file"]), (&"MaintainerDeprecated".into(), &"two/Dockerfile".into()));
    project.write("//- one/Dockerfile\nFROM busybox\nRUN exit 7\n");
    let ran = build(&project, &["--progress=rawjson"]).failure(7);
    let last: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    let told = |number: usize, key: &str| last["diagnostics"][number][key].clone();
    assert_eq!(
        [told(0, "file"), told(0, "line"), last["status"].clone()],
        [json!("one/Dockerfile"), json!(2), json!(7)]
    );
    assert_eq!(told(1, "message"), "not built: one; built: two");
    project.write("//- compose.yaml\nservices:\n  one:\n    biuld: one\n");
    let ran = build(&project, &["--progress=rawjson"]).failure(1);
    let last: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["diagnostics"][0]["file"], &last["diagnostics"][0]["line"]), (&"compose.yaml".into(), &3.into()));
}

#[test]
fn outputs_have_the_attributes_of_the_single_build() {
    let project = base::project(PAIR);
    let zstd = "type=docker,dest=stack.tar,compression=zstd,compression-level=9";
    build(&project, &["-o", zstd, "-o", "type=oci,dest=layout,tar=false"]).success();
    // The base has the layer that it came with.
    let [gzip, zstd] = ["gzip", "zstd"].map(|kind| format!("application/vnd.oci.image.layer.v1.tar+{kind}"));
    assert_eq!(layer_types(&project, "stack.tar"), BTreeSet::from([gzip, zstd]));
    let index: Value = serde_json::from_slice(&fs::read(project.context().join("layout/index.json")).unwrap()).unwrap();
    let names: BTreeSet<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["annotations"]["io.containerd.image.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["docker.io/library/pair-one:latest", "docker.io/team/two:2"]));
    build(&project, &["-o", "type=oci,dest=each/,compression=uncompressed"]).success();
    let plain = "application/vnd.oci.image.layer.v1.tar".to_owned();
    assert!(layer_types(&project, "each/two.tar").contains(&plain));
    assert!(project.context().join("each/one.tar").exists());
    let path = project.context().join("each/two.tar").display().to_string();
    assert!(tools::success("/usr/bin/skopeo", ["inspect", &format!("docker-archive:{path}")]).contains("Layers"));
    for (flags, said) in [
        (&["-o", "type=docker,dest=x,name=app"][..], "names an image, but there are several"),
        (&["-o", "type=docker,dest=x,compression=gzip,compression-level=13"], "`13` is not a level of gzip: they are 0 to 12"),
        (&["-o", "type=oci"], "does not say where to"),
        (&["-o", "type=docker,dest=x,rewrite-timestamp=true"], "needs SOURCE_DATE_EPOCH"),
        (&["-o", ""], "`-o` names no place"),
    ] {
        let ran = build(&project, flags).failure(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn a_build_may_only_fill_the_cache() {
    let project = base::project(PAIR);
    let ran = build(&project, &["-o", "type=cacheonly"]).success();
    assert!(ran.stderr.contains("0 cached, 2 ran"), "{}", ran.stderr);
    assert!(!project.rbuild(["images"]).run().success().stdout.contains("pair-one"));
    let ran = build(&project, &["-o", "type=image"]).success();
    assert!(ran.stderr.contains("2 cached, 0 ran"), "{}", ran.stderr);
    assert!(project.rbuild(["images"]).run().success().stdout.contains("pair-one"));
}

#[test]
fn times_are_rewritten_in_every_image() {
    let project = Project::with(
        "//- compose.yaml\nname: pair\nservices:\n  one:\n    build: one\n  two:\n    build: two\n\
         //- one/Dockerfile\nFROM scratch\nCOPY Dockerfile /\n//- two/Dockerfile\nFROM scratch\nCOPY --link Dockerfile /\n",
    );
    let args = ["compose", "build", "-o", "type=oci,dest=out/,rewrite-timestamp=true,compression=uncompressed"];
    project.rbuild(args).env("SOURCE_DATE_EPOCH", "86400").run().success();
    for service in ["one", "two"] {
        let archive = Archive::open(&project.context().join(format!("out/{service}.tar"))).unwrap();
        let manifest = archive.json("manifest.json").unwrap();
        let layer = archive.file(manifest[0]["Layers"][0].as_str().unwrap()).unwrap();
        let mut layer = tar::Archive::new(layer);
        let times = layer.entries().unwrap().map(|entry| entry.unwrap().header().mtime().unwrap());
        assert_eq!(times.collect::<Vec<u64>>(), [86_400], "{service}");
    }
}

#[test]
fn an_archive_of_the_last_run_is_no_part_of_the_context_of_a_fresh_store() {
    let project = Project::with(
        "//- compose.yaml\nname: p\nservices:\n  one:\n    build: .\n//- Dockerfile\nFROM scratch\nCOPY . /\n//- a\n",
    );
    let run = |store: &str, output: &str| {
        let call = project.rbuild(["compose", "build", "-q", "-o", output]);
        call.env("RBUILD_STORE", project.root().join(store)).run().success().raw_stdout
    };
    let first = run("first", "p.tar");
    assert_eq!(run("second", "p.tar"), first);
    // Elsewhere the archive is a file like any other.
    assert_ne!(run("third", "../p.tar"), first);
    let folder = run("first", "out/");
    assert_eq!([run("first", "out/"), run("second", "out/")], [folder.clone(), folder]);
}

#[test]
fn gc_runs_after_a_project_too() {
    let project = Project::with(
        "//- compose.yaml\nname: p\nservices:\n  one:\n    build: .\n//- Dockerfile\nFROM scratch\nCOPY a /\n//- a\n1\n",
    );
    build(&project, &[]).success();
    project.write("//- a\n2\n");
    let ran = build(&project, &["--gc", "size=1"]).success();
    assert!(ran.stderr.contains("gc removed what was used longest ago"), "{}", ran.stderr);
    let ran = build(&project, &["--gc", "of"]).failure(2);
    assert!(ran.stderr.contains("`--gc` (or RBUILD_GC) knows no `of`"), "{}", ran.stderr);
}

#[test]
fn an_image_that_is_not_built_has_the_platform_of_its_service() {
    let project = Project::with(
        "//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n\
         //- compose.yaml\nservices:\n  box:\n    image: far/box:1\n    platform: linux/s390x\n",
    );
    project.rbuild(["-t", "far/box:1", "--platform=linux/s390x", "-o", "type=image", "."]).run().success();
    build(&project, &["--pull-images", "-o", "stack.tar"]).success();
    let archive = Archive::open(&project.context().join("stack.tar")).unwrap();
    let manifest = archive.json("manifest.json").unwrap();
    assert_eq!(archive.json(manifest[0]["Config"].as_str().unwrap()).unwrap()["architecture"], "s390x");
}

#[test]
fn an_index_of_its_own_goes_where_the_single_build_puts_it() {
    let project = Project::with(
        "//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n\
         //- compose.yaml\nservices: {one: {build: {context: ., args: [BUILDKIT_MULTI_PLATFORM=1]}}}\n",
    );
    build(&project, &["-o", "type=oci,dest=oci.tar", "-o", "type=docker,dest=docker.tar"]).success();
    for (archive, kind) in [("oci.tar", "index"), ("docker.tar", "manifest")] {
        let index = Archive::open(&project.context().join(archive)).unwrap().json("index.json").unwrap();
        let found = index["manifests"][0]["mediaType"].as_str().unwrap();
        assert_eq!(found, format!("application/vnd.oci.image.{kind}.v1+json"), "{archive}");
    }
}
