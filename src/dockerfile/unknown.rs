//! The report of a line that begins with no instruction.

use super::diagnostic::Diagnostic;
use super::instruction::Unknown;
use super::keyword::{Keyword, Meant, guess};
use super::lines::Fragment;
use super::lookalike::unseen;
use super::source::Span;
use super::word::Escape;

/// Where the line stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The text of the file.
    pub text: &'a str,
    /// The statement before it, unless a heredoc stands between.
    pub before: Option<Span>,
    /// The escape character.
    pub escape: Escape,
}

/// Words that are instructions elsewhere, and what does the same here.
const ELSEWHERE: [(Keyword, &[&str]); 9] = [
    (Keyword::Cmd, &["command", "exec", "execute", "start"]),
    (Keyword::Copy, &["cp", "move", "mv"]),
    (Keyword::Entrypoint, &["entry"]),
    (Keyword::Env, &["env_vars", "environment", "export", "let", "set", "setenv", "var"]),
    (Keyword::Expose, &["listen", "port", "ports"]),
    (Keyword::From, &["base", "image"]),
    (Keyword::Label, &["author", "authors", "meta", "metadata"]),
    (Keyword::Run, &["script"]),
    (Keyword::Workdir, &["cd", "chdir", "cwd", "dir", "pushd", "work", "working_dir"]),
];

/// Programs whose commands are often written where an instruction belongs.
const PROGRAMS: &str = "adduser apk apt apt-get bash brew bundle cargo cat chmod chown cmake composer conda curl dnf dotnet \
                        dpkg echo find gem git go gradle grep groupadd java ln ls make mkdir mvn node npm npx php pip pip3 \
                        pnpm poetry printf python python3 rm ruby sed service sh sudo systemctl tar tee touch unzip useradd \
                        wget yarn yum";

/// The report of an instruction that does not exist; without surroundings for one inside ONBUILD.
pub(super) fn report(unknown: Unknown<'_>, around: Option<Surroundings<'_>>) -> Diagnostic {
    let Unknown { name: word, rest } = unknown;
    let text = word.text();
    let shown: String = text.chars().take(40).collect();
    let report = Diagnostic::error("unknown-instruction", word.span(), format!("`{shown}` is not an instruction"));
    let place = around.as_ref().and_then(|around| Some((around, continued(word, around)?)));
    if let Some((around, before)) = place {
        return unfinished(report, before, around);
    }
    if let Some(told) = elsewhere(&report, word, rest) {
        return told;
    }
    match guess(text) {
        Some(Meant::Glued(keyword, length)) => return glued(report, keyword, word, length, rest),
        Some(Meant::Mistyped(keyword)) => {
            let written = if text.chars().any(char::is_uppercase) {
                keyword.name().to_owned()
            } else {
                keyword.name().to_lowercase()
            };
            return report.with_label("unknown").with_fix(format!("did you mean `{keyword}`?"), word.span(), written);
        }
        None => {}
    }
    other(report.with_label("an instruction is expected here"), text)
}

/// What is said of a word that is like no instruction.
fn other(report: Diagnostic, text: &str) -> Diagnostic {
    let begins = |marks: &[&str]| marks.iter().any(|mark| text.starts_with(mark));
    if begins(&["&", "|", "-", ";"]) {
        report.with_help("to continue the line before, end it with the escape character, `\\` by default")
    } else if begins(&["//", "/*"]) {
        report.with_help("a comment begins with `#`")
    } else if begins(&["<<<<<<<", ">>>>>>>", "======="]) {
        report.with_help("this looks like the mark of a merge conflict: resolve it first")
    } else if begins(&["```", "~~~"]) {
        report.with_help("this marks a block of code in a Markdown text, and is no part of it: remove the line")
    } else {
        report.with_note(
            "the instructions are ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, HEALTHCHECK, LABEL, ONBUILD, RUN, SHELL, \
             STOPSIGNAL, USER, VOLUME and WORKDIR; a line that belongs to the instruction before it needs a `\\` at the end of \
             the line before",
        )
    }
}

