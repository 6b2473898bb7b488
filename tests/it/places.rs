//! The places that tests run programs in: what is in them, what is written down of a run, what is left behind.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::expect;

use crate::support::http::FileServer;
use crate::support::registry::Registry;
use crate::support::run::{Project, redact_elapsed};
use crate::support::{base, fixture, leaks};

#[test]
fn a_registry_that_is_dropped_leaves_nothing() {
    let registry = Registry::start();
    let dir = registry.folder().to_owned();
    assert!(dir.exists() && !leaks::processes_of(&dir).is_empty());
    drop(registry);
    assert!(!dir.exists());
    assert_eq!(leaks::processes_of(&dir), Vec::<String>::new());
    assert_eq!(leaks::mounts_below(&dir), Vec::<String>::new());
}

#[test]
fn the_program_runs_in_a_place_of_its_own() {
    let project = Project::with("//- Dockerfile\nFROM scratch\n");
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    project.write_docker_config("{\"auths\":{}}");
    let ran =
        project.rbuild(["--help"]).env("RUST_BACKTRACE", "0").current_dir(project.root()).stdin("").run().success();
    assert!(ran.stdout.contains("Usage: rbuild"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    leaks::assert_none(&project);
}

#[test]
fn a_call_has_the_environment_of_the_project_and_no_other() {
    let project = Project::new();
    let script = "cat; env | sort; pwd; echo took 1.5s >&2; exit 3";
    let ran = project.program("/bin/sh", ["-c", script]).env("EXTRA", "1").stdin("input\n").run().failure(3);
    expect![[r#"
        input
        EXTRA=1
        HOME=[ROOT]/home
        LC_ALL=C
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        PWD=[ROOT]/context
        RBUILD_STORE=[STORE]
        TMPDIR=[ROOT]/tmp
        TZ=UTC
        [ROOT]/context
    "#]]
    .assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "took [ELAPSED]\n");
}

#[test]
fn what_a_program_leaves_behind_is_seen() {
    let project = Project::new();
    fs::write(project.temporary().join("left"), "").unwrap();
    // It stops only after it has said that it runs, so that what is seen of it no longer changes.
    let mut child = project.program("/bin/sh", ["-c", "echo; kill -STOP $$"]).spawn();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let found = leaks::processes_of(project.root());
    let files = leaks::files_below(&project.temporary());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found.len() == 1 && found[0].ends_with("/bin/sh -c echo; kill -STOP $$ "), "{found:?}");
    assert_eq!(files, [project.temporary().join("left")]);
    assert_eq!(leaks::processes_of(project.root()), Vec::<String>::new());
}

#[test]
fn only_times_are_redacted() {
    let text = "RUN x 0.3s, 12 ms; 3 s. sha256:12s 1.2.3 4 steps 5sec v1s";
    expect!["RUN x [ELAPSED], [ELAPSED]; [ELAPSED]. sha256:12s 1.2.3 4 steps 5sec v1s"]
        .assert_eq(&redact_elapsed(text));
}

#[test]
fn a_fixture_is_written_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    fixture::write(
        dir.path(),
        "
        //- a.txt mode=600
        one
          two

        //- deep/er/run mode=4755
        //- empty/ mode=700
        //- link -> deep/er
        //- last
        end
        ",
    );
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(fs::read_to_string(dir.path().join("a.txt")).unwrap(), "one\n  two\n\n");
    assert_eq!(fs::read_to_string(dir.path().join("last")).unwrap(), "end\n");
    assert_eq!(["a.txt", "deep/er/run", "empty", "deep"].map(mode), [0o600, 0o4755, 0o700, 0o755]);
    assert_eq!(fs::read_link(dir.path().join("link")).unwrap(), Path::new("deep/er"));
}

#[test]
fn a_file_server_gives_what_is_in_its_folder_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("web")).unwrap();
    fs::write(dir.path().join("web/a.txt"), "hello\n").unwrap();
    fs::write(dir.path().join("secret"), "no").unwrap();
    let server = FileServer::start(&dir.path().join("web"));
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{}: {}", head.lines().next().unwrap(), body.trim())
    };
    assert_eq!(ask("GET /a.txt?x=1"), "HTTP/1.1 200 OK: hello");
    assert_eq!(ask("HEAD /a.txt"), "HTTP/1.1 200 OK: ");
    assert_eq!(ask("GET /../secret"), "HTTP/1.1 404 Not Found: there is no such file");
    assert_eq!(ask("POST /a.txt"), "HTTP/1.1 405 Method Not Allowed: this server only gives files");
}
