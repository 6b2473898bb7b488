//! One pattern, compiled; matching costs at most the pattern's length times the path's.

use super::BadPattern;

/// Which stars a pattern has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `filepath.Match` of Go: `**` means `*`.
    SingleStar,
    /// `moby/patternmatcher`: `**` crosses folders.
    DoubleStar,
}

/// A character, or a byte that belongs to none, as a number beyond all characters.
type Unit = u32;

const SLASH: Unit = b'/' as Unit;
const BYTE_BASE: Unit = 0x11_0000;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    ops: Vec<Op>,
    /// Plain bytes that every match begins with.
    prefix: Vec<u8>,
    /// How many of `ops` the prefix stands for.
    prefix_ops: usize,
    /// Plain bytes that every match ends with.
    suffix: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    Unit(Unit),
    /// `?`: anything but a slash.
    NotSlash,
    Class {
        negated: bool,
        ranges: Vec<(Unit, Unit)>,
    },
    /// `*`: any run without a slash.
    Star,
    /// `**` at the end: any run.
    Anything,
    /// `**` or `**/` elsewhere: nothing, or any run that ends with a slash. Always followed by `FoldersBody`.
    Folders,
    FoldersBody,
}

impl Glob {
    /// Compiles `pattern`, which must be cleaned.
    pub fn new(pattern: &[u8], dialect: Dialect) -> Result<Self, BadPattern> {
        let mut ops = Vec::new();
        let mut rest = pattern;
        while let Some((unit, after)) = next_unit(rest) {
            let bad = |reason| BadPattern::new(pattern, reason);
            rest = match rest[0] {
                b'*' => read_star(&mut ops, rest, dialect, rest.len() == pattern.len()),
                b'?' => {
                    ops.push(Op::NotSlash);
                    after
                }
                b'[' => read_class(&mut ops, after).map_err(bad)?,
                b'\\' => {
                    let (escaped, after) = next_unit(after).ok_or_else(|| bad("nothing follows the last backslash"))?;
                    ops.push(Op::Unit(escaped));
                    after
                }
                _ => {
                    ops.push(Op::Unit(unit));
                    after
                }
            };
        }
        let plain = |op: &&Op| matches!(op, Op::Unit(_));
        let prefix_ops = ops.iter().take_while(plain).count();
        let suffix_ops = ops.iter().rev().take_while(plain).count();
        let prefix = bytes_of(&ops[..prefix_ops]);
        let suffix = bytes_of(&ops[ops.len() - suffix_ops..]);
        Ok(Self { ops, prefix, prefix_ops, suffix })
    }

    /// The only path that matches, if the pattern has no wildcard.
    pub fn literal(&self) -> Option<&[u8]> {
        (self.prefix_ops == self.ops.len()).then_some(&self.prefix)
    }

    /// What follows `**/`, if that has no wildcard.
    pub fn literal_in_any_folder(&self) -> Option<&[u8]> {
        let [Op::Folders, Op::FoldersBody, rest @ ..] = self.ops.as_slice() else { return None };
        rest.iter().all(|op| matches!(op, Op::Unit(_))).then_some(&self.suffix)
    }

    /// Plain bytes that every match begins with.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Plain bytes that every match ends with.
    pub fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// Whether all of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        if let Some(literal) = self.literal() {
            return literal == path;
        }
        if !path.starts_with(&self.prefix) || !path.ends_with(&self.suffix) {
            return false;
        }
        let mut states = States::at(self, self.prefix_ops);
        states.feed(self, &path[self.prefix.len()..]);
        states.contains(self.ops.len())
    }

    /// Whether a path below the folder `dir` could match; true where in doubt. An empty `dir` is the root.
    pub fn could_match_below(&self, dir: &[u8]) -> bool {
        if dir.is_empty() {
            return !self.ops.is_empty();
        }
        let common = self.prefix.len().min(dir.len());
        if self.prefix[..common] != dir[..common] {
            return false;
        }
        if self.prefix.len() > dir.len() {
            return self.prefix[dir.len()] == b'/';
        }
        let mut states = States::at(self, self.prefix_ops);
        states.feed(self, &dir[self.prefix.len()..]);
        states.feed(self, b"/");
        // The state after the last op is a path that ends with a slash: no such path exists.
        states.any_before(self.ops.len())
    }
}

/// The set of places in a pattern that what was read so far may have led to.
struct States {
    now: Vec<u64>,
    next: Vec<u64>,
}

impl States {
    fn at(glob: &Glob, op: usize) -> Self {
        let words = glob.ops.len() / 64 + 1;
        let mut states = Self { now: vec![0; words], next: vec![0; words] };
        add(&mut states.now, op);
        close(&mut states.now, &glob.ops);
        states
    }

    fn contains(&self, op: usize) -> bool {
        self.now[op / 64] >> (op % 64) & 1 == 1
    }

    fn any_before(&self, end: usize) -> bool {
        let mut found = false;
        each(&self.now, |op| found |= op < end);
        found
    }

    fn feed(&mut self, glob: &Glob, mut bytes: &[u8]) {
        while let Some((unit, rest)) = next_unit(bytes) {
            self.next.fill(0);
            let next = &mut self.next;
            each(&self.now, |at| advance(next, &glob.ops, at, unit));
            if self.next.iter().all(|word| *word == 0) {
                self.now.fill(0);
                return;
            }
            close(&mut self.next, &glob.ops);
            std::mem::swap(&mut self.now, &mut self.next);
            bytes = rest;
        }
    }
}

