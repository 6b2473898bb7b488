//! `RUN --device`: devices that CDI files describe, end to end.

use std::fs;

use expect_test::expect;

use crate::mounts::{project, write};
use crate::support::image::Image;
use crate::support::leaks;
use crate::support::run::{Project, Ran};

/// Devices that every machine has under other names, and what else a CDI file may lend.
const CDI: &str = r#"
cdiVersion: "0.6.0"
kind: vendor1.com/device
containerEdits:
  env: ["SHARED=every device"]
devices:
- name: zeros
  containerEdits:
    env: ["ZEROS=yes"]
    deviceNodes:
    - {path: /dev/vendor/zeros, hostPath: /dev/zero}
- name: files
  containerEdits:
    deviceNodes:
    - {path: /opt/nothing, hostPath: /dev/null, fileMode: 0640, uid: 5, gid: 6}
    - {path: /opt/full, type: c, major: 1, minor: 7}
    mounts:
    - {hostPath: "[LENT]", containerPath: /usr/lent, options: [ro, nosuid, nodev, rbind, rprivate]}
    additionalGids: [44]
- name: hooked
  containerEdits:
    hooks:
    - {hookName: createContainer, path: /usr/bin/vendor-hook}
"#;

const ALL: &str = "--allow=device";

/// A project with `CDI` in the folder `cdi`, and something to lend.
#[track_caller]
fn with_devices(dockerfile: &str) -> Project {
    let project = project(dockerfile);
    let lent = project.root().join("lent");
    fs::create_dir(&lent).unwrap();
    fs::write(lent.join("library"), "from the host\n").unwrap();
    write(&project, "cdi/vendor.yaml", &CDI.replace("[LENT]", &lent.display().to_string()));
    project
}

fn build(project: &Project, flags: &[&str]) -> Ran {
    let fixed = ["--progress=plain", "--cdi-spec-dir=cdi", "-o", "type=oci,dest=../out.tar", "."];
    project.rbuild(flags.iter().copied().chain(fixed)).run()
}

#[test]
fn a_command_gets_nodes_variables_files_and_groups_and_its_layer_keeps_none_of_them() {
    let project = with_devices(
        "RUN --device=vendor1.com/device=zeros --device=vendor1.com/device=files \\\n\
         [ \"$(head -c 3 /dev/vendor/zeros | cat -v)\" = '^@^@^@' ] && [ \"$ZEROS $SHARED\" = 'yes every device' ] && \\\n\
         [ \"$(stat -c '%F %t:%T %a %u:%g' /opt/nothing)\" = 'character special file 1:3 640 5:6' ] && \\\n\
         echo x > /opt/nothing && ! (echo x > /opt/full) && grep 'from the host' /usr/lent/library && \\\n\
         ! touch /usr/lent/new && id | grep 44 && touch /made",
    );
    build(&project, &[ALL]).success();
    let dump = Image::open(&project.root().join("out.tar")).unwrap().rootfs().unwrap().dump();
    assert!(dump.contains(" /made"), "{dump}");
    for absent in ["/dev/vendor", "/opt", "/usr/lent"] {
        assert!(!dump.contains(absent), "{absent} stays in {dump}");
    }
    assert!(!project.root().join("lent/new").exists());
    leaks::assert_none(&project);
}

#[test]
fn a_command_without_the_flag_sees_no_device() {
    let project = with_devices(
        "RUN --device=vendor1.com/device=zeros ls /dev/vendor/zeros\nRUN ! ls /dev/vendor && [ -z \"$ZEROS\" ]",
    );
    build(&project, &[ALL]).success();
}

#[test]
fn a_user_owns_nodes_that_nobody_else_is_named_for() {
    let project = with_devices(
        "USER 7:8\nRUN --device=vendor1.com/device [ \"$(stat -c %u:%g /opt/full)\" = 7:8 ] && ls /opt/nothing",
    );
    // The first device of the kind is `files`.
    build(&project, &[ALL]).success();
}

#[test]
fn the_devices_that_were_given_are_part_of_the_key_and_what_is_behind_them_is_not() {
    let project = with_devices("RUN --device=vendor1.com/device=zeros,required --device=vendor1.com/other=a true");
    let ran = build(&project, &[ALL]).success();
    let note = "note: there is no device `vendor1.com/other=a`, which `RUN --device=vendor1.com/device=zeros,required";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);
    let other = "{\"cdiVersion\": \"0.5.0\", \"kind\": \"vendor1.com/other\", \"devices\": [{\"name\": \"a\", \
                 \"containerEdits\": {\"env\": [\"A=1\"]}}]}";
    write(&project, "ignored/cdi/other.json", other);
    let again = build(&project, &["--allow=device=vendor1.com/device=zeros"]).success();
    assert!(again.stderr.contains("2 cached, 0 ran"), "{}", again.stderr);
    let both = ["--cdi-spec-dir=ignored/cdi", ALL];
    let ran = build(&project, &both).success();
    assert!(ran.stderr.contains("runs because --device"), "{}", ran.stderr);
    write(&project, "ignored/cdi/other.json", &other.replace("A=1", "A=2"));
    assert!(build(&project, &both).success().stderr.contains("2 cached, 0 ran"));
}

