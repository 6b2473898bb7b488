//! What is said of a project that cannot be built as it is: at the place in the compose file that it is about.

use expect_test::{Expect, expect};

use crate::support::run::Project;

#[track_caller]
fn check(text: &str, flags: &[&str], status: i32, expected: &Expect) {
    let project =
        Project::with(&format!("//- Dockerfile\nFROM scratch AS app\nCOPY Dockerfile /\n//- compose.yaml\n{text}"));
    let ran = project.rbuild(["compose", "-p", "p", "build", "--progress=plain"].iter().chain(flags)).run();
    let ran = ran.failure(status);
    // What steps say goes on before, in any order.
    let said = ran.stderr.find("error").map_or("", |at| &ran.stderr[at..]);
    expected.assert_eq(said);
}

#[test]
fn a_target_that_is_no_stage() {
    let text = "services:\n  a:\n    build: {context: ., target: ap}\n  b:\n    build: .\n";
    for flags in [&["--check"][..], &[]] {
        let end = if flags.is_empty() { "not built: a; built: b" } else { "wrong: a; not wrong: b" };
        let said = format!(
            "error[unknown-target]: the service `a`: `ap` is no stage of `Dockerfile`\n --> compose.yaml:3:33\n  |\n\
             3 |     build: {{context: ., target: ap}}\n  |                                 ^^\n  |\n  \
             = help: did you mean `app`?\n\nerror: {end}\n"
        );
        let project =
            Project::with(&format!("//- Dockerfile\nFROM scratch AS app\nCOPY Dockerfile /\n//- compose.yaml\n{text}"));
        let ran = project.rbuild(["compose", "build"].iter().chain(flags)).run().failure(1);
        assert!(ran.stderr.ends_with(&said), "{}", ran.stderr);
    }
}