fn advance(next: &mut [u64], ops: &[Op], at: usize, unit: Unit) {
    match ops.get(at) {
        Some(Op::Unit(expected)) if *expected == unit => add(next, at + 1),
        Some(Op::NotSlash) if unit != SLASH => add(next, at + 1),
        Some(Op::Class { negated, ranges })
            if ranges.iter().any(|(low, high)| (*low..=*high).contains(&unit)) != *negated =>
        {
            add(next, at + 1);
        }
        Some(Op::Star) if unit != SLASH => add(next, at),
        Some(Op::Anything) => add(next, at),
        Some(Op::FoldersBody) => {
            add(next, at);
            if unit == SLASH {
                add(next, at + 1);
            }
        }
        Some(Op::Unit(_) | Op::NotSlash | Op::Class { .. } | Op::Star | Op::Folders) | None => {}
    }
}

/// Adds the places that are reached without reading: they always lie further on.
fn close(states: &mut [u64], ops: &[Op]) {
    for word in 0..states.len() {
        let mut left = states[word];
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            let at = word * 64 + bit;
            match ops.get(at) {
                Some(Op::Star | Op::Anything) => add(states, at + 1),
                Some(Op::Folders) => {
                    add(states, at + 1);
                    add(states, at + 2);
                }
                Some(Op::Unit(_) | Op::NotSlash | Op::Class { .. } | Op::FoldersBody) | None => {}
            }
            left = states[word] & (u64::MAX << bit) & !(1 << bit);
        }
    }
}

fn add(states: &mut [u64], op: usize) {
    states[op / 64] |= 1 << (op % 64);
}

fn each(states: &[u64], mut visit: impl FnMut(usize)) {
    for (word, bits) in states.iter().enumerate() {
        let mut left = *bits;
        while left != 0 {
            visit(word * 64 + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

/// Reads the stars that `rest` begins with.
fn read_star<'a>(ops: &mut Vec<Op>, rest: &'a [u8], dialect: Dialect, at_start: bool) -> &'a [u8] {
    let Some(after) = rest.strip_prefix(b"**").filter(|_| dialect == Dialect::DoubleStar) else {
        if ops.last() != Some(&Op::Star) {
            ops.push(Op::Star);
        }
        return &rest[1..];
    };
    let plain_after = !after.iter().any(|byte| b"*?[]\\".contains(byte));
    let stripped = after.strip_prefix(b"/");
    // BuildKit compares a pattern that is `**` and plain characters as a suffix, so `**name` needs no slash before `name`.
    if stripped.unwrap_or(after).is_empty() || (at_start && plain_after && stripped.is_none()) {
        ops.push(Op::Anything);
    } else if ops.last() != Some(&Op::FoldersBody) {
        ops.extend([Op::Folders, Op::FoldersBody]);
    }
    stripped.unwrap_or(after)
}

/// Reads a class whose `[` has been read, up to and with its `]`.
fn read_class<'a>(ops: &mut Vec<Op>, rest: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let negated = rest.first() == Some(&b'^');
    let mut rest = if negated { &rest[1..] } else { rest };
    let mut ranges = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(b"]").filter(|_| !ranges.is_empty()) {
            ops.push(Op::Class { negated, ranges });
            return Ok(after);
        }
        let (low, after) = class_unit(rest)?;
        let (high, after) = match after.strip_prefix(b"-") {
            Some(after) => class_unit(after)?,
            None => (low, after),
        };
        ranges.push((low, high));
        rest = after;
    }
}

fn class_unit(rest: &[u8]) -> Result<(Unit, &[u8]), &'static str> {
    const OPEN: &str = "a `[` is not closed";
    let rest = match rest {
        [] => return Err(OPEN),
        [b'-', ..] => return Err("a `-` stands in `[…]` without its two ends"),
        [b']', ..] => return Err("a `[…]` has nothing where a character must be"),
        [b'\\', rest @ ..] => rest,
        rest => rest,
    };
    let (unit, after) = next_unit(rest).ok_or(OPEN)?;
    if unit >= BYTE_BASE {
        return Err("a `[…]` holds a byte that is not UTF-8");
    }
    if after.is_empty() { Err(OPEN) } else { Ok((unit, after)) }
}

/// Takes one character, or one byte if there is no whole character.
fn next_unit(bytes: &[u8]) -> Option<(Unit, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((Unit::from(first), rest));
    }
    let whole = (2..=4).filter_map(|length| {
        let (head, rest) = bytes.split_at_checked(length)?;
        let mut chars = std::str::from_utf8(head).ok()?.chars();
        chars.next().filter(|_| chars.next().is_none()).map(|c| (Unit::from(c), rest))
    });
    Some(whole.into_iter().next().unwrap_or((BYTE_BASE + Unit::from(first), rest)))
}

fn bytes_of(ops: &[Op]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for op in ops {
        if let Op::Unit(unit) = op {
            match char::from_u32(*unit) {
                Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                None => bytes.push((unit - BYTE_BASE) as u8),
            }
        }
    }
    bytes
}

/// Whether `text` has a wildcard that no backslash makes plain.
pub fn has_wildcards(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// The shortest path of the same meaning, as Go's `filepath.Clean` writes it: `..` at the front of a relative path stays.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// Without the white space at both ends, as Unicode defines it.
pub fn trim(text: &[u8]) -> &[u8] {
    let is_space = |unit: Unit| char::from_u32(unit).is_some_and(char::is_whitespace);
    let mut text = text;
    while let Some((_, rest)) = next_unit(text).filter(|(unit, _)| is_space(*unit)) {
        text = rest;
    }
    loop {
        let space = (1..=text.len().min(4)).find(|length| {
            let tail = std::str::from_utf8(&text[text.len() - length..]);
            tail.is_ok_and(|tail| tail.chars().count() == 1 && tail.trim().is_empty())
        });
        match space {
            Some(length) => text = &text[..text.len() - length],
            None => return text,
        }
    }
}
