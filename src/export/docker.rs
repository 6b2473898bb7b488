//! Loading into the running Docker.

use std::io::{self, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::response::read_response;
use super::{Error, Result};

/// Chunks are at least this large, but for the last one.
const CHUNK: usize = 64 << 10;

/// Without `quiet` Docker 20.10 sends a line of progress for every 512 KiB while it unpacks. HTTP/1.1, for a body of chunks.
const REQUEST: &str = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nUser-Agent: rbuild\r\n\
    Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/// What Docker said it loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// Names, in their familiar form.
    pub names: Vec<String>,
    /// Ids of images without a name.
    pub ids: Vec<String>,
}

/// Streams the archive that `write` writes into the Docker, or Podman, that listens at `socket`.
///
/// Nothing is kept in memory; a failing `write` cuts the stream off, and Docker drops what it has. Waits as long as Docker
/// takes to unpack.
pub fn load_into_docker(socket: &Path, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<Loaded> {
    let connect = |source| Error::Connect { socket: socket.to_path_buf(), source };
    let mut stream = UnixStream::connect(socket).map_err(connect)?;
    let sent = send(&stream, write);
    match sent {
        Ok(()) => read_response(&mut stream),
        // Docker hung up while we were sending: it may have said why.
        Err(Error::Write { source }) => match read_response(&mut stream) {
            Err(error @ Error::Docker { .. }) => Err(error),
            _ => Err(Error::Protocol { problem: format!("Docker closed the connection: {source}") }),
        },
        Err(error) => Err(error),
    }
}

fn send(stream: &UnixStream, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = |source| Error::Write { source };
    (&mut &*stream).write_all(REQUEST.as_bytes()).map_err(failed)?;
    let mut body = BufWriter::with_capacity(CHUNK, Chunks(stream));
    match write(&mut body) {
        Ok(()) => {}
        Err(error) => {
            // Its destructor would send what it holds; the stream is to end without an end.
            let (_chunks, _unsent) = body.into_parts();
            return Err(error);
        }
    }
    let chunks = body.into_inner().map_err(|error| failed(error.into_error()))?;
    chunks.end().map_err(failed)
}

/// A body whose length is not known before: each write is a chunk.
struct Chunks<'a>(&'a UnixStream);

impl Chunks<'_> {
    fn end(self) -> io::Result<()> {
        (&mut &*self.0).write_all(b"0\r\n\r\n")
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let stream = &mut &*self.0;
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        stream.write_all(bytes)?;
        stream.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
