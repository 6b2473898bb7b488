//! What the machine, the store or a registry does not have or allow.

use std::fs;
use std::process::Command;

use expect_test::expect;

use super::check::{bound_by_modes, check, check_call, set_mode, shown};
use crate::support::run::{Project, Ran};
use crate::support::{base, leaks, tools};

/// A small tmpfs at the project's store, for as long as this lives.
struct SmallStore<'a>(&'a Project);

impl<'a> SmallStore<'a> {
    fn mounted(project: &'a Project, size: &str) -> Self {
        let path = project.store();
        fs::create_dir(&path).unwrap();
        let options = format!("mode=700,size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "cannot mount a tmpfs: this test needs root");
        Self(project)
    }
}

impl Drop for SmallStore<'_> {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.store()).status().is_ok_and(|status| status.success());
        assert!(done || std::thread::panicking(), "cannot unmount `{}`", self.0.store().display());
    }
}

#[test]
fn a_base_image_that_nobody_has() {
    let host = base::registry().host();
    let project = base::project(&format!("//- Dockerfile\nFROM {host}/nosuch:1.0\nRUN true\n"));
    let ran = project.rbuild(["."]).run().failure(3);
    // The caret's length follows the port's.
    let stderr =
        shown(&ran).lines().filter(|line| !line.contains('^')).map(|line| format!("{line}\n")).collect::<String>();
    expect![[r#"
        pull [REGISTRY]/nosuch:1.0
        error[pull-failed]: image not found: `[REGISTRY]` has no `[REGISTRY]/nosuch:1.0`; check the name and the tag
         --> Dockerfile:1:6
          |
        1 | FROM [REGISTRY]/nosuch:1.0
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn a_registry_that_is_down() {
    // Nothing listens there.
    let project = Project::with("//- Dockerfile\nFROM 127.0.0.1:1/team/base:2\n");
    check(
        &project,
        &["."],
        3,
        &expect![[r#"
        pull 127.0.0.1:1/team/base:2
        error[pull-failed]: cannot pull `127.0.0.1:1/team/base:2`: cannot connect to `127.0.0.1:1`: connection refused
         --> Dockerfile:1:6
          |
        1 | FROM 127.0.0.1:1/team/base:2
          |      ^^^^^^^^^^^^^^^^^^^^^^^ this image is needed
          |
          = help: is the registry running, and is the name right?
    "#]],
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY . /\n//- key.pem mode=000\n");
    check_call(
        &project,
        bound_by_modes(&project, &["."]),
        1,
        &expect![[r#"
        #1 [1/1] COPY . /
        #1 FAILED [ELAPSED]
        error[copy-failed]: cannot open `[ROOT]/context/key.pem`: permission denied
         --> Dockerfile:2:1
          |
        2 | COPY . /
          | ^^^^^^^^ this cannot be copied
          |
          = help: make it readable for the user who builds, or leave it out with a line in `.dockerignore`
    "#]],
    );
    fs::remove_file(project.context().join("key.pem")).unwrap();
    project.write("//- closed/ mode=000\n");
    check_call(
        &project,
        bound_by_modes(&project, &["."]),
        1,
        &expect![[r#"
        #1 [1/1] COPY . /
        #1 FAILED [ELAPSED]
        error[copy-failed]: cannot list `[ROOT]/context/closed`: permission denied
         --> Dockerfile:2:1
          |
        2 | COPY . /
          | ^^^^^^^^ this cannot be copied
          |
          = help: make it readable for the user who builds, or leave it out with a line in `.dockerignore`
    "#]],
    );
}

#[test]
fn a_full_disk_while_pulling_running_and_copying() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN head -c 9000000 /dev/zero >/x\n");
    let redacted = |ran: Ran| -> String {
        let words = |line: &str| {
            let word =
                |word: &str| if word.contains("[STORE]/tmp/") { "`[FILE]`:".to_owned() } else { word.to_owned() };
            line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n"
        };
        shown(&ran).lines().map(words).collect()
    };
    let small = SmallStore::mounted(&project, "300k");
    let ran = project.rbuild(["."]).run().failure(4);
    expect![[r#"
        error[pull-failed]: cannot pull `busybox:latest`: cannot write `[FILE]`: no space left on the device
         --> Dockerfile:1:6
          |
        1 | FROM busybox
          |      ^^^^^^^ this image is needed
          |
          = help: `rbuild prune` makes room in the store, also when nothing is free
    "#]]
    .assert_eq(&redacted(ran));
    drop(small);
    fs::remove_dir(project.store()).unwrap();
    let small = SmallStore::mounted(&project, "8m");
    // What the shell says depends on its version; the hint is ours.
    let ran = project.rbuild(["."]).run().failure(1);
    let stderr = shown(&ran);
    assert!(stderr.contains("help: the disk of the store is full, which may be the cause: `rbuild prune`"), "{stderr}");
    fs::write(project.context().join("big"), vec![b'x'; 9_000_000]).unwrap();
    project.write("//- Dockerfile\nFROM scratch\nCOPY big /\n");
    let ran = project.rbuild(["."]).run().failure(4);
    expect![[r#"
        #1 [1/1] COPY big /
        #1 FAILED [ELAPSED]
        error[step-failed]: cannot write the layer: cannot write `[FILE]`: no space left on the device
         --> Dockerfile:2:1
          |
        2 | COPY big /
          | ^^^^^^^^^^ this failed
          |
          = help: `rbuild prune` makes room in the store, also when nothing is free
    "#]]
    .assert_eq(&redacted(ran));
    // What failed left nothing that takes room, and a smaller build works.
    assert_eq!(leaks::files_below(&project.store().join("tmp")), Vec::<std::path::PathBuf>::new());
    fs::write(project.context().join("big"), "small").unwrap();
    project.rbuild(["."]).run().success();
    drop(small);
}

#[test]
fn a_store_that_cannot_be_written() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n");
    fs::create_dir(project.store()).unwrap();
    set_mode(&project.store(), 0o500);
    check_call(
        &project,
        bound_by_modes(&project, &["."]),
        4,
        &expect![[r#"
        error: cannot create the folder `[STORE]/blobs`: permission denied
        hint: the store must be a folder that you own and can write to; name another one with `--store DIR`
    "#]],
    );
    set_mode(&project.store(), 0o700);
    std::os::unix::fs::chown(project.store(), Some(65534), None).unwrap();
    check(
        &project,
        &["."],
        4,
        &expect![[r#"
        error: `[STORE]` cannot be used as a store: it belongs to user 65534, not to user 0 who runs this build
    "#]],
    );
}

#[test]
fn commands_without_root() {
    // Every user can look into this folder, which the project's is not.
    let dir = tempfile::Builder::new().prefix("rbuild-it-").tempdir_in("/tmp").unwrap();
    set_mode(dir.path(), 0o755);
    let program = dir.path().join("rbuild");
    tools::copy_program(env!("CARGO_BIN_EXE_rbuild"), &program);
    fs::write(dir.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\nRUN true\n").unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let project = Project::new();
    let call = || {
        let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let args = user.iter().map(Into::into).chain([program.clone().into_os_string(), ".".into()]);
        let call = project.program("setpriv", args.collect::<Vec<std::ffi::OsString>>());
        call.current_dir(dir.path()).env("HOME", &home).env("RBUILD_STORE", home.join("store"))
    };
    check_call(
        &project,
        call(),
        6,
        &expect![[r#"
        error: this machine cannot run commands: RUN needs root, and this is another user
        hint: run rbuild as root, for example with sudo
    "#]],
    );
    fs::write(dir.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    call().run().success();
}
