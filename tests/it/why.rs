//! What is said of the steps of a build, before they run and while they do.

use std::fs;

use expect_test::{Expect, expect};

use crate::support::run::Project;
use crate::support::{base, leaks};

/// A Dockerfile as people write them.
const APP: &str = "
    //- Dockerfile
    FROM busybox
    WORKDIR /app
    COPY words.txt .
    RUN sort words.txt >sorted.txt
    ARG MODE=fast
    RUN echo $MODE >mode
    COPY . .
    //- .dockerignore
    Dockerfile
    //- words.txt
    b
    a
    //- other.txt
    1
";

#[track_caller]
fn built(fixture: &str) -> Project {
    let project = base::project(fixture);
    project.rbuild(["-o", "type=image", "."]).run().success();
    project
}

/// Puts other text in place of some of the Dockerfile's.
#[track_caller]
fn edit(project: &Project, from: &str, to: &str) {
    let path = project.context().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replace(from, to)).unwrap();
}

/// Hides hashes that depend on this machine's busybox.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let hidden = |piece: &str| if is_hash(piece) { "[HASH]".to_owned() } else { piece.to_owned() };
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| match word.strip_prefix("sha256:") {
            Some(hash) if is_hash(hash) => "[HASH]".to_owned(),
            _ => hidden(word),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

/// What `rbuild why` says, which must not change anything: asked twice, it says the same twice.
#[track_caller]
fn check_why(project: &Project, flags: &[&str], expected: &Expect) {
    let ask = || project.rbuild(["why"].iter().chain(flags).chain(&["."])).run().success().stdout;
    let said = ask();
    expected.assert_eq(&without_hashes(&said));
    assert_eq!(ask(), said);
    leaks::assert_none(project);
}

/// The lines of a build that tell what became of each step.
#[track_caller]
fn check_build(project: &Project, flags: &[&str], expected: &Expect) {
    let ran = project.rbuild(["-o", "type=image"].iter().chain(flags).chain(&["."])).run().success();
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with('#') && !line.contains(" DONE ")).collect();
    expected.assert_eq(&without_hashes(&told.join("\n")));
}

#[test]
fn a_comment_runs_nothing() {
    let project = built(APP);
    edit(&project, "RUN sort", "# by name\nRUN   sort");
    check_why(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY words.txt .: cached
        #3 [4/6] RUN   sort words.txt >sorted.txt: cached
        #4 [5/6] RUN echo $MODE >mode: cached
        #5 [6/6] COPY . .: cached
        5 cached, 0 would run
    "#]],
    );
    check_build(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app
        #1 CACHED
        #2 [3/6] COPY words.txt .
        #2 CACHED
        #3 [4/6] RUN   sort words.txt >sorted.txt
        #3 CACHED
        #4 [5/6] RUN echo $MODE >mode
        #4 CACHED
        #5 [6/6] COPY . .
        #5 CACHED
    "#]],
    );
}

#[test]
fn an_edited_file_is_named_and_what_it_may_change_is_told() {
    let project = built(APP);
    project.write("//- words.txt\nc\na\n");
    check_why(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY words.txt .: runs because 1 file changed: words.txt
        #3 [4/6] RUN sort words.txt >sorted.txt: runs because COPY words.txt . changed (1 file: words.txt)
        #4 [5/6] RUN echo $MODE >mode: runs because COPY words.txt . changed (1 file: words.txt)
        #5 [6/6] COPY . .: runs because 1 file changed: words.txt
        1 cached, 4 would run
    "#]],
    );
    check_build(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app
        #1 CACHED
        #2 [3/6] COPY words.txt .
        #2 runs because 1 file changed: words.txt
        #3 [4/6] RUN sort words.txt >sorted.txt
        #3 runs because COPY words.txt . changed (1 file: words.txt)
        #4 [5/6] RUN echo $MODE >mode
        #4 runs because COPY words.txt . changed (1 file: words.txt)
        #5 [6/6] COPY . .
        #5 runs because 1 file changed: words.txt
    "#]],
    );
}

