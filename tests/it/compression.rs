//! How layers are compressed when they leave: those of a base, too, if that is asked for.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::json;

use crate::support::docker::docker;
use crate::support::image::{Compression, Image};
use crate::support::layout::{self, Packed};
use crate::support::run::{Project, Ran};
use crate::support::service::manifest_digest;
use crate::support::validate::{Rules, validate};
use crate::support::{base, tools};

const RULES: Rules = Rules { base_layers: 2, fixed_times: true };

/// How another tool has compressed a layer.
#[derive(Clone, Copy)]
enum Tool {
    Gzip,
    Zstd,
}

impl Tool {
    fn pack(self, tar: &[u8]) -> (Vec<u8>, &'static str) {
        match self {
            Tool::Gzip => {
                let mut bytes = Vec::new();
                flate2::read::GzEncoder::new(tar, flate2::Compression::best()).read_to_end(&mut bytes).unwrap();
                (bytes, "+gzip")
            }
            Tool::Zstd => (zstd::encode_all(tar, 7).unwrap(), "+zstd"),
        }
    }
}

/// A project on a base of that name with two layers, busybox and a file; one more layer comes of it. Docker knows neither of
/// them from elsewhere, for both hold the salt.
fn project(name: &str, salt: &str, tools: [Tool; 2]) -> Project {
    let (mut busybox, mut file) = (tar::Builder::new(Vec::new()), tar::Builder::new(Vec::new()));
    base::fill_busybox(&mut busybox);
    base::append(&mut busybox, "salt", tar::EntryType::Regular, 0o644, salt.as_bytes());
    base::append(&mut file, "salt", tar::EntryType::Regular, 0o600, salt.as_bytes());
    base::append(&mut file, "story", tar::EntryType::Regular, 0o644, b"once\n");
    let tars = [busybox, file].map(|tar| tar.into_inner().unwrap());
    let packed = [tools[0].pack(&tars[0]), tools[1].pack(&tars[1])];
    let layers = [0, 1].map(|n| Packed { tar: &tars[n], bytes: &packed[n].0, suffix: packed[n].1 });
    let project = base::project(&format!(
        "//- Dockerfile\nFROM mixed/{name}\nRUN cat /story /story > /twice\nCMD [\"cat\", \"/twice\"]\n\
         //- compose.yaml\nname: {name}\nservices:\n  web:\n    build: .\n"
    ));
    let folder = project.root().join("base");
    layout::write_packed(&folder, &layers, &json!({"Env": [base::path_variable()]}));
    base::push(&folder, &base::registry().name(&format!("mixed/{name}")));
    project
}

/// What the layers are compressed with, the lowest first.
fn compressions(image: &Image) -> Vec<Compression> {
    image.layers.iter().map(|layer| layer.compression).collect()
}

fn warning(name: &str, output: &str) -> String {
    format!(
        "warning: Docker before 23.0 cannot load {name}, which has layers in zstd as they were pulled; build with \
         `-o {output},force-compression=true` to have them in gzip\n"
    )
}

/// Docker loads an archive, runs what is in it, and forgets its layers.
#[track_caller]
fn assert_loads(archive: &Path, image: &Image) {
    docker().load(archive);
    assert_eq!(docker().run(&image.id(), &[]), "once\nonce\n");
    docker().success(["image", "rm", "--force", &image.id()]);
}

/// Whether this machine's Docker reads layers in zstd, which it does from 23.0 on.
fn docker_reads_zstd() -> bool {
    let version = docker().success(["version", "--format={{.Server.Version}}"]);
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap() >= 23
}

#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    project.rbuild(flags.iter().chain(&["--metadata-file=../metadata.json", "."])).run().success()
}

fn digest(project: &Project) -> String {
    manifest_digest(&fs::read(project.root().join("metadata.json")).unwrap())
}

#[test]
fn forced_layers_are_the_same_whoever_compressed_the_base() {
    let here = project("here", "shared", [Tool::Gzip, Tool::Zstd]);
    let there = project("there", "shared", [Tool::Zstd, Tool::Gzip]);
    let attributes = [
        ("", Compression::Gzip),
        (",compression=gzip,compression-level=0", Compression::Gzip),
        (",compression=zstd", Compression::Zstd),
        (",compression=zstd,compression-level=22", Compression::Zstd),
        (",compression=uncompressed", Compression::None),
    ];
    for (n, (attributes, compression)) in attributes.into_iter().enumerate() {
        let output = format!("type=docker,dest=../{n}.tar,force-compression=true{attributes}");
        let made = [&here, &there].map(|project| {
            let said = build(project, &["-o", &output]).stderr;
            assert!(!said.contains("warning"), "{said}");
            let archive = project.root().join(format!("{n}.tar"));
            let image = validate(&archive, RULES);
            assert_eq!(compressions(&image), [compression; 3], "{attributes}");
            (archive, image, digest(project))
        });
        let [(archive, image, digest), (_, _, other)] = &made;
        assert_eq!(digest, other, "{attributes}");
        if compression != Compression::Zstd || docker_reads_zstd() {
            assert_loads(archive, image);
        }
        // Debian's umoci cannot.
        if compression != Compression::Zstd {
            let source = format!("oci-archive:{}", archive.display());
            let scratch = tempfile::tempdir_in(here.root()).unwrap();
            let rootfs = scratch.path().join("rootfs");
            tools::unpack_archive(&source, scratch.path(), &rootfs);
            assert_eq!(fs::read_to_string(rootfs.join("twice")).unwrap(), "once\nonce\n");
        }
    }
    // What was made anew is not what leaves from then on.
    build(&here, &["-o", "type=oci,dest=../kept.tar,compression=zstd"]);
    let kept = validate(&here.root().join("kept.tar"), RULES);
    assert_eq!(compressions(&kept), [Compression::Gzip, Compression::Zstd, Compression::Zstd]);
}

