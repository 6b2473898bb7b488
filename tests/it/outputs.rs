//! Where an image can go on this machine, and what can be done with it in the store.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::base;
use crate::support::docker::docker;
use crate::support::image::Image;
use crate::support::run::Project;
use crate::support::tools;
use crate::support::validate::{Rules, validate};

/// A step of each kind on a base.
const CONTEXT: &str = r#"
    //- Dockerfile
    FROM busybox
    COPY story.txt /
    RUN cat /story.txt /story.txt > /twice.txt && rm /story.txt
    CMD ["cat", "/twice.txt"]
    //- story.txt
    once
    "#;

const RULES: Rules = Rules { base_layers: 1, fixed_times: true };

fn project() -> Project {
    let project = Project::with(CONTEXT);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    project
}

/// Docker, skopeo and umoci read an archive, and see what the validator sees.
#[track_caller]
fn check_archive(project: &Project, archive: &Path) -> Image {
    let image = validate(archive, RULES);
    let loaded = docker().load(archive);
    let name = loaded[0].as_str();
    assert_eq!(docker().inspect(name)["Id"], image.id());
    assert_eq!(docker().run(name, &[]), "once\nonce\n");
    for transport in ["docker-archive", "oci-archive"] {
        let source = format!("{transport}:{}", archive.display());
        assert_eq!(tools::skopeo_config(&source)["config"], image.config["config"]);
        let folder = tempfile::tempdir_in(project.root()).unwrap();
        let rootfs = folder.path().join("rootfs");
        tools::unpack_archive(&source, folder.path(), &rootfs);
        assert_eq!(fs::read_to_string(rootfs.join("twice.txt")).unwrap(), "once\nonce\n");
        assert!(!rootfs.join("story.txt").exists());
    }
    image
}

