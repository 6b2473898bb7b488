//! Decompression, chosen by what the bytes are and never by a name.

use std::io::{self, BufReader, Chain, Cursor, Read};

use super::{Error, Result, limits};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveKind {
    /// A plain tar.
    Plain,
    /// gzip, of one member or several.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard, of one frame or several.
    Zstd,
}

/// As many bytes as the longest magic has.
const MAGIC: usize = 6;

type Source<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// The plain bytes of a stream that may be compressed. Fails once more than a layer's limit came out.
pub(super) struct Decoder<R: Read> {
    stream: Stream<R>,
    left: u64,
}

#[expect(clippy::large_enum_variant, reason = "there is one of them for each layer being read")]
enum Stream<R: Read> {
    Plain(Source<R>),
    Gzip(flate2::bufread::MultiGzDecoder<Source<R>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Source<R>>),
    Xz(lzma_rust2::XzReader<Source<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Source<R>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `reader` and chooses.
    pub(super) fn new(mut reader: R) -> Result<(ArchiveKind, Self)> {
        let mut head = Vec::with_capacity(MAGIC);
        reader.by_ref().take(MAGIC as u64).read_to_end(&mut head).map_err(read_error)?;
        let kind = kind_of(&head);
        let source = BufReader::with_capacity(128 << 10, Cursor::new(head).chain(reader));
        let stream = match kind {
            ArchiveKind::Plain => Stream::Plain(source),
            ArchiveKind::Gzip => Stream::Gzip(flate2::bufread::MultiGzDecoder::new(source)),
            ArchiveKind::Bzip2 => Stream::Bzip2(bzip2::bufread::MultiBzDecoder::new(source)),
            ArchiveKind::Xz => Stream::Xz(lzma_rust2::XzReader::new_mem_limit(source, true, limits::XZ_MEMORY_KIB)),
            ArchiveKind::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source).map_err(read_error)?;
                decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(read_error)?;
                Stream::Zstd(decoder)
            }
        };
        Ok((kind, Self { stream, left: limits::MAX_LAYER_SIZE }))
    }

    /// Reads the compressed side to its end, so that a source that verifies itself does so.
    pub(super) fn finish(self) -> Result<()> {
        let mut source = match self.stream {
            Stream::Plain(source) => source,
            Stream::Gzip(decoder) => decoder.into_inner(),
            Stream::Bzip2(decoder) => decoder.into_inner(),
            Stream::Xz(decoder) => decoder.into_inner(),
            Stream::Zstd(decoder) => decoder.finish(),
        };
        io::copy(&mut source, &mut io::sink()).map_err(read_error)?;
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::Plain(source) => source.read(buffer)?,
            Stream::Gzip(decoder) => decoder.read(buffer)?,
            Stream::Bzip2(decoder) => decoder.read(buffer)?,
            Stream::Xz(decoder) => decoder.read(buffer)?,
            Stream::Zstd(decoder) => decoder.read(buffer)?,
        };
        let Some(left) = self.left.checked_sub(count as u64) else {
            let limit = limits::MAX_LAYER_SIZE;
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it unpacks to more than {limit} bytes")));
        };
        self.left = left;
        Ok(count)
    }
}

fn kind_of(head: &[u8]) -> ArchiveKind {
    match head {
        [0x1f, 0x8b, 8, ..] => ArchiveKind::Gzip,
        [b'B', b'Z', b'h', ..] => ArchiveKind::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => ArchiveKind::Xz,
        // A frame, or one that is to be skipped and comes before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => ArchiveKind::Zstd,
        _ => ArchiveKind::Plain,
    }
}

fn read_error(source: io::Error) -> Error {
    Error::Read { what: "the compressed bytes", source }
}
