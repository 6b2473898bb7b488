//! COPY and ADD.

use super::graph::Meaning;
use super::instruction::{unsupported, value};
use super::origins::origin;
use super::settings::destination;
use super::stage::{Effect, StageState, Surroundings};
use super::step::{Action, Copy, CopySource, InlineFile, Origin, Unpack, Verb};
use super::{HistoryLine, values};
use crate::digest::BlobDigest;
use crate::dockerfile::{self, Diagnostic, Span, Transfer, expand_heredoc};
use crate::remote::{self, GitSource, HttpUrl, Remote};

type Applied<T> = Result<T, Box<Diagnostic>>;

/// COPY.
pub(super) fn copy(surroundings: &Surroundings<'_>, state: &StageState, copy: &dockerfile::Copy) -> Applied<Effect> {
    let from = match &copy.from {
        None => Origin::Context,
        Some(from) => {
            let Surroundings { dockerfile, index, inputs, .. } = surroundings;
            let (name, span) = (state.choices.name(from, "--from", &surroundings.known())?, from.span());
            match origin(dockerfile, *index, &name, span, inputs)? {
                Meaning::Stage(stage) => {
                    let id = surroundings.ids.get(&stage).copied();
                    Origin::Stage(id.ok_or_else(|| unsupported(span, "copying from a stage that is not built"))?)
                }
                Meaning::Image(image) => Origin::Image(image),
                Meaning::Named(context) => Origin::Named(context),
                Meaning::Scratch => return Err(unsupported(span, "copying from `scratch`")),
            }
        }
    };
    let mut sources = Vec::with_capacity(copy.transfer.sources.len());
    for word in &copy.transfer.sources {
        let pattern = value(surroundings, state, word).map_err(|problem| quoted(problem, "COPY", &copy.transfer))?;
        if matches!(Remote::parse(&pattern), Ok(Some(_))) {
            let report =
                Diagnostic::error("remote-in-copy", word.span(), "COPY does not fetch from a URL or repository");
            let destination = copy.transfer.destination.raw();
            let help = format!("ADD does: `ADD {} {destination}`", remote::masked(word.raw()));
            return Err(Box::new(report.with_help(help)));
        }
        values::check_source(&pattern, word.span())?;
        sources.push(CopySource::Path { pattern, span: word.span() });
    }
    let how = How { verb: Verb::Copy, from, parents: copy.parents, unpack: Unpack::Never };
    bring(surroundings, state, &copy.transfer, sources, how)
}

/// ADD.
pub(super) fn add(surroundings: &Surroundings<'_>, state: &StageState, add: &dockerfile::Add) -> Applied<Effect> {
    let sources = sources_of_add(add, &|word| value(surroundings, state, word))
        .map_err(|problem| quoted(problem, "ADD", &add.transfer))?;
    let unpack = match add.unpack {
        None => Unpack::Paths,
        Some(true) => Unpack::All,
        Some(false) => Unpack::Never,
    };
    let how = How { verb: Verb::Add, from: Origin::Context, parents: false, unpack };
    bring(surroundings, state, &add.transfer, sources, how)
}

/// What an ADD brings; `value` replaces the variables of a word.
pub(super) fn sources_of_add(
    add: &dockerfile::Add,
    value: &dyn Fn(&dockerfile::Word) -> Applied<String>,
) -> Applied<Vec<CopySource>> {
    let checksum = match &add.checksum {
        Some(word) => Some((value(word)?, word.span())).filter(|(text, _)| !text.is_empty()),
        None => None,
    };
    let mut sources = Vec::with_capacity(add.transfer.sources.len());
    for word in &add.transfer.sources {
        let text = value(word)?;
        let span = word.span();
        sources.push(match Remote::parse(&text).map_err(|error| bad_remote(span, &error))? {
            None => {
                values::check_source(&text, span)?;
                CopySource::Path { pattern: text, span }
            }
            Some(Remote::Http(url)) => http(url, checksum.as_ref(), span)?,
            Some(Remote::Git(source)) => git(source, checksum.as_ref(), add.keep_git_dir, span)?,
        });
    }
    if let Some((_, span)) = &checksum {
        check_use_of_checksum(&sources, &add.transfer, *span)?;
    }
    Ok(sources)
}

