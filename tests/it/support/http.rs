//! Serves the files of a folder over HTTP on the loopback interface, as any plain file server does.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A client that says nothing for this long is left alone.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than the head of any request of a test.
const MAX_HEAD: u64 = 64 << 10;

/// A running server; it ends when this is dropped.
pub struct FileServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl FileServer {
    /// Starts to serve what is in the folder, now or later.
    pub fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let (folder, end) = (folder.to_owned(), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let folder = folder.clone();
                // A client may go away in the middle of an answer; that is its right.
                thread::spawn(move || stream.is_ok_and(|stream| answer(&folder, stream).is_ok()));
            }
        });
        Self { address, ended, listener: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // One more connection wakes the listener, which then sees that it is over.
        if TcpStream::connect(self.address).is_ok()
            && let Some(listener) = self.listener.take()
        {
            assert!(listener.join().is_ok() || thread::panicking(), "the file server panicked");
        }
    }
}

/// Reads one request and answers it.
fn answer(folder: &Path, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(MAX_HEAD)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines.by_ref() {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, file_of(folder, target).map(fs::read)) {
        ("GET" | "HEAD", Some(Ok(body))) => ("200 OK", body),
        ("GET" | "HEAD", _) => ("404 Not Found", b"there is no such file\n".to_vec()),
        _ => ("405 Method Not Allowed", b"this server only gives files\n".to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// The file that a request's target means: its query plays no part, and nothing outside the folder is given.
fn file_of(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let is_below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    is_below.then(|| folder.join(path))
}
