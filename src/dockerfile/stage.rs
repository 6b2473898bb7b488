//! `FROM`: the beginning of a stage.

use super::ast::{From, Head, Stage};
use super::diagnostic::{Diagnostic, Sink};
use super::flags::Takes;
use super::instruction::Parts;
use super::lines::Fragment;
use super::lookalike::meant_flag;
use super::word::Text;

/// Reads `FROM`; none if there is an error in it, which is then reported.
pub(super) fn parse(mut parts: Parts<'_>, head: Head, sink: &mut Sink) -> Option<Stage> {
    let flags = parts.check_flags(&[("platform", Takes::Value)], sink);
    let words = parts.arguments.split_blanks();
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.text().eq_ignore_ascii_case("as") => match stage_name(*name) {
            Ok(name) => (image, Some(name)),
            Err(problem) => {
                sink.push(*problem);
                return None;
            }
        },
        // The first word is meant for the flag.
        _ if flags.lacks_value && !words.is_empty() => return None,
        _ => {
            sink.push(wrong_words(&parts, &words));
            return None;
        }
    };
    let platform = flags.word("platform").filter(|platform| !platform.raw().is_empty());
    let span = head.span;
    let from = From { image: image.to_word(), platform, head };
    Some(Stage { from, name, instructions: Vec::new(), span })
}

fn wrong_words(parts: &Parts<'_>, words: &[Fragment<'_>]) -> Diagnostic {
    let error = |span, message: &str| Diagnostic::error("bad-from", span, message);
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return parts.lacks("an image", "alpine");
    };
    if let Some(comment) = words.iter().find(|word| word.text().starts_with('#')) {
        let report = error(comment.span().to(last.span()), "a comment cannot follow an instruction");
        return report.with_help("put the comment on a line of its own");
    }
    if let Some(flag) = meant_flag(first.text()) {
        let report = error(first.span(), "FROM takes one image").with_label("flags begin with two plain dashes");
        return report.with_fix(format!("write `{flag}`"), first.span(), flag);
    }
    match words {
        [_, keyword] if keyword.text().eq_ignore_ascii_case("as") => {
            let report = error(keyword.span(), "the name of the stage is missing");
            report.with_label("nothing follows").with_help(format!("for example `FROM {} AS builder`", first.text()))
        }
        [_, name] if !name.text().contains([':', '/', '@']) => {
            let report = error(name.span(), "FROM takes one image").with_label("unexpected");
            report.with_fix("to name the stage, put `AS` before the name", name.span(), format!("AS {}", name.text()))
        }
        [image, keyword, name, more, ..] if keyword.text().eq_ignore_ascii_case("as") => {
            let report = error(more.span().to(last.span()), "FROM takes an image, AS and one name");
            let help = format!("end it behind the name: `FROM {} AS {}`", image.text(), name.text());
            report.with_label("unexpected").with_help(help)
        }
        [_, keyword, ..] if keyword.text().eq_ignore_ascii_case("as:") => {
            let report = error(keyword.span(), "there is no colon after AS");
            report.with_fix("leave the colon out", keyword.span(), &keyword.text()[..2])
        }
        [_, second, ..] => {
            let report = error(second.span().to(last.span()), "FROM takes an image, or an image, AS and a name");
            report.with_label("unexpected").with_help(
                "a stage stands on one image; files of another one are brought by `COPY --from=image /path /path`",
            )
        }
        [] | [_] => error(first.span(), "FROM takes an image, or an image, AS and a name"),
    }
}

fn stage_name(name: Fragment<'_>) -> Result<Text, Box<Diagnostic>> {
    let lower = name.text().to_lowercase();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if lower.starts_with(|c: char| c.is_ascii_lowercase()) && lower.chars().all(good) {
        return Ok(Text::new(lower, name.span()));
    }
    let message = format!("`{}` cannot be the name of a stage", name.text());
    let report = Diagnostic::error("bad-stage-name", name.span(), message);
    Err(Box::new(report.with_help("a name begins with a letter and holds only letters, digits, `-`, `_` and `.`")))
}
