//! Compression into bytes that depend on nothing but the plain bytes: not on the number of threads, not on the clock.

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread::Scope;

use super::writer::read_some;
use super::{Error, Result};

/// How a layer is compressed when it leaves the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip.
    Gzip {
        /// From 1 to 12; 4 is the default.
        level: u8,
        /// One member for tools that read no more, on one core; the default is a member each MiB, on all cores.
        single_member: bool,
    },
    /// Zstandard, a frame each 4 MiB, on all cores.
    Zstd {
        /// From 1 to 19; 3 is the default.
        level: u8,
    },
    /// The plain tar.
    None,
}

impl Compression {
    /// gzip at level 4 in members of 1 MiB.
    pub const DEFAULT: Compression = Compression::Gzip { level: 4, single_member: false };

    /// The media type of a layer so compressed.
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::Gzip { .. } => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd { .. } => "application/vnd.oci.image.layer.v1.tar+zstd",
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bytes of plain tar in one gzip member. Part of the format: another number gives other digests.
const GZIP_MEMBER: usize = 1 << 20;

/// Bytes of plain tar in one zstd frame. Part of the format too.
const ZSTD_FRAME: usize = 4 << 20;

/// More threads than this do not help, as one thread reads and hashes.
const MAX_THREADS: usize = 16;

/// Compresses all of `reader`.
pub(super) fn compress(reader: &mut dyn Read, writer: &mut dyn Write, compression: Compression) -> Result<()> {
    match compression {
        Compression::None => copy(reader, writer),
        Compression::Gzip { level, single_member: true } => {
            let level = flate2::Compression::new(u32::from(level.clamp(1, 9)));
            let mut encoder = flate2::GzBuilder::new().operating_system(255).write(writer, level);
            copy(reader, &mut encoder)?;
            encoder.finish().map_err(write_error)?;
            Ok(())
        }
        Compression::Gzip { level, single_member: false } => {
            let level = i32::from(level.clamp(1, 12));
            in_chunks(reader, writer, GZIP_MEMBER, || Gzip::new(level))
        }
        Compression::Zstd { level } => {
            let level = i32::from(level.clamp(1, 19));
            in_chunks(reader, writer, ZSTD_FRAME, move || move |chunk: &[u8]| zstd::bulk::compress(chunk, level))
        }
    }
}

fn copy(reader: &mut dyn Read, writer: &mut dyn Write) -> Result<()> {
    let mut buffer = vec![0; super::writer::BUFFER];
    loop {
        match read_some(reader, &mut buffer).map_err(read_error)? {
            0 => return Ok(()),
            count => writer.write_all(&buffer[..count]).map_err(write_error)?,
        }
    }
}

/// What turns one chunk into one member or frame. Each thread has its own.
trait Chunk {
    fn compress(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>>;
}

impl<F: FnMut(&[u8]) -> io::Result<Vec<u8>>> Chunk for F {
    fn compress(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        self(chunk)
    }
}

struct Gzip {
    compressor: libdeflater::Compressor,
    stored: libdeflater::Compressor,
}

impl Gzip {
    fn new(level: i32) -> Self {
        let level = libdeflater::CompressionLvl::new(level).expect("1 to 12 are levels");
        let none = libdeflater::CompressionLvl::new(0).expect("0 is a level");
        Self { compressor: libdeflater::Compressor::new(level), stored: libdeflater::Compressor::new(none) }
    }
}

impl Chunk for Gzip {
    fn compress(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        let member = gzip_member(&mut self.compressor, chunk)?;
        // What does not shrink is stored: it costs nothing to read back.
        if member.len() >= chunk.len() { gzip_member(&mut self.stored, chunk) } else { Ok(member) }
    }
}

fn gzip_member(compressor: &mut libdeflater::Compressor, chunk: &[u8]) -> io::Result<Vec<u8>> {
    let mut member = vec![0; compressor.gzip_compress_bound(chunk.len())];
    let length = compressor.gzip_compress(chunk, &mut member).map_err(io::Error::other)?;
    member.truncate(length);
    Ok(member)
}

/// A worker: chunks go in, members come out in the same order.
struct Worker {
    chunks: mpsc::SyncSender<Vec<u8>>,
    members: mpsc::Receiver<io::Result<Vec<u8>>>,
}

/// Gives chunk after chunk to worker after worker and writes what comes back in that order.
///
/// At most three chunks a thread are in memory. Empty input gives one empty member, which is what readers expect.
fn in_chunks<C: Chunk>(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    size: usize,
    make: impl Fn() -> C + Sync,
) -> Result<()> {
    let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    std::thread::scope(|scope| {
        let mut workers = Vec::with_capacity(wanted);
        while workers.len() < wanted {
            match start(scope, &make) {
                Ok(worker) => workers.push(worker),
                // A machine that has no more threads to give costs time; the bytes are the same.
                Err(_) if !workers.is_empty() => break,
                Err(error) => return Err(write_error(error)),
            }
        }
        let threads = workers.len();
        let (mut sent, mut written) = (0, 0);
        loop {
            let chunk = read_chunk(reader, size)?;
            let last = chunk.len() < size;
            if !chunk.is_empty() || sent == 0 {
                if sent - written == 2 * threads {
                    write_next(&workers, &mut written, writer)?;
                }
                workers[sent % threads].chunks.send(chunk).map_err(|gone| write_error(io::Error::other(gone)))?;
                sent += 1;
            }
            if last {
                break;
            }
        }
        while written < sent {
            write_next(&workers, &mut written, writer)?;
        }
        Ok(())
    })
}

fn start<'scope, C: Chunk>(
    scope: &'scope Scope<'scope, '_>,
    make: &'scope (impl Fn() -> C + Sync),
) -> io::Result<Worker> {
    let (chunks, incoming) = mpsc::sync_channel::<Vec<u8>>(1);
    let (outgoing, members) = mpsc::sync_channel(1);
    std::thread::Builder::new().spawn_scoped(scope, move || {
        let mut compressor = make();
        for chunk in incoming {
            if outgoing.send(compressor.compress(&chunk)).is_err() {
                break;
            }
        }
    })?;
    Ok(Worker { chunks, members })
}

fn write_next(workers: &[Worker], written: &mut usize, writer: &mut dyn Write) -> Result<()> {
    let worker = &workers[*written % workers.len()];
    let member = worker.members.recv().map_err(|gone| write_error(io::Error::other(gone)))?;
    writer.write_all(&member.map_err(write_error)?).map_err(write_error)?;
    *written += 1;
    Ok(())
}

/// As many bytes as there are, up to `size`.
fn read_chunk(reader: &mut dyn Read, size: usize) -> Result<Vec<u8>> {
    let mut chunk = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match read_some(reader, &mut chunk[filled..]).map_err(read_error)? {
            0 => break,
            count => filled += count,
        }
    }
    chunk.truncate(filled);
    Ok(chunk)
}

fn read_error(source: io::Error) -> Error {
    Error::Read { what: "the layer", source }
}

fn write_error(source: io::Error) -> Error {
    Error::Write { source }
}
