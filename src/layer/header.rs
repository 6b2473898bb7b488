//! An entry's header as bytes: ustar where it fits, with a PAX header before it where it does not.

use std::collections::BTreeMap;

use super::{Error, Result, TimePolicy, limits};
use crate::path::ImagePath;
use crate::tree::{Attributes, Entry, Kind, Timestamp};

/// The unit of a tar.
pub(super) const BLOCK: usize = 512;

/// What a whiteout's name starts with.
pub(super) const WHITEOUT: &[u8] = b".wh.";

/// The name of the marker in an opaque folder.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";

/// What PAX keys of extended attributes start with.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// The name that every PAX header has: one that tells nothing, so that equal entries give equal bytes.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// The fields of one header, before they are known to fit.
struct Fields<'a> {
    name: Vec<u8>,
    kind: u8,
    link: &'a [u8],
    size: u64,
    device: (u32, u32),
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    xattrs: Option<&'a BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// The bytes that stand before an entry's content; for an opaque folder, its marker's too.
///
/// The root has the name `./`. Fails for names that would be read back as something else.
pub(super) fn encode(entry: &Entry, policy: TimePolicy) -> Result<Vec<u8>> {
    check_name(&entry.path)?;
    let mut out = Vec::with_capacity(BLOCK);
    if entry.kind == Kind::Whiteout {
        let name = entry.path.file_name().ok_or_else(|| Error::entry(&entry.path, "the root cannot be removed"))?;
        let parent = entry.path.parent().unwrap_or_default();
        Fields::marker(&parent, &[WHITEOUT, name].concat(), policy).write(&entry.path, &mut out)?;
        return Ok(out);
    }
    Fields::of(entry, policy).write(&entry.path, &mut out)?;
    if entry.kind == (Kind::Directory { opaque: true }) {
        Fields::marker(&entry.path, OPAQUE, policy).write(&entry.path, &mut out)?;
    }
    Ok(out)
}

