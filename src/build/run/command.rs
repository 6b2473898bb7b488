//! Looks a RUN up, or runs it.

use std::collections::BTreeSet;
use std::path::Path;

use super::devices::{self, Given};
use super::mounts::{self, Wanted};
use super::show::{self, Room};
use crate::build::CommandOptions;
use crate::build::copy::Origins;
use crate::build::error::Problem;
use crate::build::rootfs::{GROUP, MAX_USER_FILE, PASSWD};
use crate::build::step::{Current, Done, Found};
use crate::build::{BuildEvent, Stream};
use crate::cache::{Ingredient, Ingredients};
use crate::layer::{self, LAYER_EPOCH};
use crate::path::ImagePath;
use crate::plan::{Network, Run, Security, SetBy, Variable};
use crate::platform::Platform;
use crate::sandbox::{self, End, Identity, Outcome, Spec};
use crate::store::TreeDraft;

/// Tells programs which time to write instead of the present one; constant, so that it changes no key.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Looks a RUN up, or runs it.
pub(in crate::build) fn run(
    current: &Current<'_>,
    origins: &Origins<'_>,
    run: &Run,
    platform: &Platform,
) -> Result<Done, Problem> {
    let wanted = mounts::wanted(current, origins, &run.mounts)?;
    let devices = devices::given(&current.session.request.commands, &run.devices)?;
    let mut ingredients = ingredients(current, run, platform);
    devices.add_ingredients(&mut ingredients);
    mounts::add_ingredients(&wanted, current.session.request.times, &mut ingredients);
    let (reason, _lock) = match current.find(&ingredients)? {
        Found::Hit(done) => return Ok(*done),
        Found::Miss(reason, lock) => (reason, lock),
    };
    check_platform(current, platform)?;
    current.session.machine.check(&current.session.engine)?;
    let layer = execute(current, run, wanted, &devices)?;
    current.keep(&ingredients, Vec::new(), layer, reason)
}