#[test]
fn an_argument_is_named_and_never_its_value() {
    let project = built(APP);
    let flags = ["--build-arg", "MODE=CANARY"];
    check_why(
        &project,
        &flags,
        &expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY words.txt .: cached
        #3 [4/6] RUN sort words.txt >sorted.txt: cached
        #4 [5/6] RUN echo $MODE >mode: runs because build argument MODE changed
        #5 [6/6] COPY . .: cached if #4 leaves alone where it goes to
        3 cached, 1 would run, 1 depend on what these make
    "#]],
    );
    check_build(
        &project,
        &["--explain", "--build-arg", "MODE=CANARY"],
        &expect![[r#"
        #1 [2/6] WORKDIR /app
        #1 CACHED
        #2 [3/6] COPY words.txt .
        #2 CACHED
        #3 [4/6] RUN sort words.txt >sorted.txt
        #3 CACHED
        #4 [5/6] RUN echo $MODE >mode
        #4 runs because build argument MODE changed
        #4   build argument MODE: has another value
        #5 [6/6] COPY . .
        #5 CACHED
    "#]],
    );
}

#[test]
fn a_command_that_makes_the_same_again_is_the_last_to_run() {
    let project = built(APP);
    edit(&project, "sort words.txt >sorted.txt", "sort <words.txt >sorted.txt");
    check_why(
        &project,
        &["--explain"],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY words.txt .: cached
        #3 [4/6] RUN sort <words.txt >sorted.txt: runs because the instruction changed
        #3   instruction: RUN sort words.txt >sorted.txt → RUN sort <words.txt >sorted.txt
        #4 [5/6] RUN echo $MODE >mode: cached if #3 makes the same as before
        #5 [6/6] COPY . .: cached if #3 leaves alone where it goes to
        2 cached, 1 would run, 2 depend on what these make
    "#]],
    );
    check_build(
        &project,
        &["--explain"],
        &expect![[r#"
        #1 [2/6] WORKDIR /app
        #1 CACHED
        #2 [3/6] COPY words.txt .
        #2 CACHED
        #3 [4/6] RUN sort <words.txt >sorted.txt
        #3 runs because the instruction changed
        #3   instruction: RUN sort words.txt >sorted.txt → RUN sort <words.txt >sorted.txt
        #4 [5/6] RUN echo $MODE >mode
        #4 CACHED
        #5 [6/6] COPY . .
        #5 CACHED
    "#]],
    );
}

#[test]
fn another_base_is_named() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        RUN echo 1 >/version
        //- app/Dockerfile
        FROM mine
        COPY a /a
        RUN cat /version
        //- app/a
        a
        ",
    );
    let build_base = || project.rbuild(["-t", "mine", "-o", "type=image", "."]).run().success();
    build_base();
    let app = project.context().join("app");
    project.rbuild(["-o", "type=image", "."]).current_dir(&app).run().success();
    edit(&project, "echo 1", "echo 2");
    build_base();
    let said = project.rbuild(["why", "--explain", "."]).current_dir(&app).run().success();
    expect![[r#"
        #1 [2/3] COPY a /a: cached
        #2 [3/3] RUN cat /version: runs because the base image mine:latest changed
        #2   files below: [HASH] → [HASH]
        1 cached, 1 would run
    "#]]
    .assert_eq(&without_hashes(&said.stdout));
    let ran = project.rbuild(["-o", "type=image", "."]).current_dir(&app).run().success();
    assert_eq!(ran.counts(), (1, 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("#2 runs because the base image mine:latest changed"), "{}", ran.stderr);
}

#[test]
fn every_difference_is_told_with_modes_and_texts() {
    let project = built(APP);
    edit(&project, "COPY . .", "COPY --chmod=700 . .");
    edit(&project, "echo $MODE >mode", "echo $MODE >./mode");
    project.write("//- other.txt mode=755\n1\n//- new.txt\nnew\n");
    check_why(
        &project,
        &["--explain"],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY words.txt .: cached
        #3 [4/6] RUN sort words.txt >sorted.txt: cached
        #4 [5/6] RUN echo $MODE >./mode: runs because the instruction changed
        #4   instruction: RUN echo $MODE >mode → RUN echo $MODE >./mode
        #5 [6/6] COPY --chmod=700 . .: runs because --chmod is now 700
        #5   instruction: COPY . . → COPY --chmod=700 . .
        #5   --chmod: nothing → 700
        #5   file new.txt: added, [HASH]
        #5   file other.txt: [HASH] → [HASH] (mode 644 → 755)
        3 cached, 2 would run
    "#]],
    );
}

#[test]
fn what_was_pruned_or_not_built_is_told() {
    let project = base::project(APP);
    check_why(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: runs because it was not built here before
        #2 [3/6] COPY words.txt .: runs because it was not built here before
        #3 [4/6] RUN sort words.txt >sorted.txt: runs because it was not built here before
        #4 [5/6] RUN echo $MODE >mode: runs because it was not built here before
        #5 [6/6] COPY . .: runs because it was not built here before
        0 cached, 5 would run
    "#]],
    );
    project.rbuild(["-o", "type=cacheonly", "."]).run().success();
    fs::remove_dir_all(project.store().join("records/steps")).unwrap();
    check_why(
        &project,
        &[],
        &expect![[r#"
        #1 [2/6] WORKDIR /app: runs because its earlier result is no longer in the store
        #2 [3/6] COPY words.txt .: runs because its earlier result is no longer in the store
        #3 [4/6] RUN sort words.txt >sorted.txt: runs because its earlier result is no longer in the store
        #4 [5/6] RUN echo $MODE >mode: runs because its earlier result is no longer in the store
        #5 [6/6] COPY . .: runs because its earlier result is no longer in the store
        0 cached, 5 would run
    "#]],
    );
}

#[test]
fn stages_can_be_left_out_of_the_cache_by_name() {
    let project = built(
        "
        //- Dockerfile
        FROM busybox AS tools
        RUN echo 1 >/tool
        FROM busybox AS app
        COPY --from=tools /tool /
        RUN test -e /tool
        ",
    );
    check_build(
        &project,
        &["--no-cache-filter=Tools"],
        &expect![[r#"
        #1 [tools 2/2] RUN echo 1 >/tool
        #1 runs because the cache is off for its stage (`--no-cache-filter`)
        #2 [app 2/3] COPY --from=tools /tool /
        #2 CACHED
        #3 [app 3/3] RUN test -e /tool
        #3 CACHED
    "#]],
    );
    check_build(
        &project,
        &["--no-cache-filter=tools,app"],
        &expect![[r#"
        #1 [tools 2/2] RUN echo 1 >/tool
        #1 runs because the cache is off for its stage (`--no-cache-filter`)
        #2 [app 2/3] COPY --from=tools /tool /
        #2 runs because the cache is off for its stage (`--no-cache-filter`)
        #3 [app 3/3] RUN test -e /tool
        #3 runs because the cache is off for its stage (`--no-cache-filter`)
    "#]],
    );
    let ran = project.rbuild(["--no-cache-filter=tool", "."]).run().failure(1);
    expect![[r#"
        error[unknown-stage]: there is no stage called `tool`, which `--no-cache-filter` asks for
         --> Dockerfile:3:1
          |
        3 | FROM busybox AS app
          | ^^^^^^^^^^^^^^^^^^^
          |
          = help: did you mean `tools`?
    "#]]
    .assert_eq(&ran.stderr);
    project.write("//- Dockerfile\nFROM busybox AS tools\nRUN echo 1 >/tool\nFROM tools\nRUN echo 2 >/tool\n");
    project.rbuild(["-o", "type=image", "."]).run().success();
    let ran = project.rbuild(["--no-cache-filter=nothing", "."]).run().failure(1);
    assert!(ran.stderr.ends_with("= help: the stages are: tools, stage-1\n"), "{}", ran.stderr);
    assert_eq!(project.rbuild(["--no-cache-filter=stage-1", "."]).run().success().counts(), (1, 1));
}

#[test]
fn a_secret_is_no_reason_to_run() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        RUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null 2>&1 || true
        //- one
        CANARY-1
        //- two
        CANARY-2
        ",
    );
    project.rbuild(["--secret", "id=token,src=one", "-o", "type=image", "."]).run().success();
    check_why(
        &project,
        &["--secret", "id=token,src=two"],
        &expect![[r#"
        #1 [2/2] RUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null 2>&1 || true: cached
        1 cached, 0 would run
    "#]],
    );
    check_why(
        &project,
        &[],
        &expect![[r#"
        #1 [2/2] RUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null 2>&1 || true: cached
        1 cached, 0 would run
    "#]],
    );
    edit(&project, "id=token cat", "id=token,required cat");
    check_why(
        &project,
        &["--explain", "--secret", "id=token,src=two"],
        &expect![[r#"
        #1 [2/2] RUN --mount=type=secret,id=token,required cat /run/secrets/token >/dev/null 2>&1 || true: runs because the mount at /run/secrets/token changed from secret token  400 0:0 false to secret token  400 0:0 true
        #1   instruction: RUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null 2>&1 || true → RUN --mount=type=secret,id=token,required cat /run/secrets/token >/dev/null 2>&1 || true
        #1   the mount at /run/secrets/token: secret token  400 0:0 false → secret token  400 0:0 true
        0 cached, 1 would run
    "#]],
    );
}

#[test]
fn a_mounted_file_that_changed_is_named() {
    let project = built(
        "
        //- Dockerfile
        FROM busybox
        RUN --mount=type=bind,source=src,target=/src cat /src/* >/all
        //- src/a
        a
        //- src/b
        b
        ",
    );
    project.write("//- src/b\nc\n");
    check_build(
        &project,
        &[],
        &expect![[r#"
        #1 [2/2] RUN --mount=type=bind,source=src,target=/src cat /src/* >/all
        #1 runs because 1 file changed: src/b
    "#]],
    );
}

#[test]
fn times_are_part_of_the_keys_where_layers_keep_them() {
    let project = base::project("//- Dockerfile\nFROM busybox\nCOPY a /a\n//- a\na\n");
    let build = || project.rbuild(["--timestamps=preserve", "-o", "type=image", "."]).run().success().counts();
    let touch = |seconds| {
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = fs::File::options().write(true).open(project.context().join("a")).unwrap();
        file.set_modified(time).unwrap();
    };
    touch(1_000_000_000);
    assert_eq!(build(), (0, 1));
    assert_eq!(build(), (1, 0));
    touch(1_000_000_001);
    assert_eq!(build(), (0, 1));
    touch(1_000_000_000);
    assert_eq!(build(), (1, 0));
}
