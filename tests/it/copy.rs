//! COPY and ADD: what goes where, with which owner and mode.

use expect_test::{Expect, expect};

use crate::support::base;
use crate::support::rootfs::dump_layer;
use crate::support::run::Project;
use crate::support::validate::{Rules, validate};
use crate::support::{leaks, tools};

const CONTEXT: &str = "
    //- Dockerfile
    FROM scratch
    //- a.txt mode=600
    a
    //- b.txt
    b
    //- run.sh mode=755
    run
    //- dir/one
    1
    //- dir/sub/two
    2
    //- dir/empty/ mode=700
    //- link -> a.txt
    //- dirlink -> dir
";

/// Builds from nothing with these instructions, and compares the entries of each layer.
#[track_caller]
fn check(lines: &str, expected: &Expect) {
    let project = Project::with(CONTEXT);
    check_in(&project, lines, expected);
}

#[track_caller]
fn check_in(project: &Project, lines: &str, expected: &Expect) {
    project.write(&format!("//- Dockerfile\nFROM scratch\n{lines}\n"));
    let output = project.root().join("app.tar");
    project.rbuild(["-t".as_ref(), "app".as_ref(), "-o".as_ref(), output.as_os_str(), ".".as_ref()]).run().success();
    let image = validate(&output, Rules::default());
    let layers: Vec<String> = image.layers.iter().map(|layer| dump_layer(&layer.entries)).collect();
    expected.assert_eq(&layers.join("--\n"));
    leaks::assert_none(project);
}

