//! Builds by a user without any privilege: all but RUN works, and RUN says what it lacks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::support::base;
use crate::support::docker::docker;
use crate::support::run::{Call, Project};
use crate::support::tools;
use crate::support::validate::{Rules, validate};

const NOBODY: u32 = 65534;

/// A project that belongs to nobody.
fn project(dockerfile: &str) -> Project {
    let project = Project::with("//- story.txt\nonce\n//- dir/run.sh mode=755\n#!/bin/sh\n");
    fs::write(project.context().join("Dockerfile"), dockerfile).unwrap();
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    for folder in project.root().ancestors().skip(1) {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert!(mode & 0o001 != 0, "users cannot reach `{}`: set TMPDIR to a folder that they can", folder.display());
    }
    fs::set_permissions(project.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for entry in walkdir::WalkDir::new(project.root()) {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // The program itself may lie where only root can go.
    tools::copy_program(env!("CARGO_BIN_EXE_rbuild"), project.root().join("rbuild"));
    project
}

fn rbuild<'a>(project: &'a Project, args: &[&str]) -> Call<'a> {
    let program = project.root().join("rbuild").display().to_string();
    let identity = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--no-new-privs", &program];
    project.program("/usr/bin/setpriv", identity.iter().chain(args))
}

#[track_caller]
fn check_files_of_root(archive: &Path, rules: Rules) {
    let image = validate(archive, rules);
    let rootfs = image.rootfs().unwrap();
    assert_eq!((rootfs.get("story.txt").unwrap().uid, rootfs.get("story.txt").unwrap().gid), (0, 0));
    assert_eq!(rootfs.get("owned/run.sh").unwrap().uid, 7);
    assert_eq!(rootfs.get("made/here").unwrap().uid, 0);
}

const STEPS: &str =
    "COPY story.txt /\nCOPY --chown=7:8 dir /owned\nWORKDIR /made/here\nCMD [\"cat\", \"/story.txt\"]\n";

#[test]
fn copies_need_no_privilege() {
    let project = project(&format!("FROM scratch\n{STEPS}"));
    rbuild(&project, &["-t", "app", "."]).run().success();
    check_files_of_root(&project.context().join("app.tar"), Rules::default());
    let again = rbuild(&project, &["-t", "app", "."]).run().success();
    assert_eq!(again.counts(), (3, 0), "{}", again.stderr);
}

#[test]
fn copies_onto_a_pulled_base_need_no_privilege() {
    let project = project(&format!("FROM busybox\n{STEPS}COPY --chown=nobody:daemon story.txt /named\n"));
    rbuild(&project, &["-t", "unprivileged:1", "."]).run().success();
    let archive = project.context().join("unprivileged.tar");
    check_files_of_root(&archive, Rules { base_layers: 1, ..Rules::default() });
    assert_eq!(docker().load(&archive), ["unprivileged:1"]);
    assert_eq!(docker().run("unprivileged:1", &[]), "once\n");
    assert_eq!(docker().run("unprivileged:1", &["stat", "-c", "%U:%G", "/named"]), "nobody:daemon\n");
    let pushed = base::registry().name("unprivileged/app:1");
    rbuild(&project, &["-t", &pushed, "--push", "."]).run().success();
    tools::skopeo_inspect(&format!("docker://{pushed}"), &[]);

    // Root gets the same image.
    let ids = ["unprivileged:1"].map(|name| docker().inspect(name)["Id"].clone());
    let by_root = project.rbuild(["-q", "--store=../other-store", "-o", "type=image", "."]).run().success();
    assert_eq!(ids[0], by_root.raw_stdout.trim());
}

#[test]
fn copies_from_another_image_need_no_privilege() {
    let project =
        project("FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin /bin\nCOPY --from=tools /etc/passwd /\n");
    rbuild(&project, &["-t", "app", "."]).run().success();
    let image = validate(&project.context().join("app.tar"), Rules::default());
    assert!(image.rootfs().unwrap().get("bin/busybox").is_some());
}

#[test]
fn a_run_without_privilege_says_what_is_lacking() {
    let project = project("FROM busybox\nRUN true\n");
    let ran = rbuild(&project, &["-t", "app", "."]).run().failure(6);
    // At once, before anything is pulled.
    let expected = "error: this machine cannot run commands: RUN needs root, and this is another user\n\
                    hint: run rbuild as root, for example with sudo\n";
    assert_eq!(ran.stderr, expected);
}
