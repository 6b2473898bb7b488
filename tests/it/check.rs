//! `--check` and `--call`: what is told about a Dockerfile that is not built.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::run::{Project, Ran};
use crate::support::{base, leaks};

/// A token of a known shape, which is none.
const TOKEN: &str = "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6";

#[track_caller]
fn check_stdout(project: &Project, args: &[&str], status: i32, expected: &Expect) -> Ran {
    let ran = project.rbuild(args).run();
    assert_eq!(ran.status.code(), Some(status), "{}{}", ran.stdout, ran.stderr);
    expected.assert_eq(&ran.stdout);
    leaks::assert_none(project);
    ran
}

/// The document that a call prints.
#[track_caller]
fn document(project: &Project, args: &[&str], status: i32) -> Value {
    let ran = project.rbuild(args).run();
    assert_eq!(ran.status.code(), Some(status), "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.raw_stdout).unwrap_or_else(|error| panic!("{error}:\n{}", ran.raw_stdout))
}

fn lines(first: u32, last: u32) -> Value {
    json!({ "ranges": [{ "start": { "line": first }, "end": { "line": last } }] })
}

#[test]
fn a_check_tells_warnings_with_their_pages_and_builds_nothing() {
    let project = Project::with(
        r#"
        //- Dockerfile
        FROM scratch AS one
        WORKDIR app
        FROM scratch
        COPY $soruces packge.json /
        RUN this is never run
        CMD start
        //- package.json
        {}
        "#,
    );
    let ran = check_stdout(
        &project,
        &["--check", "-t", "app", "."],
        1,
        &expect![[r#"
            Check complete, 4 warnings have been found!

            warning[WorkdirRelativePath]: the relative WORKDIR `app` depends on the working folder of the base image
             --> Dockerfile:2:9
              |
            2 | WORKDIR app
              |         ^^^
              |
              = note: https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/
              = help: write the whole path, for example `WORKDIR /app`

            warning[UndefinedVar]: the variable `soruces` is not defined here
             --> Dockerfile:4:6
              |
            4 | COPY $soruces packge.json /
              |      ^^^^^^^^ its value is empty
              |
              = note: https://docs.docker.com/go/dockerfile/rule/undefined-var/

            warning[MissingSource]: `packge.json` is not in the context
             --> Dockerfile:4:15
              |
            4 | COPY $soruces packge.json /
              |               ^^^^^^^^^^^
              |
              = help: did you mean `package.json`?

            warning[JSONArgsRecommended]: CMD runs in a shell, which does not pass signals on
             --> Dockerfile:6:1
              |
            6 | CMD start
              | ^^^^^^^^^
              |
              = note: https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
              = help: write the arguments as an array: `CMD ["start"]`
        "#]],
    );
    assert_eq!(ran.stderr, "");
    assert!(!project.context().join("app.tar").exists());
    assert_eq!(project.rbuild(["images"]).run().success().stdout.lines().count(), 1);
}

#[test]
fn the_status_is_that_of_buildx() {
    let good = Project::with("//- Dockerfile\nFROM scratch\nCOPY a /\n//- a\n");
    let complete = expect!["Check complete, no warnings found.\n"];
    for args in [["--check", "."], ["--check=true", "."], ["--call=check", "."], ["--call=lint", "."]] {
        check_stdout(&good, &args, 0, &complete);
    }
    let warned = Project::with("//- Dockerfile\nFROM scratch\nENV a 1\n");
    assert!(warned.rbuild(["--check", "."]).run().failure(1).stdout.starts_with("Check complete, 1 warning has"));
    warned.rbuild(["--call=check,ignorestatus=true", "."]).run().success();
    // Not a check: the image is built.
    assert!(warned.rbuild(["--check=false", "."]).run().success().stderr.contains("built sha256:"));
    let wrong = Project::with("//- Dockerfile\nFROM scratch as a\nNONSENSE\n");
    let ran = wrong.rbuild(["--check", "."]).run().failure(1);
    assert!(ran.stdout.contains("warning[FromAsCasing]") && !ran.stdout.contains("NONSENSE"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error[unknown-instruction]"), "{}", ran.stderr);
    let ran = warned.rbuild(["--call=nonsense", "."]).run().failure(2);
    assert!(ran.stderr.contains("`check`, `outline` or `targets`"), "{}", ran.stderr);
}

#[test]
fn the_document_of_a_check_has_buildkits_fields() {
    let text = "FROM scratch\nENV a 1 \\\n\n  2\nCOPY nothere /\n";
    let project = Project::with(&format!("//- Dockerfile\n{text}"));
    let found = document(&project, &["--call=check,format=json", "."], 1);
    let warning = |name: &str| {
        let warnings = found["warnings"].as_array().unwrap();
        warnings.iter().find(|warning| warning["ruleName"] == name).unwrap_or_else(|| panic!("{found}")).clone()
    };
    let legacy = json!({
        "ruleName": "LegacyKeyValueFormat",
        "description": "The pairs of ENV and LABEL are written with an equals sign",
        "url": "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
        "detail": "`ENV name value` is the old form",
        "location": lines(2, 4),
    });
    assert_eq!(warning("LegacyKeyValueFormat"), legacy);
    assert_eq!(warning("NoEmptyContinuation")["location"], lines(4, 4));
    assert_eq!(warning("MissingSource").get("url"), None);
    let source = json!({ "filename": "Dockerfile", "language": "Dockerfile", "data": STANDARD.encode(text) });
    assert_eq!(found["sources"], json!([source]));
    assert_eq!(found.get("buildError"), None);

    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY x /\nCOPY --from=9 a b\n//- x\n");
    let found = document(&project, &["--call=check,format=json", "."], 1);
    assert_eq!(found["warnings"], json!([]));
    assert_eq!(found["buildError"]["location"], lines(3, 3));
    assert!(found["buildError"]["message"].as_str().unwrap().contains("there is no stage number 9"));
}

#[test]
fn every_stage_is_checked_unless_one_is_asked_for() {
    let project = Project::with("//- Dockerfile\nFROM scratch AS a\nENV x 1\nFROM scratch\nENV y 1\n");
    let count = |args: &[&str]| document(&project, args, 1)["warnings"].as_array().unwrap().len();
    assert_eq!(count(&["--call=check,format=json", "."]), 2);
    assert_eq!(count(&["--call=check,format=json", "--target=a", "."]), 1);
    let built = project.rbuild(["."]).run().success();
    assert_eq!(built.stderr.matches("warning[LegacyKeyValueFormat]").count(), 1, "{}", built.stderr);
}

#[test]
fn of_a_base_only_the_config_is_fetched_and_its_variables_are_known() {
    let project = base::project("//- Dockerfile\nFROM busybox\nENV MORE=$PATH:/x LESS=$PAHT\n");
    let found = document(&project, &["--call=check,format=json", "."], 1);
    let details: Vec<&str> =
        found["warnings"].as_array().unwrap().iter().map(|w| w["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["the variable `PAHT` is not defined here (did you mean `$PATH`?)"]);
    // The layers of busybox have a megabyte, its config has none.
    let kept: u64 = leaks::files_below(&project.store()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(kept < 100_000, "the store holds {kept} bytes");
}

#[test]
fn a_base_that_cannot_be_reached_is_noted_and_the_rest_is_checked() {
    let text = "//- Dockerfile\nFROM 127.0.0.1:1/base\nENV a=$from_the_base\nEXPOSE 80/TCP\n";
    let project = Project::with(text);
    let ran = project.rbuild(["--check", "."]).run().failure(1);
    assert!(ran.stdout.contains("1 warning has") && ran.stdout.contains("ExposeProtoCasing"), "{}", ran.stdout);
    let note = "note: what depends on `127.0.0.1:1/base:latest` was not checked: cannot connect to `127.0.0.1:1`";
    assert_eq!(ran.stderr.matches("note: ").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.starts_with(note), "{}", ran.stderr);
}

#[test]
fn a_choice_of_warnings_fails_a_build_where_buildkit_would_warn() {
    let own = format!("FROM scratch\nENV WHO={TOKEN}\n");
    let project = Project::with(&format!("//- Dockerfile\n# check=error=true\n{own}"));
    // What only we find is told, but a Dockerfile that BuildKit builds is built.
    let ran = project.rbuild(["."]).run().success();
    assert!(ran.stderr.contains("warning[SecretValue]"), "{}", ran.stderr);
    let project = Project::with("//- Dockerfile\nFROM scratch as a\nENV x=1\n");
    let choice = |value: &str| {
        let argument = format!("--build-arg=BUILDKIT_DOCKERFILE_CHECK={value}");
        project.rbuild([argument.as_str(), "."]).run()
    };
    let ran = choice("error=true").failure(1);
    assert!(ran.stderr.contains("error[FromAsCasing]") && ran.stderr.contains("check=error=true"), "{}", ran.stderr);
    assert!(!choice("error=true;skip=FromAsCasing").success().stderr.contains("FromAsCasing"));
    assert!(choice("nonsense").failure(2).stderr.contains("BUILDKIT_DOCKERFILE_CHECK"));
    project.write("//- Dockerfile\n# check=error=true\nFROM scratch as a\nENV x=1\n");
    choice("skip=all").success();
}

#[test]
fn the_value_of_a_secret_is_never_shown() {
    let random = "Zx81kQ0pLm29vNc7Rt5w";
    let text = format!("FROM scratch\nENV who {TOKEN}\nENV DB_PASSWORD={random} Other=1\nNONSENSE {TOKEN}\n");
    let project = Project::with(&format!("//- Dockerfile\n{text}"));
    let good = text.replace("NONSENSE ", "LABEL x=");
    let mut shown = Vec::new();
    for text in [&text, &good] {
        project.write(&format!("//- Dockerfile\n{text}"));
        for args in [vec!["--check", "."], vec!["--call=check,format=json", "."], vec!["."]] {
            let ran = project.rbuild(args).run();
            shown.extend([ran.stdout, ran.stderr]);
        }
    }
    let data = document(&project, &["--call=check,format=json", "."], 1)["sources"][0]["data"].clone();
    shown.push(String::from_utf8(STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap());
    for text in &shown {
        assert!(!text.contains(TOKEN), "{text}");
    }
    // A random value is known for one only where warnings were found.
    let found: Vec<&String> = shown.iter().filter(|text| text.contains("SecretValue")).collect();
    assert!(found.len() >= 3 && found.iter().all(|text| !text.contains(random)), "{found:?}");
    assert!(!shown.last().unwrap().contains(random));
}

#[test]
fn an_outline_tells_what_a_target_takes() {
    let project = Project::with(
        r#"
        //- Dockerfile
        ARG inherited=box
        ARG unused=abc${inherited}
        # sfx is a suffix
        ARG sfx="${inherited}y"
        FROM scratch AS first
        # this describes nothing
        ARG FOO=123
        # BAR is a number
        ARG BAR=456
        RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true
        FROM scratch AS busyboxy
        FROM busy${sfx} AS third
        ARG ABC=a TOKEN
        ARG inherited
        RUN --mount=type=secret,id=second${ABC} --mount=type=cache,target=/root/.cache true
        # target is what is built
        FROM third AS target
        COPY --from=first /etc/passwd /
        FROM scratch
        ARG NOT_OF_THE_TARGET
        "#,
    );
    let args = ["--call=outline", "--target=target", "--build-arg=BAR=678", "--build-arg=TOKEN=hidden", "."];
    let ran = check_stdout(
        &project,
        &args,
        0,
        &expect![[r#"
            TARGET:      target
            DESCRIPTION: is what is built

            BUILD ARG   VALUE   DESCRIPTION
            inherited   box
            sfx         boxy    is a suffix
            FOO         123
            BAR         678     is a number
            ABC         a
            TOKEN

            SECRET    REQUIRED
            passwd    true
            seconda

            SSH       REQUIRED
            default

            CACHE
            /root/.cache
        "#]],
    );
    assert_eq!(ran.stderr, "");
    let found = document(&project, &["--call=outline,format=json", "--target=target", "."], 0);
    assert_eq!((&found["name"], &found["description"]), (&json!("target"), &json!("is what is built")));
    let argument = json!({ "name": "BAR", "description": "is a number", "value": "456", "location": lines(9, 9) });
    assert_eq!(found["args"][3], argument);
    assert_eq!(found["secrets"][0], json!({ "name": "passwd", "required": true, "location": lines(10, 10) }));
    assert_eq!(found["ssh"], json!([{ "name": "default", "location": lines(10, 10) }]));
    assert_eq!(found["cache"], json!([{ "ID": "/root/.cache", "location": lines(15, 15) }]));
    assert_eq!(found["sources"].as_array().map(Vec::len), Some(1));
}

#[test]
fn arguments_that_are_made_of_others_bring_them() {
    let project = Project::with(
        "//- Dockerfile\nARG FOO=123\nARG ABC=abc\nARG DEF=def\nARG FOO=${FOO}${ABC}\nARG BAR=${FOO}456\n\
         ARG FOO=${FOO}456${BAR}\nFROM scratch\nARG FOO\nARG INFOO=123\nARG INBAR=${INFOO}456\n\
         ARG INFOO=${INFOO}456${INBAR}\n",
    );
    let found = document(&project, &["--call=outline,format=json", "."], 0);
    let pairs = found["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| format!("{}={}", argument["name"].as_str().unwrap(), argument["value"].as_str().unwrap()));
    let expected = ["ABC=abc", "BAR=123abc456", "FOO=123abc456123abc456", "INBAR=123456", "INFOO=123456123456"];
    assert_eq!(pairs.collect::<Vec<_>>(), expected);
}

#[test]
fn targets_are_the_stages_with_what_the_comments_say() {
    let project = Project::with(
        "//- Dockerfile\n# build defines the stage for compiling\nFROM --platform=$BUILDPLATFORM alpine AS Build\n\
         FROM busybox\n# binary returns the compiled binary\nFROM build AS binary\n",
    );
    check_stdout(
        &project,
        &["--call=targets", "."],
        0,
        &expect![[r#"
            TARGET           DESCRIPTION
            build            defines the stage for compiling

            binary (default) returns the compiled binary
        "#]],
    );
    let found = document(&project, &["--call=targets,format=json", "."], 0);
    let targets = json!([
        { "name": "build", "description": "defines the stage for compiling", "base": "alpine", "platform": "$BUILDPLATFORM",
          "location": lines(2, 2) },
        { "base": "busybox", "location": lines(3, 3) },
        { "name": "binary", "default": true, "description": "returns the compiled binary", "base": "build",
          "location": lines(5, 5) },
    ]);
    assert_eq!(found["targets"], targets);
}

#[test]
fn what_can_be_asked_for_is_told_without_a_dockerfile() {
    let project = Project::new();
    check_stdout(
        &project,
        &["--call=subrequests.describe", "."],
        0,
        &expect![[r#"
            NAME                 VERSION DESCRIPTION
            outline              1.0.0   What the target takes from outside
            targets              1.0.0   The stages that can be built
            subrequests.describe 1.0.0   What can be asked for
        "#]],
    );
    let found = document(&project, &["--call=subrequests.describe,format=json", "."], 0);
    let names = found.as_array().unwrap().iter().map(|request| request["name"].as_str().unwrap());
    let expected = ["frontend.outline", "frontend.targets", "frontend.subrequests.describe"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let results = json!([{ "name": "result.json", "description": "" }, { "name": "result.txt", "description": "" }]);
    assert_eq!((&found[0]["opts"][0]["name"], &found[1]["opts"]), (&json!("target"), &json!([])));
    assert_eq!((&found[2]["opts"], &found[2]["metadata"]), (&json!(null), &results));
}

#[test]
fn names_in_check_that_are_no_rules_are_told_without_a_change_of_the_status() {
    let project = Project::with(
        "//- Dockerfile\n# check=skip=UndefinedVr,all2, workdirrelativepath;error=true\nFROM scratch\nCOPY Dockerfile /\n",
    );
    check_stdout(
        &project,
        &["--check", "."],
        0,
        &expect![[r#"
            Check complete, 3 warnings have been found!

            warning[UnknownRule]: there is no rule called `UndefinedVr`
             --> Dockerfile:1:14
              |
            1 | # check=skip=UndefinedVr,all2, workdirrelativepath;error=true
              |              ^^^^^^^^^^^
              |
            help: did you mean `UndefinedVar`?
              |
            1 | # check=skip=UndefinedVar,all2, workdirrelativepath;error=true
              |                        +

            warning[UnknownRule]: there is no rule called `all2`
             --> Dockerfile:1:26
              |
            1 | # check=skip=UndefinedVr,all2, workdirrelativepath;error=true
              |                          ^^^^ no rule is skipped or asked for by this

            warning[UnknownRule]: there is no rule called `workdirrelativepath`
             --> Dockerfile:1:32
              |
            1 | # check=skip=UndefinedVr,all2, workdirrelativepath;error=true
              |                                ^^^^^^^^^^^^^^^^^^^
              |
            help: did you mean `WorkdirRelativePath`?
              |
            1 - # check=skip=UndefinedVr,all2, workdirrelativepath;error=true
            1 + # check=skip=UndefinedVr,all2, WorkdirRelativePath;error=true
              |
        "#]],
    );
    assert!(project.rbuild(["."]).run().success().stderr.contains("there is no rule called `all2`"));
}

#[test]
fn what_the_ignore_file_leaves_out_is_told_before_and_after_a_build() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY . /\n//- .dockerignore\n*\n//- a\n");
    let told = "warning[CopyIgnoredFile]: COPY names `.`, but line 1 of `.dockerignore` leaves it out of the context";
    assert!(project.rbuild(["--check", "."]).run().failure(1).stdout.contains(told));
    assert!(project.rbuild(["."]).run().success().stderr.contains(told));
}

#[test]
fn a_step_that_fails_tells_which_of_its_variables_has_no_value() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nARG SOURCES=src\nCOPY $SORUCES/a /\n//- src/a\n");
    let ran = project.rbuild(["."]).run().failure(1);
    let expected = expect![[r#"
        error[copy-failed]: cannot find `/a`
         --> Dockerfile:3:6
          |
        3 | COPY $SORUCES/a /
          |      ^^^^^^^^^^ this cannot be copied
          |
          = note: the variable `SORUCES` is not defined here
          = help: did you mean `$SOURCES`?
    "#]];
    let report = ran.stderr.find("error[").map(|at| &ran.stderr[at..]);
    expected.assert_eq(report.unwrap_or(&ran.stderr));
}
