//! Reads a tar member by member, and refuses what readers do not agree on.
//!
//! Own code because the `tar` crate splits PAX records at newlines (a name or a capability with that byte is lost without
//! a word), takes the first of two records of a key where others take the last, and reads PAX headers of any size into
//! memory. A test compares the two.

use std::io::{self, Read};

use super::header::{BLOCK, checksum};
use super::pax::{self, Records};
use super::{Error, Result, limits};
use crate::path::ImagePath;
use crate::tree::{Attributes, Timestamp};

/// What a member is, before it has found its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    Directory,
    Symlink { target: Vec<u8> },
    Hardlink { target: Vec<u8> },
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// One member of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The name as written.
    pub(super) name: Vec<u8>,
    pub(super) kind: MemberKind,
    pub(super) attributes: Attributes,
    /// The length of the content that can be read now.
    pub(super) size: u64,
}

/// A tar being read. `Read` gives the content of the member that `next` returned last.
pub(super) struct TarReader<R> {
    inner: R,
    offset: u64,
    /// Content of the current member that was not read yet.
    content: u64,
    padding: u64,
    members: u64,
    ended: bool,
}

/// What extension headers say about the member after them.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, offset: 0, content: 0, padding: 0, members: 0, ended: false }
    }

    /// The next member; none at the end of the tar. What was not read of the one before is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Member>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let start = self.offset;
            let Some(block) = self.header()? else {
                let described = extensions.pax.is_some() || extensions.name.is_some() || extensions.link.is_some();
                return if described { Err(tar(start, "an extended header describes no member")) } else { Ok(None) };
            };
            self.members += 1;
            if self.members > limits::MAX_ENTRIES {
                return Err(Error::limit(&ImagePath::root(), "the entries of a layer", limits::MAX_ENTRIES));
            }
            let header = Header { block: &block, offset: start };
            let long = || tar(start, "two extended headers describe one member");
            match block[156] {
                b'x' => {
                    let records = pax::parse(&self.extension(&header)?).map_err(|problem| tar(start, problem))?;
                    if extensions.pax.replace(records).is_some() {
                        return Err(long());
                    }
                }
                b'g' => {
                    let records = pax::parse(&self.extension(&header)?).map_err(|problem| tar(start, problem))?;
                    if records.change_layout() {
                        return Err(tar(start, "a global extended header changes names or sizes"));
                    }
                }
                b'L' => {
                    if extensions.name.replace(self.long_name(&header)?).is_some() {
                        return Err(long());
                    }
                }
                b'K' => {
                    if extensions.link.replace(self.long_name(&header)?).is_some() {
                        return Err(long());
                    }
                }
                _ => return self.member(&header, extensions).map(Some),
            }
        }
    }

    /// Reads to the end of the stream; what follows the tar belongs to its hash.
    pub(super) fn drain(mut self) -> Result<R> {
        io::copy(&mut self.inner, &mut io::sink()).map_err(read_error)?;
        Ok(self.inner)
    }

    fn member(&mut self, header: &Header<'_>, extensions: Extensions) -> Result<Member> {
        let records = extensions.pax.unwrap_or_default();
        let start = header.offset;
        if records.sparse() {
            return Err(tar(start, "sparse files are not supported"));
        }
        let name = either(extensions.name, records.text("path"), start)?.unwrap_or_else(|| header.name());
        let link = either(extensions.link, records.text("linkpath"), start)?;
        let link = link.unwrap_or_else(|| header.text(157..257).to_vec());
        let stored = records.number("size").map_err(|problem| tar(start, problem))?;
        let size = stored.map_or_else(|| header.number(124..136, "its size is no number"), Ok)?;
        let kind = header.kind(&name, link, size)?;
        let size = if kind == MemberKind::File { size } else { 0 };
        if size > limits::MAX_LAYER_SIZE {
            return Err(Error::limit(&ImagePath::new(&name), "the bytes of a layer", limits::MAX_LAYER_SIZE));
        }
        self.content = size;
        self.padding = super::header::padding(size) as u64;
        let attributes = header.attributes(&records)?;
        Ok(Member { name, kind, attributes, size })
    }

    /// A header that is not all zeros; none at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let start = self.offset;
        let Some(block) = self.block()? else {
            self.ended = true;
            return Ok(None);
        };
        if block == [0; BLOCK] {
            self.ended = true;
            return match self.block()? {
                Some(second) if second != [0; BLOCK] => Err(tar(start, "one empty block stands between members")),
                _ => Ok(None),
            };
        }
        let header = Header { block: &block, offset: start };
        let sum = header.number(148..156, "its checksum is no number")?;
        // Some old programs added the bytes up as signed numbers.
        let signed: i64 =
            (0..BLOCK).map(|at| if (148..156).contains(&at) { 32 } else { i64::from(block[at] as i8) }).sum();
        if sum != u64::from(checksum(&block)) && i64::try_from(sum) != Ok(signed) {
            return Err(tar(start, "the checksum of a header is wrong, or this is no tar"));
        }
        Ok(Some(block))
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match super::writer::read_some(&mut self.inner, &mut block[filled..]).map_err(read_error)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(tar(self.offset, "it breaks off in the middle of a header")),
                count => filled += count,
            }
        }
        self.offset += BLOCK as u64;
        Ok(Some(block))
    }

    /// The content of an extension header, read whole.
    fn extension(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = header.number(124..136, "its size is no number")?;
        if size > limits::MAX_PAX {
            return Err(Error::limit(&ImagePath::root(), "the bytes of a PAX header", limits::MAX_PAX));
        }
        self.content = size;
        self.padding = super::header::padding(size) as u64;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(read_error)?;
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let mut name = self.extension(header)?;
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn skip_rest(&mut self) -> Result<()> {
        io::copy(&mut Read::by_ref(self), &mut io::sink()).map_err(read_error)?;
        let mut padding = [0; BLOCK];
        while self.padding > 0 {
            // Padding is below a block.
            let wanted = self.padding as usize;
            let count = super::writer::read_some(&mut self.inner, &mut padding[..wanted]).map_err(read_error)?;
            if count == 0 {
                return Err(tar(self.offset, "it breaks off in the middle of a member"));
            }
            self.padding -= count as u64;
            self.offset += count as u64;
        }
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it breaks off in the middle of a member"));
        }
        self.content -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

/// A header block and where it stands.
struct Header<'a> {
    block: &'a [u8; BLOCK],
    offset: u64,
}

