//! SOURCE_DATE_EPOCH: a number of seconds, or the name of what tells the time.
//!
//! # References
//! BuildKit `dockerfile2llb/epoch.go`.

use super::choices::Known;
use super::step::CopySource;
use super::transfer;
use super::variables::{SetBy, Variables};
use super::{Inputs, arguments, context_name};
use crate::digest::BlobDigest;
use crate::dockerfile::{self, ArgDeclaration, Diagnostic, Dockerfile, InstructionKind, Span, expand};
use crate::remote::Remote;

/// The argument.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What the argument asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Epoch {
    /// Nothing: nobody gave it.
    Unset,
    /// This many seconds since 1970.
    Seconds(i64),
    /// The time of the build context.
    Context,
    /// The time of a named context, as `Inputs` has its name.
    Named(String),
    /// The time of what the only ADD of a stage fetches.
    Remote {
        /// From where.
        remote: Remote,
        /// What it must hash to, if it is a URL.
        checksum: Option<BlobDigest>,
    },
    /// It is none of these.
    Unknown {
        /// The value.
        value: String,
        /// What it could be, beside a number.
        names: Vec<String>,
    },
}

/// Reads the argument, given to the build or before the first FROM.
///
/// Fails if it names a stage that tells no time.
pub fn epoch(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Epoch, Vec<Diagnostic>> {
    let globals = arguments::globals(dockerfile, inputs)?;
    let given = inputs.build_args.get(SOURCE_DATE_EPOCH).cloned();
    let value = given.or_else(|| globals.get(SOURCE_DATE_EPOCH).map(str::to_owned)).unwrap_or_default();
    if value.is_empty() {
        return Ok(Epoch::Unset);
    }
    if let Ok(seconds) = value.parse() {
        return Ok(Epoch::Seconds(seconds));
    }
    if value == "context" {
        return Ok(Epoch::Context);
    }
    if let Some(name) = context_name(&value).filter(|name| inputs.named_contexts.contains_key(name)) {
        return Ok(Epoch::Named(name));
    }
    let mut stages = dockerfile.stages.iter();
    let stage = stages.find(|stage| stage.name.as_ref().is_some_and(|name| name.value.eq_ignore_ascii_case(&value)));
    match stage {
        Some(stage) => {
            let known = Known { dockerfile, inputs, globals: &globals };
            source_of(stage, &known).map_err(|problem| vec![*problem])
        }
        None => {
            let stages =
                dockerfile.stages.iter().filter_map(|stage| stage.name.as_ref()).map(|name| name.value.clone());
            let contexts = inputs.named_contexts.keys().cloned();
            let names = std::iter::once("context".to_owned()).chain(contexts).chain(stages).collect();
            Ok(Epoch::Unknown { value, names })
        }
    }
}

type Found<T> = Result<T, Box<Diagnostic>>;

/// What the only ADD of a stage fetches; such a stage stands on `scratch` and holds nothing but it and ARG.
fn source_of(stage: &dockerfile::Stage, known: &Known<'_>) -> Found<Epoch> {
    let escape = known.dockerfile.directives.escape;
    let mut variables = known.globals.clone();
    let base =
        expand(&stage.from.image, escape, &variables).map_err(|error| Box::new(error.diagnostic(&stage.from.image)))?;
    if base.value != "scratch" {
        return Err(wrong(stage.from.image.span(), "it stands on another base than `scratch`"));
    }
    let mut found = None;
    for instruction in &stage.instructions {
        match &instruction.kind {
            InstructionKind::Arg(declarations) => declare(declarations, &mut variables, known)?,
            InstructionKind::Add(add) => {
                let sources = transfer::sources_of_add(add, &|word| {
                    let expanded = expand(word, escape, &variables);
                    Ok(expanded.map_err(|error| Box::new(error.diagnostic(word)))?.value)
                })?;
                let remote = match <[CopySource; 1]>::try_from(sources) {
                    Ok([CopySource::Http { url, checksum, .. }]) => Some((Remote::Http(url), checksum)),
                    Ok([CopySource::Git { source, .. }]) => Some((Remote::Git(source), None)),
                    Ok([CopySource::Path { .. }]) | Err(_) => None,
                };
                let remote = remote.filter(|_| found.is_none() && add.transfer.heredocs.is_empty());
                found = Some(
                    remote
                        .ok_or_else(|| wrong(instruction.span, "it adds something else than one URL or repository"))?,
                );
            }
            _ => return Err(wrong(instruction.span, "it holds another instruction than ADD and ARG")),
        }
    }
    match found {
        Some((remote, checksum)) => Ok(Epoch::Remote { remote, checksum }),
        None => Err(wrong(stage.span, "it has no ADD")),
    }
}

fn declare(declarations: &[ArgDeclaration], variables: &mut Variables, known: &Known<'_>) -> Found<()> {
    for declaration in declarations {
        let name = &declaration.name.value;
        let value = match (known.inputs.build_args.get(name), &declaration.default) {
            (Some(given), _) => given.clone(),
            (None, None) => continue,
            (None, Some(word)) => {
                let expanded = expand(word, known.dockerfile.directives.escape, &*variables);
                expanded.map_err(|error| Box::new(error.diagnostic(word)))?.value
            }
        };
        variables.set(name, &value, SetBy::Arg);
    }
    Ok(())
}

fn wrong(span: Span, problem: &str) -> Box<Diagnostic> {
    let message = format!("{SOURCE_DATE_EPOCH} names this stage, but {problem}");
    let help = "such a stage is `FROM scratch` and one `ADD` of a URL or repository, whose time it tells";
    Box::new(Diagnostic::error("bad-epoch", span, message).with_help(help))
}