/// The instruction that a word which is none was meant to be, if it is like one or has the name of one elsewhere.
pub(super) fn meant(word: &str) -> Option<Keyword> {
    let name = word.to_lowercase();
    let elsewhere = ELSEWHERE.iter().find(|(_, words)| words.contains(&name.as_str()));
    elsewhere.map(|(keyword, _)| *keyword).or_else(|| guess(word).map(Meant::keyword))
}

/// The report of a file whose first line shows that it is something else; nothing of it need be read then.
pub(super) fn other_file(word: Fragment<'_>) -> Option<Diagnostic> {
    let text = word.text();
    let second = text.chars().nth(1);
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-\"'".contains(c));
    let (what, help) = match text.chars().next()? {
        '<' if second.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '!' | '?')) => (
            "a web page",
            "if it was downloaded, take the file itself and not the page that shows it, for example behind `Raw` on GitHub",
        ),
        '{' => ("JSON", "a Dockerfile has one instruction a line, and begins with `FROM` and an image"),
        _ if text == "---" || (text.strip_suffix(':').is_some_and(is_key) && guess(text).is_none()) => {
            ("YAML", "the images of a compose file are built by `rbuild compose build`")
        }
        _ => return None,
    };
    let report =
        Diagnostic::error("not-a-dockerfile", word.span(), format!("this is no Dockerfile: it begins like {what}"));
    let report = report.with_label("an instruction is expected here").with_help(help);
    Some(report.with_note("nothing behind this place was read"))
}

/// A heredoc that the statement before announces, and that is not read because that takes none, or its word is badly
/// written: the report, and the line that ends it.
pub(super) fn unread_heredoc<'a>(around: &Surroundings<'a>) -> Option<(Diagnostic, &'a str)> {
    let before = around.before?;
    let statement = around.text.get(before.range())?;
    let start = statement.rfind("<<")?;
    let behind = statement[start + 2..].trim_start_matches('-');
    let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
    let word = behind.trim_start_matches(['"', '\'']);
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    let (word, rest) = word.split_at(end);
    if word.is_empty() {
        return None;
    }
    let shown = &statement[start..statement.len() - rest.len()];
    let span = Span::new(before.start() + start, before.start() + start + shown.len());
    let report = Diagnostic::error("unread-heredoc", span, "this heredoc is not read");
    let keyword = statement.split_whitespace().next().and_then(Keyword::parse)?;
    let report = match quote.filter(|_| keyword.takes_heredocs()) {
        Some(quote) if !rest.starts_with(quote) => report.with_fix("close the quote", span.after(), quote.to_string()),
        _ if keyword.takes_heredocs() => return None,
        _ => report.with_label(format!("{keyword} takes none")).with_help("RUN, COPY and ADD take heredocs"),
    };
    Some((report, word))
}

/// The statement before, if the word looks as though it belonged to it: an operator or option, or a word further in.
pub(super) fn continued(word: Fragment<'_>, around: &Surroundings<'_>) -> Option<Span> {
    let before = around.before?;
    let (span, word) = (word.span(), word.text());
    let is_operator = word.starts_with(['&', '|', '-', ';']);
    let is_inner = indent(around.text, span.start()) > indent(around.text, before.start());
    let begins = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '"' | '\'' | '$');
    let is_word = word.starts_with(begins) || (word.contains('=') && guess(word).is_none());
    (is_operator || (is_inner && is_word)).then_some(before)
}

/// How far from the head of its line something stands.
fn indent(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.len() - before.rfind('\n').map_or(0, |newline| newline + 1)
}

fn unfinished(report: Diagnostic, before: Span, around: &Surroundings<'_>) -> Diagnostic {
    let report = report.with_label("an instruction is expected here");
    let escape = around.escape.char();
    let shown = if escape == '`' { "`` ` ``".to_owned() } else { format!("`{escape}`") };
    let statement = around.text.get(before.range()).unwrap_or_default();
    let last = statement.rsplit('\n').next().unwrap_or_default();
    let ends_escaped = |at: &usize| last[..*at].trim_end().ends_with(escape);
    match last.match_indices('#').map(|(at, _)| at).find(ends_escaped) {
        Some(at) => {
            let start = before.end() - last.len() + last[..at].trim_end().len();
            let help =
                format!("a comment follows the {shown}, which then continues nothing: put the comment above the line");
            report.with_fix(help, Span::new(start, before.end()), "")
        }
        None => report.with_fix(
            format!("to continue the line before, end it with {shown}"),
            before.after(),
            format!(" {escape}"),
        ),
    }
}

