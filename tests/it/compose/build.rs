//! `rbuild compose build`: what is built, what is shared, where it goes, what is said of a failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use expect_test::expect;
use serde_json::Value;

use crate::support::archive::Archive;
use crate::support::docker::docker;
use crate::support::run::{Project, Ran};
use crate::support::{base, leaks, tools};

fn project(text: &str) -> Project {
    let project = Project::with(text);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    project
}

#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    let args = ["compose", "-p", "stack", "build", "--progress=plain"];
    let ran = project.rbuild(args.iter().chain(flags)).run();
    leaks::assert_none(project);
    ran
}

/// Two services over a base that a third one makes, and one beside them.
const STACK: &str = "\
//- compose.yaml
services:
  base:
    build: base
  api:
    image: team/api:1
    build:
      context: api
      additional_contexts: {base: \"service:base\"}
      args: {WHO: file}
  web:
    build:
      context: web
      additional_contexts: {base: \"service:base\"}
    depends_on: [api]
  lone:
    profiles: [lone]
    build: lone
//- base/Dockerfile
FROM busybox
RUN echo base > /base
//- api/Dockerfile
FROM base
ARG WHO=nobody
RUN cat /base && echo $WHO > /who
//- web/Dockerfile
FROM base
COPY page /page
//- web/page
hello
//- lone/Dockerfile
FROM scratch
COPY Dockerfile /
";

/// What `manifest.json` of an archive says: the names and layers of each image.
fn images(archive: &Path) -> Vec<(Vec<String>, Vec<String>)> {
    let files = Archive::open(archive).unwrap().files;
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let texts = |list: &Value| list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let images = manifest.as_array().unwrap();
    images.iter().map(|image| (texts(&image["RepoTags"]), texts(&image["Layers"]))).collect()
}

#[test]
fn one_archive_holds_all_images_and_what_they_share_once() {
    let project = project(STACK);
    build(&project, &["-o", "stack.tar"]).success();
    let path = project.context().join("stack.tar");
    let images = images(&path);
    let names: Vec<&str> = images.iter().flat_map(|(names, _)| names).map(String::as_str).collect();
    assert_eq!(names, ["stack-base:latest", "team/api:1", "stack-web:latest"]);
    let base = &images[0].1;
    assert!(images[1..].iter().all(|(_, layers)| layers.starts_with(base)), "{images:?}");
    // Different layers and the base once: as large as that, and a few kilobytes of documents and headers.
    let files = Archive::open(&path).unwrap().files;
    let distinct: BTreeSet<&String> = images.iter().flat_map(|(_, layers)| layers).collect();
    let layers: usize = distinct.iter().map(|layer| files[layer.as_str()].len()).sum();
    let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    assert!(distinct.len() == base.len() + 2 && size > layers && size < layers + (48 << 10), "{size} {layers}");
    // Others read it, too.
    for name in ["stack-base:latest", "team/api:1", "stack-web:latest"] {
        let shown =
            tools::success("/usr/bin/skopeo", ["inspect", &format!("docker-archive:{}:{name}", path.display())]);
        assert!(shown.contains("\"Layers\""), "{shown}");
    }
    let again = build(&project, &["-o", "stack.tar"]).success();
    assert!(again.stderr.contains("export to stack.tar UNCHANGED"), "{}", again.stderr);
    assert!(again.stderr.contains("built 3 images in [ELAPSED]: 3 cached, 0 ran"), "{}", again.stderr);
}

#[test]
fn docker_loads_every_image_of_the_archive() {
    let docker = docker();
    let project = project(STACK);
    build(&project, &["--compat-names", "-o", "stack.tar"]).success();
    docker.success(["load", "-i", &project.context().join("stack.tar").display().to_string()]);
    let page = docker.success(["run", "--rm", "--network=none", "stack_web", "cat", "/page", "/base"]);
    assert_eq!(page, "hello\nbase\n");
    let who = docker.success(["run", "--rm", "--network=none", "team/api:1", "cat", "/who"]);
    assert_eq!(who, "file\n");
    docker.success(["rmi", "stack_web", "stack-web", "stack_base", "stack-base", "team/api:1"]);
}

#[test]
fn a_folder_gets_an_archive_of_each_service() {
    let project = project(STACK);
    build(&project, &["-o", "out/", "web"]).success();
    let names = |file: &str| images(&project.context().join("out").join(file))[0].0.clone();
    assert_eq!(names("base.tar"), ["stack-base:latest"]);
    assert_eq!(names("web.tar"), ["stack-web:latest"]);
    assert!(!project.context().join("out/api.tar").exists());
}

#[test]
fn lines_of_steps_name_their_service_and_bases_are_pulled_once() {
    let project = project(
        "//- compose.yaml\nservices:\n  a:\n    build: a\n  b:\n    build: b\n\
         //- a/Dockerfile\nFROM busybox\nRUN echo one\n//- b/Dockerfile\nFROM busybox AS x\nRUN echo two\n",
    );
    let ran = build(&project, &[]).success();
    let pulls = ran.stderr.lines().filter(|line| line.starts_with("pull busybox:latest DONE")).count();
    assert_eq!(pulls, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("; 1 layer pulled"), "{}", ran.stderr);
    for (service, word) in [("a", "one"), ("b", "two")] {
        let named = |line: &&str| line.starts_with('#') && line.ends_with(&format!(" {word}"));
        let lines: Vec<&str> = ran.stderr.lines().filter(named).collect();
        let outputs = lines.iter().filter(|line| line.split(' ').nth(1) == Some(service)).count();
        assert_eq!(outputs, 1, "{}", ran.stderr);
    }
}

#[test]
fn steps_that_services_have_in_common_run_once() {
    let text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/log\nCOPY file /\nRUN cat file\n";
    let services: String = (0..4).map(|i| format!("  s{i}:\n    build: s{i}\n")).collect();
    let files: String = (0..4).map(|i| format!("//- s{i}/Dockerfile\n{text}//- s{i}/file\n{i}\n")).collect();
    let project = project(&format!("//- compose.yaml\nservices:\n{services}{files}"));
    let ran = build(&project, &[]).success();
    // The first step is one for all; the others are each service's own.
    assert!(ran.stderr.contains("(3 shared), 9 ran"), "{}", ran.stderr);
    let log = "//- again/Dockerfile\nFROM busybox\nRUN --mount=type=cache,target=/c cat /c/log\n";
    project.write(log);
    let shown = project.rbuild(["--progress=plain", "-o", "type=cacheonly", "again"]).run().success();
    let lines = shown.stderr.lines().filter(|line| line.starts_with("#1 ") && line.ends_with(" x")).count();
    assert_eq!(lines, 1, "{}", shown.stderr);
}

#[test]
fn a_failure_says_which_services_were_built_and_has_the_status_of_its_command() {
    let project = project(STACK);
    project.write("//- api/Dockerfile\nFROM base\nRUN echo soon; exit 7\n");
    let ran = build(&project, &["-o", "stack.tar"]).failure(7);
    let said = ran.stderr.split_once("\nerror").map(|(_, said)| said).unwrap_or_default();
    expect![[r#"
        [command-failed]: the command ended with status 7
         --> api/Dockerfile:2:1
          |
        2 | RUN echo soon; exit 7
          | ^^^^^^^^^^^^^^^^^^^^^ this command failed

        error: not built: api; built: base, web
    "#]]
    .assert_eq(said);
    assert!(!project.context().join("stack.tar").exists());
    let images = project.rbuild(["images"]).run().success();
    assert!(images.stdout.contains("stack-web:latest") && !images.stdout.contains("team/api"), "{}", images.stdout);
}

#[test]
fn what_needs_a_failed_image_fails_with_it() {
    let project = project(STACK);
    project.write("//- base/Dockerfile\nFROM busybox\nRUN exit 9\n");
    let ran = build(&project, &["web"]).failure(9);
    assert!(ran.stderr.contains("it needs the image of `base`, which was not built"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("error: not built: base, web; built: none\n"), "{}", ran.stderr);
}

#[test]
fn arguments_of_the_command_line_count_more_than_those_of_the_file() {
    let project = project(STACK);
    build(&project, &["--build-arg", "WHO=flag", "-o", "stack.tar", "api"]).success();
    let show = "//- show/Dockerfile\nFROM team/api:1\nRUN cat /who\n";
    project.write(show);
    let shown = project.rbuild(["--progress=plain", "-o", "type=cacheonly", "show"]).run().success();
    assert!(shown.stderr.lines().any(|line| line.starts_with("#1 ") && line.ends_with(" flag")), "{}", shown.stderr);
}

#[test]
fn secrets_have_the_owner_and_the_mode_that_the_file_says() {
    let project = project(
        "//- compose.yaml
services:
  api:
    build:
      dockerfile_inline: |
        FROM busybox
        RUN --mount=type=secret,id=cert stat -c '%a %u %g' /run/secrets/cert
        RUN --mount=type=secret,id=cert,mode=0400,uid=7 stat -c '%a %u %g' /run/secrets/cert
        RUN --mount=type=secret,id=token,env=TOKEN test \"$$TOKEN\" = can''ary
      secrets:
        - {source: certificate, target: cert, uid: \"12\", gid: \"13\", mode: 0440}
        - token
secrets:
  certificate: {file: cert.pem}
  token: {environment: API_TOKEN}
//- cert.pem
text
",
    );
    let args = ["compose", "build", "--progress=plain"];
    let ran = project.rbuild(args).env("API_TOKEN", "canary").run().success();
    let found: Vec<&str> =
        ran.stderr.lines().filter_map(|line| line.split_once(" 0.")?.1.split_once(' ')).map(|l| l.1).collect();
    assert_eq!(found, ["440 12 13", "400 7 13"], "{}", ran.stderr);
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
}

#[test]
fn images_that_are_not_built_come_along_as_they_are() {
    let project = project(
        "//- compose.yaml\nservices:\n  api:\n    build: .\n    image: app\n  worker:\n    image: app\n  box:\n    \
         image: busybox\n//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n",
    );
    build(&project, &["--pull-images", "-o", "stack.tar"]).success();
    let found = images(&project.context().join("stack.tar"));
    let names: Vec<&str> = found.iter().flat_map(|(names, _)| names).map(String::as_str).collect();
    assert_eq!(names, ["app:latest", "busybox:latest"]);
    let path = project.context().join("stack.tar");
    let shown = |source: &str| -> Value {
        serde_json::from_str(&tools::success("/usr/bin/skopeo", ["inspect", "--config", source])).unwrap()
    };
    let ours = shown(&format!("docker-archive:{}:busybox:latest", path.display()));
    let theirs = shown(&format!("oci:{}:latest", base::busybox().display()));
    assert_eq!(ours, theirs);
}

#[test]
fn what_is_pushed_has_an_image_key() {
    let registry = base::registry();
    let name = registry.name("compose/api:1");
    let project = project(&format!(
        "//- compose.yaml\nservices:\n  api:\n    build: .\n    image: {name}\n  own:\n    build: .\n\
         //- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n"
    ));
    let ran = build(&project, &["--push"]).success();
    assert!(ran.stderr.contains("`own` is not pushed: it has no `image`"), "{}", ran.stderr);
    let shown = tools::success("/usr/bin/skopeo", ["inspect", "--tls-verify=false", &format!("docker://{name}")]);
    assert!(shown.contains("compose/api"), "{shown}");
}

#[test]
fn what_is_wrong_with_files_that_a_service_names_is_reported_at_its_keys() {
    let project = project(
        "//- compose.yaml
services:
  a:
    build: ./nothing
  b:
    build:
      context: .
      dockerfile: Other
  c:
    build:
      context: c
      secrets: [s]
  d:
    build:
      context: c
      ulimits: {nofil: 5}
secrets:
  s: {file: missing}
//- c/Dockerfile
FROM scratch
",
    );
    let ran = build(&project, &[]).failure(1);
    expect![[r#"
        error[cannot-build]: the service `a`: there is no folder `[ROOT]/context/nothing`
         --> compose.yaml:3:12
          |
        3 |     build: ./nothing
          |            ^^^^^^^^^
          |
          = help: name the folder that COPY copies from

        error[cannot-build]: the service `b`: cannot read the Dockerfile: cannot open `[ROOT]/context/Other`: no such file or directory
         --> compose.yaml:7:19
          |
        7 |       dockerfile: Other
          |                   ^^^^^

        error[cannot-build]: the service `c`: cannot read the secret `s` from `[ROOT]/context/missing`: No such file or directory (os error 2)
          --> compose.yaml:11:16
           |
        11 |       secrets: [s]
           |                ^^^

        error[cannot-build]: the service `d`: the step's limit `nofil=5:5` names no resource
          --> compose.yaml:15:16
           |
        15 |       ulimits: {nofil: 5}
           |                ^^^^^^^^^^
           |
           = help: write for example `nofile: {soft: 1024, hard: 4096}`
    "#]]
    .assert_eq(&ran.stderr);
}

#[test]
fn two_images_cannot_have_one_name() {
    let project = project(
        "//- compose.yaml\nservices:\n  a:\n    build: a\n    image: app\n  b:\n    build: b\n    image: app\n\
         //- a/Dockerfile\nFROM scratch\nCOPY Dockerfile /a\n//- b/Dockerfile\nFROM scratch\nCOPY Dockerfile /b\n",
    );
    let ran = build(&project, &["-o", "stack.tar"]).failure(1);
    assert!(ran.stderr.contains("the services `a` and `b` both name their image `app:latest`"), "{}", ran.stderr);
}

#[test]
fn a_check_looks_at_every_dockerfile_and_builds_nothing() {
    let project = project(STACK);
    project.write("//- web/Dockerfile\nFROM base as other\nCOPY page /page\n");
    let ran = build(&project, &["--check"]).failure(1);
    let found: Vec<&str> = ran.stdout.lines().filter(|line| line.contains(": Check complete")).collect();
    let clean = "Check complete, no warnings found.";
    let warned = "web: Check complete, 1 warning has been found!";
    assert_eq!(found, [&format!("base: {clean}"), &format!("api: {clean}"), warned], "{}", ran.stdout);
    assert!(ran.stdout.contains("warning[FromAsCasing]"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    project.write("//- api/Dockerfile\nFORM base\n");
    let ran = build(&project, &["--check"]).failure(1);
    assert!(
        ran.stderr.contains("api/Dockerfile:1:1") && ran.stderr.ends_with("error: wrong: api; not wrong: base, web\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.rbuild(["images"]).run().success().stdout.lines().count(), 1);
}

#[test]
fn docker_compose_starts_what_was_built_without_building() {
    let docker = docker();
    let project = project(
        "//- docker-compose.yml
version: \"3.8\"
services:
  api:
    image: stack-api:1
    build: api
    network_mode: none
    depends_on: [db]
  db:
    build: db
    network_mode: none
//- api/Dockerfile
FROM busybox
CMD [\"sh\", \"-c\", \"echo api runs\"]
//- db/Dockerfile
FROM busybox
CMD [\"sh\", \"-c\", \"echo db runs\"]
",
    );
    build(&project, &["--compat-names", "-o", "stack.tar"]).success();
    docker.load(&project.context().join("stack.tar"));
    let compose = |args: &[&str]| {
        let args = ["-p", "stack"].iter().chain(args);
        project
            .program(tools::require("/usr/bin/docker-compose"), args)
            .env("DOCKER_HOST", docker.host())
            .run()
            .success()
    };
    compose(&["up", "--no-build", "-d"]);
    docker.success(["wait", "stack_api_1", "stack_db_1"]);
    let logs = compose(&["logs", "--no-color", "--no-log-prefix"]);
    compose(&["down", "--rmi", "all"]);
    let mut lines: Vec<&str> = logs.stdout.lines().filter(|line| line.ends_with("runs")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["api runs", "db runs"], "{}", logs.stdout);
}
