//! Two images compared, and two builds.

use std::fs;
use std::path::Path;

use expect_test::expect;

use crate::support::run::Project;
use crate::support::{base, leaks};

/// Puts other text in place of some of the Dockerfile's.
#[track_caller]
fn edit(project: &Project, from: &str, to: &str) {
    let path = project.context().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn two_images_are_compared_in_words_wherever_they_are() {
    let project = base::project(
        "
        //- Dockerfile
        FROM scratch
        ENV LEVEL=1
        COPY a b /x/
        //- a
        a
        //- b
        b
        ",
    );
    let build = |name: &str| {
        let (archive, layout) = (format!("type=docker,dest={name}.tar"), format!("type=oci,dest={name}.oci,tar=false"));
        let oci = format!("type=oci,dest={name}-oci.tar");
        let flags = ["-t", name, "-o", "type=image", "-o", &archive, "-o", &layout, "-o", &oci, "."];
        project.rbuild(flags).run().success();
    };
    build("one");
    edit(&project, "LEVEL=1", "LEVEL=2");
    edit(&project, "COPY a b /x/", "COPY --chmod=600 a /x/\nCOPY c /x/");
    project.write("//- a\naa\n//- c\nc\n");
    build("two");
    let diff = |left: &str, right: &str| project.rbuild(["diff", left, right]).run();
    expect![[r#"
        config: 6 differences
          config.Env.LEVEL: 1 → 2
          history: ENV LEVEL=1 → nothing
          history: COPY a b /x/ # buildkit → nothing
          history: nothing → ENV LEVEL=2
          history: nothing → COPY --chmod=600 a /x/ # buildkit
          history: nothing → COPY c /x/ # buildkit
        layers: 0 shared
          - layer 1 db521db06287 (4 B of files)
          + layer 1 3b141187742d (3 B of files)
          + layer 2 579e91bcb3af (2 B of files)
        files: 4 differences
          ~ /x: mode 755 → 600
          ~ /x/a: size 2 → 3, mode 644 → 600
          - /x/b
          + /x/c
    "#]]
    .assert_eq(&diff("one", "two").failure(1).stdout);
    let told = diff("one", "two").stdout;
    for (left, right) in [("one.tar", "./two.oci"), ("./one.oci", "two-oci.tar"), ("one-oci.tar", "two.tar")] {
        assert_eq!(diff(left, right).failure(1).stdout, told, "{left} {right}");
    }
    for same in ["one.tar", "./one.oci", "one-oci.tar"] {
        assert!(diff("one", same).success().stdout.starts_with("identical: sha256:"), "{same}");
    }
    let json = project.rbuild(["diff", "--json", "one", "two"]).run().failure(1);
    let json: serde_json::Value = serde_json::from_str(&json.raw_stdout).unwrap();
    assert_eq!(json["files"][1]["path"], "/x/a");
    assert_eq!(json["files"][1]["aspects"], serde_json::json!(["size 2 → 3", "mode 644 → 600"]));
    let missing = diff("one", "three").failure(1);
    assert_eq!(missing.stderr, "error: there is no image `three` in the store\n");
    fs::write(project.context().join("bad.tar"), "no archive").unwrap();
    diff("one", "bad.tar").failure(1);
    leaks::assert_none(&project);
}

#[test]
fn a_build_that_depends_on_what_is_around_it_is_found_out_by_step_and_file() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox AS made
        RUN date +%s >/stamp && nproc >/cpus && echo 1 >/same
        FROM busybox
        COPY --from=made /stamp /x/
        RUN echo same >/same
        ",
    );
    let ran = project.rbuild(["verify", "."]).run().failure(1);
    for line in
        ["[made] RUN date +%s >/stamp && nproc >/cpus && echo 1 >/same\n", "  ~ /stamp: content ", "; from byte "]
    {
        assert!(ran.stdout.contains(line), "{line}:\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("[stage-1] COPY --from=made /stamp /x/\n  ~ /x/stamp: content "), "{}", ran.stdout);
    assert!(!ran.stdout.contains("/same:"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" in 2 steps of 3\n"), "{}", ran.stdout);
    check_nothing_is_left(&project);
}

#[test]
fn a_build_that_depends_on_nothing_is_verified() {
    let project = base::project("//- Dockerfile\nFROM busybox\nCOPY a /app/\nRUN sort /app/a >/app/b\n//- a\nb\na\n");
    // A base that was built here is found by both builds too.
    project.rbuild(["-t", "mine", "-o", "type=image", "."]).run().success();
    project.write("//- Dockerfile\nFROM mine\nCOPY . /all/\nRUN find /all /app | sort >/found\n");
    let ran = project.rbuild(["verify", "."]).run().success();
    let verdict = ran.stdout.lines().last().unwrap();
    assert!(verdict.starts_with("identical: sha256:") && verdict.ends_with("(2 steps)"), "{}", ran.stdout);
    project.write("//- Dockerfile\nFROM busybox\nRUN exit 7\n");
    let ran = project.rbuild(["verify", "."]).run().failure(7);
    assert!(ran.stderr.ends_with("error: the first of the two builds failed\n"), "{}", ran.stderr);
    project.rbuild(["verify", "-"]).run().failure(2);
    check_nothing_is_left(&project);
}

#[track_caller]
fn check_nothing_is_left(project: &Project) {
    leaks::assert_none(project);
    let left = fs::read_dir("/dev/shm").map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect());
    let left: Vec<std::ffi::OsString> = left.unwrap_or_default();
    let of_dead = left.iter().filter_map(|name| name.to_str()?.strip_prefix("rbuild-verify-"));
    let of_dead: Vec<&str> = of_dead.filter(|pid| !Path::new("/proc").join(pid).exists()).collect();
    assert!(of_dead.is_empty(), "{of_dead:?}");
}
