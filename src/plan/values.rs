//! Values of COPY, ADD and USER that nothing in the image can make right.
//!
//! BuildKit refuses some of them when it runs the step. Here they are told with all other mistakes, of the stages that are needed.

use super::chmod::Chmod;
use crate::dockerfile::{Diagnostic, Span};
use crate::glob::{BadPattern, Dialect, Glob, clean, has_wildcards, trim};

type Checked = Result<(), Box<Diagnostic>>;

/// The highest id of a user or group; the one above it means "no change" to the kernel.
const LAST_ID: u32 = u32::MAX - 1;

/// Checks `--chmod`.
pub(super) fn check_mode(mode: &str, span: Span) -> Checked {
    let Err(error) = Chmod::parse(mode) else { return Ok(()) };
    let is_number = mode.bytes().all(|byte| byte.is_ascii_digit());
    let help = match (is_number, mode.bytes().any(|byte| byte > b'7')) {
        (true, true) => {
            "the digits of a mode go from 0 to 7: each is the sum of 4 to read, 2 to write and 1 to execute"
        }
        (true, false) => "four digits are the most: write for example `755` or `0644`",
        (false, _) => "write who, an operator and what: `u+x`, `go-w`, `a=rX`; with commas between several",
    };
    Err(Box::new(Diagnostic::error("bad-mode", span, error.to_string()).with_help(help)))
}

/// Checks `--exclude`.
pub(super) fn check_exclude(pattern: &str, span: Span) -> Checked {
    let cleaned = clean(trim(pattern.as_bytes()));
    let bare = cleaned.strip_prefix(b"!").unwrap_or(&cleaned);
    let problem = match bare {
        b"" => Err(BadPattern::new(&cleaned, "no pattern follows the `!`")),
        bare => Glob::new(bare, Dialect::DoubleStar).map(drop),
    };
    problem.map_err(|problem| bad_pattern(&problem, span))
}

/// Checks a source of COPY or ADD that is a path.
pub(super) fn check_source(pattern: &str, span: Span) -> Checked {
    let checked = match pattern {
        nul if nul.contains('\0') => Err(BadPattern::new(nul.as_bytes(), "it holds a NUL byte")),
        plain if !has_wildcards(plain.as_bytes()) => return Ok(()),
        // What is wrong is so in any part, with or without `**`.
        pattern => Glob::new(pattern.as_bytes(), Dialect::SingleStar).map(drop),
    };
    checked.map_err(|problem| bad_pattern(&problem, span))
}

fn bad_pattern(problem: &BadPattern, span: Span) -> Box<Diagnostic> {
    let report = Diagnostic::error("bad-pattern", span, problem.to_string());
    Box::new(report.with_help(
        "`*` and `?` stand for any name and any character, `[a-z]` for one of several; `\\[` is a bracket itself",
    ))
}

/// Whether an owner holds a name that only the image's files can resolve.
pub fn names_somebody(owner: &str) -> bool {
    owner.split(':').any(|part| !part.is_empty() && !part.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks `--chown`, of a layer that does not see the image with `is_linked`.
pub(super) fn check_owner(owner: &str, is_linked: bool, span: Span) -> Checked {
    check_ids(owner, span)?;
    if is_linked && names_somebody(owner) {
        let message =
            format!("cannot look up the owner `{owner}`: a layer made with `--link` does not see the image's users");
        let help = "write numbers, for example `--chown=1000:1000`, or leave `--link` out";
        return Err(Box::new(Diagnostic::error("owner-with-link", span, message).with_help(help)));
    }
    Ok(())
}

/// Checks what USER said, at the first command that runs as that user.
pub(super) fn check_user(user: &str, span: Span) -> Checked {
    check_ids(user, span)?;
    if user.matches(':').count() > 1 {
        let message = format!("`{user}` is no user: there is more than one `:`");
        let help = "write a user, or a user and a group: `USER app` or `USER app:staff`";
        return Err(Box::new(Diagnostic::error("bad-user", span, message).with_help(help)));
    }
    Ok(())
}

/// Numbers must be ids.
fn check_ids(owner: &str, span: Span) -> Checked {
    let bad = owner.splitn(2, ':').find(|part| {
        let digits = part.strip_prefix(['+', '-']).unwrap_or(part);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let id = digits.parse::<u32>().ok().filter(|id| *id <= LAST_ID && (*id == 0 || !part.starts_with('-')));
        is_number && id.is_none()
    });
    let Some(bad) = bad else { return Ok(()) };
    let message = format!("`{bad}` is not a user or group id: ids go from 0 to {LAST_ID}");
    Err(Box::new(Diagnostic::error("bad-id", span, message)))
}
