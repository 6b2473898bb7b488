//! Compression into bytes that depend on nothing but the plain bytes: not on the number of threads, not on the clock.

use std::io::{self, Read, Write};
use std::thread::Scope;

use super::pipeline::{Pipeline, cores, in_order};
use super::writer::read_some;
use super::{Error, Result};

/// How a layer is compressed when it leaves the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip.
    Gzip {
        /// From 0, which stores, to 12; 4 is the default.
        level: u8,
        /// One member for tools that read no more, on one core; the default is a member each MiB, on all cores.
        single_member: bool,
    },
    /// Zstandard, a frame each 4 MiB, on all cores; on a few of them at high levels, which take memory.
    Zstd {
        /// From 1 to 22; 3 is the default.
        level: u8,
    },
    /// The plain tar.
    None,
}

impl Compression {
    /// gzip at level 4 in members of 1 MiB.
    pub const DEFAULT: Compression = Compression::Gzip { level: 4, single_member: false };

    /// Whether it compresses parts that stand by themselves, on all cores.
    pub(super) fn has_parts(self) -> bool {
        matches!(self, Compression::Gzip { single_member: false, .. } | Compression::Zstd { .. })
    }

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

/// From this level on zstd has tables of up to 64 MiB a thread.
const HEAVY_ZSTD: u8 = 12;

/// So many threads have such tables at a time: what they take together stays within half a GiB on any machine.
const HEAVY_THREADS: usize = 6;

/// Compresses all of `reader`.
pub(super) fn compress(reader: &mut dyn Read, writer: &mut dyn Write, compression: Compression) -> Result<()> {
    match compression {
        Compression::None => copy(reader, writer),
        Compression::Gzip { level, single_member: true } => {
            let level = flate2::Compression::new(u32::from(level.min(9)));
            let mut encoder = flate2::GzBuilder::new().operating_system(255).write(writer, level);
            copy(reader, &mut encoder)?;
            encoder.finish().map_err(write_error)?;
            Ok(())
        }
        Compression::Gzip { level, single_member: false } => {
            in_chunks(reader, writer, GZIP_MEMBER, cores(), || Gzip::new(gzip_level(level)))
        }
        Compression::Zstd { level } => {
            let (threads, level) = (zstd_threads(level), zstd_level(level));
            in_chunks(reader, writer, ZSTD_FRAME, threads, move || {
                move |chunk: &[u8]| zstd::bulk::compress(chunk, level)
            })
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
        let level = libdeflater::CompressionLvl::new(level).expect("0 to 12 are levels");
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

/// Compresses chunk after chunk. Empty input gives one empty member, which is what readers expect.
fn in_chunks<C: Chunk>(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    size: usize,
    threads: usize,
    make: impl Fn() -> C + Sync,
) -> Result<()> {
    let (mut first, mut ended) = (true, false);
    let next = || {
        if ended {
            return Ok(None);
        }
        let chunk = read_chunk(reader, size)?;
        ended = chunk.len() < size;
        let is_wanted = !chunk.is_empty() || std::mem::take(&mut first);
        first = false;
        Ok(is_wanted.then_some(chunk))
    };
    let work = || {
        let mut compressor = make();
        move |chunk: Vec<u8>| compressor.compress(&chunk)
    };
    in_order(threads, next, work, |member| put(writer, member))
}

/// Compresses what is written to it, on all cores, as `compress` would.
pub(super) struct Compressing<'scope, W> {
    pipeline: Pipeline<'scope, Vec<u8>, io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    size: usize,
    is_first: bool,
    out: W,
}

impl<'scope, W: Write> Compressing<'scope, W> {
    /// Starts the threads. The compression must have parts.
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, compression: Compression, out: W) -> Self {
        let (pipeline, size) = match compression {
            Compression::None => unreachable!("the plain tar is not compressed"),
            Compression::Gzip { level, .. } => {
                let make = move || {
                    let mut gzip = Gzip::new(gzip_level(level));
                    move |chunk: Vec<u8>| gzip.compress(&chunk)
                };
                (Pipeline::start(scope, cores(), make), GZIP_MEMBER)
            }
            Compression::Zstd { level } => {
                let make = move || move |chunk: Vec<u8>| zstd::bulk::compress(&chunk, zstd_level(level));
                (Pipeline::start(scope, zstd_threads(level), make), ZSTD_FRAME)
            }
        };
        Self { pipeline, chunk: Vec::with_capacity(size), size, is_first: true, out }
    }

    /// Compresses the rest, and gives back where it went.
    pub(super) fn finish(mut self) -> Result<W> {
        if !self.chunk.is_empty() || self.is_first {
            self.push()?;
        }
        let Self { pipeline, mut out, .. } = self;
        pipeline.finish(&mut |member| put(&mut out, member))?;
        Ok(out)
    }

    fn push(&mut self) -> Result<()> {
        self.is_first = false;
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(self.size));
        let out = &mut self.out;
        self.pipeline.push(chunk, &mut |member| put(out, member))
    }
}

impl<W: Write> Write for Compressing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.size - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == self.size {
            self.push().map_err(|error| match error {
                // It becomes one again where the tar is written.
                Error::Write { source } => source,
                error => io::Error::other(error),
            })?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn put(out: &mut (impl Write + ?Sized), member: io::Result<Vec<u8>>) -> Result<()> {
    out.write_all(&member.map_err(write_error)?).map_err(write_error)
}

fn gzip_level(level: u8) -> i32 {
    i32::from(level.min(12))
}

fn zstd_level(level: u8) -> i32 {
    i32::from(level.clamp(1, 22))
}

fn zstd_threads(level: u8) -> usize {
    if level < HEAVY_ZSTD { cores() } else { cores().min(HEAVY_THREADS) }
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
