//! `RUN --mount`.

use super::choices::{Choices, Known};
use super::graph::Meaning;
use super::instruction::unsupported;
use super::origins::{Sources, origin};
use super::settings::clean;
use super::stage::{StageState, Surroundings};
use super::{Inputs, Origin};
use crate::dockerfile::{self, Diagnostic, Dockerfile, Env, MountKind, MountSpec, Sharing, Span};

/// Puts every cache of a build out of reach of builds that name another one.
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

type Applied<T> = Result<T, Box<Diagnostic>>;

/// Something that a command sees beside its root filesystem.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Where the Dockerfile asks for it.
    pub span: Span,
    /// Where it is mounted, absolute and cleaned; empty for a secret that is only a variable.
    pub target: String,
    /// What is mounted.
    pub what: Mounted,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq)]
pub enum Mounted {
    /// Files of the context, a stage or an image.
    Bind {
        /// Where they come from; none is an empty folder.
        from: Option<Origin>,
        /// The place in there, from its root.
        source: String,
        /// Whether it can be written to; what is written is lost.
        writing: Writing,
    },
    /// A folder that outlives the build.
    Cache(CacheMount),
    /// A folder in memory.
    Tmpfs {
        /// The most bytes it holds; none for half of the memory.
        size: Option<u64>,
        /// Whether it can be written to.
        writing: Writing,
    },
    /// A secret, as a file, a variable, or both.
    Secret {
        /// Its id.
        id: String,
        /// The variable that takes it.
        env: Option<String>,
        /// What the file is like.
        owner: FileOwner,
        /// Whether the command cannot do without.
        required: bool,
    },
    /// The socket of an ssh agent.
    Ssh {
        /// The agent's id.
        id: String,
        /// What the socket is like.
        owner: FileOwner,
        /// Whether the command cannot do without.
        required: bool,
    },
}

/// A folder that outlives the build.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheMount {
    /// Its name, any text, the namespace included.
    pub id: String,
    /// How builds that run at the same time share it.
    pub sharing: Sharing,
    /// Where its first files come from, and the place in there.
    pub seed: Option<(Origin, String)>,
    /// The place in the folder that is shown.
    pub source: String,
    /// What a new folder is like; none for one of root with mode 0755.
    pub owner: Option<FileOwner>,
    /// Whether it can be written to.
    pub writing: Writing,
}

/// The mode and owner that a mount asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOwner {
    /// The permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Whether a command can write to a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// It can.
    Possible,
    /// It cannot.
    Refused,
}

/// Adds the stages and images that the mounts of a RUN in stage `index` show.
pub(super) fn add_sources(
    index: usize,
    run: &dockerfile::Run,
    choices: &Choices,
    known: &Known<'_>,
    sources: &mut Sources,
) -> Applied<()> {
    for mount in &run.mounts {
        let Some((name, span)) = from(mount, choices, known)? else { continue };
        if is_number(known.dockerfile, &name, known.inputs) {
            // BuildKit takes it for the name of an image, which only a stage that is needed would miss.
            sources.add_wrong_if_needed(*number_of_stage(&name, span));
            continue;
        }
        let meaning = meaning(known.dockerfile, index, &name, span, known.inputs)?;
        sources.add(index, &name, span, meaning);
    }
    Ok(())
}

/// Whether `from=` names a number, but no stage or context of that name.
fn is_number(dockerfile: &Dockerfile, name: &str, inputs: &Inputs) -> bool {
    name.parse::<usize>().is_ok()
        && dockerfile.stage_named(&name.to_lowercase()).is_none()
        && inputs.named_context(name, &inputs.platform).is_none()
}

fn number_of_stage(name: &str, span: Span) -> Box<Diagnostic> {
    let message = format!("a mount takes the name of a stage, not its number `{name}`");
    let help = "give the stage a name: `FROM … AS name`";
    Box::new(Diagnostic::error("unknown-stage", span, message).with_help(help))
}

/// The name in a mount's `from=`, the last one if there are several.
fn from(mount: &dockerfile::Mount, choices: &Choices, known: &Known<'_>) -> Applied<Option<(String, Span)>> {
    let word = mount.options.iter().rfind(|option| option.key.value == "from").and_then(|option| option.value.as_ref());
    let Some(word) = word else { return Ok(None) };
    let name = choices.name(word, "from", known)?;
    Ok((!name.is_empty()).then(|| (name, word.span())))
}

