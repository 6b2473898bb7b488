//! What a plan consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Environment, HistoryLine, Mount};
use crate::digest::{BlobDigest, ManifestDigest};
use crate::dockerfile::Span;
use crate::image::ImageConfig;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::remote::{GitSource, HttpUrl};

/// Stages and the steps that make them, in an order in which each stage stands after those that it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Only stages that the target needs.
    pub stages: Vec<Stage>,
    /// The stage whose image is asked for.
    pub target: StageId,
}

/// A stage's place in `Plan::stages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The stage's name, or `stage-N` with its number among all stages of the file; empty if the file has only one.
    pub label: String,
    /// What it stands on.
    pub base: Base,
    /// What is done on it, in order.
    pub steps: Vec<Step>,
    /// The config that the finished stage has. Its layers and history are those of the base: the engine adds the steps'.
    /// Stages that only bring files share that of what they stand on.
    pub config: Arc<ImageConfig>,
    /// The arguments that it declares itself, in order.
    pub arguments: Vec<Argument>,
    /// Where the FROM stands.
    pub span: Span,
}

/// A name that an ARG of a stage declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// Its value there.
    pub value: Option<String>,
    /// What gives it that value.
    pub set_by: ArgumentSource,
    /// Where the name stands; for one of a base image's trigger, the FROM.
    pub span: Span,
}

/// What gives an argument its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentSource {
    /// `--build-arg`.
    CommandLine,
    /// Its default.
    Default,
    /// The argument of that name before the first FROM, or nothing.
    Global,
}

/// What a stage stands on.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image.
    Image(ImageNeed),
    /// An earlier stage.
    Stage(StageId),
}

/// An image that must be known before planning can go on, or used later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageNeed {
    /// Which image.
    pub reference: Reference,
    /// For which platform.
    pub platform: Platform,
    /// The folder that it is in, if not in a registry; the reference is then only what it is called.
    pub layout: Option<Box<LayoutImage>>,
}

/// An image in an OCI layout, a folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayoutImage {
    /// The folder.
    pub folder: PathBuf,
    /// Its tag there.
    pub tag: Option<String>,
    /// The digest of its manifest or index.
    pub digest: Option<ManifestDigest>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands; a trigger of a base image has the span of its FROM.
    pub span: Span,
    /// The instruction as it stands in the Dockerfile, on one line.
    pub text: String,
    /// Its place among the stage's steps that have an action, from 1, and their number; 0 of N if it has none.
    pub position: (usize, usize),
    /// What is to be done.
    pub action: Action,
    /// Its line in the image's history; none for ONBUILD, which leaves none.
    pub history: Option<HistoryLine>,
}

/// What a step does to the root filesystem.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing: it only changes the config.
    Config,
    /// Makes a folder.
    Workdir(Workdir),
    /// Runs a command.
    Run(Run),
    /// Brings files.
    Copy(Copy),
}

/// A folder that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// Its path, absolute.
    pub path: String,
    /// Who it belongs to if it has to be made; empty is root.
    pub user: String,
}

/// A command to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The words to execute, the shell included.
    pub argv: Vec<String>,
    /// The environment, in order: that of the image, then declared build arguments.
    pub env: Environment,
    /// Proxy variables: in the environment, but in no key and no history.
    pub proxies: Vec<(String, String)>,
    /// The working folder; empty is the root.
    pub workdir: String,
    /// As USER says it; empty is root.
    pub user: String,
    /// The network it sees.
    pub network: Network,
    /// What it may do.
    pub security: Security,
    /// What it sees beside its root filesystem; a folder stands before what is mounted in it.
    pub mounts: Vec<Mount>,
    /// The devices it asks for, in order.
    pub devices: Vec<Device>,
    /// The host name it sees, if one is given.
    pub hostname: Option<String>,
    /// A here-document with its own interpreter: the name and content of the file to run.
    pub script: Option<InlineFile>,
}

/// A device that a command asks for; what its name stands for is decided by the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name, as it was written.
    pub name: String,
    /// Whether the command cannot do without.
    pub required: bool,
    /// Where the Dockerfile asks for it.
    pub span: Span,
}

/// The network that a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    Host,
    /// A loopback interface and nothing else.
    None,
}

/// What a command may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// What Docker's containers may.
    Sandbox,
    /// What the builder itself may.
    Insecure,
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Files to bring.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// COPY or ADD.
    pub verb: Verb,
    /// Where they come from.
    pub from: Origin,
    /// What is brought, in order.
    pub sources: Vec<CopySource>,
    /// Files whose content stands in the Dockerfile.
    pub inline: Vec<InlineFile>,
    /// Where they go: absolute, with a trailing slash if one was written.
    pub destination: String,
    /// `--chown`, expanded.
    pub chown: Option<String>,
    /// `--chmod`, expanded.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, as written.
    pub exclude: Vec<String>,
    /// Whether archives among the sources are extracted.
    pub unpack: Unpack,
}

/// One source of COPY or ADD.
#[derive(Debug, Clone, PartialEq)]
pub enum CopySource {
    /// A path or pattern in the place that files come from.
    Path {
        /// The pattern.
        pattern: String,
        /// Where it stands.
        span: Span,
    },
    /// A file to download.
    Http {
        /// From where.
        url: HttpUrl,
        /// What its content must hash to.
        checksum: Option<BlobDigest>,
        /// Where it stands.
        span: Span,
    },
    /// A repository to check out.
    Git {
        /// Which, and what of it.
        source: GitSource,
        /// Where it stands.
        span: Span,
    },
}

impl CopySource {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Path { span, .. } | Self::Http { span, .. } | Self::Git { span, .. } => *span,
        }
    }
}

/// Which archives ADD extracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// None.
    Never,
    /// Those that are paths: ADD without a flag.
    Paths,
    /// Downloaded ones too.
    All,
}

/// Which instruction brings files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// COPY.
    Copy,
    /// ADD.
    Add,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The build context.
    Context,
    /// An earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageNeed),
    /// The files of a named context.
    Named(String),
}

/// What a `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// Files, in a folder or from elsewhere: the caller knows where.
    Files,
    /// An empty root filesystem.
    Scratch,
    /// An image.
    Image(Reference),
    /// An image in a folder.
    Layout(LayoutImage),
}

/// What the caller of a plan decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// `--build-arg`, by name.
    pub build_args: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--label`, by name.
    pub labels: BTreeMap<String, String>,
    /// The platform of the image.
    pub platform: Platform,
    /// The platform that RUN can use.
    pub build_platform: Platform,
    /// `--network`.
    pub network: Network,
    /// Whether `RUN --security=insecure` is allowed.
    pub insecure: Insecure,
    /// `--build-context`, by name: as `context_name` has it, `::` and a platform behind it if it is for only one.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// What the files of secrets are like, by id, where the Dockerfile does not say.
    pub secret_files: BTreeMap<String, SecretFile>,
    /// Which stages are planned.
    pub scope: Scope,
    /// Images whose configs cannot be had, for a plan that is only looked at: they are taken for empty ones.
    pub unknown_bases: BTreeSet<ImageNeed>,
}

/// What the file of a secret is like, as far as that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecretFile {
    /// Whose it is.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Its permissions.
    pub mode: Option<u32>,
}

/// Which stages are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those that the target needs.
    #[default]
    Target,
    /// All, for a plan that is only looked at.
    EveryStage,
}

/// Whether `RUN --security=insecure` is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insecure {
    /// It is.
    Allowed,
    /// It is not.
    Refused,
}
