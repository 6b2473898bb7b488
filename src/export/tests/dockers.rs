use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::bench::{Bench, names};
use crate::export::response::read_response;
use crate::export::{Error, Loaded, NamedImage, Result, load_into_docker, write_archive};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/// Takes one request: its head, and its body put together from its chunks; none if the body has no end.
fn take_request(stream: &UnixStream) -> (String, Option<Vec<u8>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("a line"), 0);
    }
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("a line") == 0 {
            return (head, None);
        }
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).expect("a chunk");
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return (head, Some(body));
        }
    }
}

/// Serves one load with `answer`; what was sent, and what came of it.
fn check_load(
    answer: &str,
    write: &mut dyn FnMut(&mut dyn std::io::Write) -> Result<()>,
) -> (String, Option<Vec<u8>>, Result<Loaded>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let request = take_request(&stream);
            // A client that gave up does not read it.
            let _unused = stream.write_all(answer.as_bytes());
            request
        });
        let result = load_into_docker(&socket, write);
        let (head, body) = server.join().expect("the server");
        (head, body, result)
    })
}

#[test]
fn an_archive_arrives_byte_for_byte_and_the_names_come_back() {
    let bench = Bench::new();
    let image = bench.image(&["a", &"long ".repeat(100_000)]);
    let answer = format!(
        "{OK}Transfer-Encoding: chunked\r\n\r\n29\r\n{{\"stream\":\"Loaded image: app:latest\\n\"}}\r\n\r\n0\r\n\r\n"
    );
    let (head, body, loaded) = check_load(&answer, &mut |out| {
        write_archive(&bench.store, &[NamedImage { image: &image, names: &names(&["app"]) }], out)
    });
    assert!(head.starts_with("POST /images/load?quiet=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(body.expect("a whole body"), bench.archive(&image, &names(&["app"])));
    assert_eq!(loaded.expect("loaded"), Loaded { names: vec!["app:latest".into()], ids: Vec::new() });
}

#[test]
fn a_damaged_layer_cuts_the_stream_off() {
    let bench = Bench::new();
    let image = bench.image(&["a"]);
    bench.damage(&image.layers()[0].digest);
    let (_, body, loaded) = check_load(&format!("{OK}\r\n"), &mut |out| {
        write_archive(&bench.store, &[NamedImage { image: &image, names: &[] }], out)
    });
    assert_eq!(body, None, "an end would make it an archive");
    assert!(matches!(loaded, Err(Error::Store(_))));
}

#[test]
fn what_docker_says_is_understood() {
    let read = |answer: String| read_response(&mut answer.as_bytes());
    let lines = "{\"stream\":\"Loaded image: a:1\\nLoaded image: b:2\\n\"}\r\n{\"status\":\"x\"}\r\n{\"stream\":\"Loaded image ID: sha256:00\\n\"}\n";
    let loaded = read(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}Content-Length: {}\r\n\r\n{lines}", lines.len()));
    assert_eq!(
        loaded.expect("loaded"),
        Loaded { names: vec!["a:1".into(), "b:2".into()], ids: vec!["sha256:00".into()] }
    );
    for (answer, said) in [
        (
            format!("{OK}\r\n{{\"errorDetail\":{{\"message\":\"no space\\u001b[2J\"}},\"error\":\"no space\"}}"),
            "no space [2J",
        ),
        ("HTTP/1.1 500 X\r\nContent-Length: 21\r\n\r\n{\"message\":\"full up\"}".into(), "full up"),
        ("HTTP/1.1 502 X\r\nContent-Length: 4\r\n\r\nhtml".into(), "html"),
        ("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n".into(), "it answered with status 403"),
    ] {
        match read(answer) {
            Err(Error::Docker { message }) => assert_eq!(message, said),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    for answer in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 20",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\nnot json",
    ] {
        assert!(matches!(read_response(&mut answer.as_bytes()), Err(Error::Protocol { .. })), "{answer}");
    }
}

#[test]
fn an_unreachable_docker_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("docker.sock");
    let said = |socket: &Path| load_into_docker(socket, &mut |_| Ok(())).expect_err("unreachable").to_string();
    assert!(said(&socket).ends_with("no such socket; is Docker running?"));
    drop(UnixListener::bind(&socket).expect("a socket"));
    assert!(said(&socket).ends_with("nobody answers; is Docker running?"));
    assert!(said(&folder.path().join("x".repeat(200))).ends_with("the path is too long for a socket"));
}