#[test]
fn an_archive_that_older_dockers_cannot_load_is_told() {
    let project = project("told", "told", [Tool::Gzip, Tool::Zstd]);
    let told = |flags: &[&str]| -> Vec<String> {
        let said = build(&project, flags).stderr;
        said.lines().filter(|line| line.starts_with("warning")).map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(told(&["-t", "app:1"]), [warning("`app:1`", "type=docker,dest=app.tar")]);
    let image = validate(&project.context().join("app.tar"), RULES);
    assert_eq!(compressions(&image), [Compression::Gzip, Compression::Zstd, Compression::Gzip]);
    let load = docker().output(["load".as_ref(), "--input".as_ref(), project.context().join("app.tar").as_os_str()]);
    assert_eq!(load.status.success(), docker_reads_zstd());
    assert_eq!(told(&["-o", "type=docker,dest=../gzip.tar,force-compression=true"]), [""; 0]);
    let archive = project.root().join("gzip.tar");
    assert_loads(&archive, &validate(&archive, RULES));
    assert_eq!(told(&["-o", "../x.tar", "-o", "../y.tar"]), [warning("the image", "type=docker,dest=../x.tar")]);
    for quiet in [
        "type=oci,dest=../oci.tar",
        "type=image",
        "type=docker,dest=../zstd.tar,compression=zstd",
        "type=docker,dest=../plain.tar,compression=uncompressed",
    ] {
        assert_eq!(told(&["-o", quiet]), [""; 0], "{quiet}");
    }
    let saved = project.rbuild(["save", "app:1", "-o", "../saved.tar"]).run().success();
    assert_eq!(saved.stderr, warning("`app:1`", "type=docker,dest=FILE"));
    let load = ["--progress=plain", "-t", "told:1", "--load", "."];
    let load = project.rbuild(load).env("DOCKER_HOST", docker().host()).run();
    assert_eq!(load.status.success(), docker_reads_zstd());
    assert_eq!(load.stderr.contains(&warning("`told:1`", "type=docker")), !docker_reads_zstd(), "{}", load.stderr);
}

#[test]
fn forced_layers_reach_docker_registries_and_projects() {
    let project = project("reached", "reached", [Tool::Zstd, Tool::Gzip]);
    let flags = ["-t", "reached:1", "-o", "type=docker,force-compression=true", "."];
    let load = project.rbuild(flags).env("DOCKER_HOST", docker().host()).run().success();
    assert!(!load.stderr.contains("warning"), "{}", load.stderr);
    assert_eq!(docker().run("reached:1", &[]), "once\nonce\n");
    docker().success(["image", "rm", "--force", "reached:1"]);

    let name = base::registry().name("reached/app:1");
    let layer_types = || {
        let raw =
            tools::success("/usr/bin/skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        let manifest: serde_json::Value = serde_json::from_str(&raw).unwrap();
        let layers = manifest["layers"].as_array().unwrap().clone();
        layers
            .iter()
            .map(|layer| layer["mediaType"].as_str().unwrap().rsplit_once('+').unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    build(&project, &["-t", &name, "--push"]);
    assert_eq!(layer_types(), ["zstd", "gzip", "gzip"]);
    for output in ["type=registry", "type=image,push=true"] {
        build(&project, &["-t", &name, "-o", &format!("{output},compression=zstd,force-compression=true")]);
        assert_eq!(layer_types(), ["zstd", "zstd", "zstd"]);
        build(&project, &["-t", &name, "-o", &format!("{output},force-compression=true")]);
        assert_eq!(layer_types(), ["gzip", "gzip", "gzip"]);
    }
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &[]), "once\nonce\n");
    docker().success(["image", "rm", "--force", &name]);

    let compose = |output: &str| project.rbuild(["compose", "build", "-o", output]).run().success().stderr;
    let said = compose("stack.tar");
    assert!(said.contains(&warning("`reached-web:latest`", "type=docker,dest=stack.tar")), "{said}");
    let said = compose("type=docker,dest=stack.tar,force-compression=true");
    assert!(!said.contains("warning"), "{said}");
    let stack = validate(&project.context().join("stack.tar"), RULES);
    assert_eq!(compressions(&stack), [Compression::Gzip; 3]);
    assert_loads(&project.context().join("stack.tar"), &stack);
}

#[test]
fn wrong_attributes_are_told_with_the_right_ones() {
    let project = Project::with("//- Dockerfile\nFROM scratch\n//- compose.yaml\nservices: {web: {build: .}}\n");
    for (attributes, said) in [
        (
            "force-compression=maybe",
            "error: `force-compression=maybe` is neither true nor false\n\
             hint: write `force-compression=true` or `force-compression=false`\n",
        ),
        (
            "compression=zstd,compression-level=23",
            "error: `23` is not a level of zstd: they are 0 to 22\nhint: write `compression-level=22`, or leave it out\n",
        ),
        (
            "compression-level=-1",
            "error: `-1` is not a compression level\nhint: levels of gzip are 0 to 12, those of zstd 0 to 22\n",
        ),
    ] {
        let ran = project.rbuild(["-o", &format!("type=oci,dest=x,{attributes}"), "."]).run().failure(2);
        assert_eq!(ran.stderr, said);
        let ran = project.rbuild(["compose", "build", "-o", &format!("type=oci,dest=x,{attributes}")]).run().failure(2);
        assert_eq!(ran.stderr, said);
    }
}
