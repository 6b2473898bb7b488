//! The headers of an archive's members.

/// Every member's time: 1980-01-01, the earliest that zip knows. The layers inside have the same.
const TIME: u64 = 315_532_800;
/// The largest size that fits eleven octal digits.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// A folder.
    Folder,
    /// A file of this many bytes.
    File(u64),
}

/// The blocks before a member's bytes; `name` has at most 100 bytes.
///
/// A file of 8 GiB or more gets a PAX record with its size, which GNU tar, Go and libarchive all read.
pub(super) fn header(name: &str, member: Member) -> Vec<u8> {
    match member {
        Member::Folder => block(name, 0o755, 0, b'5').to_vec(),
        Member::File(size) if size <= MAX_OCTAL => block(name, 0o644, size, b'0').to_vec(),
        Member::File(size) => {
            let record = pax_record("size", &size.to_string());
            let mut blocks = block("PaxHeaders/size", 0o644, record.len() as u64, b'x').to_vec();
            blocks.extend_from_slice(record.as_bytes());
            blocks.resize(blocks.len() + padding(record.len() as u64), 0);
            blocks.extend_from_slice(&block(name, 0o644, 0, b'0'));
            blocks
        }
    }
}

/// How many zero bytes follow a member of `size` bytes.
pub(super) fn padding(size: u64) -> usize {
    usize::from(u16::try_from((512 - size % 512) % 512).expect("less than 512"))
}

fn block(name: &str, mode: u64, size: u64, kind: u8) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    octal(&mut block[100..108], mode);
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], TIME);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], 0);
    octal(&mut block[337..345], 0);
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    block
}

/// Octal digits that fill a field but for the NUL at its end.
fn octal(field: &mut [u8], mut value: u64) {
    let Some((last, digits)) = field.split_last_mut() else { return };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

/// A record starts with its own length, which counts its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}
