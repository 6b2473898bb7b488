//! Names of devices and what they are made of.

/// The vendor and class of a kind, if it has both.
pub(super) fn qualifier(kind: &str) -> Option<(&str, &str)> {
    kind.split_once('/').filter(|(vendor, class)| !vendor.is_empty() && !class.is_empty())
}

/// What is wrong with a vendor or class.
pub(super) fn check_word(word: &str) -> Result<(), &'static str> {
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("it must begin with a letter");
    }
    check_rest(word, "_-.")
}

/// What is wrong with the name of a device.
pub(super) fn check_device(name: &str) -> Result<(), &'static str> {
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it must begin with a letter or digit");
    }
    check_rest(name, "_-.:")
}

fn check_rest(name: &str, others: &str) -> Result<(), &'static str> {
    if !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it must end with a letter or digit");
    }
    match name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c)) {
        true => Ok(()),
        false => Err("it may hold letters, digits and a few signs: `_`, `-`, `.`, and in a device's name `:`"),
    }
}
