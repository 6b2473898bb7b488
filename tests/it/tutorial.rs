//! The tutorial's service: built, loaded into Docker, run, asked; then built again after each kind of edit.

use std::fs;
use std::net::TcpListener;

use crate::support::docker::docker;
use crate::support::run::Ran;
use crate::support::service::service;
use crate::support::tools;

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_tutorials_service_answers_in_docker() {
    let service = service();
    assert!(service.report.ends_with("docker load -i app.tar\n"), "{}", service.report);
    let archive = service.project.root().join("first.tar");
    assert_eq!(docker().load(&archive), ["app:latest"]);
    assert_eq!(docker().inspect("app:latest")["Id"], service.image.id());
    let port = free_port();
    let container = docker().start_container("app:latest", &["--env", &format!("PORT={port}")]);
    let answer = container.http_get(port);
    assert!(answer.starts_with("HTTP/1.") && answer.ends_with("Hello from the service"), "{answer}");

    let source = format!("docker-archive:{}", archive.display());
    let rootfs = service.project.root().join("unpacked");
    tools::unpack_archive(&source, &service.project.temporary(), &rootfs);
    assert!(rootfs.join("app/app.py").exists());
    let oci = tools::skopeo_inspect(&format!("oci-archive:{}", archive.display()), &[]);
    assert_eq!(oci["Digest"], service.digest.as_str());
}

/// Builds the service again.
#[track_caller]
fn build_again() -> Ran {
    service().project.rbuild(["-t", "app", "."]).run().success()
}

#[track_caller]
fn check_edit(file: &str, text: &str) -> Ran {
    let path = service().project.context().join(file);
    let mut content = fs::read_to_string(&path).unwrap();
    content.push_str(text);
    fs::write(&path, content).unwrap();
    build_again()
}

#[test]
fn an_edit_runs_what_depends_on_it_and_says_why() {
    let first = &service().image.id();
    let same = build_again();
    assert_eq!(same.counts(), (4, 0), "{}", same.stderr);
    assert!(same.stderr.contains(first), "{}", same.stderr);
    assert!(same.stderr.contains("export to app.tar UNCHANGED"), "{}", same.stderr);

    let app = check_edit("app.py", "# edited\n");
    assert_eq!(app.counts(), (3, 1), "{}", app.stderr);
    assert!(app.stderr.contains("runs because 1 file changed: app.py\n"), "{}", app.stderr);

    let comment = check_edit("Dockerfile", "# a comment\n");
    assert_eq!(comment.counts(), (4, 0), "{}", comment.stderr);
    assert!(comment.stderr.contains("export to app.tar UNCHANGED"), "{}", comment.stderr);

    let requirements = check_edit("requirements.txt", "# edited\n");
    assert_eq!(requirements.counts(), (1, 3), "{}", requirements.stderr);
    let why = "runs because COPY requirements.txt . changed (1 file: requirements.txt)\n";
    assert!(requirements.stderr.contains(why), "{}", requirements.stderr);
}
