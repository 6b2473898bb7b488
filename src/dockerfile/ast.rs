//! A Dockerfile as typed values.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::directives::Directives;
use super::heredoc::Heredoc;
use super::keyword::Keyword;
use super::mount::{Device, Mount};
use super::source::{Source, Span};
use super::word::{Text, Word};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The text, to which every span refers.
    pub source: Source,
    /// What the head of the file says.
    pub directives: Directives,
    /// The `ARG` instructions before the first `FROM`, in order.
    pub globals: Vec<Instruction>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The numbers of the stages of each name.
    pub(super) numbers: BTreeMap<String, Vec<usize>>,
}

impl Dockerfile {
    /// The number of the last stage with this name, which must be in lower case. Costs no walk over the stages.
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        self.numbers.get(name)?.last().copied()
    }

    /// The number of the last stage with this name before another stage.
    pub fn stage_named_before(&self, name: &str, before: usize) -> Option<usize> {
        let numbers = self.numbers.get(name)?;
        let earlier = numbers.partition_point(|&number| number < before);
        numbers[..earlier].last().copied()
    }

    /// The numbers of the stages by name.
    pub(super) fn numbers_of(stages: &[Stage]) -> BTreeMap<String, Vec<usize>> {
        let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, stage) in stages.iter().enumerate() {
            if let Some(name) = &stage.name {
                numbers.entry(name.value.clone()).or_default().push(number);
            }
        }
        numbers
    }
}

impl Dockerfile {
    /// The arguments before the first `FROM`, in order.
    pub fn global_args(&self) -> impl Iterator<Item = &ArgDeclaration> {
        self.globals.iter().flat_map(|instruction| match &instruction.kind {
            InstructionKind::Arg(declarations) => declarations.as_slice(),
            _ => &[],
        })
    }

    /// The instruction that holds a span.
    pub fn head_at(&self, span: Span) -> Option<&Head> {
        self.heads().find(|head| head.span.start() <= span.start() && span.end() <= head.span.end())
    }

    /// What every instruction has, for each instruction in order.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        let stages = self.stages.iter().flat_map(|stage| {
            std::iter::once(&stage.from.head).chain(stage.instructions.iter().map(|instruction| &instruction.head))
        });
        self.globals.iter().map(|instruction| &instruction.head).chain(stages)
    }
}

/// A `FROM` and the instructions up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The instruction that begins it.
    pub from: From,
    /// Its name, in lower case.
    pub name: Option<Text>,
    /// The instructions behind `FROM`.
    pub instructions: Vec<Instruction>,
    /// The whole stage.
    pub span: Span,
}

/// `FROM [--platform=p] image [AS name]`; the name is in the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// The base: an image, a stage before this one, or `scratch`.
    pub image: Word,
    /// The platform asked for.
    pub platform: Option<Word>,
    /// What every instruction has.
    pub head: Head,
}

/// What every instruction has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The instruction from its keyword to the end of its last line or heredoc.
    pub span: Span,
    /// Its name.
    pub keyword: Keyword,
    /// Where the name stands.
    pub keyword_span: Span,
    /// The instruction as it is shown: continued lines joined, comments left out, heredocs not included.
    pub text: String,
    /// The comments directly above it, without `#` and the spaces around them.
    pub comments: Vec<String>,
}

impl Head {
    /// What the comments above it say about this name: what follows it in the first comment that begins with it.
    pub fn description(&self, name: &str) -> Option<&str> {
        if name.is_empty() {
            return None;
        }
        self.comments.iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
    }
}

/// One instruction; what every instruction has is read through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What every instruction has.
    pub head: Head,
    /// What it says.
    pub kind: InstructionKind,
}