fn ingredients(current: &Current<'_>, run: &Run, platform: &Platform) -> Ingredients {
    // A field that is added must be looked at here: it either decides the result or is named as one that does not.
    let Run { argv, env, proxies: _, workdir, user, network, security, hostname, mounts: _, devices: _, script } = run;
    let mut ingredients = Ingredients::new("run");
    ingredients.push(Ingredient::Parent(current.rootfs.chain()));
    ingredients.push(Ingredient::Command(argv.iter().map(|word| word.clone().into_bytes()).collect()));
    let mut sorted: Vec<&Variable> = env.iter().collect();
    sorted.sort_by_key(|variable| &variable.name);
    for Variable { name, value, from } in sorted {
        let (name, value) = (name.clone(), value.clone());
        ingredients.push(match from {
            SetBy::Arg => Ingredient::Argument { name, value },
            SetBy::Env => Ingredient::Variable { name, value },
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
    add_options(current, *security, &mut ingredients);
    if let Some(script) = script {
        ingredients.push(Ingredient::Command(vec![script.name.clone().into_bytes(), script.content.clone()]));
    }
    ingredients
}

/// What is not as usual. As in BuildKit, of the hosts that were added only the names count: where a test server is at the
/// moment decides nothing.
fn add_options(current: &Current<'_>, security: Security, ingredients: &mut Ingredients) {
    let CommandOptions { secrets: _, agents: _, devices: _, cdi_folders: _, hosts, shm_size, limits } =
        &current.session.request.commands;
    if security == Security::Insecure {
        ingredients.setting("--security", "insecure");
    }
    if !hosts.is_empty() {
        let names: Vec<&str> = hosts.iter().map(|(_, name)| name.as_str()).collect();
        ingredients.setting("--add-host", names.join(" "));
    }
    if let Some(size) = shm_size {
        ingredients.setting("--shm-size", size.to_string());
    }
    if !limits.is_empty() {
        let limits: Vec<String> = limits.iter().map(ToString::to_string).collect();
        ingredients.setting("--ulimit", limits.join(" "));
    }
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

fn execute(
    current: &Current<'_>,
    run: &Run,
    wanted: Vec<Wanted<'_>>,
    devices: &Given,
) -> Result<layer::Layer, Problem> {
    let store = current.session.engine.store;
    let mut lowers = current.rootfs.trees(store, &|| current.check_interrupt())?;
    let mut identity = identity(current, &run.user)?;
    let lent = devices.mounts(&identity)?;
    devices.add_groups(&mut identity);
    for name in devices.absent() {
        let text = format!("there is no device `{name}`, which `{}` can do without", current.text);
        (current.session.engine.events)(BuildEvent::Note { text });
    }
    let mut room = show::show(current, wanted)?;
    room.lend(lent, devices.env());
    lowers.extend(room.over.as_ref().map(TreeDraft::fs));
    let draft = store.tree_draft()?;
    let spec = spec(current, run, &identity, lowers, &draft, &room);
    let outcome = command(current, &spec);
    // Also after a failure: what there is in a cache was made by now.
    room.leave()?;
    let outcome = outcome?;
    match outcome.end {
        End::Code(0) => {}
        End::Code(code) => return Err(Problem::Exit { code, full: is_full(store.root()) }),
        End::Signal(signal) => {
            current.check_interrupt()?;
            return Err(Problem::Signal { signal, oom: outcome.out_of_memory });
        }
    }
    current.check_interrupt()?;
    let (stack, times) = (current.rootfs.stack(store)?, current.session.request.times.of_results());
    Ok(current.session.shared.cores.take(|| layer::layer_from_upper(store, draft, stack, times, current.form))?)
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
    room: &Room,
) -> Spec {
    let options = &current.session.request.commands;
    let argv = run.argv.iter().map(|word| word.clone().into_bytes()).collect();
    let mut spec = Spec::new(lowers, draft.fs(), draft.work(), argv);
    spec.network = match run.network {
        Network::Host => sandbox::Network::Host,
        Network::None => sandbox::Network::None,
    };
    spec.capabilities = sandbox::Capabilities::default_for(spec.network);
    if run.security == Security::Insecure {
        spec.confinement = sandbox::Confinement::Nothing;
        spec.capabilities = sandbox::Capabilities::all();
    }
    spec.env = environment(run, identity, &room.env);
    spec.shm_size = options.shm_size.unwrap_or(spec.shm_size);
    spec.limits.clone_from(&options.limits);
    spec.mounts.clone_from(&room.mounts);
    spec.cwd = ImagePath::new(&run.workdir);
    spec.user = identity.credentials.clone();
    if let Some(hostname) = &run.hostname {
        spec.hostname.clone_from(hostname);
    }
    spec.hosts = Some(sandbox::hosts_file(&spec.hostname, &options.hosts));
    spec.resolv_conf = Some(sandbox::resolv_conf(&current.session.request.resolv_conf, spec.network));
    if let Some(script) = &run.script {
        let target = ImagePath::new(format!("/dev/pipes/{}", script.name));
        let source = sandbox::Source::Content { bytes: script.content.clone(), mode: 0o755, uid: 0, gid: 0 };
        spec.mounts.push(sandbox::Mount { target, source, access: sandbox::Access::ReadOnly });
    }
    spec
}

/// The image's variables and arguments, then proxies, HOME of the user and the fixed time, unless they are set already;
/// what mounts set comes last, and stands in the place of what was set before.
fn environment(run: &Run, identity: &Identity, mounted: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let pair = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
    let is_mounted = |name: &str| mounted.iter().any(|(own, _)| own == name);
    let set: BTreeSet<&str> = run.env.iter().map(|variable| variable.name.as_str()).collect();
    let pairs = run.env.iter().map(|variable| (variable.name.as_str(), variable.value.as_bytes().to_vec()));
    let mut pairs: Vec<(&str, Vec<u8>)> = pairs.collect();
    let proxies = run.proxies.iter().filter(|(name, _)| !set.contains(name.as_str()));
    pairs.extend(proxies.map(|(name, value)| (name.as_str(), value.as_bytes().to_vec())));
    let time = LAYER_EPOCH.to_string().into_bytes();
    let usual = [("HOME", identity.home.clone()), (SOURCE_DATE_EPOCH, time)];
    pairs.extend(usual.into_iter().filter(|(name, _)| !set.contains(name)));
    pairs.retain(|(name, _)| !is_mounted(name));
    let mounted = mounted.iter().map(|(name, value)| (name.as_str(), value.clone()));
    pairs.into_iter().chain(mounted).map(|(name, value)| pair(name, &value)).collect()
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
