//! `rbuild plan`.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::run::Project;

const DOCKERFILE: &str = r#"
    //- Dockerfile
    FROM scratch AS tools
    COPY tool /bin/
    FROM tools AS build
    ENV MODE=release
    WORKDIR /src
    COPY go.mod go.sum ./
    RUN --mount=type=cache,target=/root/.cache \
        --mount=type=secret,id=token \
        --mount=from=tools,target=/tools \
        make
    FROM scratch AS unused
    COPY nothing /
    FROM scratch
    COPY --from=build /out /
    ADD https://user:secret@example.com/data.tar /
    COPY <<A <<B /etc/
    one
    A
    B
    USER 1000
"#;

#[test]
fn a_plan_is_shown_with_what_each_step_takes_from_elsewhere() {
    let project = Project::with(DOCKERFILE);
    let ran = project.rbuild(["plan", "."]).run().success();
    expect![[r#"
        stage tools, line 1, on scratch
            1/1    line 2          COPY tool /bin/
                                 <- context: tool

        stage build, line 3, on stage tools
             -     line 4          ENV MODE=release
            1/3    line 5          WORKDIR /src
            2/3    line 6          COPY go.mod go.sum ./
                                 <- context: go.mod, go.sum
            3/3    lines 7-10      RUN --mount=type=cache,target=/root/.cache     --mount=type=secret,id=token     --mount=from=tools,target=/tools     make
                                 <- cache /root/.cache
                                 <- secret token
                                 <- stage tools: /

        stage stage-3, line 13, on scratch (target)
            1/3    line 14         COPY --from=build /out /
                                 <- stage build: /out
            2/3    line 15         ADD https://xxxxxxxxxxx@example.com/data.tar /
                                 <- url https://example.com/data.tar
            3/3    lines 16-19     COPY <<A <<B /etc/
                                 <- heredoc: A, B
             -     line 20         USER 1000
    "#]]
    .assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_plan_as_json_says_the_same() {
    let project = Project::with(DOCKERFILE);
    let ran = project.rbuild(["plan", "--json", "--target", "build", "."]).run().success();
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["dockerfile"], "Dockerfile");
    assert_eq!(plan["target"], 1);
    assert_eq!(plan["stages"][1]["base"], json!({ "kind": "stage", "name": "tools" }));
    let step = &plan["stages"][1]["steps"][3];
    assert_eq!((&step["kind"], &step["lines"], &step["position"]), (&json!("run"), &json!([7, 10]), &json!([3, 3])));
    assert_eq!(
        step["needs"],
        json!([
            { "kind": "cache", "name": "/root/.cache" },
            { "kind": "secret", "name": "token" },
            { "kind": "stage", "name": "tools", "paths": ["/"] },
        ])
    );
    assert_eq!(plan["stages"].as_array().unwrap().len(), 2);
}

#[test]
fn a_base_that_is_not_stored_is_told_and_not_pulled() {
    let project = Project::with("//- Dockerfile\nFROM registry.invalid/base:1\nRUN make\n");
    let ran = project.rbuild(["plan", "."]).run().success();
    expect![[r#"
        stage stage-0, line 1, on registry.invalid/base:1 for [MACHINE] (target)
            2/2    line 2          RUN make
    "#]]
    .assert_eq(&ran.stdout.replace(&rbuild::platform::Platform::host().to_string(), "[MACHINE]"));
    expect![[r#"
        note: `registry.invalid/base:1` is not in the store: what it sets and its ONBUILD instructions are not in this plan
    "#]]
    .assert_eq(&ran.stderr);
}

#[test]
fn what_cannot_be_planned_is_an_error_as_in_a_build() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nEXPOSE http\nCOPY --from=3 a b\n");
    let ran = project.rbuild(["plan", "."]).run().failure(1);
    assert!(ran.stderr.starts_with("error[unknown-stage]: there is no stage number 3\n"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}