#[test]
fn names_that_cannot_be() {
    check(
        "services:\n  Web: {build: .}\n  API: {build: .}\n  c: {build: .}\n",
        &[],
        1,
        &expect![[r#"
            error[wrong-name]: the service `API` cannot have its default name: `p-API` is not an image reference: its repository name must be lower case
             --> compose.yaml:3:3
              |
            3 |   API: {build: .}
              |   ^^^
              |
              = help: give it an `image`

            error[wrong-name]: the service `Web` cannot have its default name: `p-Web` is not an image reference: its repository name must be lower case
             --> compose.yaml:2:3
              |
            2 |   Web: {build: .}
              |   ^^^
              |
              = help: give it an `image`
        "#]],
    );
    check(
        "services:\n  a: {build: ., image: x}\n  b: {build: {context: ., labels: [a=b]}, image: x}\n",
        &[],
        1,
        &expect![[r#"
            error[conflict]: the services `a` and `b` both name their image `x:latest`, but these differ
             --> compose.yaml:3:3
              |
            3 |   b: {build: {context: ., labels: [a=b]}, image: x}
              |   ^
              |
              = help: give one of them another `image`
        "#]],
    );
}

#[test]
fn what_services_with_one_dockerfile_have_in_common_is_said_once() {
    check(
        "services:\n  a: &a\n    build: {context: ., dockerfile: Other}\n  b: *a\n//- Other\nFROM scratch\nCOPY nope /\n",
        &[],
        1,
        &expect![[r#"
            error[copy-failed]: cannot find `nope`
             --> Other:2:6
              |
            2 | COPY nope /
              |      ^^^^ this cannot be copied

            error: not built: a, b; built: none
        "#]],
    );
}

#[test]
fn parts_of_a_build_that_the_single_build_has_as_flags() {
    check(
        "services:
  a:
    build:
      context: .
      additional_contexts:
        layout: oci-layout://nothing:1
        \"two words\": .
      cache_from: [\"type=local,source=x\"]
      cache_to: [\"type=local\"]
      entitlements: [\"device=x,y=z\"]
      ssh: [\"key=./missing\"]
  b:
    build:
      context: .
      no_cache_filter: [other]
      platforms: [windows/amd64]
",
        &[],
        1,
        &expect![[r#"
            error[cannot-build]: the service `a`: there is no folder `[ROOT]/context/nothing`
             --> compose.yaml:6:17
              |
            6 |         layout: oci-layout://nothing:1
              |                 ^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: it may be a folder, a URL, `docker-image://NAME`, `oci-layout://FOLDER` or `service:NAME`

            error[cannot-build]: the service `a`: `two words` cannot be the name of a context
             --> compose.yaml:7:22
              |
            7 |         "two words": .
              |                      ^
              |
              = help: it may be a folder, a URL, `docker-image://NAME`, `oci-layout://FOLDER` or `service:NAME`

            error[cannot-build]: the service `a`: `cache_from` has no option `source`
             --> compose.yaml:8:19
              |
            8 |       cache_from: ["type=local,source=x"]
              |                   ^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: write the name of an image, or `type=local,src=DIR`

            error[cannot-build]: the service `a`: `cache_to: type=local` does not say where to
             --> compose.yaml:9:17
              |
            9 |       cache_to: ["type=local"]
              |                 ^^^^^^^^^^^^^^
              |
              = help: write `type=inline`, or `type=local,dest=DIR`

            error[cannot-build]: the service `a`: `y=z` is no option of `entitlements: device`
              --> compose.yaml:10:21
               |
            10 |       entitlements: ["device=x,y=z"]
               |                     ^^^^^^^^^^^^^^^^
               |
               = help: write `device`, or `device=NAME`

            error[cannot-build]: the service `a`: cannot read the ssh key: cannot open `[ROOT]/context/missing`: no such file or directory
              --> compose.yaml:11:12
               |
            11 |       ssh: ["key=./missing"]
               |            ^^^^^^^^^^^^^^^^^
               |
               = help: write `default` for the running agent, or `ID=PATH` with the path of a socket or of a key

            error[cannot-build]: the service `b`: building for windows/amd64 on this machine, which is linux/amd64, is not supported by this version of rbuild
              --> compose.yaml:16:18
               |
            16 |       platforms: [windows/amd64]
               |                  ^^^^^^^^^^^^^^^
        "#]],
    );
    check(
        "services: {a: {build: {context: ., no_cache_filter: ap}}}\n",
        &[],
        1,
        &expect![[r#"
        error[unknown-stage]: the service `a`: `ap` is no stage of `Dockerfile`
         --> compose.yaml:1:53
          |
        1 | services: {a: {build: {context: ., no_cache_filter: ap}}}
          |                                                     ^^
          |
          = help: did you mean `app`?

        error: not built: a; built: none
    "#]],
    );
    check(
        "services: {a: {build: .}}\n",
        &["--ssh=default"],
        1,
        &expect![[r#"
        error: there is no ssh agent for `--ssh default`: SSH_AUTH_SOCK is not set
        hint: start one with `eval $(ssh-agent)` and `ssh-add`, or name a key: `--ssh ID=KEYFILE`
    "#]],
    );
}

#[test]
fn arguments_that_steer_the_builder() {
    check(
        "services:\n  a:\n    build:\n      context: .\n      args: [BUILDKIT_CONTEXT_KEEP_GIT_DIR=7]\n",
        &[],
        1,
        &expect![[r#"
            error[cannot-build]: the service `a`: the build argument BUILDKIT_CONTEXT_KEEP_GIT_DIR is `7`
             --> compose.yaml:5:13
              |
            5 |       args: [BUILDKIT_CONTEXT_KEEP_GIT_DIR=7]
              |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: it may be `1` or `0`
        "#]],
    );
    let project =
        Project::with("//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n//- compose.yaml\nservices: {a: {build: .}}\n");
    let ran = project.rbuild(["compose", "build", "--build-arg", "BUILDKIT_MULTI_PLATFORM=1"]).run().success();
    assert!(
        ran.stderr.contains("warning: the service `a`: the build argument BUILDKIT_MULTI_PLATFORM has no effect"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_wrong_is_told_where_it_stands_whatever_its_name_is() {
    check(
        "services:\n  a:\n    build:\n      context: ./Dockerfiles\n      dockerfile: Dockerfile\n  b:\n    build:\n      context: .\n      args: {SOURCE_DATE_EPOCH: today}\n",
        &[],
        1,
        &expect![[r#"
            error[cannot-build]: the service `a`: there is no folder `[ROOT]/context/Dockerfiles`
             --> compose.yaml:4:16
              |
            4 |       context: ./Dockerfiles
              |                ^^^^^^^^^^^^^
              |
              = help: name the folder that COPY copies from

            error[cannot-build]: the service `b`: SOURCE_DATE_EPOCH is `today`, which is not a number of seconds since 1970
             --> compose.yaml:9:13
              |
            9 |       args: {SOURCE_DATE_EPOCH: today}
              |             ^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: write the time of a commit, `git log -1 --format=%ct`, or `context` for that of a remote context
        "#]],
    );
}

#[test]
fn a_context_that_cannot_be_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let project = Project::with(&format!(
        "//- Dockerfile\nFROM scratch\n//- compose.yaml\nservices:\n  a: {{build: .}}\n  b: {{build: \"http://{address}/x.tar\"}}\n"
    ));
    let ran = project.rbuild(["compose", "build"]).run().failure(3);
    assert!(ran.stderr.starts_with("error: the service `b`: cannot fetch"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("error: not built: b; built: none\n"), "{}", ran.stderr);
}

#[test]
fn an_option_that_is_none() {
    check(
        "services: {a: {build: .}}\n",
        &["--no-cahce"],
        2,
        &expect![[r#"
            error: there is no option `--no-cahce`
            hint: did you mean `--no-cache`?
        "#]],
    );
    check(
        "services: {a: {build: .}}\n",
        &["--zzz"],
        2,
        &expect![[r#"
            error: there is no option `--zzz`
            hint: `rbuild compose build --help` tells all of them
        "#]],
    );
}
