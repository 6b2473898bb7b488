//! RUN: a command in a sandbox over the layers so far; what it changed is the layer.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::Problem;
use super::rootfs::{GROUP, MAX_USER_FILE, PASSWD};
use super::step::{Current, Done, Found};
use super::{BuildEvent, Stream};
use crate::cache::{Ingredient, Ingredients};
use crate::layer::{self, LAYER_EPOCH};
use crate::path::ImagePath;
use crate::plan::{Network, Run};
use crate::platform::Platform;
use crate::sandbox::{self, End, Identity, Outcome, Spec};
use crate::store::TreeDraft;

/// Tells programs which time to write instead of the present one; constant, so that it changes no key.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Looks a RUN up, or runs it.
pub(super) fn run(current: &Current<'_>, run: &Run, platform: &Platform) -> Result<Done, Problem> {
    let ingredients = ingredients(current, run, platform);
    let (reason, _lock) = match current.find(&ingredients)? {
        Found::Hit(done) => return Ok(*done),
        Found::Miss(reason, lock) => (reason, lock),
    };
    check_platform(current, platform)?;
    current.session.machine.check(&current.session.engine)?;
    let layer = execute(current, run)?;
    current.keep(&ingredients, Vec::new(), layer, reason)
}

fn ingredients(current: &Current<'_>, run: &Run, platform: &Platform) -> Ingredients {
    // A field that is added must be looked at here: it either decides the result or is named as one that does not.
    let Run { argv, env, arguments, proxies: _, workdir, user, network, hostname, script } = run;
    let mut ingredients = Ingredients::new("run");
    ingredients.push(Ingredient::Parent(current.rootfs.chain()));
    ingredients.push(Ingredient::Command(argv.iter().map(|word| word.clone().into_bytes()).collect()));
    let arguments: BTreeSet<&String> = arguments.iter().collect();
    let mut sorted: Vec<&(String, String)> = env.iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        let (name, value) = (name.clone(), value.clone());
        ingredients.push(match arguments.contains(&name) {
            true => Ingredient::Argument { name, value },
            false => Ingredient::Variable { name, value },
        });
    }
    ingredients.setting("the user", user.clone());
    ingredients.setting("the working folder", workdir.clone());
    ingredients.setting("the network", network_name(*network));
    if let Some(hostname) = hostname {
        ingredients.setting("the host name", hostname.clone());
    }
    ingredients.setting("the platform", platform.to_string());
    ingredients.setting("--timestamps", current.session.request.times.name());
    if let Some(script) = script {
        ingredients.push(Ingredient::Command(vec![script.name.clone().into_bytes(), script.content.clone()]));
    }
    ingredients
}

fn network_name(network: Network) -> &'static str {
    match network {
        Network::Host => "host",
        Network::None => "none",
    }
}

fn check_platform(current: &Current<'_>, platform: &Platform) -> Result<(), Problem> {
    let machine = &current.session.request.inputs.build_platform;
    if machine.distance(platform).is_none() {
        let (image, machine) = (Box::new(platform.clone()), Box::new(machine.clone()));
        return Err(Problem::Platform { image, machine });
    }
    Ok(())
}

fn execute(current: &Current<'_>, run: &Run) -> Result<layer::Layer, Problem> {
    let store = current.session.engine.store;
    let mut lowers = Vec::with_capacity(current.rootfs.layers().len());
    for index in 0..current.rootfs.layers().len() {
        current.check_interrupt()?;
        lowers.push(current.rootfs.tree(store, index)?);
    }
    let identity = identity(current, &run.user)?;
    let draft = store.tree_draft()?;
    let spec = spec(current, run, &identity, lowers, &draft);
    let outcome = command(current, &spec)?;
    match outcome.end {
        End::Code(0) => {}
        End::Code(code) => return Err(Problem::Exit { code, full: is_full(store.root()) }),
        End::Signal(signal) => {
            current.check_interrupt()?;
            return Err(Problem::Signal { signal, oom: outcome.out_of_memory });
        }
    }
    current.check_interrupt()?;
    Ok(layer::layer_from_upper(store, draft, current.rootfs.stack(store)?, current.session.request.times.of_results())?)
}