#[test]
fn a_device_that_is_not_allowed_missing_or_beyond_us_is_told_before_anything_runs() {
    let project = with_devices("RUN true\nRUN --device=vendor1.com/device=hooked,required true");
    let fail = |flags: &[&str]| build(&project, flags).failure(1).stderr;
    expect![[r#"
        error[device-failed]: the device `vendor1.com/device=hooked` is not allowed
         --> Dockerfile:5:14
          |
        5 | RUN --device=vendor1.com/device=hooked,required true
          |              ^^^^^^^^^^^^^^^^^^^^^^^^^ this device is asked for
          |
          = help: if you trust this Dockerfile, build with `--allow device=vendor1.com/device=hooked`
    "#]]
    .assert_eq(&fail(&[]));
    expect![[r#"
        error[device-failed]: the device `vendor1.com/device=hooked` asks for a hook `createContainer` that runs `/usr/bin/vendor-hook` on the host, which rbuild cannot give: `cdi/vendor.yaml:23`
         --> Dockerfile:5:14
          |
        5 | RUN --device=vendor1.com/device=hooked,required true
          |              ^^^^^^^^^^^^^^^^^^^^^^^^^ this device is asked for
    "#]].assert_eq(&fail(&[ALL]));
    write(&project, "Dockerfile", "FROM scratch\nRUN --device=vendor1.com/device=zero,required true\n");
    write(&project, "cdi/broken.yaml", "cdiVersion: 0.6.0\nkind: vendor1.com\ndevices: []\n");
    expect![[r#"
        error[device-failed]: there is no device `vendor1.com/device=zero`
         --> Dockerfile:2:14
          |
        2 | RUN --device=vendor1.com/device=zero,required true
          |              ^^^^^^^^^^^^^^^^^^^^^^^ this device is asked for
          |
          = note: `cdi/broken.yaml:2`: `vendor1.com` is no kind of devices: write `vendor/class`
          = help: did you mean `vendor1.com/device=zeros`?
    "#]]
    .assert_eq(&fail(&[ALL]));
    write(&project, "Dockerfile", "FROM scratch\nRUN --device=gpu,required true\n");
    expect![[r#"
        error[device-failed]: there is no device `gpu`
         --> Dockerfile:2:14
          |
        2 | RUN --device=gpu,required true
          |              ^^^ this device is asked for
          |
          = note: `cdi/broken.yaml:2`: `vendor1.com` is no kind of devices: write `vendor/class`
          = help: its CDI file, `.json` or `.yaml`, belongs in `cdi`
    "#]]
    .assert_eq(&fail(&["--allow=device=vendor1.com/device=zeros"]));
    let ran = project.rbuild(["--cdi-spec-dir=cdj", "."]).run().failure(1);
    expect![[r#"
        error: there is no folder `cdj` with CDI files
        hint: did you mean `--cdi-spec-dir cdi`?
    "#]]
    .assert_eq(&ran.stderr);
    let ran = project.rbuild(["--allow=device=a,b", "."]).run().failure(2);
    expect![[r#"
        error: `b` is no option of `--allow device`
        hint: write `--allow device=NAME` or `--allow device=NAME,alias=NAME`
    "#]]
    .assert_eq(&ran.stderr);
}

#[test]
fn an_alias_stands_for_a_device_and_allows_it() {
    let project = with_devices("RUN --device=gpu,required [ \"$ZEROS\" = yes ]");
    build(&project, &["--allow=device=vendor1.com/device=zeros,alias=gpu"]).success();
}

#[test]
fn a_node_that_the_machine_lacks_is_told_with_its_device() {
    let project = with_devices("RUN --device=vendor1.com/gone,required true");
    let cdi = "cdiVersion: 0.6.0\nkind: vendor1.com/gone\ndevices:\n- name: a\n  containerEdits:\n    deviceNodes:\n    - path: /dev/gone\n";
    write(&project, "cdi/gone.yaml", cdi);
    let told = build(&project, &[ALL]).failure(1).stderr;
    assert!(
        told.contains("the device `vendor1.com/gone=a` needs the node `/dev/gone` of this machine: it is not there"),
        "{told}"
    );
}
