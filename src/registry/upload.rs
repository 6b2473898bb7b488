//! A blob on its way out: read and verified on a thread of its own, watched while it goes.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::mpsc;

use super::http::{self, Fault, Wire};
use super::{Error, Progress};
use crate::digest::BlobDigest;
use crate::store::Store;

/// How often the transfer is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How much is read at once, and how many pieces wait to be sent.
const PIECE: usize = 128 << 10;
const WAITING: usize = 8;

/// A stored blob that is being sent; each `send` starts it anew.
pub(super) struct Outgoing<'a> {
    pub(super) store: &'a Store,
    pub(super) digest: BlobDigest,
    pub(super) size: u64,
    pub(super) progress: &'a dyn Progress,
    /// The most bytes that were reported; a second try reports only what goes beyond.
    pub(super) reported: AtomicU64,
}

/// The pieces of a blob, in order.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    sent: Arc<AtomicU64>,
}

impl futures_core::Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.receiver.poll_recv(context));
        if let Some(Ok(bytes)) = &piece {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }
}

impl Outgoing<'_> {
    /// Sends the blob as the request's body. It may take any time as long as bytes move.
    pub(super) async fn send(
        &self,
        wire: &Wire,
        request: RequestBuilder,
        action: &'static str,
    ) -> Result<Response, Fault> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (store, digest, size) = (self.store.clone(), self.digest, self.size);
        tokio::task::spawn_blocking(move || read(&store, &digest, size, &sender));
        let sent = Arc::new(AtomicU64::new(0));
        let body = Body::wrap_stream(Pieces { receiver, sent: Arc::clone(&sent) });
        let (client, request) = request.header(CONTENT_LENGTH, self.size).body(body).build_split();
        let request = request.map_err(|bad| Error::Http { problem: bad.without_url().to_string() })?;
        let host = http::host_of(request.url());
        let mut transfer = std::pin::pin!(client.execute(request));
        let mut last = (0, Instant::now());
        loop {
            let answer = tokio::time::timeout(LOOK, &mut transfer).await;
            let now = sent.load(Ordering::Relaxed);
            self.report(now);
            match answer {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(http::transport(error, host, action, wire.timing.connect)),
                Err(_elapsed) if now != last.0 => last = (now, Instant::now()),
                Err(_elapsed) => {}
            }
            let patience = if now >= self.size { wire.timing.finish } else { wire.timing.idle };
            if last.1.elapsed() > patience {
                return Err(http::silent(host, action, patience));
            }
        }
    }

    fn report(&self, now: u64) {
        let before = self.reported.fetch_max(now, Ordering::Relaxed);
        if now > before {
            self.progress.bytes(&self.digest, now - before);
        }
    }
}

/// Reads the blob to its end, where its digest is checked, or until nobody wants more of it.
fn read(store: &Store, digest: &BlobDigest, size: u64, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let failed = |error: io::Error| {
        // Whoever hung up needs no error.
        let _heard = sender.blocking_send(Err(error));
    };
    let mut blob = match store.open_blob(digest) {
        Ok(blob) => blob,
        Err(error) => return failed(io::Error::other(error)),
    };
    let mut left = size;
    loop {
        let mut piece = vec![0; PIECE];
        let count = match blob.read(&mut piece) {
            // The end: the digest was right, so the blob is whole if it is as long as its descriptor says.
            Ok(0) if left == 0 => return,
            Ok(0) => return failed(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) => return failed(error),
        };
        let Some(rest) = left.checked_sub(count as u64) else {
            return failed(io::Error::other("the blob is longer than its descriptor says"));
        };
        left = rest;
        piece.truncate(count);
        if sender.blocking_send(Ok(piece.into())).is_err() {
            return;
        }
    }
}
