//! What the secrets of a compose file are to commands and to servers.

use std::fs;

use expect_test::expect;

use crate::support::run::Project;
use crate::support::{base, web};

#[test]
fn a_variable_that_is_not_set_is_an_empty_secret_and_a_warning() {
    let project = base::project(
        "//- compose.yaml
services:
  api: &api
    build:
      dockerfile_inline: |
        FROM busybox
        RUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token
      secrets: [token]
  worker: *api
  other:
    profiles: [other]
    build:
      context: .
      secrets: [unused]
secrets:
  token:
    environment: API_TOKEN
  unused: {environment: UNUSED}
",
    );
    let args = ["compose", "-p", "p", "build", "--progress=plain"];
    let ran = project.rbuild(args).run().success();
    let (warning, rest) = ran.stderr.split_once("pull ").unwrap();
    expect![[r#"
        warning[unset-variable]: the variable `API_TOKEN` is not set, so the secret is empty
          --> compose.yaml:16:18
           |
        16 |     environment: API_TOKEN
           |                  ^^^^^^^^^
           |
           = help: set it in the environment or an env file; `API_TOKEN=` says that it is empty
    "#]]
    .assert_eq(warning);
    assert!(rest.lines().any(|line| line.starts_with('#') && line.ends_with(" 0")), "{rest}");
    for value in ["", "four"] {
        let ran = project.rbuild(args).env("API_TOKEN", value).run().success();
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    }
    let ran = project.rbuild(["compose", "build", "-q"]).run().success();
    assert_eq!(ran.stderr, "");
}

/// A context, a named one and an ADD, each from a server that asks for a login.
fn project(address: &str, secrets: &str) -> Project {
    Project::with(&format!(
        "//- compose.yaml
name: p
services:
  context:
    build:
      context: {address}/context.tar
      secrets: [mine]
  named:
    build:
      dockerfile_inline: |
        FROM scratch
        COPY --from=files /Dockerfile /
        ADD {address}/file /
      additional_contexts: {{files: \"{address}/context.tar\"}}
      secrets: [{{source: mine, target: HTTP_AUTH_TOKEN_127.0.0.1}}]
secrets:
{secrets}"
    ))
}

fn context() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let text = b"FROM scratch\nCOPY Dockerfile /\n";
    base::append(&mut tar, "Dockerfile", tar::EntryType::Regular, 0o644, text);
    tar.into_inner().unwrap()
}

#[test]
fn secrets_for_servers_are_sent_to_them() {
    let address = web::serve_to("Bearer canary", &[("/context.tar", &context()), ("/file", b"text")]);
    let project = project(&address, "  mine: {environment: TOKEN}\n");
    let args = ["compose", "build", "-o", "stack.tar"];
    let ran = project.rbuild(args).env("TOKEN", "canary").run().success();
    assert!(ran.stderr.contains("built 2 images") && !ran.stderr.contains("canary"), "{}", ran.stderr);
    // From a file too, and by its own name.
    let text = fs::read_to_string(project.context().join("compose.yaml")).unwrap();
    let text = text.replace("secrets: [mine]", "secrets: [HTTP_AUTH_TOKEN_127.0.0.1]");
    let text = text.replace("{environment: TOKEN}", "{environment: TOKEN}\n  HTTP_AUTH_TOKEN_127.0.0.1: {file: token}");
    project.write(&format!("//- token\ncanary\n//- compose.yaml\n{text}"));
    let call = || project.rbuild(args).env("RBUILD_STORE", project.root().join("other"));
    call().env("TOKEN", "canary").run().success();
    let ran = call().env("TOKEN", "another").run().failure(1);
    expect![[r#"
        error[cannot-build]: the services `context` and `named` have different secrets `HTTP_AUTH_TOKEN_127.0.0.1`
          --> compose.yaml:16:23
           |
        16 |   mine: {environment: TOKEN}
           |                       ^^^^^
           |
           = help: give both the same: what services have in common is fetched once
    "#]]
    .assert_eq(&ran.stderr);
    let ran = call().env("TOKEN", "a\nb").run().failure(1);
    assert!(ran.stderr.contains("compose.yaml:16:23"), "{}", ran.stderr);
}

#[test]
fn a_server_without_its_secret_says_so() {
    let address = web::serve_to("Bearer canary", &[("/context.tar", &context()), ("/file", b"text")]);
    let ran = project(&address, "  mine: {environment: TOKEN}\n").rbuild(["compose", "build"]).run().failure(3);
    assert!(ran.stderr.contains("warning[unset-variable]") && ran.stderr.contains("401"), "{}", ran.stderr);
}