/// What `from=` means. As in BuildKit it takes a stage's name, but not its number.
fn meaning(dockerfile: &Dockerfile, index: usize, name: &str, span: Span, inputs: &Inputs) -> Applied<Meaning> {
    let lower = name.to_lowercase();
    let is_stage = dockerfile.stage_named(&lower).is_some();
    let is_context = inputs.named_context(name, &inputs.platform).is_some();
    if is_number(dockerfile, name, inputs) {
        return Err(number_of_stage(name, span));
    }
    if !is_stage && !is_context && name == "scratch" {
        return Ok(Meaning::Scratch);
    }
    origin(dockerfile, index, name, span, inputs)
}

/// The mounts of a RUN with their values; a folder stands before what is mounted in it.
pub(super) fn mounts(
    surroundings: &Surroundings<'_>,
    state: &StageState,
    mounts: &[dockerfile::Mount],
) -> Applied<Vec<Mount>> {
    let escape = surroundings.dockerfile.directives.escape;
    let mut planned = Vec::with_capacity(mounts.len());
    let mut ssh_count = 0;
    for mount in mounts {
        let (mut spec, _unset) = mount.resolve(escape, &state.variables as &dyn Env)?;
        let known = surroundings.known();
        spec.from = from(mount, &state.choices, &known)?.map(|(name, _)| name);
        let place = Place { surroundings, state, mount, spec: &spec };
        let default_socket = format!("/run/buildkit/ssh_agent.{ssh_count}");
        ssh_count += usize::from(spec.kind == MountKind::Ssh);
        planned.push(place.planned(&default_socket)?);
    }
    // As BuildKit mounts them: one written inside of another, but before it, would be hidden.
    planned.sort_by(|a, b| components(&a.target).cmp(components(&b.target)));
    Ok(planned)
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// One mount and where it stands.
struct Place<'a> {
    surroundings: &'a Surroundings<'a>,
    state: &'a StageState,
    mount: &'a dockerfile::Mount,
    spec: &'a MountSpec,
}

