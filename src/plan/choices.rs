//! Which stage or image `--from` names, where variables choose it.
//!
//! Stages are ordered and images asked for before any instruction is applied, so only arguments that are known by then may
//! choose: automatic ones, and those from before the first FROM that the stage declares again without a value of its own.
//! What a stage sets itself may depend on its base, and is refused.

use std::borrow::Cow;

use rpds::RedBlackTreeMapSync;

use super::Inputs;
use super::variables::Variables;
use crate::dockerfile::{Diagnostic, Dockerfile, Env, InstructionKind, Word, expand};

/// What all stages of a file share.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) inputs: &'a Inputs,
    /// The automatic arguments, and those before the first FROM.
    pub(super) globals: &'a Variables,
}

/// The arguments that may choose at one point of a stage; no value if nobody gave one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Choices {
    arguments: RedBlackTreeMapSync<String, Option<String>>,
}

impl Choices {
    /// Takes note of what an instruction declares or hides.
    pub(super) fn see(&mut self, instruction: &InstructionKind, known: &Known<'_>) {
        match instruction {
            InstructionKind::Arg(declarations) => {
                for declaration in declarations {
                    let name = &declaration.name.value;
                    let given = known.inputs.build_args.get(name);
                    if known.is_global(name) && (given.is_some() || declaration.default.is_none()) {
                        let value = given.cloned().or_else(|| known.globals.get(name).map(str::to_owned));
                        self.arguments.insert_mut(name.clone(), value);
                    } else {
                        self.arguments.remove_mut(name);
                    }
                }
            }
            InstructionKind::Env(pairs) => {
                for pair in pairs {
                    match pair.key.raw().contains(['$', '"', '\'', '\\', '`']) {
                        // It may be any name.
                        true => self.arguments = RedBlackTreeMapSync::default(),
                        false => drop(self.arguments.remove_mut(pair.key.raw())),
                    }
                }
            }
            _ => {}
        }
    }

    /// The name that `word` stands for, the value of `option`.
    pub(super) fn name(&self, word: &Word, option: &str, known: &Known<'_>) -> Result<String, Box<Diagnostic>> {
        let escape = known.dockerfile.directives.escape;
        let expanded = expand(word, escape, self).map_err(|error| Box::new(error.diagnostic(word)))?;
        if let Some(name) = expanded.unset.iter().find(|name| !self.arguments.contains_key(*name)) {
            return Err(Box::new(refused(name, word, option, known)));
        }
        if expanded.value.is_empty() && !word.raw().is_empty() {
            let message = format!("`{option}` is empty once its variables are replaced");
            let help = "give the argument a value before the first FROM, or with `--build-arg`";
            return Err(Box::new(Diagnostic::error("empty-from", word.span(), message).with_help(help)));
        }
        Ok(expanded.value)
    }
}

impl Env for Choices {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.arguments.get(name)?.as_deref().map(Cow::Borrowed)
    }
}

impl Known<'_> {
    fn is_global(&self, name: &str) -> bool {
        self.globals.get(name).is_some() || self.dockerfile.global_args().any(|arg| arg.name.value == name)
    }
}

fn refused(name: &str, word: &Word, option: &str, known: &Known<'_>) -> Diagnostic {
    let (message, help) = match known.is_global(name) {
        true => (
            format!(
                "`{option}` cannot use `{name}` here: this stage does not declare it, or gives it a value of its own"
            ),
            format!(
                "write `ARG {name}`, without a value, above this line: it is then the one from before the first FROM"
            ),
        ),
        false => (
            format!(
                "`{option}` cannot use `{name}`: only arguments from before the first FROM choose a stage or image"
            ),
            format!("write `ARG {name}=…` before the first FROM, and `ARG {name}` without a value in this stage"),
        ),
    };
    Diagnostic::error("variable-in-from", word.span(), message).with_help(help)
}
