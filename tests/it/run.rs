//! RUN: what a command sees, what comes of what it did, and what is kept from it.

use std::io::{BufRead, BufReader};

use expect_test::{Expect, expect};

use crate::support::docker::docker;
use crate::support::image::Image;
use crate::support::layer::Kind;
use crate::support::rootfs::dump_layer;
use crate::support::run::Project;
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

/// Builds a Dockerfile of these lines and judges the image.
#[track_caller]
fn built(lines: &str) -> (Project, Image) {
    let project = base::project(&format!("//- Dockerfile\nFROM busybox\n{lines}\n"));
    project.rbuild(["-t", "app", "."]).run().success();
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    leaks::assert_none(&project);
    (project, image)
}

/// Builds, and compares the entries of the last layer.
#[track_caller]
fn check_last_layer(lines: &str, expected: &Expect) -> (Project, Image) {
    let (project, image) = built(lines);
    expected.assert_eq(&dump_layer(&image.layers.last().unwrap().entries));
    (project, image)
}

/// The lines that a command prints, as the log has them.
#[track_caller]
fn printed(lines: &str, flags: &[&str]) -> String {
    let project = base::project(&format!("//- Dockerfile\nFROM busybox\n{lines}\n"));
    let ran = project.rbuild(flags.iter().chain(&["."])).run().success();
    let last = ran.stderr.lines().filter_map(|line| line.split_once(' ')).filter_map(|(_, rest)| rest.split_once(' '));
    let shown = last.filter(|(time, _)| time.len() >= 5 && time.parse::<f64>().is_ok());
    shown.map(|(_, text)| format!("{text}\n")).collect()
}