impl Place<'_> {
    fn planned(&self, default_socket: &str) -> Applied<Mount> {
        let MountSpec { kind, id, required, env, .. } = self.spec;
        let (target, what) = match kind {
            MountKind::Bind => {
                let from = if self.spec.from.is_some() { self.origin()? } else { Some(Origin::Context) };
                (self.target()?, Mounted::Bind { from, source: self.source(), writing: self.writing() })
            }
            MountKind::Cache => (self.target()?, Mounted::Cache(self.cache()?)),
            MountKind::Tmpfs => {
                let size = Some(self.spec.size).filter(|size| *size > 0);
                (self.target()?, Mounted::Tmpfs { size, writing: self.writing() })
            }
            MountKind::Secret => {
                let given = self.spec.source.as_ref().or(id.as_ref()).cloned();
                let of_target = self.spec.target.as_deref().map(|target| last_name(target).to_owned());
                let id = given.or(of_target).unwrap_or_default();
                let env = env.clone().map(|name| if name.is_empty() { id.clone() } else { name });
                let target = match (&self.spec.target, &env) {
                    (None, Some(_)) => String::new(),
                    (None, None) => format!("/run/secrets/{}", last_name(&id)),
                    (Some(_), _) => self.target()?,
                };
                let owner = self.secret_owner(&id);
                (target, Mounted::Secret { id, env, owner, required: *required })
            }
            MountKind::Ssh => {
                if self.spec.source.is_some() {
                    let report = self.wrong("source", "an ssh mount has no option `source`");
                    return Err(Box::new(report.with_help("the agent is chosen by `id`, its place by `target`")));
                }
                let target = if self.spec.target.is_some() { self.target()? } else { default_socket.to_owned() };
                let id = id.clone().unwrap_or_else(|| "default".to_owned());
                (target, Mounted::Ssh { id, owner: self.owner(0o600), required: *required })
            }
        };
        Ok(Mount { span: self.mount.span, target, what })
    }

    fn cache(&self) -> Applied<CacheMount> {
        let MountSpec { id, sharing, mode, uid, gid, .. } = self.spec;
        let seed = match self.spec.from {
            Some(_) => self.origin()?.map(|origin| (origin, self.source())),
            None => None,
        };
        // The seed is the folder; without one a source is a place in it.
        let source = if self.spec.from.is_some() { "/".to_owned() } else { self.source() };
        let owned = source == "/" && (mode.is_some() || uid.is_some() || gid.is_some());
        let id = id.clone().unwrap_or_else(|| clean_relative(self.spec.target.as_deref().unwrap_or_default()));
        let namespace = self.surroundings.inputs.build_args.get(CACHE_NAMESPACE);
        Ok(CacheMount {
            id: format!("{}/{id}", namespace.map_or("", String::as_str)),
            sharing: *sharing,
            seed,
            source,
            owner: owned.then(|| self.owner(0o755)),
            writing: self.writing(),
        })
    }

    /// The target, absolute; relative ones are taken from WORKDIR.
    fn target(&self) -> Applied<String> {
        let Some(given) = &self.spec.target else {
            let report = Diagnostic::error("missing-target", self.mount.span, "a mount needs a target");
            return Err(Box::new(report.with_help("say where the command sees it: `target=/path`")));
        };
        let target = match given.starts_with('/') {
            true => clean(given),
            false => clean(&format!("/{}/{given}", self.state.config.config.working_dir)),
        };
        if target == "/" {
            let report = self.wrong("target", "a mount cannot take the place of the root folder");
            return Err(Box::new(report.with_help("choose a folder below it: `target=/path`")));
        }
        Ok(target)
    }

    fn source(&self) -> String {
        clean(&format!("/{}", self.spec.source.as_deref().unwrap_or_default()))
    }

    fn writing(&self) -> Writing {
        if self.spec.read_only { Writing::Refused } else { Writing::Possible }
    }

    fn owner(&self, mode: u32) -> FileOwner {
        let MountSpec { mode: given, uid, gid, .. } = self.spec;
        FileOwner { mode: given.unwrap_or(mode) & 0o7777, uid: uid.unwrap_or_default(), gid: gid.unwrap_or_default() }
    }

    fn secret_owner(&self, id: &str) -> FileOwner {
        let known = self.surroundings.inputs.secret_files.get(id).copied().unwrap_or_default();
        let owner = self.owner(known.mode.unwrap_or(0o400));
        FileOwner {
            uid: self.spec.uid.or(known.uid).unwrap_or_default(),
            gid: self.spec.gid.or(known.gid).unwrap_or_default(),
            ..owner
        }
    }

    fn origin(&self) -> Applied<Option<Origin>> {
        let Surroundings { dockerfile, index, inputs, ids, .. } = self.surroundings;
        let name = self.spec.from.as_deref().unwrap_or_default();
        let span = self.option_span("from");
        Ok(match meaning(dockerfile, *index, name, span, inputs)? {
            Meaning::Scratch => None,
            Meaning::Image(image) => Some(Origin::Image(image)),
            Meaning::Named(name) => Some(Origin::Named(name)),
            Meaning::Stage(stage) => {
                let id = ids.get(&stage).copied();
                let id = id.ok_or_else(|| unsupported(span, "a mount of a stage that is not built"))?;
                Some(Origin::Stage(id))
            }
        })
    }

    fn wrong(&self, option: &str, message: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error("bad-mount", self.option_span(option), message))
    }

    /// Where an option stands, under any of its names.
    fn option_span(&self, name: &str) -> Span {
        let names: &[&str] = match name {
            "target" => &["target", "dst", "destination"],
            "source" => &["source", "src"],
            name => &[name],
        };
        let option = self.mount.options.iter().rfind(|option| names.contains(&option.key.value.as_str()));
        option.and_then(|option| option.value.as_ref()).map_or(self.mount.span, dockerfile::Word::span)
    }
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// A path cleaned, as Go's `path.Clean` does it; a relative one stays relative.
fn clean_relative(path: &str) -> String {
    match (path.starts_with('/'), clean(&format!("/{path}"))) {
        (true, cleaned) => cleaned,
        (false, cleaned) => cleaned.trim_start_matches('/').to_owned(),
    }
}
