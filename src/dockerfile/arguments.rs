//! The arguments of instructions that have no flags.

use super::ast::{ArgDeclaration, Head, Instruction, Onbuild, Pair, Separator};
use super::diagnostic::{Diagnostic, Sink};
use super::instruction::{self, Parts};
use super::json::{Array, json_fault};
use super::keyword::Keyword;
use super::lines::Fragment;
use super::lookalike;
use super::unknown;
use super::word::{Text, Word};

/// The rest of the line as one argument.
pub(super) fn one<'a>(parts: &Parts<'a>, sink: &mut Sink) -> Option<Fragment<'a>> {
    if !parts.arguments.text().is_empty() {
        return Some(parts.arguments);
    }
    let (what, example) = match parts.keyword {
        Keyword::User => ("a user", "1000:1000"),
        Keyword::Workdir => ("a folder", "/app"),
        Keyword::StopSignal => ("a signal", "SIGTERM"),
        _ => ("an argument", "name"),
    };
    sink.push(parts.lacks(what, example));
    None
}

/// `key=value …`, or `key value` with the rest of the line as value.
pub(super) fn pairs(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<Pair>> {
    let words = parts.arguments.split_words(parts.escape);
    let Some(first) = words.first() else {
        sink.push(parts.lacks("a name and a value", "name=value"));
        return None;
    };
    if !first.text().contains('=') {
        return legacy_pair(parts, sink).map(|pair| vec![pair]);
    }
    let mut pairs = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let Some((key, value)) = word.split_once('=') else {
            sink.push(no_equals(parts, &words, index));
            return None;
        };
        if key.text().is_empty() {
            sink.push(blank_name(parts.keyword, *word));
            return None;
        }
        pairs.push(Pair { key: key.to_word(), value: value.to_word(), separator: Separator::Equals });
    }
    Some(pairs)
}

fn legacy_pair(parts: &Parts<'_>, sink: &mut Sink) -> Option<Pair> {
    let (key, value) = parts.arguments.split_blank();
    let Some(value) = value else {
        let message = format!("{} `{}` has no value", parts.keyword, key.text());
        let report =
            Diagnostic::error("missing-argument", key.span(), message).with_label("no `=` and no value follow");
        sink.push(report.with_fix("give it a value, which may be empty", key.span().after(), "="));
        return None;
    };
    Some(Pair { key: key.to_word(), value: value.to_word(), separator: Separator::Space })
}

fn no_equals(parts: &Parts<'_>, words: &[Fragment<'_>], index: usize) -> Diagnostic {
    let word = words[index];
    if let (true, Some(last)) = (word.text().starts_with('#'), words.last()) {
        let span = word.span().to(last.span());
        let report = Diagnostic::error("missing-equals", span, "a comment cannot follow an instruction");
        return report.with_help("put the comment on a line of its own");
    }
    let message = format!("`{}` has no `=`", word.text());
    let report = Diagnostic::error("missing-equals", word.span(), message).with_label("expected `name=value`");
    let before = index.checked_sub(1).and_then(|before| words.get(before));
    let value = before.and_then(|before| before.split_once('=')).map(|(_, value)| value);
    if value.is_some_and(|value| value.text().rfind("${") > value.text().rfind('}')) {
        return report.with_help("a space ends a value, between `${` and `}` too: quote the whole value with `\"`");
    }
    if let Some(value) = value.filter(|value| value.text().starts_with(lookalike::is_curly_quote)) {
        let last =
            words.iter().skip(index).find(|word| word.text().ends_with(lookalike::is_curly_quote)).unwrap_or(&word);
        let whole = value.to(*last);
        let help = "curly quotes quote nothing: write plain ones";
        return report.with_fix(help, whole.span(), lookalike::with_plain_quotes(whole.text()));
    }
    match value.filter(|value| !value.text().contains(['"', '\'', '\\'])) {
        Some(value) if !word.text().contains(['"', '\'', '\\']) => {
            let quoted = format!("\"{} {}\"", value.text(), word.text());
            report.with_fix("quote a value that has spaces", value.span().to(word.span()), quoted)
        }
        _ => report.with_help(format!("all pairs of one {} are written `name=value`", parts.keyword)),
    }
}

fn blank_name(keyword: Keyword, word: Fragment<'_>) -> Diagnostic {
    let report = Diagnostic::error("blank-name", word.span(), format!("{keyword} has a value without a name"));
    report.with_label("nothing stands before `=`").with_help("write `name=value`, without a space before `=`")
}

