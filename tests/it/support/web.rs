//! Servers on the loopback interface: files over http, and repositories over git's own protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Serves files by their paths, until the process ends; gives the address without a slash at its end.
pub fn serve(files: &[(&str, &[u8])]) -> String {
    serve_if(None, files)
}

/// The same for those alone who send this `Authorization`; others are told that it is missing.
pub fn serve_to(authorization: &str, files: &[(&str, &[u8])]) -> String {
    serve_if(Some(format!("authorization: {authorization}")), files)
}

fn serve_if(header: Option<String>, files: &[(&str, &[u8])]) -> String {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(&files, header.as_deref(), stream);
        }
    });
    format!("http://{address}")
}

fn answer(files: &BTreeMap<String, Vec<u8>>, wanted: Option<&str>, mut stream: TcpStream) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    // The head is read to its end, so that closing the connection takes nothing back.
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let is_let_in = wanted.is_none_or(|wanted| headers.iter().any(|header| header.eq_ignore_ascii_case(wanted)));
    let path = request.split(' ').nth(1).unwrap_or("").split('?').next().unwrap_or("");
    let (status, body) = match files.get(path) {
        _ if !is_let_in => ("401 Unauthorized", &b""[..]),
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", &b""[..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client may have seen enough.
    let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Serves the repositories in a folder, until the process ends; gives the address without a slash at its end.
pub fn serve_git(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
    let address = listener.local_addr().expect("it is bound");
    let base = format!("--base-path={}", folder.display());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let socket = OwnedFd::from(stream);
            let out = socket.try_clone().expect("there are descriptors left");
            let mut daemon = Command::new("git");
            daemon.args(["daemon", "--inetd", "--export-all", &base]).stdin(socket).stdout(out).stderr(Stdio::null());
            daemon.status().expect("git is installed: apt-get install git, or run .ci/test");
        }
    });
    format!("git://{address}")
}

/// Makes a folder a repository with one commit on the branch `main`; gives the commit.
#[track_caller]
pub fn commit(folder: &Path) -> String {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(folder).env_clear().env("HOME", folder);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "x");
        }
        let output = command.output().expect("git is installed: apt-get install git, or run .ci/test");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=x"]);
    git(&["rev-parse", "HEAD"])
}