#[test]
fn every_archive_is_read_by_docker_skopeo_and_umoci() {
    let project = project();
    let mut ids = Vec::new();
    for output in ["type=docker,dest=../docker.tar", "type=oci,dest=../oci.tar", "../plain.tar"] {
        project.rbuild(["-t", "archives:1", "-o", output, "."]).run().success();
        let file = output.rsplit_once("../").unwrap().1;
        let image = check_archive(&project, &project.root().join(file));
        assert!(image.names.iter().any(|name| name == "archives:1"), "{:?}", image.names);
        ids.push(image.id());
    }
    project.rbuild(["save", "archives:1", "-o", "../saved.tar"]).run().success();
    ids.push(check_archive(&project, &project.root().join("saved.tar")).id());
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn an_archive_without_a_name_is_loaded_by_its_id() {
    let project = project();
    project.rbuild(["-o", "type=docker,dest=../nameless.tar", "."]).run().success();
    let archive = project.root().join("nameless.tar");
    let image = validate(&archive, RULES);
    assert_eq!(docker().load(&archive), [image.id()]);
}

#[test]
fn standard_output_takes_an_archive_and_nothing_else() {
    let project = project();
    for output in ["type=docker,dest=-", "type=oci,dest=-"] {
        let archive = project.root().join("stdout.tar");
        let script = format!("exec \"$0\" -t stdout:1 -o {output} . > ../stdout.tar");
        project.program("/bin/sh", ["-c", &script, env!("CARGO_BIN_EXE_rbuild")]).run().success();
        check_archive(&project, &archive);
    }
    project.rbuild(["-t", "stdout:1", "-o", "type=image", "."]).run().success();
    let script = "exec \"$0\" save stdout:1 -o - > ../saved.tar";
    project.program("/bin/sh", ["-c", script, env!("CARGO_BIN_EXE_rbuild")]).run().success();
    validate(&project.root().join("saved.tar"), RULES);
}

#[test]
fn a_layout_is_read_by_skopeo_and_umoci() {
    let project = project();
    project.rbuild(["-t", "layout:1", "-o", "type=oci,dest=../layout,tar=false", "."]).run().success();
    let layout = project.root().join("layout");
    let image = validate(&layout, RULES);
    let source = format!("oci:{}", layout.display());
    assert_eq!(tools::skopeo_config(&source)["config"], image.config["config"]);
    let rootfs = project.root().join("rootfs");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
    tools::umoci_unpack(&layout, tag, &rootfs);
    assert_eq!(fs::read_to_string(rootfs.join("twice.txt")).unwrap(), "once\nonce\n");
}

#[test]
fn layers_can_be_compressed_in_every_way() {
    let project = project();
    let mut ids = Vec::new();
    for compression in ["gzip", "zstd", "uncompressed"] {
        let output = format!("type=oci,dest=../{compression}.tar,compression={compression}");
        project.rbuild(["-t", "compressed:1", "-o", &output, "."]).run().success();
        let archive = project.root().join(format!("{compression}.tar"));
        let image = validate(&archive, RULES);
        // skopeo unpacks every layer, zstd too (Debian's umoci cannot), and names it by what it finds.
        let folder = project.root().join(compression);
        let copy = format!("dir:{}", folder.display());
        tools::skopeo_copy(&format!("oci-archive:{}", archive.display()), &copy, &["--dest-decompress"]);
        for layer in &image.layers {
            assert!(folder.join(layer.diff_id.trim_start_matches("sha256:")).exists(), "{compression}: {layer:?}");
        }
        ids.push(image.id());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn reports_hold_the_digests() {
    let project = project();
    let flags = ["-q", "-t", "reports:1", "--iidfile=../iid", "--metadata-file=../metadata", "."];
    let ran = project.rbuild(flags).run().success();
    let image = validate(&project.context().join("reports.tar"), RULES);
    assert_eq!((ran.raw_stdout, ran.stderr), (format!("{}\n", image.id()), String::new()));
    assert_eq!(fs::read_to_string(project.root().join("iid")).unwrap(), image.id());
    let metadata: Value = serde_json::from_slice(&fs::read(project.root().join("metadata")).unwrap()).unwrap();
    let archive = format!("oci-archive:{}", project.context().join("reports.tar").display());
    let digest = tools::skopeo_inspect(&archive, &[])["Digest"].clone();
    assert_eq!(metadata["containerimage.config.digest"], image.id());
    assert_eq!(metadata["containerimage.digest"], digest);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest);
    assert_eq!(metadata["image.name"], "docker.io/library/reports:1");
}

#[test]
fn an_archive_that_another_store_wrote_is_replaced_and_no_part_of_the_context() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY . /\n//- a\n1\n");
    let build = |store: &str| {
        let call = project.rbuild(["-t", "app", "."]).env("RBUILD_STORE", project.root().join(store));
        let ran = call.run().success();
        (validate(&project.context().join("app.tar"), Rules { base_layers: 0, fixed_times: true }).id(), ran.stderr)
    };
    let (first, _) = build("first");
    let (second, said) = build("second");
    assert_eq!(first, second);
    assert!(said.contains("note: `app.tar` was written by rbuild and is left out of the context\n"), "{said}");
    assert!(said.contains("export to app.tar DONE"), "{said}");
    project.write("//- a\n2\n");
    let (changed, _) = build("third");
    assert_ne!(changed, first);
    // The second store sees that its archive is another one now, and that it is one nevertheless.
    assert_eq!(build("second").0, changed);
}

#[test]
fn the_store_lists_shows_and_removes_its_images() {
    let project = project();
    let empty = project.rbuild(["images"]).run().success();
    assert_eq!(empty.stdout.lines().count(), 1, "{}", empty.stdout);
    project.rbuild(["-t", "kept:1", "-t", "kept:2", "-o", "type=image", "."]).run().success();
    let id = project.rbuild(["-q", "."]).run().success().raw_stdout;
    let id = id.trim();

    let listed = project.rbuild(["images"]).run().success().stdout;
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"kept:1") && names.contains(&"kept:2"), "{listed}");

    for name in ["kept:1", id, &id[7..19]] {
        let shown = project.rbuild(["inspect", name]).run().success();
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!((&shown["id"], &shown["names"]), (&json!(id), &json!(["kept:1", "kept:2"])));
        assert_eq!(shown["config"]["config"]["Cmd"], json!(["cat", "/twice.txt"]));
        assert_eq!(shown["layers"].as_array().unwrap().len(), 3);
    }
    project.rbuild(["inspect", "other"]).run().failure(1);

    // An image that has a name stays, with all it needs.
    project.rbuild(["prune"]).run().success();
    project.rbuild(["rm", "kept:1"]).run().success();
    project.rbuild(["prune", "--all"]).run().success();
    project.rbuild(["save", "kept:2", "-o", "../after.tar"]).run().success();
    validate(&project.root().join("after.tar"), RULES);
    project.rbuild(["rm", "kept:2"]).run().success();
    project.rbuild(["save", "kept:2", "-o", "../gone.tar"]).run().failure(1);
    project.rbuild(["prune", "--all"]).run().success();
    let left = project.rbuild(["du"]).run().success().stdout;
    assert!(!left.contains("layers") && !left.contains("images"), "{left}");

    // And what was pruned is built again.
    let again = project.rbuild(["-t", "kept:1", "-o", "../again.tar", "."]).run().success();
    assert_eq!(again.counts(), (0, 2), "{}", again.stderr);
    assert_eq!(validate(&project.root().join("again.tar"), RULES).id(), id);
}