/// `name[=default] …`
pub(super) fn declarations(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<ArgDeclaration>> {
    let words = parts.arguments.split_words(parts.escape);
    if words.is_empty() {
        sink.push(parts.lacks("a name", "VERSION=1.0"));
        return None;
    }
    let mut declarations = Vec::with_capacity(words.len());
    for word in words {
        let (name, default) = word.split_once('=').map_or((word, None), |(name, default)| (name, Some(default)));
        if name.text().is_empty() {
            sink.push(blank_name(parts.keyword, word));
            return None;
        }
        declarations.push(ArgDeclaration { name: name.to_text(), default: default.map(Fragment::to_word) });
    }
    Some(declarations)
}

/// `port[/protocol] …`, in the order of their text, as BuildKit records them.
pub(super) fn ports(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<Word>> {
    let mut ports: Vec<Word> = parts.arguments.split_blanks().into_iter().map(Fragment::to_word).collect();
    if ports.is_empty() {
        sink.push(parts.lacks("a port", "8080"));
        return None;
    }
    ports.sort_by(|a, b| a.raw().cmp(b.raw()));
    Some(ports)
}

/// Words between blanks, or an array of strings.
pub(super) fn list(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<Word>> {
    Some(match parts.array(sink)? {
        Array::Strings(strings) => strings.into_iter().map(|text| Word::new(text.value, text.span)).collect(),
        Array::Mixed(_) | Array::Not => parts.arguments.split_blanks().into_iter().map(Fragment::to_word).collect(),
    })
}

/// The folders of `VOLUME`.
pub(super) fn volumes(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<Word>> {
    let words = list(parts, sink)?;
    if words.is_empty() {
        sink.push(parts.lacks("a folder", "/data"));
        return None;
    }
    if let Some(blank) = words.iter().find(|word| word.raw().trim().is_empty()) {
        let report = Diagnostic::error("blank-volume", blank.span(), "VOLUME has a folder without a name");
        sink.push(report.with_label("this is empty").with_help("remove it, or write a path such as `/data`"));
        return None;
    }
    Some(words.into_iter().map(|word| Word::new(word.raw().trim(), word.span())).collect())
}

/// The array of `SHELL`.
pub(super) fn shell(parts: &Parts<'_>, sink: &mut Sink) -> Option<Vec<Text>> {
    let example = "[\"/bin/bash\", \"-c\"]";
    match parts.array(sink)? {
        Array::Strings(strings) if !strings.is_empty() => Some(strings),
        Array::Not if !parts.arguments.text().is_empty() => {
            let report = Diagnostic::error("shell-not-json", parts.arguments.span(), "SHELL takes an array of strings");
            let words = parts.arguments.split_blanks();
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.text())).collect();
            sink.push(match parts.arguments.text().contains(['"', '[', ']', '\\']) {
                true => {
                    let fault = json_fault(parts.arguments.text());
                    report.with_label("this is no valid JSON").with_help(format!("{fault}: `SHELL {example}`"))
                }
                false => {
                    let fixed = format!("[{}]", quoted.join(", "));
                    report.with_fix("write it as an array", parts.arguments.span(), fixed)
                }
            });
            None
        }
        Array::Strings(_) | Array::Mixed(_) | Array::Not => {
            sink.push(parts.lacks("a program", example));
            None
        }
    }
}

/// The instruction that `ONBUILD` keeps.
pub(super) fn onbuild(parts: Parts<'_>, sink: &mut Sink) -> Option<Onbuild> {
    if parts.arguments.text().is_empty() {
        sink.push(parts.lacks("an instruction", "COPY . /app"));
        return None;
    }
    let mut inner = match Parts::split(parts.arguments, parts.escape) {
        Ok(inner) => inner,
        Err(unknown) => {
            sink.push(unknown::report(unknown, None));
            return None;
        }
    };
    if matches!(inner.keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
        let message = format!("{} cannot stand in ONBUILD", inner.keyword);
        let help = match inner.keyword {
            Keyword::From => {
                "what ONBUILD keeps runs in the stage that stands on this image; only that stage says FROM"
            }
            Keyword::Onbuild => "leave out one ONBUILD: triggers of triggers do not exist",
            _ => "use a label: `ONBUILD LABEL org.opencontainers.image.authors=\"name\"`",
        };
        sink.push(Diagnostic::error("bad-onbuild", inner.name.span(), message).with_help(help));
        return None;
    }
    let mut trigger = parts.arguments.text().to_owned();
    for heredoc in &parts.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name.value);
    }
    inner.heredocs = parts.heredocs;
    let head = Head {
        span: parts.arguments.span(),
        keyword: inner.keyword,
        keyword_span: inner.name.span(),
        text: parts.arguments.text().to_owned(),
        comments: Vec::new(),
    };
    let kind = instruction::parse(inner, sink)?;
    Some(Onbuild { trigger, instruction: Box::new(Instruction { head, kind }) })
}
