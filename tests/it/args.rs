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
    let ran = build(&project, &["--build-arg=BUILDKIT_ATTEST_SBOM=1", "."]).success();
    assert!(ran.stderr.contains("warning: the build argument BUILDKIT_ATTEST_SBOM has no effect"), "{}", ran.stderr);
    build(&project, &["--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=perhaps", "."]).failure(2);
}

#[test]
fn arguments_for_scanners_change_no_step_and_are_taken_in_silence() {
    let project = base::project(
        "
        //- Dockerfile
        ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
        FROM busybox
        ARG BUILDKIT_SBOM_SCAN_STAGE=true
        ARG BUILDKIT_SBOM_SCAN_CONTEXT
        RUN env | grep -c SBOM >/count; echo \"<$BUILDKIT_SBOM_SCAN_STAGE>\" >/value
        ",
    );
    let ran = build(&project, &["."]).success();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    image.assert_holds("count", "0\n");
    image.assert_holds("value", "<>\n");
    let other = ["--build-arg=BUILDKIT_SBOM_SCAN_STAGE=false", "--build-arg=BUILDKIT_SBOM_SCAN_CONTEXT=false", "."];
    let ran = build(&project, &other).success();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(ran.counts(), (1, 0), "{}", ran.stderr);
}

#[test]
fn arguments_of_a_file_are_arguments_like_any_other_and_the_command_line_counts_more() {
    let project = Project::with(
        "
        //- Dockerfile
        FROM scratch
        ARG ONE
        ARG TWO
        ARG THREE
        LABEL one=$ONE two=$TWO three=$THREE
        COPY file-$ONE /
        //- file-1
        //- file-2
        //- first.args
        # comments, and empty lines

        ONE=1
        TWO=from the first
        //- second.args
        TWO=a = \"b\"
        THREE
        ",
    );
    let labels = |args: &[&str]| {
        let archive = project.root().join("out.tar").display().to_string();
        let call = project.rbuild(args.iter().copied().chain(["-o", &archive, "."])).env("THREE", "outside");
        let ran = call.run().success();
        let image = Image::open(&project.root().join("out.tar")).unwrap();
        (image.config["config"]["Labels"].to_string(), ran.stderr)
    };
    let files = ["--build-arg-file=first.args", "--build-arg-file=second.args"];
    let (told, _) = labels(&files);
    assert_eq!(told, r#"{"one":"1","three":"outside","two":"a = \"b\""}"#);
    let (told, said) = labels(&[&["--build-arg=ONE=2"], &files[..]].concat());
    assert_eq!(told, r#"{"one":"2","three":"outside","two":"a = \"b\""}"#);
    assert!(said.contains("file-2"), "{said}");
    // The same from another place is the same.
    let given = ["--build-arg=ONE=2", "--build-arg=TWO=a = \"b\"", "--build-arg=THREE=outside"];
    assert!(labels(&given).1.contains("1 cached, 0 ran"));
}

#[test]
fn a_step_says_that_an_argument_of_a_file_changed_and_a_secret_one_is_told_nowhere() {
    let project = base::project(
        "//- Dockerfile\nFROM busybox\nARG API_TOKEN\nARG LEVEL\nRUN true\n//- args\nAPI_TOKEN=canary-3141\nLEVEL=1\n",
    );
    let build = |args: &[&str]| project.rbuild(args.iter().chain(&["--build-arg-file=args", "."])).run().success();
    build(&[]);
    fs::write(project.context().join("args"), "API_TOKEN=canary-3141\nLEVEL=2\n").unwrap();
    let why = build(&["why"]);
    assert!(why.stdout.contains("because build argument LEVEL changed"), "{}", why.stdout);
    fs::write(project.context().join("args"), "API_TOKEN=canary-2718\nLEVEL=1\n").unwrap();
    let why = build(&["why"]);
    assert!(why.stdout.contains("build argument API_TOKEN changed"), "{}", why.stdout);
    let ran = build(&["--explain"]);
    for text in [&why.stdout, &why.stderr, &ran.stdout, &ran.stderr] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_wrong_file_of_arguments_is_told_with_its_line_and_without_its_values() {
    let project = Project::with(
        "//- Dockerfile\nFROM scratch\n//- good.args\nA=1\n//- wrong.args\nA=1\nexport TOKEN=canary-3141\n=canary-3141\n",
    );
    let fail = |file: &str| project.rbuild([&format!("--build-arg-file={file}"), "."]).run().failure(1).stderr;
    expect_test::expect![[r#"
        error[build-arg-file]: the name of a build argument cannot hold a space
         --> wrong.args:2:7
          |
        2 | export …
          |       ^
          |
          = help: leave `export` out: the file is not a shell's

        error[build-arg-file]: a build argument has no name
         --> wrong.args:3:1
          |
        3 | =…
          | ^
          |
          = help: write `NAME=VALUE`, without quotes: the value is everything up to the end of the line
    "#]]
    .assert_eq(&fail("wrong.args"));
    expect_test::expect![[r#"
        error: cannot read the file of build arguments: cannot open `god.args`: no such file or directory
        hint: did you mean `--build-arg-file good.args`?
    "#]]
    .assert_eq(&fail("god.args"));
}
