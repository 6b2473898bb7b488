//! A registry that makes its clients meet: proof, without a clock, that two things are under way at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::Value;

use crate::support::archive::sha256;
use crate::support::layout;

/// A registry of the images `one` and `two`, each of one layer with a file of its name. Requests for layers, and those for
/// `/go`, are answered only when two of them wait.
pub struct MeetingPlace {
    /// `127.0.0.1:PORT`.
    pub address: String,
}

type Answers = BTreeMap<String, (&'static str, Vec<u8>)>;

impl MeetingPlace {
    /// Serves until the process ends.
    pub fn start() -> Self {
        let mut answers = Answers::new();
        let mut waits = vec!["/go".to_owned()];
        answers.insert("/v2/".to_owned(), ("application/json", b"{}".to_vec()));
        answers.insert("/go".to_owned(), ("text/plain", b"go\n".to_vec()));
        for name in ["one", "two"] {
            waits.push(add(&mut answers, name));
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new((answers, waits, Barrier::new(2)));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || answer(&shared.0, &shared.1, &shared.2, stream));
            }
        });
        Self { address }
    }
}

/// Adds an image; the path of its layer.
fn add(answers: &mut Answers, name: &str) -> String {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(name.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, name.as_bytes()).expect("memory is writable");
    let layer = tar.into_inner().expect("memory is writable");
    let folder = tempfile::tempdir().expect("there is room for a layout");
    let folder = folder.path().join("layout");
    layout::write(&folder, &layer, &serde_json::json!({}));
    let index = fs::read(folder.join("index.json")).expect("it was written");
    let index: Value = serde_json::from_slice(&index).expect("it is JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("it names a manifest");
    let blobs = folder.join("blobs/sha256");
    let manifest = fs::read(blobs.join(digest.trim_start_matches("sha256:"))).expect("it was written");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    for named in ["latest", digest] {
        answers.insert(format!("/v2/{name}/manifests/{named}"), (kind, manifest.clone()));
    }
    for blob in fs::read_dir(&blobs).expect("it was written").map(|blob| blob.expect("it was written")) {
        let path = format!("/v2/{name}/blobs/sha256:{}", blob.file_name().display());
        answers.insert(path, ("application/octet-stream", fs::read(blob.path()).expect("it was written")));
    }
    format!("/v2/{name}/blobs/sha256:{}", sha256(&layer))
}

fn answer(answers: &Answers, waits: &[String], pair: &Barrier, mut stream: TcpStream) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    // The head is read to its end, so that closing the connection takes nothing back.
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    let path = request.split(' ').nth(1).unwrap_or("");
    if waits.iter().any(|wait| wait == path) {
        pair.wait();
    }
    let (status, (kind, body)) = match answers.get(path) {
        Some((kind, body)) => ("200 OK", (*kind, body.as_slice())),
        None => ("404 Not Found", ("text/plain", &b""[..])),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client may have seen enough.
    let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
