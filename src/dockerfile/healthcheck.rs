//! `HEALTHCHECK`.

use super::ast::{CommandLine, Healthcheck, Timing};
use super::diagnostic::{Diagnostic, Sink};
use super::flags::{Flags, Takes};
use super::instruction::Parts;
use super::lines::Fragment;
use super::run;
use super::word::Text;

const FLAGS: &[(&str, Takes)] = &[
    ("interval", Takes::Value),
    ("timeout", Takes::Value),
    ("start-period", Takes::Value),
    ("start-interval", Takes::Value),
    ("retries", Takes::Value),
];

const EXAMPLE: &str = "CMD curl -f http://localhost/";

/// The shortest time that a check may have.
const MILLISECOND: u64 = 1_000_000;

/// Reads `HEALTHCHECK`.
pub(super) fn parse(mut parts: Parts<'_>, sink: &mut Sink) -> Option<Healthcheck> {
    let flags = parts.check_flags(FLAGS, sink);
    let timing = timing(&flags, sink);
    let text = parts.arguments.text();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = parts.arguments.sub(0..end);
    let rest = parts.arguments.from(end).trim();
    match kind.text().to_uppercase().as_str() {
        // The word is meant for the flag.
        _ if flags.lacks_value => None,
        "NONE" => none(rest, sink),
        "CMD" => {
            parts.arguments = rest;
            let command = run::command_line(&mut parts, sink)?;
            if rest.text().is_empty() || command == CommandLine::Exec(Vec::new()) {
                let (span, label) = match rest.text().is_empty() {
                    true => (kind.span(), "nothing follows"),
                    false => (rest.span(), "the array is empty"),
                };
                let report = Diagnostic::error("missing-argument", span, "HEALTHCHECK CMD needs a command");
                sink.push(report.with_label(label).with_help(format!("for example `HEALTHCHECK {EXAMPLE}`")));
                return None;
            }
            Some(Healthcheck::Command { command, timing })
        }
        "" => {
            sink.push(parts.lacks("CMD or NONE", EXAMPLE));
            None
        }
        _ => {
            let message = format!("HEALTHCHECK takes CMD or NONE, not `{}`", kind.text());
            let report = Diagnostic::error("bad-healthcheck", kind.span(), message);
            sink.push(report.with_fix("put `CMD` before the command", kind.span(), format!("CMD {}", kind.text())));
            None
        }
    }
}

fn none(rest: Fragment<'_>, sink: &mut Sink) -> Option<Healthcheck> {
    if rest.text().is_empty() {
        return Some(Healthcheck::None);
    }
    let report = Diagnostic::error("too-many-arguments", rest.span(), "HEALTHCHECK NONE takes no arguments");
    sink.push(report.with_label("remove this"));
    None
}

fn timing(flags: &Flags<'_>, sink: &mut Sink) -> Timing {
    let mut duration = |name: &str| match flags.text(name).map(|value| duration(name, &value)) {
        Some(Ok(duration)) => duration,
        Some(Err(problem)) => {
            sink.push(*problem);
            0
        }
        None => 0,
    };
    let mut timing = Timing {
        interval: duration("interval"),
        timeout: duration("timeout"),
        start_period: duration("start-period"),
        start_interval: duration("start-interval"),
        retries: 0,
    };
    if let Some(retries) = flags.text("retries").filter(|retries| !retries.value.is_empty()) {
        match retries.value.parse::<i32>().ok().and_then(|retries| u32::try_from(retries).ok()) {
            Some(count) => timing.retries = count,
            None => {
                let message = format!("`{}` is not a number of retries", retries.value);
                let report = Diagnostic::error("bad-flag-value", retries.span, message);
                sink.push(report.with_label("expected 0 or more"));
            }
        }
    }
    timing
}

fn duration(name: &str, value: &Text) -> Result<u64, Box<Diagnostic>> {
    if value.value.is_empty() {
        return Ok(0);
    }
    let report = |message: String| Box::new(Diagnostic::error("bad-duration", value.span, message));
    let Some(nanoseconds) = parse_duration(&value.value) else {
        let report = report(format!("`{}` is not a duration", value.value));
        return Err(Box::new(match value.value.bytes().all(|digit| digit.is_ascii_digit()) {
            true => report.with_help(format!("a number needs its unit: write `{}s` for seconds", value.value)),
            false => report.with_help("write a number and its unit, for example `30s`, `1m30s` or `500ms`"),
        }));
    };
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds == 0 || nanoseconds >= MILLISECOND => Ok(nanoseconds),
        _ => {
            let report = report(format!("`--{name}` cannot be less than 1ms"));
            Err(Box::new(report.with_help("leave the flag out to have Docker's default")))
        }
    }
}

/// A duration as Go writes it: signed decimal numbers, each with a unit, or a lone `0`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        total = total.checked_add(scaled(number, unit)?)?;
        rest = next;
        if rest.is_empty() {
            return Some(sign * total);
        }
    }
}

fn scaled(number: &str, unit: &str) -> Option<i64> {
    let unit: i64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut scale = unit;
    let mut part: i64 = 0;
    for digit in fraction.bytes() {
        scale /= 10;
        part += i64::from(digit - b'0') * scale;
    }
    whole.checked_mul(unit)?.checked_add(part)
}
