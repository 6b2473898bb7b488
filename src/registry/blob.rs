//! Brings one blob into the store: streamed, counted, hashed, and picked up where it broke off.

use std::io::{self, Write as _};
use std::time::Instant;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::endpoint::{Call, Endpoint};
use super::http::{Fault, Retry};
use super::{Error, Progress, limits};
use crate::digest::BlobDigest;
use crate::fsx;
use crate::store::{self, BlobWriter, Store};

const ACTION: &str = "fetching a blob";
const WHAT: &str = "blob";

/// How many pieces may wait to be written.
const WAITING: usize = 32;

/// A blob on its way in.
struct Incoming<'a> {
    endpoint: &'a Endpoint<'a>,
    store: &'a Store,
    progress: &'a dyn Progress,
    digest: BlobDigest,
    size: u64,
    /// The bytes that are on disk or on their way there.
    sink: Option<Sink>,
    offset: u64,
    /// The most bytes that were reported.
    reported: u64,
    joined: Joined,
}

/// Whether the bytes come from one answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    Whole,
    /// From several: if the digest is wrong, the joint may be why.
    Pieces,
    /// From one, after pieces did not fit.
    WholeAgain,
}

/// A thread that writes and hashes what it is sent, and hands out the unfinished blob when there is no more.
struct Sink {
    sender: mpsc::Sender<Bytes>,
    writer: JoinHandle<Result<BlobWriter, store::Error>>,
}

/// Fetches a blob that is not in the store. Nothing is stored unless its size and digest are right.
pub(super) async fn fetch(
    endpoint: &Endpoint<'_>,
    store: &Store,
    digest: BlobDigest,
    size: u64,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut incoming =
        Incoming { endpoint, store, progress, digest, size, sink: None, offset: 0, reported: 0, joined: Joined::Whole };
    let mut moved = Instant::now();
    let mut stalls = 0;
    let mut resumes = 0;
    loop {
        let before = incoming.reported;
        let fault = match incoming.attempt().await {
            Ok(()) => match incoming.commit().await? {
                Outcome::Stored => return Ok(()),
                Outcome::Again => continue,
            },
            Err(fault) => fault,
        };
        if incoming.reported > before {
            moved = Instant::now();
            stalls = 0;
            resumes += 1;
        }
        stalls += 1;
        let pause = endpoint.wire.pause(&fault.retry, stalls, endpoint.tries);
        match pause {
            Some(pause) if resumes < limits::RESUMES && moved.elapsed() + pause < endpoint.wire.timing.total => {
                tokio::time::sleep(pause).await;
            }
            _ => return Err(fault.error),
        }
    }
}

enum Outcome {
    Stored,
    Again,
}

impl Incoming<'_> {
    /// Asks for what is missing and takes what comes.
    async fn attempt(&mut self) -> Result<(), Fault> {
        let mut call = Call::get(self.endpoint.url(&format!("blobs/{}", self.digest)), ACTION);
        call.understood = &[StatusCode::RANGE_NOT_SATISFIABLE];
        if self.offset > 0 {
            call.headers.push((RANGE, format!("bytes={}-", self.offset)));
        }
        let mut response = self.endpoint.exchange(&call).await?;
        self.begin(&response)?;
        while let Some(bytes) = self.endpoint.wire.chunk(&mut response, ACTION).await? {
            self.take(bytes).await?;
        }
        if self.offset < self.size {
            let problem = format!("it ended after {} of {} bytes", self.offset, self.size);
            return Err(self.broken(problem));
        }
        Ok(())
    }

    /// Checks that an answer goes on where we are, or begins anew.
    fn begin(&mut self, response: &Response) -> Result<(), Fault> {
        match response.status() {
            StatusCode::OK => {
                if self.offset > 0 {
                    self.restart();
                }
                match response.content_length() {
                    Some(found) if found != self.size => Err(self.wrong_size(found).into()),
                    _ => Ok(()),
                }
            }
            StatusCode::PARTIAL_CONTENT if self.offset > 0 && self.continues(response) => {
                self.joined = Joined::Pieces;
                Ok(())
            }
            status => {
                self.restart();
                Err(self.broken(format!("it answered {} to a request for the rest of a blob", status.as_u16())))
            }
        }
    }

    /// Whether a partial answer is exactly the rest.
    fn continues(&self, response: &Response) -> bool {
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let parts = range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split_once('/'));
        let Some((span, total)) = parts else { return false };
        let start = span.split_once('-').and_then(|(start, _)| start.parse::<u64>().ok());
        start == Some(self.offset) && (total == "*" || total.parse() == Ok(self.size))
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let length = bytes.len() as u64;
        let Some(offset) = self.offset.checked_add(length).filter(|end| *end <= self.size) else {
            return Err(self.wrong_size(self.offset.saturating_add(length)).into());
        };
        let sink = self.sink.get_or_insert_with(|| Sink::start(self.store.clone()));
        if sink.sender.send(bytes).await.is_err() {
            // The thread has stopped early, so it has an error to tell.
            drop(self.finish().await?);
            return Err(self.broken("the blob could not be written".to_owned()));
        }
        self.offset = offset;
        if offset > self.reported {
            self.progress.bytes(&self.digest, offset - self.reported);
            self.reported = offset;
        }
        Ok(())
    }

    /// Stores the blob if it is the right one.
    async fn commit(&mut self) -> Result<Outcome, Error> {
        let writer = self.finish().await?;
        let expected = self.digest;
        let committed = tokio::task::spawn_blocking(move || writer.commit_expecting(&expected)).await;
        match committed.map_err(|stopped| Error::Start { source: stopped.into() })? {
            Ok(_size) => Ok(Outcome::Stored),
            Err(store::Error::Damaged { expected, found }) => {
                if self.joined == Joined::Pieces {
                    self.restart();
                    self.joined = Joined::WholeAgain;
                    return Ok(Outcome::Again);
                }
                Err(Error::WrongDigest { host: self.endpoint.origin.to_string(), what: WHAT, expected, found })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn finish(&mut self) -> Result<BlobWriter, Error> {
        let sink = self.sink.take().unwrap_or_else(|| Sink::start(self.store.clone()));
        drop(sink.sender);
        let written = sink.writer.await.map_err(|stopped| Error::Start { source: stopped.into() })?;
        Ok(written?)
    }

    /// Forgets what has come.
    fn restart(&mut self) {
        self.sink = None;
        self.offset = 0;
    }

    fn broken(&self, problem: String) -> Fault {
        let error = Error::Broken { host: self.endpoint.origin.to_string(), action: ACTION, problem };
        Fault { error, retry: Retry::Pause }
    }

    fn wrong_size(&self, found: u64) -> Error {
        let host = self.endpoint.origin.to_string();
        Error::WrongSize { host, what: WHAT, digest: self.digest, expected: self.size, found }
    }
}

/// The store's own error where there is one: it names the file, and the cure.
fn in_store(error: io::Error, store: &Store) -> store::Error {
    match error.downcast::<store::Error>() {
        Ok(own) => own,
        Err(error) => fsx::Error { action: "write a blob to", path: store.root().to_owned(), source: error }.into(),
    }
}

impl Sink {
    fn start(store: Store) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
        let writer = tokio::task::spawn_blocking(move || {
            let mut writer = store.blob_writer()?;
            while let Some(bytes) = receiver.blocking_recv() {
                writer.write_all(&bytes).map_err(|error| in_store(error, &store))?;
            }
            Ok(writer)
        });
        Self { sender, writer }
    }
}
