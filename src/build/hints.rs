//! What the context tells about a Dockerfile that is not wrong, but will not work.

use crate::context::{Kind, Source};
use crate::dockerfile::{self, CommandLine, Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Stage};
use crate::path::ContextPath;
use crate::reference::Reference;

/// The name of the warning about a RUN that needs a file that is still in the context.
const RULE: &str = "RunBeforeCopy";

/// A warning for each RUN that names a file of the context which no COPY has brought yet.
pub(super) fn uncopied(dockerfile: &Dockerfile, context: &dyn Source) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let mut copied = inherited(dockerfile, index);
        for instruction in &stage.instructions {
            match &instruction.kind {
                InstructionKind::Run(run) if run.mounts.is_empty() => {
                    let missing = missing(&run.command, &copied, context);
                    warnings.extend(missing.into_iter().map(|file| warning(instruction, &file)));
                }
                _ => copied.extend(sources(instruction)),
            }
        }
    }
    warnings
}

/// The warning for one instruction, if it is there.
pub(super) fn of_span(warnings: &[Diagnostic], span: Span) -> Vec<Diagnostic> {
    warnings.iter().filter(|warning| warning.span == span).cloned().collect()
}

/// Advice for an image that cannot be had: it may be a stage whose name is mistyped.
pub(super) fn of_image(source: &dockerfile::Source, image: &Reference) -> Vec<Diagnostic> {
    let (dockerfile, _) = dockerfile::parse(source.name(), source.text().as_bytes());
    let name = image.familiar();
    let name = name.strip_suffix(":latest").unwrap_or(&name);
    let stages = dockerfile.stages.iter().filter_map(|stage| stage.name.as_ref());
    let near = dockerfile::nearest(name, stages.map(|stage| stage.value.as_str()));
    let Some(near) = near.filter(|_| !name.contains('/')) else { return Vec::new() };
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
    let text = match command {
        CommandLine::Shell { text, .. } => text.value.clone(),
        CommandLine::Exec(words) => words.iter().map(|word| word.value.clone()).collect::<Vec<_>>().join(" "),
    };
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || "\"'`;|&()<>=,".contains(c)) {
        let name = word.strip_prefix("./").unwrap_or(word);
        let plain = !name.is_empty() && !name.starts_with(['-', '/', '$', '~']) && name.contains('.');
        if plain && !found.iter().any(|known| known == name) && is_file(context, name) && !is_covered(name, copied) {
            found.push(name.to_owned());
        }
    }
    found
}

fn is_file(context: &dyn Source, name: &str) -> bool {
    // A context that cannot be read is reported where it is needed.
    matches!(context.lookup(&ContextPath::new(name)), Ok(Some(meta)) if matches!(meta.kind, Kind::File { .. }))
}

fn is_covered(name: &str, copied: &[String]) -> bool {
    let wanted = ContextPath::new(name);
    copied.iter().any(|source| {
        let path = ContextPath::new(source);
        let last = |path: &ContextPath| path.file_name().map(<[u8]>::to_vec);
        source.contains(['*', '?', '[', '$']) || wanted.is_within(&path) || last(&path) == last(&wanted)
    })
}

fn warning(instruction: &Instruction, file: &str) -> Diagnostic {
    let message = format!("`{file}` is in the context but nothing has copied it yet");
    let help = format!("copy it first: `COPY {file} .` above this line");
    Diagnostic::warning(RULE, instruction.span, message).with_label("not copied yet").with_help(help)
}