impl Header<'_> {
    fn text(&self, range: std::ops::Range<usize>) -> &[u8] {
        let field = &self.block[range];
        &field[..field.iter().position(|&b| b == 0).unwrap_or(field.len())]
    }

    /// The name, with the prefix of those formats that have one.
    fn name(&self) -> Vec<u8> {
        let name = self.text(0..100);
        let ustar = &self.block[257..265] == b"ustar\x0000";
        let star = ustar && &self.block[508..512] == b"tar\0";
        let prefix = match (ustar, star) {
            (true, true) => self.text(345..476),
            (true, false) => self.text(345..500),
            (false, _) => &[],
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    fn kind(&self, name: &[u8], link: Vec<u8>, size: u64) -> Result<MemberKind> {
        let kind = match self.block[156] {
            0 if name.ends_with(b"/") => MemberKind::Directory,
            0 | b'0' | b'7' => MemberKind::File,
            b'1' => MemberKind::Hardlink { target: link },
            b'2' => MemberKind::Symlink { target: link },
            b'3' => MemberKind::CharDevice { major: self.device(329..337)?, minor: self.device(337..345)? },
            b'4' => MemberKind::BlockDevice { major: self.device(329..337)?, minor: self.device(337..345)? },
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            b'S' => return Err(tar(self.offset, "sparse files are not supported")),
            _ => return Err(tar(self.offset, "a member is of an unknown type")),
        };
        match kind {
            MemberKind::Hardlink { .. } | MemberKind::Symlink { .. } if size > 0 => {
                // Readers do not agree whether content follows.
                Err(tar(self.offset, "a link has content"))
            }
            MemberKind::Symlink { ref target } if target.is_empty() || target.contains(&0) => {
                Err(tar(self.offset, "a symbolic link has no target"))
            }
            kind => Ok(kind),
        }
    }

    fn attributes(&self, records: &Records) -> Result<Attributes> {
        let bad = |problem| tar(self.offset, problem);
        let id = |key, range| -> Result<u32> {
            let stored = records.number(key).map_err(bad)?;
            let value = stored.map_or_else(|| self.number(range, "its owner is no number"), Ok)?;
            u32::try_from(value).ok().ok_or_else(|| bad("its owner is out of range"))
        };
        let mtime = match records.time("mtime").map_err(bad)? {
            Some(time) => time,
            None => Timestamp::from_secs(self.signed(136..148, "its time is no number")?),
        };
        let mode = self.number(100..108, "its mode is no number")? & 0o7777;
        Ok(Attributes {
            mode: u32::try_from(mode).expect("twelve bits"),
            uid: id("uid", 108..116)?,
            gid: id("gid", 116..124)?,
            mtime,
            xattrs: records.xattrs(),
        })
    }

    fn device(&self, range: std::ops::Range<usize>) -> Result<u32> {
        let value = self.number(range, "its device number is no number")?;
        u32::try_from(value).ok().ok_or_else(|| tar(self.offset, "its device number is out of range"))
    }

    fn number(&self, range: std::ops::Range<usize>, problem: &'static str) -> Result<u64> {
        u64::try_from(self.signed(range, problem)?).ok().ok_or_else(|| tar(self.offset, problem))
    }

    /// Octal digits between spaces and NULs, or the binary form of GNU tar: the top bit and a big-endian number.
    fn signed(&self, range: std::ops::Range<usize>, problem: &'static str) -> Result<i64> {
        let field = &self.block[range];
        let parsed = match field.first() {
            Some(first) if first & 0x80 != 0 => binary(field),
            _ => {
                let text = field.trim_ascii().split(|&b| b == 0).next().unwrap_or_default().trim_ascii();
                let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                text.and_then(|text| if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok() })
            }
        };
        parsed.ok_or_else(|| tar(self.offset, problem))
    }
}

fn binary(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    let head = if negative { i64::from(*first) - 256 } else { i64::from(first & 0x3f) };
    rest.iter().try_fold(head, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)))
}

/// Of two ways to say one thing only one may be used.
fn either(long: Option<Vec<u8>>, record: Option<&[u8]>, offset: u64) -> Result<Option<Vec<u8>>> {
    match (long, record) {
        (Some(_), Some(_)) => Err(tar(offset, "two extended headers describe one member")),
        (Some(long), None) => Ok(Some(long)),
        (None, record) => Ok(record.map(<[u8]>::to_vec)),
    }
}

fn tar(offset: u64, problem: &'static str) -> Error {
    Error::Tar { offset, problem }
}

fn read_error(source: io::Error) -> Error {
    Error::Read { what: "the archive", source }
}
