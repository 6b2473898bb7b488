//! A registry that does what a test's script says, over plain sockets.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::digest::BlobDigest;
use crate::image::{SealedImage, media_type};
use crate::store::Store;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// An answer, and how it goes wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// So many bytes of the body, then silence.
    HangAfter(usize),
    /// The body has no length and no end.
    Endless,
}

/// A server on a free port, which remembers what it was asked.
pub(super) struct Fake {
    pub(super) host: String,
    seen: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

/// The contents of a well-behaved repository.
#[derive(Clone, Default)]
pub(super) struct Contents {
    documents: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn is_for(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn but(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

impl Fake {
    pub(super) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = listener.local_addr().expect("an address").to_string();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let stopped = Arc::<AtomicBool>::default();
        let script = Arc::new(script);
        let (log, stop) = (Arc::clone(&seen), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (script, log, stop) = (Arc::clone(&script), Arc::clone(&log), Arc::clone(&stop));
                // A client that hangs up in the middle is part of many tests.
                std::thread::spawn(move || connection.and_then(|c| serve(c, &*script, &log, &stop)));
            }
        });
        Self { host, seen, stopped }
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("lock").clone()
    }

    pub(super) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|r| r.is_for(method, part)).count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; if that fails it has ended already.
        let _woken = TcpStream::connect(&self.host);
    }
}

impl Contents {
    /// An image under the tag `latest`.
    pub(super) fn of(image: &SealedImage, store: &Store) -> Self {
        let mut contents = Self::default();
        contents.document("latest", media_type::MANIFEST, image.manifest());
        contents.blob(image.config().bytes());
        for layer in image.layers() {
            contents.blob(&store.read_blob(&layer.digest, 1 << 30).expect("a layer"));
        }
        contents
    }

    pub(super) fn document(&mut self, tag: &str, media: &str, bytes: &[u8]) {
        for name in [tag.to_owned(), BlobDigest::of(bytes).to_string()] {
            self.documents.insert(name, (media.to_owned(), bytes.to_vec()));
        }
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.blobs.insert(BlobDigest::of(bytes).to_string(), bytes.to_vec());
    }

    /// Answers as the specification says.
    pub(super) fn serve(&self, request: &Request) -> Reply {
        let path = request.target.split('?').next().unwrap_or("");
        let name = path.rsplit('/').next().unwrap_or("");
        if path.contains("/manifests/") {
            let Some((media, bytes)) = self.documents.get(name) else { return Reply::status(404) };
            return Reply::ok(bytes.clone()).with("Content-Type", media.clone());
        }
        let Some(bytes) = self.blobs.get(name) else { return Reply::status(404) };
        let start = request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match start {
            None => Reply::ok(bytes.clone()),
            Some(start) if start < bytes.len() => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Reply { status: 206, ..Reply::ok(bytes[start..].to_vec()) }.with("Content-Range", range)
            }
            Some(_) => Reply::status(416),
        }
    }
}

fn serve(
    stream: TcpStream,
    script: &dyn Fn(&Request) -> Reply,
    log: &Mutex<Vec<Request>>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Request { method, target, headers, body };
    log.lock().expect("lock").push(request.clone());
    answer(stream, &request, &script(&request), stop)
}

fn answer(mut stream: TcpStream, request: &Request, reply: &Reply, stop: &AtomicBool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if reply.fault != Fault::Endless && !reply.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    match reply.fault {
        Fault::None => stream.write_all(&reply.body),
        Fault::CutAfter(count) => stream.write_all(&reply.body[..count.min(reply.body.len())]),
        Fault::HangAfter(count) => {
            stream.write_all(&reply.body[..count.min(reply.body.len())])?;
            // Until the client hangs up.
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
        Fault::Endless => {
            while !stop.load(Ordering::Relaxed) {
                stream.write_all(&[b' '; 65536])?;
            }
            Ok(())
        }
    }
}
