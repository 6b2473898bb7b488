//! One instruction: its name, flags and arguments, as a typed value.

use super::arguments;
use super::ast::InstructionKind;
use super::copy;
use super::diagnostic::{Diagnostic, Sink};
use super::flags::{self, Flags, RawFlag, Takes};
use super::healthcheck;
use super::heredoc::Heredoc;
use super::json::{self, Array};
use super::keyword::Keyword;
use super::lines::Fragment;
use super::run;
use super::source::Span;
use super::word::Escape;

/// An instruction cut into its parts.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// What it is.
    pub keyword: Keyword,
    /// Where its name stands.
    pub name: Fragment<'a>,
    /// Its flags, unchecked.
    pub flags: Vec<RawFlag<'a>>,
    /// The last flag, if a quote in it is never closed and takes the rest of the line.
    pub open_flag: Option<Span>,
    /// What follows the flags.
    pub arguments: Fragment<'a>,
    /// The heredocs that it announces.
    pub heredocs: Vec<Heredoc>,
    /// The escape character.
    pub escape: Escape,
}

/// A line whose first word is no instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unknown<'a> {
    /// The first word.
    pub name: Fragment<'a>,
    /// What follows it.
    pub rest: Option<Fragment<'a>>,
}

impl<'a> Parts<'a> {
    /// Cuts a line, which is not blank.
    pub(super) fn split(line: Fragment<'a>, escape: Escape) -> Result<Self, Unknown<'a>> {
        let (name, rest) = line.trim().split_blank();
        let Some(keyword) = Keyword::parse(name.text()) else { return Err(Unknown { name, rest }) };
        let behind = rest.unwrap_or_else(|| name.from(name.text().len()));
        let (flags, arguments) = flags::extract(behind, escape);
        let open_flag = flags.last().and_then(RawFlag::open_span);
        Ok(Self { keyword, name, flags, open_flag, arguments, heredocs: Vec::new(), escape })
    }

    /// Whether `<<` in it announces heredocs; in an `ONBUILD` the inner instruction decides.
    pub(super) fn takes_heredocs(&self) -> bool {
        match self.keyword {
            Keyword::Onbuild => match Self::split(self.arguments, self.escape) {
                Ok(inner) => inner.keyword.takes_heredocs() && !inner.is_json(),
                Err(_) => false,
            },
            keyword => keyword.takes_heredocs() && !self.is_json(),
        }
    }

    fn is_json(&self) -> bool {
        matches!(json::parse(self.arguments), Array::Strings(_))
    }

    /// Checks the flags.
    pub(super) fn check_flags(&mut self, known: &[(&'static str, Takes)], sink: &mut Sink) -> Flags<'a> {
        flags::check(self.keyword, std::mem::take(&mut self.flags), known, sink)
    }

    /// Where a message about the instruction as a whole points: its name and arguments, or the name alone.
    pub(super) fn span(&self) -> Span {
        match self.arguments.text().is_empty() {
            true => self.name.span(),
            false => self.name.span().to(self.arguments.span()),
        }
    }

    /// The error of an instruction without arguments.
    pub(super) fn lacks(&self, what: &str, example: &str) -> Diagnostic {
        let report = |span| Diagnostic::error("missing-argument", span, format!("{} needs {what}", self.keyword));
        let example = format!("for example `{} {example}`", self.keyword);
        match (self.open_flag, self.arguments.text().is_empty()) {
            (Some(flag), _) => report(flag)
                .with_label("a quote is not closed: all of this is the flag")
                .with_help("close the quote behind the flag's value, or leave it out"),
            (None, true) => report(self.name.span()).with_label("nothing follows").with_help(example),
            (None, false) => report(self.arguments.span()).with_label("the array is empty").with_help(example),
        }
    }

    /// The arguments as an array; an error if it holds something else than strings.
    pub(super) fn array(&self, sink: &mut Sink) -> Option<Array> {
        let array = json::parse(self.arguments);
        let Array::Mixed(span) = array else { return Some(array) };
        let report = Diagnostic::error("json-not-strings", span, "an array of arguments holds only strings");
        sink.push(report.with_label("this is no string").with_help("put it in double quotes"));
        None
    }
}

/// Reads any instruction but `FROM`; none if there is an error in it, which is then reported.
pub(super) fn parse(mut parts: Parts<'_>, sink: &mut Sink) -> Option<InstructionKind> {
    match parts.keyword {
        Keyword::Add => return copy::parse_add(parts, sink).map(InstructionKind::Add),
        Keyword::Copy => return copy::parse_copy(parts, sink).map(InstructionKind::Copy),
        Keyword::Healthcheck => return healthcheck::parse(parts, sink).map(InstructionKind::Healthcheck),
        Keyword::Run => return run::parse(parts, sink).map(InstructionKind::Run),
        _ => {}
    }
    parts.check_flags(&[], sink);
    match parts.keyword {
        Keyword::Arg => arguments::declarations(&parts, sink).map(InstructionKind::Arg),
        Keyword::Cmd => run::command_line(&mut parts, sink).map(InstructionKind::Cmd),
        Keyword::Entrypoint => run::command_line(&mut parts, sink).map(InstructionKind::Entrypoint),
        Keyword::Env => arguments::pairs(&parts, sink).map(InstructionKind::Env),
        Keyword::Expose => arguments::ports(&parts, sink).map(InstructionKind::Expose),
        Keyword::Label => arguments::pairs(&parts, sink).map(InstructionKind::Label),
        Keyword::Maintainer => arguments::one(&parts, sink).map(|all| InstructionKind::Maintainer(all.to_text())),
        Keyword::Onbuild => arguments::onbuild(parts, sink).map(InstructionKind::Onbuild),
        Keyword::Shell => arguments::shell(&parts, sink).map(InstructionKind::Shell),
        Keyword::StopSignal => arguments::one(&parts, sink).map(|all| InstructionKind::StopSignal(all.to_word())),
        Keyword::User => arguments::one(&parts, sink).map(|all| InstructionKind::User(all.to_word())),
        Keyword::Volume => arguments::volumes(&parts, sink).map(InstructionKind::Volume),
        Keyword::Workdir => arguments::one(&parts, sink).map(|all| InstructionKind::Workdir(all.to_word())),
        Keyword::Add | Keyword::Copy | Keyword::From | Keyword::Healthcheck | Keyword::Run => None,
    }
}
