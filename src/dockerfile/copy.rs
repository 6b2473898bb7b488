//! `COPY` and `ADD`.

use std::collections::BTreeMap;

use super::arguments;
use super::ast::{Add, Copy, Transfer};
use super::diagnostic::{Diagnostic, Sink};
use super::expand::{NoEnv, expand};
use super::flags::{Flags, Takes};
use super::heredoc::{Heredoc, Opening};
use super::instruction::Parts;
use super::json::{self, Array};
use super::lookalike::unseen;
use super::word::{Escape, Text, Word};

const COPY_FLAGS: &[(&str, Takes)] = &[
    ("from", Takes::Value),
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
    ("exclude", Takes::Values),
];

const ADD_FLAGS: &[(&str, Takes)] = &[
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("checksum", Takes::Value),
    ("keep-git-dir", Takes::Bool),
    ("unpack", Takes::Bool),
    ("exclude", Takes::Values),
];

/// Reads `COPY`.
pub(super) fn parse_copy(mut parts: Parts<'_>, sink: &mut Sink) -> Option<Copy> {
    let flags = parts.check_flags(COPY_FLAGS, sink);
    let from = match given(&flags, "from").map(|from| checked_from(from, parts.escape)).transpose() {
        Ok(from) => from,
        Err(problem) => {
            sink.push(*problem);
            None
        }
    };
    let transfer = transfer(parts, &flags, sink)?;
    Some(Copy { transfer, from, parents: flags.bool("parents").unwrap_or(false) })
}

/// Reads `ADD`.
pub(super) fn parse_add(mut parts: Parts<'_>, sink: &mut Sink) -> Option<Add> {
    let flags = parts.check_flags(ADD_FLAGS, sink);
    let transfer = transfer(parts, &flags, sink)?;
    Some(Add {
        transfer,
        checksum: given(&flags, "checksum"),
        keep_git_dir: flags.bool("keep-git-dir"),
        unpack: flags.bool("unpack"),
    })
}

/// As in BuildKit, what has no variable must be a plain name: no quote and no escape is removed.
fn checked_from(from: Word, escape: Escape) -> Result<Word, Box<Diagnostic>> {
    let value = expand(&from, escape, &NoEnv).map_err(|error| Box::new(error.diagnostic(&from)))?.value;
    if value == from.raw() || from.raw().contains('$') {
        return Ok(from);
    }
    let report = Diagnostic::error("quotes-in-from", from.span(), "`--from` holds a quote or an escape");
    Err(Box::new(report.with_help("write the name alone, without quotes and escapes")))
}

fn given(flags: &Flags<'_>, name: &str) -> Option<Word> {
    flags.word(name).filter(|word| !word.raw().is_empty())
}

fn transfer(parts: Parts<'_>, flags: &Flags<'_>, sink: &mut Sink) -> Option<Transfer> {
    let mut words = arguments::list(&parts, sink)?;
    if words.len() < 2 {
        sink.push(too_few(&parts, &words));
        return None;
    }
    let destination = words.pop()?;
    let plain = !matches!(json::parse(parts.arguments), Array::Strings(_));
    if plain && Opening::parse(destination.raw()).is_some() {
        let message = format!("{} has a heredoc as destination", parts.keyword);
        let report = Diagnostic::error("heredoc-as-destination", destination.span(), message);
        sink.push(report.with_help(format!("put the path behind it: `{} {} /path`", parts.keyword, destination.raw())));
        return None;
    }
    let (sources, heredocs) = match plain {
        true => split_sources(&parts, words, sink)?,
        false => (words, Vec::new()),
    };
    Some(Transfer {
        sources,
        heredocs,
        destination,
        chown: given(flags, "chown"),
        chmod: given(flags, "chmod"),
        link: flags.bool("link").unwrap_or(false),
        exclude: flags.all("exclude").map(|value| Text::new(value.text.clone(), value.span())).collect(),
    })
}

/// Tells the sources that are heredocs from those that are paths.
fn split_sources(parts: &Parts<'_>, words: Vec<Word>, sink: &mut Sink) -> Option<(Vec<Word>, Vec<Heredoc>)> {
    let mut sources = Vec::new();
    let mut heredocs = Vec::new();
    // Of two heredocs with one word the last one counts, as in BuildKit; both name the same file.
    let mut by_name: BTreeMap<&str, Option<&Heredoc>> = BTreeMap::new();
    by_name.extend(parts.heredocs.iter().map(|heredoc| (heredoc.name.value.as_str(), Some(heredoc))));
    for word in words {
        let Some(opening) = Opening::parse(word.raw()) else {
            sources.push(word);
            continue;
        };
        match by_name.get_mut(opening.name()) {
            Some(heredoc) => heredocs.extend(heredoc.take().cloned()),
            None => {
                let report = Diagnostic::error("unread-heredoc", word.span(), "this heredoc has no content");
                sink.push(
                    report.with_help("a quote that is not closed keeps heredocs of the instruction from being read"),
                );
                return None;
            }
        }
    }
    let lone = sources.iter().find(|word| matches!(word.raw(), "<<" | "<<-"));
    if let Some(lone) = lone.filter(|_| by_name.values().any(Option::is_some)) {
        let message = format!("`{}` is cut off from its word", lone.raw());
        let report = Diagnostic::error("unread-heredoc", lone.span(), message);
        sink.push(report.with_help("write `<<EOF`, without a space"));
        return None;
    }
    Some((sources, heredocs))
}

fn too_few(parts: &Parts<'_>, words: &[Word]) -> Diagnostic {
    let keyword = parts.keyword;
    let Some(word) = words.first() else {
        return parts.lacks("a source and a destination", ". .");
    };
    let raw = word.raw();
    let span = parts.span();
    let report = Diagnostic::error("missing-destination", span, format!("{keyword} needs a source and a destination"));
    let plain = matches!(json::parse(parts.arguments), Array::Not);
    let stem = raw.strip_suffix('.').filter(|stem| !stem.is_empty() && !stem.ends_with(['/', '.']) && plain);
    if let Some(stem) = stem {
        let report = report.with_label("the `.` at the end belongs to the name");
        let message = format!("put a space before the `.`: `{keyword} {stem} .`");
        return report.with_fix(message, word.span(), format!("{stem} ."));
    }
    if let Some((c, what)) = raw.chars().find_map(|c| Some((c, unseen(c)?))).filter(|_| plain) {
        let report = report.with_label(format!("in it stands {what}, U+{:04X}", u32::from(c)));
        let fixed: String = raw.chars().map(|c| if unseen(c).is_some() { ' ' } else { c }).collect();
        return report.with_fix(format!("write `{keyword} {fixed}`"), word.span(), fixed);
    }
    let report = report.with_label(format!("only `{raw}` is given"));
    if raw == ".." && plain {
        return report.with_fix(format!("write `{keyword} . .`"), word.span(), ". .");
    }
    if !plain {
        return report.with_help(format!("put the destination behind it: `{keyword} [\"{raw}\", \".\"]`"));
    }
    if let Some(opening) = Opening::parse(raw) {
        return report.with_help(format!("put the path behind it: `{keyword} {raw} /{}`", opening.name()));
    }
    let message = format!("to copy it into the working directory, write `{keyword} {raw} .`");
    report.with_fix(message, word.span(), format!("{raw} ."))
}
