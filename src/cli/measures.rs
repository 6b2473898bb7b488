//! Sizes and ages, from text and as people read them.

use std::time::{Duration, SystemTime};

use super::error::{Error, Result};
use crate::build::Limit;
use crate::dockerfile::parse_size;

/// The seconds of each unit of an age.
const UNITS: [(&str, u64); 6] = [("ms", 0), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];

/// A number of bytes, as `10GB`.
pub fn size(option: &str, text: &str) -> Result<u64> {
    let wrong = || Error::usage(format!("`{text}` is no size for `{option}`"), "write for example `10GB` or `500MB`");
    parse_size(text).filter(|_| !text.is_empty()).ok_or_else(wrong)
}

/// A number of bytes, or a share of the disk, as `10%`.
pub fn limit(option: &str, text: &str) -> Result<Limit> {
    let Some(percent) = text.strip_suffix('%') else { return size(option, text).map(Limit::Bytes) };
    let percent = percent.trim().parse().ok().filter(|percent| *percent <= 100);
    let wrong = || Error::usage(format!("`{text}` is no share for `{option}`"), "write for example `10%`");
    percent.map(Limit::Percent).ok_or_else(wrong)
}

/// An age: numbers with units, as `7d` or `1h30m`.
pub fn age(option: &str, text: &str) -> Result<Duration> {
    let wrong =
        || Error::usage(format!("`{text}` is no age for `{option}`"), "write for example `30m`, `24h`, `7d` or `2w`");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().ok().ok_or_else(wrong)?;
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = match seconds {
            0 => Some(Duration::from_millis(number)),
            seconds => number.checked_mul(seconds).map(Duration::from_secs),
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

/// How long ago it was, as people say it.
pub fn ago(time: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(time).unwrap_or_default().as_secs();
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{s} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_age(text: &str, seconds: Option<u64>) {
        assert_eq!(age("--older-than", text).ok(), seconds.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn an_age_is_numbers_with_units() {
        check_age("90s", Some(90));
        check_age("24h", Some(86_400));
        check_age("1h30m", Some(5400));
        check_age("2w", Some(1_209_600));
        check_age("0s", Some(0));
        for wrong in ["", "h", "7", "7 d", "-1h", "1y", "99999999999999999999s", "18446744073709551615w", "1h x"] {
            check_age(wrong, None);
        }
    }

    #[test]
    fn a_limit_is_bytes_or_a_share() {
        assert_eq!(limit("--gc", "10%").ok(), Some(Limit::Percent(10)));
        assert_eq!(limit("--gc", "1k").ok(), Some(Limit::Bytes(1024)));
        for wrong in ["101%", "-1%", "%", "x", "", "1e3"] {
            assert!(limit("--gc", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_is_told_in_one_unit() {
        let (start, after) = (SystemTime::UNIX_EPOCH, |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let told = [0, 59, 60, 7300, 86_400 * 3].map(|seconds| ago(start, after(seconds)));
        assert_eq!(told, ["just now", "just now", "1 minute ago", "2 hours ago", "3 days ago"]);
        assert_eq!(ago(after(9), start), "just now");
    }
}