#[test]
fn what_is_removed_and_made_again_becomes_whiteouts_and_opaque_folders() {
    let (project, image) = check_last_layer(
        "RUN mkdir -p /d/sub && echo 1 >/d/old && echo 2 >/d/sub/f && echo 3 >/gone && mkdir /all && echo 4 >/all/x\n\
         RUN rm /gone && rm -r /all && rm -r /d && mkdir /d && echo 5 >/d/new && rm /bin/vi && ln -s /bin/sh /bin/vi",
        &expect![[r#"
            f 0000 0:0 0 315532800 e3b0c44298fc .wh.all
            d 0755 0:0 - 315532800 - bin/
            l - 0:0 - 315532800 - bin/vi -> /bin/sh
            d 0755 0:0 - 315532800 - d/
            f 0000 0:0 0 315532800 e3b0c44298fc d/.wh..wh..opq
            f 0644 0:0 2 315532800 f0b5c2c2211c d/new
            f 0000 0:0 0 315532800 e3b0c44298fc .wh.gone
        "#]],
    );
    let rootfs = image.rootfs().unwrap();
    for gone in ["gone", "all", "all/x", "d/old", "d/sub", "d/sub/f"] {
        assert!(rootfs.get(gone).is_none(), "{gone}");
    }
    assert!(matches!(&rootfs.get("bin/vi").unwrap().kind, Kind::Symlink(target) if target == b"/bin/sh"));
    assert!(rootfs.get("d/new").is_some());
    docker().load(&project.context().join("app.tar"));
    let seen = docker().run("app", &["sh", "-c", "ls -d /gone /all /d/* 2>/dev/null; readlink /bin/vi"]);
    assert_eq!(seen, "/d/new\n/bin/sh\n");
}

#[test]
fn kinds_of_files_change_into_one_another() {
    let (_, image) = check_last_layer(
        "RUN mkdir /dir && echo >/dir/x && echo >/file && ln -s dir /link\n\
         RUN rm -r /dir && echo >/dir && rm /file && mkdir /file && echo >/file/y && rm /link && mkdir /link",
        &expect![[r#"
            f 0644 0:0 1 315532800 01ba4719c80b dir
            d 0755 0:0 - 315532800 - file/
            f 0000 0:0 0 315532800 e3b0c44298fc file/.wh..wh..opq
            f 0644 0:0 1 315532800 01ba4719c80b file/y
            d 0755 0:0 - 315532800 - link/
            f 0000 0:0 0 315532800 e3b0c44298fc link/.wh..wh..opq
        "#]],
    );
    let rootfs = image.rootfs().unwrap();
    assert!(rootfs.get("dir/x").is_none() && rootfs.get("file/y").is_some());
}

#[test]
fn links_modes_owners_and_pipes_are_kept() {
    check_last_layer(
        "RUN cd /tmp && echo 1 >a && ln a b && ln -s nowhere c && mkfifo p && chmod 4751 a && chown 7:8 p && mkdir -m 1700 d",
        &expect![[r#"
            d 1777 0:0 - 315532800 - tmp/
            f 4751 0:0 2 315532800 4355a46b19d3 tmp/a
            h 4751 0:0 - 315532800 - tmp/b -> tmp/a
            l - 0:0 - 315532800 - tmp/c -> nowhere
            d 1700 0:0 - 315532800 - tmp/d/
            p 0644 7:8 - 315532800 - tmp/p
        "#]],
    );
}

#[test]
fn a_command_that_changes_nothing_has_a_layer_without_its_mount_points() {
    // Docker's files in /etc, /dev, /proc and /sys are the sandbox's and not the image's.
    let (_, image) =
        check_last_layer("RUN cat /etc/resolv.conf /etc/hosts >/dev/null; ls /proc /sys /dev >/dev/null", &expect![""]);
    let rootfs = image.rootfs().unwrap();
    for path in ["etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/null", "dev/shm", ".dockerenv"] {
        assert!(rootfs.get(path).is_none(), "{path}");
    }
}

#[test]
fn hosts_and_resolv_conf_are_there_and_no_part_of_the_layer() {
    check_last_layer(
        "RUN grep localhost /etc/hosts && test -f /etc/resolv.conf && echo 1.2.3.4 me >>/etc/hosts; echo >/made",
        &expect![[r#"
            f 0644 0:0 1 315532800 01ba4719c80b made
        "#]],
    );
}

#[test]
fn no_device_can_be_opened_in_any_mount() {
    // 7:0 is a loop device, which every machine knows. A mount that cannot be written to refuses, too. What is mounted on
    // a node of /dev is that one node, and in /dev/pts, where terminals are, the kernel makes no others.
    let script = "bad=0; for d in / /dev /dev/shm /tmp $(awk '{print $5}' /proc/self/mountinfo); do \
                  [ -d $d ] || continue; rm -f $d/node; mknod $d/node b 7 0 2>/dev/null || continue; \
                  if head -c 1 $d/node >/dev/null 2>&1; then echo open $d; bad=1; fi; rm $d/node; done; \
                  awk '{print $5,$6}' /proc/self/mountinfo | while read path options; do \
                  [ -c $path -o $path = /dev/pts ] || case ,$options, in *,nodev,*) ;; *) echo $path $options ;; esac; done; exit $bad";
    assert_eq!(printed(&format!("RUN {script}"), &[]), "");
}

#[test]
fn the_environment_is_the_images_and_docker_s() {
    let lines = "ENV A=1 PATH=/x:/bin\nARG B=2\nARG C\nARG UNUSED\nWORKDIR /w\n";
    expect![[r#"
        A=1
        B=2
        C=3
        HOME=/root
        PATH=/x:/bin
        PWD=/w
        SHLVL=1
        SOURCE_DATE_EPOCH=315532800
        /w
        uid=0(root) gid=0(root) groups=0(root)
    "#]]
    .assert_eq(&printed(&format!("{lines}RUN env | sort; pwd; id"), &["--build-arg", "C=3"]));
    expect![[r#"
        A=1
        B=2
        HOME=/usr/sbin
        PATH=/x:/bin
        PWD=/w
        SHLVL=1
        SOURCE_DATE_EPOCH=315532800
        /w
        uid=1(daemon) gid=1(daemon) groups=1(daemon)
    "#]]
    .assert_eq(&printed(&format!("{lines}USER daemon\nRUN env | sort; pwd; id"), &[]));
    expect![[r#"
        /
        1234
        0
        2
    "#]]
    .assert_eq(&printed("USER 1234\nRUN echo $HOME; id -u; id -g; echo $$", &[]));
    expect![[r#"
        /h
        65534
        1
        0022
    "#]]
    .assert_eq(&printed("ENV HOME=/h\nUSER nobody:daemon\nRUN echo $HOME; id -u; id -g; umask", &[]));
    expect![[r#"
        sh
        $HOME
    "#]]
    .assert_eq(&printed(
        "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN echo \"$0\"\nRUN [\"/bin/echo\", \"$HOME\"]",
        &[],
    ));
}

#[test]
fn the_exit_status_is_the_commands() {
    for status in [1, 2, 42, 255] {
        let project = base::project(&format!("//- Dockerfile\nFROM busybox\nRUN exit {status}\n"));
        project.rbuild(["."]).run().failure(status);
    }
}

#[test]
fn output_comes_while_the_command_runs() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo first; sleep 1000\n");
    let mut child = project.rbuild(["."]).spawn();
    let stderr = child.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with(" first")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(lines.any(|line| line.contains("CANCELLED")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_runs_on_in_the_background_ends_with_the_step() {
    let (_, image) = built("RUN (sleep 1000; echo >/late) & echo >/early");
    let rootfs = image.rootfs().unwrap();
    assert!(rootfs.get("early").is_some() && rootfs.get("late").is_none());
}

#[test]
fn commands_that_change_nothing_stand_on_each_other() {
    // Their layers are one and the same.
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN true\nRUN : 1\nRUN : 2\nRUN touch /a && rm /a\n");
    assert_eq!(project.rbuild(["."]).run().success().counts(), (0, 4));
}

#[test]
fn a_layer_that_comes_again_counts_as_it_came_last() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        COPY f /dir/f
        RUN echo other >/dir/f
        COPY f /dir/f
        RUN rm -r /dir
        COPY f /dir/f
        RUN grep content /dir/f
        //- f
        content
        ",
    );
    project.rbuild(["."]).run().success();
}