/// The zeros that follow `size` bytes of content.
pub(super) fn padding(size: u64) -> usize {
    // The remainder is below 512.
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

fn check_name(path: &ImagePath) -> Result<()> {
    if path.as_bytes().len() as u64 > limits::MAX_PATH {
        return Err(Error::limit(path, "the bytes of a path", limits::MAX_PATH));
    }
    match path.components().find(|name| name.starts_with(WHITEOUT)) {
        Some(_) => Err(Error::entry(path, "a name that starts with `.wh.` means that a file is removed")),
        None => Ok(()),
    }
}

impl<'a> Fields<'a> {
    fn of(entry: &'a Entry, policy: TimePolicy) -> Self {
        let Entry { path, kind, attributes: Attributes { mode, uid, gid, mtime, xattrs } } = entry;
        let mut name = path.as_bytes().to_vec();
        let (flag, link, size, device) = match kind {
            Kind::File { size, .. } => (b'0', &[][..], *size, (0, 0)),
            Kind::Hardlink { target } => (b'1', target.as_bytes(), 0, (0, 0)),
            Kind::Symlink { target } => (b'2', target.as_slice(), 0, (0, 0)),
            Kind::CharDevice { major, minor } => (b'3', &[][..], 0, (*major, *minor)),
            Kind::BlockDevice { major, minor } => (b'4', &[][..], 0, (*major, *minor)),
            Kind::Directory { .. } => {
                name.extend_from_slice(if path.is_root() { b"./" } else { b"/" });
                (b'5', &[][..], 0, (0, 0))
            }
            Kind::Fifo => (b'6', &[][..], 0, (0, 0)),
            Kind::Whiteout => (b'0', &[][..], 0, (0, 0)),
        };
        // The attributes of a hard link are those of its file; said twice they could disagree.
        let xattrs = (flag != b'1').then_some(xattrs);
        let (mode, uid, gid, mtime) = (mode & 0o7777, *uid, *gid, policy.apply(*mtime));
        Self { name, kind: flag, link, size, device, mode, uid, gid, mtime, xattrs }
    }

    fn marker(folder: &ImagePath, name: &[u8], policy: TimePolicy) -> Self {
        let mut path = folder.as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let mtime = policy.apply(Timestamp::from_secs(super::LAYER_EPOCH));
        let (link, device) = (&[][..], (0, 0));
        Self { name: path, kind: b'0', link, size: 0, device, mode: 0, uid: 0, gid: 0, mtime, xattrs: None }
    }

    fn write(&self, path: &ImagePath, out: &mut Vec<u8>) -> Result<()> {
        let records = self.records(path)?;
        if !records.is_empty() {
            let body = encode_records(&records);
            if body.len() as u64 > limits::MAX_PAX {
                return Err(Error::limit(path, "the bytes of a PAX header", limits::MAX_PAX));
            }
            let pax = Fields {
                name: PAX_NAME.to_vec(),
                kind: b'x',
                link: &[],
                size: body.len() as u64,
                device: (0, 0),
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: Timestamp::default(),
                xattrs: None,
            };
            out.extend_from_slice(&pax.block());
            out.extend_from_slice(&body);
            out.resize(out.len() + padding(body.len() as u64), 0);
        }
        out.extend_from_slice(&self.block());
        Ok(())
    }

    /// Whatever ustar cannot hold, in the order of the keys.
    fn records(&self, path: &ImagePath) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        if split_name(&self.name).is_none() {
            records.insert(b"path".to_vec(), self.name.clone());
        }
        if self.link.len() > 100 || !self.link.is_ascii() {
            records.insert(b"linkpath".to_vec(), self.link.to_vec());
        }
        let binary = |key: &[u8]| records.get(key).is_some_and(|value| std::str::from_utf8(value).is_err());
        if binary(b"path") || binary(b"linkpath") {
            records.insert(b"hdrcharset".to_vec(), b"BINARY".to_vec());
        }
        for (key, value) in [("size", self.size), ("uid", self.uid.into()), ("gid", self.gid.into())] {
            if octal(value, if key == "size" { 11 } else { 7 }).is_none() {
                records.insert(key.into(), value.to_string().into());
            }
        }
        if self.mtime.nanos != 0 || u64::try_from(self.mtime.secs).ok().and_then(|secs| octal(secs, 11)).is_none() {
            records.insert(b"mtime".to_vec(), time_text(self.mtime).into());
        }
        for (name, value) in self.xattrs.into_iter().flatten() {
            if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
                return Err(Error::entry(path, "the name of an extended attribute is empty or has a `=` in it"));
            }
            records.insert([XATTR, name].concat(), value.clone());
        }
        let (major, minor) = self.device;
        if octal(major.into(), 7).is_none() || octal(minor.into(), 7).is_none() {
            return Err(Error::entry(path, "its device number is out of range"));
        }
        if self.link.contains(&0) {
            return Err(Error::entry(path, "its target has a NUL byte in it"));
        }
        Ok(records)
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        match split_name(&self.name) {
            Some((prefix, name)) => {
                block[..name.len()].copy_from_slice(name);
                block[345..345 + prefix.len()].copy_from_slice(prefix);
            }
            None => put_shortened(&mut block[..100], &self.name),
        }
        put_number(&mut block[100..108], self.mode.into());
        put_number(&mut block[108..116], self.uid.into());
        put_number(&mut block[116..124], self.gid.into());
        put_number(&mut block[124..136], self.size);
        put_number(&mut block[136..148], u64::try_from(self.mtime.secs).unwrap_or(0));
        block[156] = self.kind;
        put_shortened(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        put_number(&mut block[329..337], self.device.0.into());
        put_number(&mut block[337..345], self.device.1.into());
        let sum = checksum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// The sum of a header's bytes, its own field read as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum()
}

/// The name in the two fields of ustar; none if it does not fit there.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((&[], name));
    }
    // The slash between the fields is not stored; the last one of a folder cannot be it.
    let last = name.len().checked_sub(2)?;
    let earliest = name.len() - 101;
    let at = (earliest..=last.min(155)).find(|&at| name[at] == b'/')?;
    (at > 0).then(|| (&name[..at], &name[at + 1..]))
}

/// Puts what fits of a text whose whole is in the PAX header, for readers that know no PAX.
fn put_shortened(field: &mut [u8], text: &[u8]) {
    let ascii: Vec<u8> = text.iter().copied().filter(u8::is_ascii).take(field.len()).collect();
    // A file whose shortened name ends in a slash would be taken for a folder.
    let end = if ascii.len() < text.len() && ascii.last() == Some(&b'/') { ascii.len() - 1 } else { ascii.len() };
    field[..end].copy_from_slice(&ascii[..end]);
}

/// `digits` octal digits, if the value fits.
fn octal(value: u64, digits: usize) -> Option<String> {
    let text = format!("{value:0digits$o}");
    (text.len() == digits).then_some(text)
}

/// Puts octal digits and a NUL; zero where PAX has the value.
fn put_number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = octal(value, digits).unwrap_or_else(|| "0".repeat(digits));
    field[..digits].copy_from_slice(text.as_bytes());
}

/// Decimal seconds with as many digits as needed; `-1.5` is one and a half seconds before 1970.
fn time_text(time: Timestamp) -> String {
    let (sign, secs, nanos) = match time.secs {
        secs if secs < 0 && time.nanos > 0 => ("-", (secs + 1).unsigned_abs(), 1_000_000_000 - time.nanos),
        secs if secs < 0 => ("-", secs.unsigned_abs(), 0),
        secs => ("", secs.unsigned_abs(), time.nanos),
    };
    let text = format!("{sign}{secs}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Each record is its own length, a space, `key=value` and a newline.
fn encode_records(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        body.extend_from_slice(format!("{length} ").as_bytes());
        body.extend_from_slice(key);
        body.push(b'=');
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    body
}
