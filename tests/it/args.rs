//! Build arguments: those that choose what `--from` names, those that tell the time, those that steer the builder.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::image::Image;
use crate::support::run::{Project, Ran};
use crate::support::{base, web};

fn build(project: &Project, args: &[&str]) -> Ran {
    let archive = project.root().join("out.tar").display().to_string();
    project.rbuild(args.iter().copied().chain(["-o", &archive])).run()
}

/// When the image that the arguments give says that it was made.
#[track_caller]
fn created(project: &Project, args: &[&str]) -> String {
    build(project, args).success();
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    image.config["created"].as_str().unwrap().to_owned()
}

/// Makes a folder with a Dockerfile a repository whose commit is of 2009.
fn commit_of_2009(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    web::commit(folder);
    let mut git = Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--amend", "--no-edit"]);
    git.current_dir(folder).env("GIT_COMMITTER_DATE", "1234567890 +0000");
    assert!(git.status().unwrap().success());
}

#[test]
fn the_time_of_an_image_is_that_of_what_the_argument_names() {
    let project = Project::with("//- Dockerfile\nFROM scratch AS files\nCOPY Dockerfile /\nFROM files\n");
    let repositories = project.root().join("git");
    commit_of_2009(&repositories.join("r"));
    let server = web::serve_git(&repositories);
    let repository = format!("{server}/r#main");
    let of_commit = "2009-02-13T23:31:30Z";
    let context = "--build-arg=SOURCE_DATE_EPOCH=context";
    assert_eq!(created(&project, &[context, &repository]), of_commit);
    assert_eq!(created(&project, &[&repository]), "1980-01-01T00:00:00Z");
    // A folder tells none.
    assert_eq!(created(&project, &[context, "."]), "1980-01-01T00:00:00Z");
    let named = format!("--build-context=src={repository}");
    assert_eq!(created(&project, &[&named, "--build-arg=SOURCE_DATE_EPOCH=src", "."]), of_commit);
    assert_eq!(created(&project, &["--build-arg=SOURCE_DATE_EPOCH=1700000000", "."]), "2023-11-14T22:13:20Z");
    let ran = build(&project, &["--build-arg=SOURCE_DATE_EPOCH=fils", "."]).failure(2);
    assert!(ran.stderr.contains("did you mean `files`?"), "{}", ran.stderr);
    let ran = build(&project, &["--build-arg=SOURCE_DATE_EPOCH=files", "."]).failure(1);
    assert!(
        ran.stderr.contains("it holds another instruction than ADD and ARG\n --> Dockerfile:2:1"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_stage_that_only_adds_tells_the_time_and_an_argument_that_is_declared_gets_it() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mtime(1_234_567_890);
    header.set_size(1);
    tar.append_data(&mut header, "f", &b"x"[..]).unwrap();
    let server = web::serve(&[("/a.tar", &tar.into_inner().unwrap())]);
    let project = Project::with(
        "
        //- Dockerfile
        ARG SOURCE_DATE_EPOCH=time
        FROM scratch AS time
        ARG FILE=a.tar
        ADD $URL/$FILE /
        FROM scratch
        ARG SOURCE_DATE_EPOCH
        LABEL time=$SOURCE_DATE_EPOCH
        COPY Dockerfile /
        ",
    );
    let dockerfile = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    fs::write(project.context().join("Dockerfile"), dockerfile.replace("$URL", &server)).unwrap();
    assert_eq!(created(&project, &["."]), "2009-02-13T23:31:30Z");
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    assert_eq!(image.config["config"]["Labels"]["time"], "1234567890");
}

#[test]
fn an_argument_chooses_the_stage_that_copy_and_mounts_take_files_from() {
    let project = base::project(
        "
        //- Dockerfile
        ARG kind=debug
        FROM busybox AS debug
        RUN echo debug >/kind
        FROM busybox AS release
        RUN echo release >/kind
        FROM busybox
        ARG kind
        RUN --mount=from=$kind,target=/m cp /m/kind /mounted
        COPY --from=${kind} /kind /copied
        ",
    );
    for kind in ["debug", "release"] {
        let ran = build(&project, &[&format!("--build-arg=kind={kind}"), "."]).success();
        let image = Image::open(&project.root().join("out.tar")).unwrap();
        for path in ["mounted", "copied"] {
            image.assert_holds(path, &format!("{kind}\n"));
        }
        let other = if kind == "debug" { "release" } else { "debug" };
        assert!(!ran.stderr.contains(&format!("[{other} ")), "{}", ran.stderr);
    }
}

#[test]
fn arguments_that_steer_the_builder_have_their_effect_or_say_that_they_have_none() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN hostname >/h\n");
    let args = ["--build-arg=BUILDKIT_SANDBOX_HOSTNAME=here", "--build-arg=BUILDKIT_SYNTAX=docker/dockerfile:1", "."];
    let ran = build(&project, &args).success();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    Image::open(&project.root().join("out.tar")).unwrap().assert_holds("h", "here\n");
    let ran = build(&project, &["--build-arg=BUILDKIT_INLINE_CACHE=1", "."]).success();
    assert!(ran.stderr.contains("warning: the build argument BUILDKIT_INLINE_CACHE has no effect"), "{}", ran.stderr);
    build(&project, &["--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=perhaps", "."]).failure(2);
}
