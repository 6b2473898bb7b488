//! Images on their way to a registry and from it.

use std::fs;

use base64::Engine as _;
use serde_json::json;

use crate::support::base;
use crate::support::docker::docker;
use crate::support::registry::{PASSWORD, Registry, USER};
use crate::support::run::{Call, Project};
use crate::support::service::manifest_digest;
use crate::support::tools;

/// One step of each kind on a base.
const CONTEXT: &str = r#"
    //- Dockerfile
    FROM busybox
    COPY story.txt /
    RUN cat /story.txt /story.txt > /twice.txt
    CMD ["cat", "/twice.txt"]
    //- story.txt
    once
    "#;

fn project() -> Project {
    let project = Project::with(CONTEXT);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    project
}

/// `rbuild -t NAME --push .`, with the metadata in `metadata.json` beside the context.
fn push<'a>(project: &'a Project, name: &str) -> Call<'a> {
    project.rbuild(["-t", name, "--push", "--metadata-file=../metadata.json", "."])
}

#[test]
fn docker_pulls_and_runs_what_was_pushed() {
    let registry = base::registry();
    let project = project();
    let name = registry.name("pushed/app:1");
    let ran = push(&project, &name).run().success();
    assert!(ran.stderr.ends_with(&format!("docker pull {name}\n")), "{}", ran.stderr);
    assert!(!project.context().join("app.tar").exists());
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &[]), "once\nonce\n");

    let digest = manifest_digest(&fs::read(project.root().join("metadata.json")).unwrap());
    assert_eq!(tools::skopeo_inspect(&format!("docker://{name}"), &[])["Digest"], digest.as_str());
    let iid = project.rbuild(["-q", "."]).run().success().raw_stdout;
    assert_eq!(docker().inspect(&name)["Id"], iid.trim());
}

#[test]
fn what_the_registry_has_is_not_sent_again() {
    let registry = Registry::start();
    let project = project();
    let uploads = |repository: &str| {
        let log = registry.log();
        let request = format!("\"PUT /v2/{repository}/blobs/uploads/");
        log.lines().filter(|line| line.contains(&request)).count()
    };
    push(&project, &registry.name("team/app:1")).run().success();
    // The config and three layers.
    assert_eq!(uploads("team/app"), 4, "{}", registry.log());
    push(&project, &registry.name("team/app:2")).run().success();
    assert_eq!(uploads("team/app"), 4, "{}", registry.log());
    project.write("//- story.txt\nanother\n");
    push(&project, &registry.name("team/app:3")).run().success();
    // The base's layer is there.
    assert_eq!(uploads("team/app"), 7, "{}", registry.log());
    let tags = tools::skopeo_inspect(&format!("docker://{}", registry.name("team/app:1")), &[]);
    assert_eq!(tags["RepoTags"].as_array().unwrap().len(), 3, "{tags}");
}

#[test]
fn the_layers_of_a_base_are_mounted_from_its_repository() {
    let registry = Registry::start();
    let from = registry.name("base/busybox:1");
    base::push(base::busybox(), &from);
    let project = project();
    project.write(&format!("//- Dockerfile\nFROM {from}\nCOPY story.txt /\nCMD [\"cat\", \"/story.txt\"]\n"));
    let name = registry.name("mounted/app:1");
    push(&project, &name).run().success();
    let log = registry.log();
    // 201 says that it was mounted; 202 starts an upload of what the other repository does not have either.
    let mounted = |line: &&str| line.contains("from=base%2Fbusybox HTTP/1.1\" 201");
    assert_eq!(log.lines().filter(mounted).count(), 1, "{log}");
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &[]), "once\n");
}

#[test]
fn two_names_are_pushed_both() {
    let registry = base::registry();
    let project = project();
    let (one, two) = (registry.name("names/one:1"), registry.name("names/two:2"));
    project.rbuild(["-t", &one, "-t", &two, "--push", "."]).run().success();
    let digest = |name: &str| tools::skopeo_inspect(&format!("docker://{name}"), &[])["Digest"].clone();
    assert_eq!(digest(&one), digest(&two));
}

#[test]
fn a_registry_with_a_login_gets_the_credentials_of_docker_login() {
    let registry = Registry::with_login();
    let project = project();
    let name = registry.name("private/app:1");
    let refused = push(&project, &name).run().failure(3);
    assert!(refused.stderr.contains(&registry.host()), "{}", refused.stderr);
    assert!(refused.stderr.contains("docker login"), "{}", refused.stderr);

    let wrong = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:wrong-password"));
    project.write_docker_config(&json!({"auths": {registry.host(): {"auth": wrong}}}).to_string());
    let refused = push(&project, &name).run().failure(3);
    assert!(!refused.stderr.contains("wrong-password") && !refused.stderr.contains(&wrong), "{}", refused.stderr);

    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    project.write_docker_config(&json!({"auths": {registry.host(): {"auth": auth}}}).to_string());
    let ran = push(&project, &name).run().success();
    assert!(!ran.stderr.contains(PASSWORD), "{}", ran.stderr);
    let credentials = format!("{USER}:{PASSWORD}");
    let inspected = tools::skopeo_inspect(&format!("docker://{name}"), &["--creds", &credentials]);
    assert_eq!(inspected["RepoTags"], json!(["1"]));

    // And as a base.
    let other = Project::with(&format!("//- Dockerfile\nFROM {name}\nCOPY Dockerfile /\n"));
    other.write_docker_config(&json!({"auths": {registry.host(): {"auth": auth}}}).to_string());
    other.rbuild(["-t", "app", "."]).run().success();
    for dir in [other.root(), project.root()] {
        assert_no_secret(dir);
    }
}

/// The password is in the home only.
fn assert_no_secret(root: &std::path::Path) {
    for path in crate::support::leaks::files_below(root) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!found, "{} holds the password", path.display());
    }
}

#[test]
fn loading_into_docker_needs_no_file() {
    let project = project();
    let ran = project.rbuild(["-t", "loaded:1", "-t", "loaded:2", "--load", "."]).env("DOCKER_HOST", docker().host());
    let ran = ran.run().success();
    assert!(ran.stderr.ends_with("docker run loaded:1\n"), "{}", ran.stderr);
    assert!(!project.context().join("loaded.tar").exists());
    for name in ["loaded:1", "loaded:2"] {
        assert_eq!(docker().run(name, &[]), "once\nonce\n");
    }
    let nobody = project.root().join("no-socket");
    let refused =
        project.rbuild(["-t", "loaded:1", "--load", "."]).env("DOCKER_HOST", format!("unix://{}", nobody.display()));
    let refused = refused.run().failure(5);
    assert!(refused.stderr.contains("[ROOT]/no-socket"), "{}", refused.stderr);
}