/// Words of shells and of other tools.
fn elsewhere(report: &Diagnostic, word: Fragment<'_>, rest: Option<Fragment<'_>>) -> Option<Diagnostic> {
    let name = word.text().trim_end_matches(':').to_lowercase();
    let names = |names: &[&str]| names.contains(&name.as_str());
    let report = report.clone();
    if names(&["import", "include", "require", "source"]) {
        return Some(report.with_label("no Dockerfile includes another").with_help(
            "build the other file to an image, and start from it with `FROM`, or take its files with `COPY --from=image`",
        ));
    }
    if let Some((keyword, _)) = ELSEWHERE.iter().find(|(_, words)| names(words)) {
        let message = format!("write {}", example(keyword.name(), rest));
        let report =
            report.with_label(format!("{keyword} does this here")).with_fix(message, word.span(), keyword.name());
        return Some(match keyword {
            Keyword::Copy => report.with_note("COPY takes files of the context; inside the image `RUN cp` copies"),
            _ => report,
        });
    }
    let is_path = word.text().starts_with("./") || (word.text().starts_with('/') && !word.text().starts_with("/*"));
    if PROGRAMS.split(' ').any(|program| program == name) || (is_path && !word.text().starts_with("//")) {
        let program = if is_path { word.text().to_owned() } else { name };
        let written = format!("RUN {program}");
        let message = format!("to run it while the image is built, write {}", example(&written, rest));
        return Some(report.with_label("this is a command").with_fix(message, word.span(), written));
    }
    let (variable, _) = word.text().split_once('=')?;
    let is_variable = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && Keyword::parse(variable).is_none();
    let written = format!("ENV {}", word.text());
    let message = format!("to set a variable, write {}", example(&written, rest));
    is_variable.then(|| report.with_label("this is an assignment").with_fix(message, word.span(), written))
}

/// The line as it should be, or the head of a long one.
fn example(head: &str, rest: Option<Fragment<'_>>) -> String {
    match rest.map(Fragment::text) {
        Some(rest) if rest.len() <= 60 => format!("`{head} {rest}`"),
        Some(_) => format!("`{head} …`"),
        None => format!("`{head}`"),
    }
}

fn glued(
    report: Diagnostic,
    keyword: Keyword,
    word: Fragment<'_>,
    length: usize,
    rest: Option<Fragment<'_>>,
) -> Diagnostic {
    let name = &word.text()[..length];
    let tail = word.from(length);
    let first = tail.text().chars().next();
    // A colon, as in YAML, belongs to nothing, nor does an equals sign or what looks like a space.
    let (label, tail) = match (first, first.and_then(unseen)) {
        (Some(c), Some(what)) => {
            let label = format!("behind `{name}` stands {what}, U+{:04X}", u32::from(c));
            (label, tail.text().trim_start_matches(|c| unseen(c).is_some()))
        }
        (Some(':'), None) => ("there is no colon after an instruction".to_owned(), &tail.text()[1..]),
        (Some('='), None) => ("there is no `=` after an instruction".to_owned(), &tail.text()[1..]),
        (_, None) | (None, Some(_)) => (format!("a space is missing after `{name}`"), tail.text()),
    };
    // `COPY..` is meant to be `COPY . .`, and so is `COPY.` with nothing behind it.
    let fixed = match (keyword, tail, rest.is_some()) {
        (Keyword::Copy | Keyword::Add, ".." | ".", false) => format!("{name} . ."),
        (_, "", _) => name.to_owned(),
        (_, tail, _) => format!("{name} {tail}"),
    };
    let message = format!("write {}", example(&fixed, rest));
    report.with_label(label).with_fix(message, word.span(), fixed)
}
