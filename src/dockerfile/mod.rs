//! Turns the text of a Dockerfile into typed stages with spans, or into diagnostics.
//!
//! Lines are joined into *statements* (comments out, continued lines together), a statement is cut into keyword, flags and
//! arguments, and these become an *instruction*. A *word* is text that variables may still change: it has a value only
//! through `expand`, which the one who knows the variables calls. A *text* is final. Every piece has a *span* of the source.
//!
//! # Invariants
//! Parsing never fails and never panics: it gives what it understood, and all problems of the file at once. With an error
//! among the diagnostics, what was understood is not whole and must not be built. Spans lie inside the source, at
//! character boundaries. Nothing here knows files, variables of the host, other images or the time. Work is linear in
//! the text, but for patterns in substitutions, whose cost is capped.
//!
//! # Not here
//! Which stages are built, what variables hold, what `FROM` and `--from` refer to: `plan`. Globs and ignore rules: `context`.
//!
//! # References
//! BuildKit 0.32: `frontend/dockerfile/parser` (lines, flags, heredocs), `shell/lex.go` (expansion), `instructions` (arguments),
//! `linter/ruleset.go` (names of warnings).

mod diagnostic;
mod error;
mod lookalike;
mod render;
mod rules;
mod secrets;
mod source;
mod suggest;
mod word;

mod ast;
mod directives;
mod keyword;
mod parse;

mod lines;
mod statements;

mod arguments;
mod copy;
mod csv;
mod flags;
mod front_end;
mod healthcheck;
mod heredoc;
mod instruction;
mod json;
mod lint;
mod mount;
mod mount_value;
mod run;
mod stage;
mod unknown;

mod expand;
mod lexer;
mod pattern;
mod substitution;

#[cfg(test)]
mod tests;

pub use ast::{
    Add, ArgDeclaration, CommandLine, Copy, Dockerfile, From, Head, Healthcheck, Instruction, InstructionKind, Network,
    Onbuild, Pair, Run, Script, Security, Separator, Stage, Timing, Transfer,
};
pub use diagnostic::{Diagnostic, Help, Severity};
pub use directives::{Check, Directives, Rules, UNKNOWN_RULE};
pub use error::ExpandError;
pub use expand::{Env, Expanded, MAX_NESTING, MAX_VALUE, NoEnv, expand, expand_heredoc, expand_shown, expand_words};
pub use front_end::foreign_front_end;
pub use heredoc::Heredoc;
pub use json::json_fault;
pub use keyword::Keyword;
pub use lookalike::meant_flag;
pub use mount::{Device, Mount, MountKind, MountOption, MountSpec, Sharing};
pub use mount_value::parse_size;
pub use parse::{MAX_SOURCE, parse, parse_checked, parse_onbuild};
pub use render::{Color, render, shown_text};
pub use rules::{RULES, Rule, RuleOrigin};
pub use secrets::{SecretKind, secret_value};
pub use source::{Position, Source, Span};
pub use suggest::nearest;
pub use word::{Escape, Text, Word};
