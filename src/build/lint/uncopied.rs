//! What the context tells about a Dockerfile that is not wrong, but will not work.

use crate::context::{Kind, Source};
use crate::dockerfile::{self, CommandLine, Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Stage};
use crate::path::ContextPath;
use crate::reference::Reference;

/// The name of the warning about a RUN that needs a file that is still in the context.
const RULE: &str = "RunBeforeCopy";

/// A warning for each RUN that names a file of the context which no COPY has brought yet.
pub(in crate::build) fn uncopied(dockerfile: &Dockerfile, context: &dyn Source) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let mut copied = inherited(dockerfile, index);
        for instruction in &stage.instructions {
            match &instruction.kind {
                InstructionKind::Run(run) if run.mounts.is_empty() => {
                    let missing = missing(&run.command, &copied, context);
                    if dockerfile.directives.check.reports(RULE, &instruction.comments) {
                        warnings.extend(missing.into_iter().map(|file| warning(instruction, &file)));
                    }
                }
                _ => copied.extend(sources(instruction)),
            }
        }
    }
    warnings
}

/// The warning for one instruction, if it is there.
pub(in crate::build) fn of_span(warnings: &[Diagnostic], span: Span) -> Vec<Diagnostic> {
    warnings.iter().filter(|warning| warning.span == span).cloned().collect()
}

/// The warnings about variables without a value in a span: they may be why what stands there fails.
pub(in crate::build) fn undefined_in(warnings: &[Diagnostic], span: Span) -> impl Iterator<Item = Diagnostic> {
    let within = move |inner: Span| span.start() <= inner.start() && inner.end() <= span.end();
    warnings.iter().filter(move |warning| warning.code == "UndefinedVar" && within(warning.span)).cloned()
}

/// Advice for an image that cannot be had: it may be a stage whose name is mistyped.
pub(in crate::build) fn of_image(source: &dockerfile::Source, image: &Reference) -> Vec<Diagnostic> {
    let (dockerfile, _) = dockerfile::parse(source.name(), source.text().as_bytes());
    let name = image.familiar();
    let name = name.strip_suffix(":latest").unwrap_or(&name);
    let stages = dockerfile.stages.iter().filter_map(|stage| stage.name.as_ref());
    let near = dockerfile::nearest(name, stages.map(|stage| stage.value.as_str()));
    let Some(near) = near.filter(|_| !name.contains('/')) else { return Vec::new() };
    if near == name {
        let message = format!("the stage `{name}` begins below, so this is taken for an image");
        let hint = Diagnostic::warning("ImageForStage", Span::default(), message);
        return vec![hint.with_help("move that stage up: FROM can name only stages above it")];
    }
    let message = format!("no stage is called `{name}`, so it is taken for an image");
    let hint = Diagnostic::warning("ImageForStage", Span::default(), message);
    vec![hint.with_help(format!("did you mean the stage `{near}`?"))]
}

/// What the stages that this one stands on have copied.
fn inherited(dockerfile: &Dockerfile, index: usize) -> Vec<String> {
    let mut copied = Vec::new();
    let mut stage = dockerfile.stages.get(index);
    let mut below = index;
    while let Some(base) = stage.and_then(|stage| base_of(&dockerfile.stages[..below], stage)) {
        let instructions = &dockerfile.stages[base].instructions;
        copied.extend(instructions.iter().flat_map(sources));
        stage = dockerfile.stages.get(base);
        below = base;
    }
    copied
}

fn base_of(earlier: &[Stage], stage: &Stage) -> Option<usize> {
    let name = stage.from.image.raw();
    earlier.iter().rposition(|stage| stage.name.as_ref().is_some_and(|own| own.value == name))
}

fn sources(instruction: &Instruction) -> Vec<String> {
    let (transfer, from) = match &instruction.kind {
        InstructionKind::Copy(copy) => (&copy.transfer, copy.from.is_some()),
        InstructionKind::Add(add) => (&add.transfer, false),
        _ => return Vec::new(),
    };
    if from {
        // What another stage gives may well bring a file of that name.
        return vec![".".to_owned()];
    }
    let words = transfer.sources.iter().map(|word| word.raw().to_owned());
    words.chain(transfer.heredocs.iter().map(|_| ".".to_owned())).collect()
}

fn missing(command: &CommandLine, copied: &[String], context: &dyn Source) -> Vec<String> {
    let text = command_text(command);
    if brings_files(&text) {
        return Vec::new();
    }
    let words: Vec<&str> = words(&text).collect();
    let mut found: Vec<String> = Vec::new();
    for word in &words {
        let name = word.strip_prefix("./").unwrap_or(word);
        let plain = !name.is_empty() && !name.starts_with(['-', '/', '$', '~']) && name.contains('.');
        let known = found.iter().any(|known| known == name) || is_made(&words, name);
        if plain && !known && is_file(context, name) && !is_covered(name, copied, context) {
            found.push(name.to_owned());
        }
    }
    found
}

fn command_text(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell { text, .. } => text.value.clone(),
        CommandLine::Exec(words) => words.iter().map(|word| word.value.clone()).collect::<Vec<_>>().join(" "),
    }
}

/// Whether a command unpacks, clones or downloads: what that brings may be called like anything.
fn brings_files(text: &str) -> bool {
    let commands = text.split(['\n', ';', '|', '&', '(', '{']);
    let mut programs = commands.filter_map(|command| command.split_whitespace().find(|word| !word.contains('=')));
    programs.any(|program| matches!(program, "git" | "tar" | "unzip" | "curl" | "wget" | "svn" | "aria2c"))
}

/// The words of a command; a redirection is one of its own.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "\"'`;|&()<=,".contains(c);
    let words = text.split(ends).filter(|word| !word.is_empty());
    words.flat_map(|word| match word.rfind('>') {
        Some(at) => [">", &word[at + 1..]],
        None => [word, ""],
    })
}

/// Whether the command itself makes a file of this name: fetches it, or writes to it.
fn is_made(words: &[&str], name: &str) -> bool {
    let words: Vec<&&str> = words.iter().filter(|word| !word.is_empty()).collect();
    let fetched = |word: &&&str| word.contains("://") && word.rsplit('/').next() == Some(name);
    let written = words.windows(2).any(|pair| {
        let writes =
            matches!(*pair[0], ">" | "-o" | "-O" | "--output" | "--output-document" | "tee" | "touch" | "cp" | "mv");
        writes && pair[1].strip_prefix("./").unwrap_or(pair[1]) == name
    });
    written || words.iter().any(fetched)
}

fn is_file(context: &dyn Source, name: &str) -> bool {
    // A context that cannot be read is reported where it is needed.
    matches!(context.lookup(&ContextPath::new(name)), Ok(Some(meta)) if matches!(meta.kind, Kind::File { .. }))
}

fn is_covered(name: &str, copied: &[String], context: &dyn Source) -> bool {
    let wanted = ContextPath::new(name);
    copied.iter().any(|source| {
        let path = ContextPath::new(source);
        let last = |path: &ContextPath| path.file_name().map(<[u8]>::to_vec);
        // The content of a folder is copied without its name.
        let brought = || matches!(context.lookup(&path.join(name)), Ok(Some(_)));
        source.contains(['*', '?', '[', '$']) || wanted.is_within(&path) || last(&path) == last(&wanted) || brought()
    })
}

fn warning(instruction: &Instruction, file: &str) -> Diagnostic {
    let message = format!("`{file}` is in the context but nothing has copied it yet");
    let help = format!("copy it first: `COPY {file} .` above this line");
    Diagnostic::warning(RULE, instruction.span, message).with_label("not copied yet").with_help(help)
}
