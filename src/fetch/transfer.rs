//! One request on a thread of its own, so that whoever waits for it can be interrupted.

use std::io::Read as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::RequestBuilder;
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED, LOCATION};

use super::{Error, Result, Watch, limits};

/// How often the watch is asked while nothing comes.
const TICK: Duration = Duration::from_millis(50);
const CHUNK: usize = 128 << 10;

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) modified: Option<String>,
    pub(super) length: Option<u64>,
}

enum Piece {
    Head(Box<Head>),
    Bytes(Vec<u8>),
    End,
    Failed { problem: String, is_timeout: bool },
}

/// A request under way.
pub(super) struct Transfer<'a> {
    pieces: Receiver<Piece>,
    shown: &'a str,
    watch: &'a dyn Watch,
    idle: Duration,
    window: (Instant, u64),
    got: u64,
}

impl<'a> Transfer<'a> {
    /// Sends a request. `idle` is the time after which the request itself gives up.
    pub(super) fn start(request: RequestBuilder, shown: &'a str, watch: &'a dyn Watch, idle: Duration) -> Result<Self> {
        let (sender, pieces) = sync_channel(8);
        let spawned = std::thread::Builder::new().name("fetch".to_owned()).spawn(move || run(request, &sender));
        spawned.map_err(|error| Error::Setup { problem: error.to_string() })?;
        Ok(Self { pieces, shown, watch, idle, window: (Instant::now(), 0), got: 0 })
    }

    /// Waits for the head of the answer.
    pub(super) fn head(&mut self) -> Result<Head> {
        match self.next()? {
            Piece::Head(head) => Ok(*head),
            Piece::Bytes(_) | Piece::End => Err(self.broken("it sent no head".to_owned())),
            Piece::Failed { problem, is_timeout } => Err(self.failed(problem, is_timeout)),
        }
    }

    /// The next bytes of the body; none at its end.
    pub(super) fn bytes(&mut self, expected: Option<u64>) -> Result<Option<Vec<u8>>> {
        let bytes = match self.next()? {
            Piece::Bytes(bytes) => bytes,
            Piece::End => return self.end(expected),
            Piece::Head(_) => return Err(self.broken("it sent two heads".to_owned())),
            Piece::Failed { problem, is_timeout } => return Err(self.failed(problem, is_timeout)),
        };
        self.got += bytes.len() as u64;
        if self.got > limits::BODY {
            return Err(Error::TooLarge { shown: self.shown.to_owned(), limit: limits::BODY });
        }
        self.check_rate()?;
        self.watch.bytes(self.got, expected);
        Ok(Some(bytes))
    }

    fn end(&self, expected: Option<u64>) -> Result<Option<Vec<u8>>> {
        match expected.filter(|expected| *expected != self.got) {
            Some(expected) => Err(Error::Short { shown: self.shown.to_owned(), got: self.got, expected }),
            None => Ok(None),
        }
    }

    fn next(&self) -> Result<Piece> {
        loop {
            if self.watch.cancelled() {
                return Err(Error::Interrupted);
            }
            match self.pieces.recv_timeout(TICK) {
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.broken("the transfer ended".to_owned())),
            }
        }
    }

    /// A server may not keep a build waiting by sending now and then a byte.
    fn check_rate(&mut self) -> Result<()> {
        let (since, before) = self.window;
        if since.elapsed() < limits::SLOW_WINDOW {
            return Ok(());
        }
        if self.got - before < limits::SLOWEST {
            return Err(self.failed(String::new(), true));
        }
        self.window = (Instant::now(), self.got);
        Ok(())
    }

    fn failed(&self, problem: String, is_timeout: bool) -> Error {
        match is_timeout {
            true => Error::Slow { shown: self.shown.to_owned(), seconds: self.idle.as_secs() },
            false => self.broken(problem),
        }
    }

    fn broken(&self, problem: String) -> Error {
        Error::Transport { shown: self.shown.to_owned(), problem }
    }
}

/// Sends the request and passes on what comes, until the end or until nobody listens any more.
fn run(request: RequestBuilder, sender: &SyncSender<Piece>) {
    let mut answer = match request.send() {
        Ok(answer) => answer,
        Err(error) => {
            let _nobody_listens = sender.send(failed(&error));
            return;
        }
    };
    let head = head_of(answer.status(), answer.headers());
    if sender.send(Piece::Head(Box::new(head))).is_err() || !answer.status().is_success() {
        return;
    }
    let mut buffer = vec![0; CHUNK];
    loop {
        let piece = match answer.read(&mut buffer) {
            Ok(0) => Piece::End,
            Ok(count) => Piece::Bytes(buffer[..count].to_vec()),
            Err(error) => {
                let is_timeout = error.kind() == std::io::ErrorKind::TimedOut;
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
                match inner {
                    Some(inner) => failed(inner),
                    None => Piece::Failed { problem: error.to_string(), is_timeout },
                }
            }
        };
        let is_last = !matches!(piece, Piece::Bytes(_));
        if sender.send(piece).is_err() || is_last {
            return;
        }
    }
}

fn head_of(status: StatusCode, headers: &HeaderMap) -> Head {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Head {
        status,
        location: text(LOCATION),
        tag: text(ETAG).filter(|tag| !tag.is_empty() && tag.len() <= limits::ETAG),
        modified: text(LAST_MODIFIED).filter(|time| time.len() <= limits::ETAG),
        length: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// The library's error without the URL, which may hold a secret in its query.
fn failed(error: &reqwest::Error) -> Piece {
    let mut problem = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let text = inner.to_string();
        if !problem.contains(&text) {
            problem.push_str(if problem.is_empty() { "" } else { ": " });
            problem.push_str(&text);
        }
        source = inner.source();
    }
    if problem.is_empty() {
        problem =
            if error.is_connect() { "the connection failed".to_owned() } else { "the transfer failed".to_owned() };
    }
    Piece::Failed { problem, is_timeout: error.is_timeout() }
}
