//! From text to stages.

use super::ast::{Dockerfile, From, Head, Instruction, InstructionKind, Stage};
use super::diagnostic::{Diagnostic, Sink};
use super::directives::{self, Check, Directives};
use super::heredoc;
use super::instruction::{self, Parts, Unknown};
use super::keyword::Keyword;
use super::lines::{Joined, Lines};
use super::lint;
use super::source::{Source, Span};
use super::stage;
use super::statements::{self, Statement, Statements};
use super::unknown::{self, Surroundings};
use super::word::Escape;

/// The largest Dockerfile.
pub const MAX_SOURCE: usize = 16 << 20;

/// Reads a Dockerfile; never fails, but an error among the diagnostics means that the result is not whole.
///
/// The name is only shown. Diagnostics come in the order of the text.
pub fn parse(name: &str, bytes: &[u8]) -> (Dockerfile, Vec<Diagnostic>) {
    parse_checked(name, bytes, None)
}

/// The same with a choice of warnings that stands in the place of the file's own.
pub fn parse_checked(name: &str, bytes: &[u8], check: Option<&Check>) -> (Dockerfile, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    if bytes.len() > MAX_SOURCE {
        let message = format!("the file has {} bytes, more than the {MAX_SOURCE} that are read", bytes.len());
        sink.push(Diagnostic::error("file-too-large", Span::default(), message));
        return (empty(Source::new(name, String::new())), sink.finish());
    }
    let text = statements::decode(bytes);
    let source = Source::new(name, text.text);
    let start = if source.text().starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (directives, body) = directives::parse(source.text(), start, check, &mut sink);
    let statements = Statements::new(source.text(), body, &text.invalid, directives.escape);
    let mut reader = Reader::new(directives.escape, &mut sink);
    reader.read(statements);
    let Reader { globals, stages, empty_lines, .. } = reader;
    let numbers = Dockerfile::numbers_of(&stages);
    let dockerfile = Dockerfile { directives, globals, stages, source, numbers };
    lint::check(&dockerfile, &empty_lines, &mut sink);
    (dockerfile, sink.finish())
}

/// Reads an `ONBUILD` trigger of a base image, in which the escape is always the backslash.
///
/// The spans of the result, and of the diagnostics if it fails, refer to the trigger.
pub fn parse_onbuild(trigger: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let mut sink = Sink::default();
    let decoded = statements::decode(trigger.as_bytes());
    let mut reader = Reader::new(Escape::Backslash, &mut sink);
    reader.begin_trigger();
    reader.read(Statements::new(&decoded.text, 0, &decoded.invalid, Escape::Backslash));
    let mut stages = reader.stages;
    let mut instructions = stages.pop().map(|stage| stage.instructions).unwrap_or_default();
    let whole = Span::new(0, decoded.text.len());
    match (instructions.pop(), instructions.is_empty() && stages.is_empty(), sink.has_errors()) {
        (Some(instruction), true, false) => return Ok(instruction),
        (_, _, true) => {}
        _ => sink.push(Diagnostic::error("bad-onbuild", whole, "a trigger holds exactly one instruction, and no FROM")),
    }
    Err(sink.finish())
}

fn empty(source: Source) -> Dockerfile {
    let numbers = Dockerfile::numbers_of(&[]);
    Dockerfile { source, directives: Directives::default(), globals: Vec::new(), stages: Vec::new(), numbers }
}

/// Puts instructions into stages.
struct Reader<'s> {
    escape: Escape,
    sink: &'s mut Sink,
    globals: Vec<Instruction>,
    stages: Vec<Stage>,
    empty_lines: Vec<Span>,
    /// Whether any instruction was seen, well formed or not.
    seen_any: bool,
    /// Whether a `FROM` was seen, well formed or not.
    seen_from: bool,
    /// Whether it was said that an instruction stands before the first `FROM`.
    orphan_reported: bool,
    /// Whether instructions belong to the last stage; not behind a `FROM` with errors.
    open: bool,
    /// The statement before, unless heredocs follow it.
    before: Option<Span>,
}

impl<'s> Reader<'s> {
    fn new(escape: Escape, sink: &'s mut Sink) -> Self {
        Self {
            escape,
            sink,
            globals: Vec::new(),
            stages: Vec::new(),
            empty_lines: Vec::new(),
            seen_any: false,
            seen_from: false,
            orphan_reported: false,
            open: false,
            before: None,
        }
    }

    /// Opens a stage for a trigger, which has no `FROM`.
    fn begin_trigger(&mut self) {
        let from = From {
            image: super::word::Word::new("", Span::default()),
            platform: None,
            head: Head {
                span: Span::default(),
                keyword: Keyword::From,
                keyword_span: Span::default(),
                text: String::new(),
                comments: Vec::new(),
            },
        };
        self.stages.push(Stage { from, name: None, instructions: Vec::new(), span: Span::default() });
        self.seen_from = true;
        self.open = true;
    }

    fn read(&mut self, mut statements: Statements<'_>) {
        while !self.sink.is_full()
            && let Some(statement) = statements.next_statement(self.sink)
        {
            self.empty_lines.extend(statement.empty_line);
            self.read_statement(&statement, &mut statements);
        }
        let end = Span::new(statements.end(), statements.end());
        if !self.seen_any && !self.sink.has_errors() {
            let report = Diagnostic::error("no-instructions", end, "the file has no instructions");
            self.sink.push(report.with_help("a Dockerfile begins with `FROM`, for example `FROM alpine`"));
        } else if !self.seen_from && !self.orphan_reported && !self.sink.has_errors() {
            let report = Diagnostic::error("no-from", end, "the file has no FROM");
            self.sink.push(report.with_help("put `FROM` and an image behind the arguments, for example `FROM alpine`"));
        }
    }

