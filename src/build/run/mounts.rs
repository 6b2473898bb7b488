//! What the mounts of a RUN show, as far as its key is concerned.

use super::files::Files;
use crate::build::copy::Origins;
use crate::build::error::Problem;
use crate::build::request::Times;
use crate::build::rootfs::Rootfs;
use crate::build::step::Current;
use crate::cache::{Ingredient, Ingredients};
use crate::context;
use crate::digest::{Canonical, ContentDigest};
use crate::path::ImagePath;
use crate::plan::{CacheMount, FileOwner, Mount, Mounted, Origin, Writing};
use crate::tree::Stack;

/// A mount, and what it shows.
pub(super) struct Wanted<'a> {
    pub(super) mount: &'a Mount,
    pub(super) shown: Shown<'a>,
}

/// What a mount shows.
pub(super) enum Shown<'a> {
    /// Nothing: a folder without files.
    Nothing,
    /// Copies of files.
    Files(Files),
    /// A place in a root filesystem.
    Rootfs { rootfs: Rootfs, inside: ImagePath, digest: ContentDigest },
    /// A cache folder of this name.
    Cache { cache: &'a CacheMount, name: ContentDigest, seed: Option<Files> },
    /// What no file decides: tmpfs, secret, ssh.
    Other,
}

/// Finds what the mounts show.
pub(super) fn wanted<'a>(
    current: &Current<'_>,
    origins: &Origins<'_>,
    mounts: &'a [Mount],
) -> Result<Vec<Wanted<'a>>, Problem> {
    let found = mounts.iter().map(|mount| {
        let shown = shown(current, origins, mount).map_err(|problem| problem.at_mount(mount.span))?;
        Ok(Wanted { mount, shown })
    });
    found.collect()
}

fn shown<'a>(current: &Current<'_>, origins: &Origins<'_>, mount: &'a Mount) -> Result<Shown<'a>, Problem> {
    Ok(match &mount.what {
        Mounted::Bind { from: None, source, .. } if source == "/" => Shown::Nothing,
        Mounted::Bind { from: None, source, .. } => return Err(missing(source)),
        Mounted::Bind { from: Some(origin), source, .. } => bind(current, origins, origin, source)?,
        Mounted::Cache(cache) => {
            let seed = match &cache.seed {
                None => None,
                Some((origin, source)) => {
                    let open = origins.open(current.session, origin)?;
                    Some(current.session.shared.hash(|| Files::find(open.source, source))?)
                }
            };
            Shown::Cache { cache, name: cache_name(cache, seed.as_ref()), seed }
        }
        Mounted::Tmpfs { .. } | Mounted::Secret { .. } | Mounted::Ssh { .. } => Shown::Other,
    })
}

fn bind<'a>(current: &Current<'_>, origins: &Origins<'_>, origin: &Origin, source: &str) -> Result<Shown<'a>, Problem> {
    let Some(rootfs) = origins.rootfs(origin)? else {
        let open = origins.open(current.session, origin)?;
        return Ok(Shown::Files(current.session.shared.hash(|| Files::find(open.source, source))?));
    };
    let wanted = ImagePath::new(source);
    if rootfs.layers().is_empty() {
        return if wanted.is_root() { Ok(Shown::Nothing) } else { Err(missing(source)) };
    }
    let stack = rootfs.stack(current.session.engine.store)?;
    let resolved = stack.resolve(&wanted).map_err(|_loop| missing(source))?;
    if !wanted.is_root() && !exists(stack, &resolved.path) {
        return Err(missing(source));
    }
    let inside = resolved.path;
    let digest = content_of(&rootfs, stack, &inside, origins.request.times);
    Ok(Shown::Rootfs { rootfs, inside, digest })
}

/// Whether anything is there: a layer may list what is in a folder and not the folder itself.
fn exists(stack: &Stack, path: &ImagePath) -> bool {
    stack.lookup(path).is_some() || !stack.merged(path).is_empty()
}