#[test]
fn a_file_takes_the_name_of_its_destination_or_keeps_its_own_in_a_folder() {
    check(
        "COPY a.txt /new\nCOPY a.txt /folder/\nCOPY a.txt b.txt /both/\nWORKDIR /w\nCOPY b.txt .",
        &expect![[r#"
        f 0600 0:0 2 315532800 87428fc52280 new
        --
        d 0755 0:0 - 315532800 - folder/
        f 0600 0:0 2 315532800 87428fc52280 folder/a.txt
        --
        d 0755 0:0 - 315532800 - both/
        f 0600 0:0 2 315532800 87428fc52280 both/a.txt
        f 0644 0:0 2 315532800 0263829989b6 both/b.txt
        --
        d 0755 0:0 - 315532800 - w/
        --
        d 0755 0:0 - 315532800 - w/
        f 0644 0:0 2 315532800 0263829989b6 w/b.txt
    "#]],
    );
}

#[test]
fn a_folder_gives_its_content_and_links_stay_links_inside_only() {
    check(
        "COPY dir /to\nCOPY dirlink /through\nCOPY link /file\nCOPY . /all/",
        &expect![[r#"
        d 0755 0:0 - 315532800 - to/
        d 0700 0:0 - 315532800 - to/empty/
        f 0644 0:0 2 315532800 4355a46b19d3 to/one
        d 0755 0:0 - 315532800 - to/sub/
        f 0644 0:0 2 315532800 53c234e5e847 to/sub/two
        --
        d 0755 0:0 - 315532800 - through/
        d 0700 0:0 - 315532800 - through/empty/
        f 0644 0:0 2 315532800 4355a46b19d3 through/one
        d 0755 0:0 - 315532800 - through/sub/
        f 0644 0:0 2 315532800 53c234e5e847 through/sub/two
        --
        f 0600 0:0 2 315532800 87428fc52280 file
        --
        d 0755 0:0 - 315532800 - all/
        f 0644 0:0 77 315532800 0796308e3264 all/Dockerfile
        f 0600 0:0 2 315532800 87428fc52280 all/a.txt
        f 0644 0:0 2 315532800 0263829989b6 all/b.txt
        d 0755 0:0 - 315532800 - all/dir/
        d 0700 0:0 - 315532800 - all/dir/empty/
        f 0644 0:0 2 315532800 4355a46b19d3 all/dir/one
        d 0755 0:0 - 315532800 - all/dir/sub/
        f 0644 0:0 2 315532800 53c234e5e847 all/dir/sub/two
        l - 0:0 - 315532800 - all/dirlink -> dir
        l - 0:0 - 315532800 - all/link -> a.txt
        f 0755 0:0 4 315532800 b5004f26a852 all/run.sh
    "#]],
    );
}

#[test]
fn wildcards_take_what_matches() {
    check(
        "COPY *.txt /t/\nCOPY d*/o?e /o/",
        &expect![[r#"
        d 0755 0:0 - 315532800 - t/
        f 0600 0:0 2 315532800 87428fc52280 t/a.txt
        f 0644 0:0 2 315532800 0263829989b6 t/b.txt
        --
        d 0755 0:0 - 315532800 - o/
        f 0644 0:0 2 315532800 4355a46b19d3 o/one
    "#]],
    );
}

#[test]
fn owners_and_modes_are_what_the_flags_say() {
    check(
        "COPY --chown=7:8 dir /d\nCOPY --chmod=640 run.sh /r\nCOPY --chown=5 --chmod=u+x,go= b.txt /x/b",
        &expect![[r#"
            d 0755 7:8 - 315532800 - d/
            d 0700 7:8 - 315532800 - d/empty/
            f 0644 7:8 2 315532800 4355a46b19d3 d/one
            d 0755 7:8 - 315532800 - d/sub/
            f 0644 7:8 2 315532800 53c234e5e847 d/sub/two
            --
            f 0640 0:0 4 315532800 b5004f26a852 r
            --
            d 0700 5:5 - 315532800 - x/
            f 0700 5:5 2 315532800 0263829989b6 x/b
        "#]],
    );
}

#[test]
fn what_another_stage_has_is_taken_with_its_owners_and_modes() {
    check(
        "COPY --chown=7:8 --chmod=711 run.sh /bin/r\nFROM scratch AS last\nCOPY --from=0 /bin /b\nCOPY --from=0 bin/r /",
        &expect![[r#"
            d 0755 0:0 - 315532800 - b/
            f 0711 7:8 4 315532800 b5004f26a852 b/r
            --
            f 0711 7:8 4 315532800 b5004f26a852 r
        "#]],
    );
}

#[test]
fn heredocs_are_files() {
    check(
        "COPY <<one <<\"two\" /h/\nfirst $HOME\none\nsecond $HOME\ntwo",
        &expect![[r#"
        d 0755 0:0 - 315532800 - h/
        f 0644 0:0 7 315532800 8f733ff019c9 h/one
        f 0644 0:0 13 315532800 bb8041a4847d h/two
    "#]],
    );
}

#[test]
fn an_archive_is_unpacked_by_add_and_copied_by_copy() {
    let project = Project::with(CONTEXT);
    let archive = project.context().join("dir.tar.gz");
    let dir = project.context().join("dir");
    let flags = ["--owner=3:3", "--group=4:4", "--sort=name", "--mtime=@1000"];
    let names = ["-czf".as_ref(), archive.as_os_str(), "-C".as_ref(), dir.as_os_str(), "one".as_ref(), "sub".as_ref()];
    tools::success("/bin/tar", flags.map(std::ffi::OsStr::new).into_iter().chain(names));
    check_in(
        &project,
        "ADD dir.tar.gz /unpacked/",
        &expect![[r#"
        d 0755 0:0 - 315532800 - unpacked/
        f 0644 3:4 2 1000 4355a46b19d3 unpacked/one
        d 0755 3:4 - 1000 - unpacked/sub/
        f 0644 3:4 2 1000 53c234e5e847 unpacked/sub/two
    "#]],
    );
    let output = project.root().join("app.tar");
    project.write("//- Dockerfile\nFROM scratch\nCOPY dir.tar.gz /\n");
    project.rbuild(["-t".as_ref(), "app".as_ref(), "-o".as_ref(), output.as_os_str(), ".".as_ref()]).run().success();
    let image = validate(&output, Rules::default());
    assert!(image.rootfs().unwrap().get("dir.tar.gz").is_some());
}

#[test]
fn a_missing_source_is_told_before_a_command_above_it_runs() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo long\nCOPY missing.txt /\n//- mising.txt\n");
    let ran = project.rbuild(["."]).run().failure(1);
    assert!(
        ran.stderr.contains("cannot find `missing.txt`") && !ran.stderr.contains("RUN echo long"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_owner_that_no_machine_has_is_the_fault_of_the_dockerfile() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY --chown=4294967296 a /\n//- a\n");
    let ran = project.rbuild(["."]).run().failure(1);
    assert!(ran.stderr.contains("ids go from 0 to 4294967294"), "{}", ran.stderr);
}