/// What to write if a quote is not closed because the path in it has spaces.
fn quoted(problem: Box<Diagnostic>, verb: &str, transfer: &Transfer) -> Box<Diagnostic> {
    let words: Vec<&str> = transfer.sources.iter().map(dockerfile::Word::raw).collect();
    let all = words.join(" ");
    let inner = ['"', '\''].iter().find_map(|quote| all.strip_prefix(*quote)?.strip_suffix(*quote));
    match inner.filter(|inner| problem.code == "unclosed-quote" && !inner.contains(['"', '\'', '\\'])) {
        Some(path) => {
            let report = Diagnostic::error(problem.code, problem.span, problem.message);
            let destination = transfer.destination.raw();
            let help = format!("a space ends a path, in quotes too: write `{verb} [\"{path}\", \"{destination}\"]`");
            Box::new(report.with_help(help))
        }
        None => problem,
    }
}

fn bad_remote(span: Span, error: &remote::Error) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("bad-remote", span, error.to_string()))
}

fn http(url: HttpUrl, checksum: Option<&(String, Span)>, span: Span) -> Applied<CopySource> {
    let checksum = match checksum {
        None => None,
        Some((text, at)) => Some(text.parse::<BlobDigest>().map_err(|error| {
            let report = Diagnostic::error("bad-checksum", *at, error.to_string());
            Box::new(report.with_help("write `--checksum=sha256:` and 64 hexadecimal digits"))
        })?),
    };
    Ok(CopySource::Http { url, checksum, span })
}

fn git(
    mut source: GitSource,
    checksum: Option<&(String, Span)>,
    keep_git_dir: Option<bool>,
    span: Span,
) -> Applied<CopySource> {
    if let Some((text, at)) = checksum {
        source.require(text).map_err(|error| bad_remote(*at, &error))?;
    }
    if let Some(keep) = keep_git_dir {
        source.keep_git_dir(keep).map_err(|error| bad_remote(span, &error))?;
    }
    Ok(CopySource::Git { source, span })
}

fn check_use_of_checksum(sources: &[CopySource], transfer: &Transfer, span: Span) -> Applied<()> {
    let message = match sources {
        [CopySource::Http { .. } | CopySource::Git { .. }] if transfer.heredocs.is_empty() => return Ok(()),
        [CopySource::Path { .. }] => "`--checksum` is for URLs and git repositories, not for files of the context",
        _ => "`--checksum` is for one source, but there are several",
    };
    Err(Box::new(Diagnostic::error("bad-checksum", span, message).with_help("leave it out, or use one ADD a source")))
}

/// What tells COPY and ADD apart.
struct How {
    verb: Verb,
    from: Origin,
    parents: bool,
    unpack: Unpack,
}

fn bring(
    surroundings: &Surroundings<'_>,
    state: &StageState,
    transfer: &Transfer,
    sources: Vec<CopySource>,
    how: How,
) -> Applied<Effect> {
    let How { verb, from, parents, unpack } = how;
    let option = |word: &Option<dockerfile::Word>| match word {
        Some(word) => {
            let value = value(surroundings, state, word)?;
            Ok::<_, Box<Diagnostic>>((!value.is_empty()).then_some((value, word.span())))
        }
        None => Ok(None),
    };
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
    let (chown, chmod) = (option(&transfer.chown)?, option(&transfer.chmod)?);
    if let Some((owner, span)) = &chown {
        values::check_owner(owner, transfer.link, *span)?;
    }
    if let Some((mode, span)) = &chmod {
        values::check_mode(mode, *span)?;
    }
    for pattern in &transfer.exclude {
        values::check_exclude(&pattern.value, pattern.span)?;
    }
    let copy = Copy {
        verb,
        from,
        sources,
        inline,
        destination: destination(&state.config.config.working_dir, &target),
        chown: chown.map(|(owner, _)| owner),
        chmod: chmod.map(|(mode, _)| mode),
        link: transfer.link,
        parents,
        exclude: transfer.exclude.iter().map(|pattern| pattern.value.clone()).collect(),
        unpack,
    };
    let history = told(&copy, &target);
    Ok(Effect { action: Action::Copy(copy), history: Some(HistoryLine::layer(history)) })
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
    words.extend(copy.sources.iter().map(told_source));
    words.extend(copy.inline.iter().map(|file| format!("<<{}", file.name)));
    words.push(target.to_owned());
    format!("{} # buildkit", words.join(" "))
}

/// A source as the history tells it: as it was written, but without credentials.
fn told_source(source: &CopySource) -> String {
    match source {
        CopySource::Path { pattern, .. } => pattern.clone(),
        CopySource::Http { url, .. } => url.written().to_owned(),
        CopySource::Git { source, .. } => source.written().to_owned(),
    }
}