impl Deref for Instruction {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Deref for From {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Vec<ArgDeclaration>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`: each word may become several ports. In the order in which BuildKit records them, by text.
    Expose(Vec<Word>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(Text),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<Text>),
    /// `STOPSIGNAL`
    StopSignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Paths, patterns and, for `ADD`, URLs.
    pub sources: Vec<Word>,
    /// Files whose content is in the Dockerfile; they are copied after the others.
    pub heredocs: Vec<Heredoc>,
    /// Where to.
    pub destination: Word,
    /// The owner asked for.
    pub chown: Option<Word>,
    /// The mode asked for.
    pub chmod: Option<Word>,
    /// Whether the layer does not depend on what is below it.
    pub link: bool,
    /// Patterns of paths that are left out; variables in them are not replaced.
    pub exclude: Vec<Text>,
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What is copied and how.
    pub transfer: Transfer,
    /// The stage, image or context to copy from.
    pub from: Option<Word>,
    /// Whether parent folders are kept.
    pub parents: bool,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What is copied and how.
    pub transfer: Transfer,
    /// What the content must hash to.
    pub checksum: Option<Word>,
    /// Whether `.git` of a git source is kept, if said.
    pub keep_git_dir: Option<bool>,
    /// Whether archives are unpacked, if said.
    pub unpack: Option<bool>,
}

/// The command of `RUN`, `CMD` and `ENTRYPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell, and the heredocs that it announces (only `RUN` has any).
    Shell {
        /// The text.
        text: Text,
        /// The heredocs, in order.
        heredocs: Vec<Heredoc>,
    },
    /// A program and its arguments.
    Exec(Vec<Text>),
}

/// What a shell form runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Text for the shell.
    Shell(String),
    /// A file that begins with `#!`, to be made executable and run.
    Program {
        /// The word of the heredoc, which names the file.
        name: String,
        /// The file.
        content: String,
    },
}

impl CommandLine {
    /// What the shell form runs, none for the exec form: a lone heredoc is itself the script, with other text around it the
    /// shell reads the heredocs.
    pub fn script(&self) -> Option<Script> {
        let Self::Shell { text, heredocs } = self else { return None };
        let alone = super::heredoc::Opening::parse(&text.value).is_some();
        let Some(first) = heredocs.first() else { return Some(Script::Shell(text.value.clone())) };
        if !alone {
            let mut script = text.value.clone();
            for heredoc in heredocs {
                script.push('\n');
                script.push_str(&heredoc.content);
                script.push_str(&heredoc.name.value);
            }
            return Some(Script::Shell(script));
        }
        let content = first.body().into_owned();
        Some(match content.starts_with("#!") {
            true => Script::Program { name: first.name.value.clone(), content },
            false => Script::Shell(content),
        })
    }
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: CommandLine,
    /// What is mounted meanwhile.
    pub mounts: Vec<Mount>,
    /// The network, if said.
    pub network: Option<Network>,
    /// The privileges, if said.
    pub security: Option<Security>,
    /// Devices.
    pub devices: Vec<Device>,
}

/// The network of a `RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The usual one.
    Default,
    /// None but loopback.
    None,
    /// The host's.
    Host,
}

/// The privileges of a `RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// The usual ones.
    Sandbox,
    /// All.
    Insecure,
}

/// A key and a value of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Word,
    /// The value.
    pub value: Word,
    /// What stands between them.
    pub separator: Separator,
}

/// What stands between a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// `key=value`
    Equals,
    /// `key value`, the old form, which takes the rest of the line.
    Space,
}

/// A name declared by `ARG`, with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name.
    pub name: Text,
    /// The default.
    pub default: Option<Word>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: an inherited check is switched off.
    None,
    /// `HEALTHCHECK CMD …`
    Command {
        /// What is run.
        command: CommandLine,
        /// How and how often.
        timing: Timing,
    },
}

/// How and how often a check runs; times in nanoseconds, 0 is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Between two checks.
    pub interval: u64,
    /// Of one check.
    pub timeout: u64,
    /// In which failures do not count.
    pub start_period: u64,
    /// Between two checks in that period.
    pub start_interval: u64,
    /// Failures in a row that make a container unhealthy.
    pub retries: u32,
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// What the image keeps: the instruction with its heredocs.
    pub trigger: String,
    /// The instruction.
    pub instruction: Box<Instruction>,
}
