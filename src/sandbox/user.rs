//! Turns a `USER` value into numbers, as Docker does. Pure: the caller reads the image's passwd and group.

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// The most of a passwd or group file that is looked at; a caller refuses larger ones.
pub const USER_FILE_LIMIT: u64 = 10 << 20;

/// The highest id; the one above it means "no change" to the kernel.
const LAST_ID: u32 = u32::MAX - 1;

/// The most supplementary groups the kernel takes.
const GROUP_LIMIT: usize = 65536;

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The supplementary groups, exactly.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// The super user, in its own group.
    pub fn root() -> Self {
        Self { uid: 0, gid: 0, groups: vec![0] }
    }
}

/// What a `USER` value stands for in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The numbers.
    pub credentials: Credentials,
    /// The home folder that passwd gives the user id; `/` if there is none.
    pub home: Vec<u8>,
}

/// Resolves `spec` (`name`, `uid`, `name:group`, `uid:gid`; empty means root) by the bytes of an image's passwd and group
/// file, which may be empty.
///
/// A number is never looked up as a name; a user given without a group gets the primary group of its passwd entry and the
/// groups that list it. Two numbers need no file.
///
/// # Errors
/// `Error::UnknownUser` and `Error::UnknownGroup` for names that the files lack, `Error::IdRange` for numbers no id can have.
pub fn resolve(spec: &str, passwd: &[u8], group: &[u8]) -> Result<Identity> {
    let (user, group_name) = match spec.split_once(':') {
        Some((user, group)) => (user, group),
        None => (spec, ""),
    };
    let wanted = Wanted::parse(if user.is_empty() { "0" } else { user })?;
    let entry = find_user(&wanted, passwd);
    let (uid, primary, name) = match (&wanted, &entry) {
        (_, Some(entry)) => (entry.uid, entry.gid, Some(entry.name)),
        (Wanted::Number(uid), None) => (*uid, 0, None),
        (Wanted::Name("root"), None) => (0, 0, None),
        (Wanted::Name(name), None) => return Err(Error::UnknownUser { name: (*name).to_owned() }),
    };
    let (gid, mut groups) = if group_name.is_empty() {
        (primary, name.map_or_else(Vec::new, |name| groups_listing(name, group)))
    } else {
        (find_group(&Wanted::parse(group_name)?, group)?, Vec::new())
    };
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    let home = users(passwd).find(|user| user.uid == uid).map_or(&b""[..], |user| user.home);
    let home = if home.is_empty() { b"/".to_vec() } else { home.to_vec() };
    Ok(Identity { credentials: Credentials { uid, gid, groups }, home })
}

/// One side of a `USER` value.
enum Wanted<'a> {
    Number(u32),
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    /// Anything made of digits with at most a sign is a number, and must then be an id.
    fn parse(text: &'a str) -> Result<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::Name(text));
        }
        match digits.parse::<u32>() {
            Ok(0) => Ok(Self::Number(0)),
            Ok(id) if id <= LAST_ID && !text.starts_with('-') => Ok(Self::Number(id)),
            _ => Err(Error::IdRange { text: text.to_owned() }),
        }
    }
}

struct UserEntry<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

fn find_user<'a>(wanted: &Wanted<'_>, passwd: &'a [u8]) -> Option<UserEntry<'a>> {
    users(passwd).find(|user| match wanted {
        Wanted::Number(uid) => user.uid == *uid,
        Wanted::Name(name) => user.name == name.as_bytes(),
    })
}

/// The entries of a passwd file whose ids are ids.
fn users(passwd: &[u8]) -> impl Iterator<Item = UserEntry<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let uid = id(fields.nth(1)?)?;
        let gid = fields.next().and_then(id).unwrap_or(0);
        let home = fields.nth(1).unwrap_or_default();
        Some(UserEntry { name, uid, gid, home })
    })
}

struct GroupEntry<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

fn group_entries(group: &[u8]) -> impl Iterator<Item = GroupEntry<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let gid = id(fields.nth(1)?)?;
        Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn find_group(wanted: &Wanted<'_>, group: &[u8]) -> Result<u32> {
    match wanted {
        Wanted::Number(gid) => Ok(*gid),
        Wanted::Name(name) => match group_entries(group).find(|entry| entry.name == name.as_bytes()) {
            Some(entry) => Ok(entry.gid),
            None if *name == "root" => Ok(0),
            None => Err(Error::UnknownGroup { name: (*name).to_owned() }),
        },
    }
}

fn groups_listing(name: &[u8], group: &[u8]) -> Vec<u32> {
    let mut groups = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for entry in group_entries(group).take(GROUP_LIMIT * 16) {
        let listed = entry.members.split(|&b| b == b',').any(|member| member.trim_ascii() == name);
        if listed && groups.len() < GROUP_LIMIT - 1 && seen.insert(entry.gid) {
            groups.push(entry.gid);
        }
    }
    groups
}

/// The lines that are neither empty nor a comment.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn id(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?.trim();
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok().filter(|id| *id <= LAST_ID)
}
