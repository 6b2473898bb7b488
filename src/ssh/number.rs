//! The one calculation that a key file leaves to its reader.

/// `value` modulo `modulus` less one, both big-endian and positive; none if the modulus is not above one.
///
/// The time depends on the lengths, and a little on the values; it is done once, when a key is read.
pub(super) fn modulo_predecessor(value: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let mut modulus = modulus.to_vec();
    subtract(&mut modulus, &[1]);
    if modulus.iter().all(|byte| *byte == 0) {
        return None;
    }
    // One byte more, for the bit that doubling shifts out.
    let mut rest = vec![0; modulus.len() + 1];
    for byte in value {
        for bit in (0..8).rev() {
            double(&mut rest, byte >> bit & 1);
            if is_at_least(&rest, &modulus) {
                subtract(&mut rest, &modulus);
            }
        }
    }
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    Some(rest.split_off(zeros))
}

fn double(number: &mut [u8], mut carry: u8) {
    for byte in number.iter_mut().rev() {
        let next = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = next;
    }
}

/// `left` has one byte more.
fn is_at_least(left: &[u8], right: &[u8]) -> bool {
    left.first().is_some_and(|first| *first != 0) || left.get(1..).is_some_and(|left| left >= right)
}

/// `left` is at least `right`.
fn subtract(left: &mut [u8], right: &[u8]) {
    let mut borrow = false;
    let right = right.iter().rev().copied().chain(std::iter::repeat(0));
    for (byte, other) in left.iter_mut().rev().zip(right) {
        let (first, under) = byte.overflowing_sub(other);
        let (second, again) = first.overflowing_sub(u8::from(borrow));
        *byte = second;
        borrow = under || again;
    }
}