/// Whether a file system has no room left; asked while what the command wrote is still there.
fn is_full(path: &Path) -> bool {
    // Less than this is as good as nothing.
    const ROOM: u64 = 64 << 10;
    rustix::fs::statvfs(path).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < ROOM)
}

fn identity(current: &Current<'_>, user: &str) -> Result<Identity, Problem> {
    let store = current.session.engine.store;
    let read = |path| current.rootfs.read(store, path, MAX_USER_FILE);
    let passwd = read(PASSWD)?.unwrap_or_default();
    let group = read(GROUP)?.unwrap_or_default();
    Ok(sandbox::user::resolve(user, &passwd, &group)?)
}

fn spec(
    current: &Current<'_>,
    run: &Run,
    identity: &Identity,
    lowers: Vec<std::path::PathBuf>,
    draft: &TreeDraft,
) -> Spec {
    let argv = run.argv.iter().map(|word| word.clone().into_bytes()).collect();
    let mut spec = Spec::new(lowers, draft.fs(), draft.work(), argv);
    spec.network = match run.network {
        Network::Host => sandbox::Network::Host,
        Network::None => sandbox::Network::None,
    };
    spec.capabilities = sandbox::Capabilities::default_for(spec.network);
    spec.env = environment(run, identity);
    spec.cwd = ImagePath::new(&run.workdir);
    spec.user = identity.credentials.clone();
    if let Some(hostname) = &run.hostname {
        spec.hostname.clone_from(hostname);
    }
    spec.hosts = Some(sandbox::hosts_file(&spec.hostname, &[]));
    spec.resolv_conf = Some(sandbox::resolv_conf(&current.session.request.resolv_conf, spec.network));
    if let Some(script) = &run.script {
        let target = ImagePath::new(format!("/dev/pipes/{}", script.name));
        let source = sandbox::Source::Content { bytes: script.content.clone(), mode: 0o755, uid: 0, gid: 0 };
        spec.mounts.push(sandbox::Mount { target, source, access: sandbox::Access::ReadOnly });
    }
    spec
}

/// The image's variables and arguments, then proxies, HOME of the user and the fixed time, unless they are set already.
fn environment(run: &Run, identity: &Identity) -> Vec<Vec<u8>> {
    let pair = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
    let set: BTreeSet<&str> = run.env.iter().map(|(name, _)| name.as_str()).collect();
    let mut env: Vec<Vec<u8>> = run.env.iter().map(|(name, value)| pair(name, value.as_bytes())).collect();
    let proxies = run.proxies.iter().filter(|(name, _)| !set.contains(name.as_str()));
    env.extend(proxies.map(|(name, value)| pair(name, value.as_bytes())));
    if !set.contains("HOME") {
        env.push(pair("HOME", &identity.home));
    }
    if !set.contains(SOURCE_DATE_EPOCH) {
        env.push(pair(SOURCE_DATE_EPOCH, LAYER_EPOCH.to_string().as_bytes()));
    }
    env
}

fn command(current: &Current<'_>, spec: &Spec) -> Result<Outcome, Problem> {
    let engine = &current.session.engine;
    let mut output = |stream: sandbox::Stream, bytes: &[u8]| {
        let stream = match stream {
            sandbox::Stream::Stdout => Stream::Stdout,
            sandbox::Stream::Stderr => Stream::Stderr,
        };
        (engine.events)(BuildEvent::StepOutput { step: current.id, stream, bytes: bytes.to_vec() });
    };
    match engine.sandbox.run(spec, engine.interrupt.cancel(), &mut output) {
        Err(sandbox::Error::Cancelled) => Err(Problem::Interrupted),
        other => Ok(other?),
    }
}
