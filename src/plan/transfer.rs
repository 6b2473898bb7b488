//! COPY and ADD.

use super::graph::{Meaning, origin};
use super::instruction::{unsupported, value};
use super::settings::destination;
use super::stage::{Effect, StageState, Surroundings};
use super::step::{Action, Copy, InlineFile, Origin, Verb};
use crate::dockerfile::{self, Diagnostic, Transfer, expand_heredoc};

type Applied<T> = Result<T, Box<Diagnostic>>;

/// COPY.
pub(super) fn copy(surroundings: &Surroundings<'_>, state: &StageState, copy: &dockerfile::Copy) -> Applied<Effect> {
    let from = match &copy.from {
        None => Origin::Context,
        Some(from) => {
            let Surroundings { dockerfile, index, inputs, .. } = surroundings;
            match origin(dockerfile, *index, &from.value, from.span, inputs)? {
                Meaning::Stage(stage) => {
                    let id = surroundings.ids.get(&stage).copied();
                    Origin::Stage(id.ok_or_else(|| unsupported(from.span, "copying from a stage that is not built"))?)
                }
                Meaning::Image(image) => Origin::Image(image),
                Meaning::Scratch => return Err(unsupported(from.span, "copying from `scratch`")),
            }
        }
    };
    bring(surroundings, state, &copy.transfer, Verb::Copy, from, copy.parents, false)
}

/// ADD.
pub(super) fn add(surroundings: &Surroundings<'_>, state: &StageState, add: &dockerfile::Add) -> Applied<Effect> {
    if let Some(checksum) = &add.checksum {
        return Err(unsupported(checksum.span(), "`ADD --checksum`"));
    }
    if add.keep_git_dir.is_some() {
        let span = add.transfer.destination.span();
        return Err(unsupported(span, "`ADD --keep-git-dir`"));
    }
    for source in &add.transfer.sources {
        let text = value(surroundings, state, source)?;
        let remote = ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| text.starts_with(scheme));
        if remote {
            return Err(unsupported(source.span(), "ADD of a URL or git repository"));
        }
    }
    bring(surroundings, state, &add.transfer, Verb::Add, Origin::Context, false, add.unpack.unwrap_or(true))
}

fn bring(
    surroundings: &Surroundings<'_>,
    state: &StageState,
    transfer: &Transfer,
    verb: Verb,
    from: Origin,
    parents: bool,
    unpack: bool,
) -> Applied<Effect> {
    let word = |word: &Option<dockerfile::Word>| match word {
        Some(word) => value(surroundings, state, word).map(Some),
        None => Ok(None),
    };
    let sources: Applied<Vec<_>> =
        transfer.sources.iter().map(|source| Ok((value(surroundings, state, source)?, source.span()))).collect();
    let mut inline = Vec::new();
    for heredoc in &transfer.heredocs {
        let content = expand_heredoc(heredoc, &state.variables);
        let content = content.map_err(|error| {
            let word = dockerfile::Word::new(heredoc.name.value.clone(), heredoc.name.span);
            Box::new(error.diagnostic(&word))
        })?;
        inline.push(InlineFile { name: heredoc.name.value.clone(), content: content.value.into_bytes() });
    }
    let target = value(surroundings, state, &transfer.destination)?;
    let copy = Copy {
        verb,
        from,
        sources: sources?,
        inline,
        destination: destination(&state.config.config.working_dir, &target),
        chown: word(&transfer.chown)?.filter(|owner| !owner.is_empty()),
        chmod: word(&transfer.chmod)?.filter(|mode| !mode.is_empty()),
        link: transfer.link,
        parents,
        exclude: transfer.exclude.iter().map(|pattern| pattern.value.clone()).collect(),
        unpack,
    };
    let history = told(&copy, &target);
    Ok(Effect { action: Action::Copy(copy), history: Some((history, false)) })
}

fn told(copy: &Copy, target: &str) -> String {
    let mut words = vec![match copy.verb {
        Verb::Copy => "COPY".to_owned(),
        Verb::Add => "ADD".to_owned(),
    }];
    if copy.parents {
        words.push("--parents".to_owned());
    }
    words.extend(copy.chown.iter().map(|owner| format!("--chown={owner}")));
    words.extend(copy.chmod.iter().map(|mode| format!("--chmod={mode}")));
    words.extend(copy.sources.iter().map(|(source, _)| source.clone()));
    words.extend(copy.inline.iter().map(|file| format!("<<{}", file.name)));
    words.push(target.to_owned());
    format!("{} # buildkit", words.join(" "))
}