fn missing(source: &str) -> Problem {
    let pattern = source.to_owned();
    context::Error::NotFound { pattern, nearest: None, hidden_by: None }.into()
}

/// As in BuildKit, folders that begin differently are different: id, first files, mode and owner.
fn cache_name(cache: &CacheMount, seed: Option<&Files>) -> ContentDigest {
    let CacheMount { id, sharing: _, seed: _, source: _, owner, writing: _ } = cache;
    let mut canonical = Canonical::new("cache mount");
    canonical.text("id", id);
    if let Some(seed) = seed {
        canonical.bytes("seed", seed.digest().as_bytes());
    }
    if let Some(owner) = owner {
        canonical.text("owner", &told_owner(owner));
    }
    canonical.finish()
}

/// Adds what decides the result of a command: what is mounted where, and the content; never a secret, never a cache.
pub(super) fn add_ingredients(mounts: &[Wanted<'_>], times: Times, ingredients: &mut Ingredients) {
    for (number, Wanted { mount, shown }) in mounts.iter().enumerate() {
        let Mount { span: _, target, what } = mount;
        let name = if target.is_empty() { "a secret".to_owned() } else { format!("the mount at {target}") };
        ingredients.setting(&name, told(what));
        match shown {
            Shown::Nothing | Shown::Other => {}
            Shown::Files(files) => {
                ingredients.setting("the place", files.from.to_string());
                files.ingredients(number, times).for_each(|file| ingredients.push(file));
            }
            Shown::Rootfs { digest, .. } => {
                ingredients.push(Ingredient::File { path: format!("{target} (mounted)"), digest: *digest, look: None });
            }
            Shown::Cache { seed, .. } => {
                let digest = seed.as_ref().map(|seed| Ingredient::File {
                    path: format!("{target} (the cache's first files)"),
                    digest: seed.digest(),
                    look: None,
                });
                digest.into_iter().for_each(|file| ingredients.push(file));
            }
        }
    }
}

/// A mount in words; what is not said here is no part of the key. The id of a cache is not, as in BuildKit.
fn told(what: &Mounted) -> String {
    let access = |writing: &Writing| match writing {
        Writing::Possible => "writable",
        Writing::Refused => "read-only",
    };
    match what {
        Mounted::Bind { from: _, source: _, writing } => format!("bind {}", access(writing)),
        Mounted::Cache(CacheMount { id: _, sharing: _, seed: _, source, owner, writing }) => {
            let owner = owner.as_ref().map(told_owner).unwrap_or_default();
            format!("cache {} {source} {owner}", access(writing))
        }
        Mounted::Tmpfs { size, writing } => format!("tmpfs {} {size:?}", access(writing)),
        Mounted::Secret { id, env, owner, required } => {
            let env = env.as_deref().unwrap_or_default();
            format!("secret {id} {env} {} {required}", told_owner(owner))
        }
        Mounted::Ssh { id, owner, required } => format!("ssh {id} {} {required}", told_owner(owner)),
    }
}

fn told_owner(FileOwner { mode, uid, gid }: &FileOwner) -> String {
    format!("{mode:o} {uid}:{gid}")
}

/// The hash of everything that counts in a place of a root filesystem. The whole of it is named by its layers.
fn content_of(rootfs: &Rootfs, stack: &Stack, inside: &ImagePath, times: Times) -> ContentDigest {
    let mut canonical = Canonical::new("mounted");
    if inside.is_root() {
        canonical.bytes("chain", rootfs.chain().as_bytes());
        return canonical.finish();
    }
    for (path, found) in stack.merged(inside) {
        canonical.bytes("path", path.strip_prefix(inside).unwrap_or_default());
        let mut entry = stack.content_of(found).unwrap_or(found).entry.clone();
        if times == Times::Fixed {
            entry.attributes.mtime = crate::tree::Timestamp::default();
        }
        entry.path = ImagePath::root();
        canonical.bytes("entry", &crate::tree::Listing::new([entry]).to_bytes());
    }
    canonical.finish()
}