    fn read_statement(&mut self, statement: &Statement, statements: &mut Statements<'_>) {
        let is_first = !std::mem::replace(&mut self.seen_any, true);
        let line = statement.line.whole().trim();
        if line.text().is_empty() {
            let report = Diagnostic::error("empty-instruction", line.span(), "a continued line holds no instruction");
            self.sink.push(report.with_help("remove the escape character at the end of the line"));
            return;
        }
        let before = self.before.replace(line.span());
        let mut parts = match Parts::split(line, self.escape) {
            Ok(parts) => parts,
            Err(unknown) => {
                if is_first && let Some(problem) = unknown::other_file(unknown.name) {
                    statements.stop();
                    return self.sink.push(problem);
                }
                let around = Surroundings { text: statements.text(), before, escape: self.escape };
                if let Some((problem, word)) = unknown::unread_heredoc(&around)
                    && skip_to(word, line.text(), statements)
                {
                    self.before = None;
                    return self.sink.push(problem);
                }
                self.sink.push(unknown::report(unknown, Some(around)));
                // Its next line belongs to the same instruction.
                if let Some(whole) = unknown::continued(unknown.name, &around) {
                    self.before = Some(whole.to(line.span()));
                }
                return self.read_unknown(unknown, &statement.line, statements);
            }
        };
        let mut end = line.span().end();
        if parts.takes_heredocs() {
            for (opening, span) in heredoc::openings(statement.line.whole()) {
                match heredoc::read(opening, span, statements.lines()) {
                    Ok(heredoc) => parts.heredocs.push(heredoc),
                    Err(problem) => return self.sink.push(*problem),
                }
                end = statements.last_line_end();
            }
            self.before = self.before.filter(|_| parts.heredocs.is_empty());
            if let Some(last) = parts.heredocs.last()
                && !statements.check_heredocs(Span::new(line.span().end(), last.content_span.end()), self.sink)
            {
                return;
            }
        }
        let head = Head {
            span: Span::new(line.span().start(), end),
            keyword: parts.keyword,
            keyword_span: parts.name.span(),
            text: line.text().to_owned(),
            comments: statement.comments.clone(),
        };
        match parts.keyword {
            Keyword::From => self.begin_stage(parts, head),
            _ => self.read_instruction(parts, head),
        }
    }

    fn begin_stage(&mut self, parts: Parts<'_>, head: Head) {
        self.seen_from = true;
        let stage = stage::parse(parts, head, self.sink);
        // A file may have thousands of short stages.
        self.stages.last_mut().into_iter().for_each(|last| last.instructions.shrink_to_fit());
        self.open = stage.is_some();
        self.stages.extend(stage);
    }

    fn read_instruction(&mut self, parts: Parts<'_>, head: Head) {
        if !self.seen_from && parts.keyword != Keyword::Arg && !self.orphan_reported {
            self.orphan_reported = true;
            let message = format!("{} stands before the first FROM", parts.keyword);
            let report = Diagnostic::error("before-from", parts.name.span(), message);
            let report = report.with_label("no stage has begun");
            self.sink.push(
                report.with_help("begin with `FROM` and an image, for example `FROM alpine`; only ARG may precede it"),
            );
        }
        let Some(kind) = instruction::parse(parts, self.sink) else { return };
        match (kind, self.stages.last_mut().filter(|_| self.open)) {
            (kind, Some(stage)) => {
                stage.span = stage.span.to(head.span);
                stage.instructions.push(Instruction { head, kind });
            }
            (kind @ InstructionKind::Arg(_), None) if !self.seen_from => self.globals.push(Instruction { head, kind }),
            // It was reported, or the FROM above it was.
            (_, None) => {}
        }
    }

    fn read_unknown(&mut self, unknown: Unknown<'_>, line: &Joined, statements: &mut Statements<'_>) {
        let meant = unknown::meant(unknown.name.text());
        match meant {
            // What follows belongs to the stage that was meant to begin.
            Some(Keyword::From) => {
                self.seen_from = true;
                self.open = false;
            }
            Some(meant) if meant.takes_heredocs() => {
                self.before = None;
                skip_heredocs(line, statements);
            }
            _ => {}
        }
    }
}

/// Passes over the lines up to one that is the word alone; false, and nothing is passed over, if there is none.
fn skip_to(word: &str, current: &str, statements: &mut Statements<'_>) -> bool {
    let mut lines = statements.lines().clone();
    let found = current == word || lines.any(|line| line.content().trim() == word);
    if found && current != word {
        *statements.lines() = lines;
    }
    found
}

/// Passes over the heredocs of a mistyped instruction, so that their lines are not taken for instructions.
fn skip_heredocs(line: &Joined, statements: &mut Statements<'_>) {
    let mut lines: Lines<'_> = statements.lines().clone();
    let all = heredoc::openings(line.whole())
        .into_iter()
        .all(|(opening, span)| heredoc::read(opening, span, &mut lines).is_ok());
    if all {
        *statements.lines() = lines;
    }
}
