//! A server that answers as a test tells it, and what every test needs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::fetch::{Credentials, Fetcher, Options, Watch};
use crate::remote::{GitSource, HttpUrl, Remote};
use crate::store::Store;

/// A request: its path with query, and its headers with names in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A running server; its thread ends with the process.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request with the bytes that `answer` gives; the connection is closed after them.
    pub fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + 'static) -> Self {
        Self::with_streams(move |request, mut stream| {
            // A client that has seen enough may be gone.
            let _gone = stream.write_all(&answer(request));
        })
    }

    pub fn with_streams(answer: impl Fn(&Request, TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                if let Some(request) = read(&stream) {
                    log.lock().expect("no test panics with it").push(request.clone());
                    answer(&request, stream);
                }
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no test panics with it").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Request { path, headers: headers.collect() })
}

/// An answer with a body.
pub fn ok(body: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

/// An answer without one.
pub fn bare(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// A store and a fetcher that does not wait long.
pub struct Bench {
    _folder: TempDir,
    pub store: Store,
    pub fetcher: Fetcher,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_secrets(&[])
    }

    pub fn with_secrets(secrets: &[(&str, &str)]) -> Self {
        let mut credentials = Credentials::default();
        for (id, secret) in secrets {
            credentials.add(id, secret.as_bytes()).expect("a secret");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store")).expect("a store");
        let options = Options {
            pause: Duration::from_millis(1),
            idle: Duration::from_millis(500),
            path: std::env::var_os("PATH"),
            credentials,
            ..Options::default()
        };
        Self { _folder: folder, store, fetcher: Fetcher::new(options) }
    }

    pub fn download(&self, url: &str) -> crate::fetch::Result<String> {
        let download = self.fetcher.download(&self.store, &http(url), None, &Free)?;
        Ok(String::from_utf8(self.store.read_blob(&download.blob, 1 << 20).expect("the blob")).expect("text"))
    }
}

pub fn http(url: &str) -> HttpUrl {
    HttpUrl::parse(url).expect("a URL")
}

pub fn git(text: &str) -> GitSource {
    match Remote::parse(text) {
        Ok(Some(Remote::Git(source))) => source,
        other => panic!("{text}: {other:?}"),
    }
}

/// Never stops anything.
pub struct Free;

impl Watch for Free {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Stops everything.
pub struct Stopped;

impl Watch for Stopped {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn cancelled(&self) -> bool {
        true
    }
}
