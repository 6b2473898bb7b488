//! The flags for RUN: secrets, agents, hosts, limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::BuildArgs;
use super::environment::Environment;
use super::error::{Error, Result};
use super::near;
use crate::build::{Agent, CommandOptions, Secret};
use crate::cdi::Grants;
use crate::dockerfile::parse_size;
use crate::fetch::{self, Credentials, Fetcher};
use crate::fsx;
use crate::plan::Insecure;
use crate::sandbox::{self, Limit};
use crate::ssh::{self, Key, Keys};

/// No secret is longer, in bytes; BuildKit's limit.
pub(super) const MAX_SECRET: u64 = 500 * 1024;

/// No file of a key is longer, in bytes; BuildKit's limit.
const MAX_KEY: u64 = 100 * 1024;

/// Where BuildKit looks for CDI files, the specification's two folders first.
const CDI_FOLDERS: [&str; 3] = ["/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"];

/// How keys are given.
const SSH_FORM: &str = "write `--ssh default` for the running agent, `--ssh ID=SOCKET` or `--ssh ID=KEYFILE[,KEYFILE]`";

/// How a secret is given.
const SECRET_FORM: &str = "write `--secret id=ID,src=FILE` or `--secret id=ID,env=VARIABLE`";

/// What commands are given.
pub(super) fn options(args: &BuildArgs, environment: &Environment) -> Result<CommandOptions> {
    let mut options = CommandOptions::default();
    for given in &args.secret {
        let (id, secret) = secret(given, environment)?;
        options.secrets.insert(id, secret);
    }
    for given in &args.ssh {
        let (id, agent) = agent(given, environment)?;
        options.agents.insert(id, agent);
    }
    options.hosts = args.add_host.iter().map(|given| host(given)).collect::<Result<_>>()?;
    options.devices = entitlements(&args.allow)?.1;
    options.cdi_folders = cdi_folders(&args.cdi_spec_dir)?;
    options.shm_size = args.shm_size.as_deref().map(shm_size).transpose()?;
    options.limits = args.ulimit.iter().map(|given| limit(given)).collect::<Result<_>>()?;
    Ok(options)
}

/// Who fetches, with the secrets that are for servers.
pub(super) fn fetcher(args: &BuildArgs, environment: &Environment) -> Result<Fetcher> {
    let credentials = credentials(args, environment)?;
    Ok(Fetcher::new(fetch::Options { credentials, ..environment.fetch_options() }))
}

fn credentials(args: &BuildArgs, environment: &Environment) -> Result<Credentials> {
    let mut credentials = Credentials::default();
    for given in &args.secret {
        let (id, secret) = secret(given, environment)?;
        if Credentials::is_one(&id) {
            let bytes = match secret {
                Secret::Value(bytes) => bytes,
                Secret::File(path) => fsx::read_at_most(&path, MAX_SECRET)?,
            };
            let added = credentials.add(&id, &bytes);
            added.map_err(|error| Error::Input { message: error.to_string(), hint: String::new() })?;
        }
    }
    Ok(credentials)
}

/// Whether `--allow` allows `RUN --security=insecure`. The host's network needs no permission here.
pub(super) fn insecure(allow: &[String]) -> Result<Insecure> {
    Ok(entitlements(allow)?.0)
}

/// What `--allow` allows.
pub(super) fn entitlements(allow: &[String]) -> Result<(Insecure, Grants)> {
    let (mut insecure, mut devices) = (Insecure::Refused, Grants::default());
    for entitlement in allow {
        match entitlement.split_once('=').unwrap_or((entitlement, "")) {
            ("network.host", "") => {}
            ("security.insecure", "") => insecure = Insecure::Allowed,
            ("device", "") => devices.add_all(),
            ("device", given) => device(given, &mut devices)?,
            _ => {
                let hint = "it may be `network.host`, `security.insecure`, `device` or `device=NAME`";
                return Err(Error::usage(format!("`--allow` knows nothing called `{entitlement}`"), hint));
            }
        }
    }
    Ok((insecure, devices))
}

/// `NAME[,alias=NAME]`.
fn device(given: &str, devices: &mut Grants) -> Result<()> {
    let wrong = |what: String| Error::usage(what, "write `--allow device=NAME` or `--allow device=NAME,alias=NAME`");
    let mut fields = fields(given).into_iter();
    let name = fields.next().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| wrong(format!("the device in `--allow device={given}` has no name")))?;
    let mut alias = None;
    for field in fields {
        match field.split_once('=') {
            Some(("alias", value)) if !value.is_empty() => alias = Some(value.to_owned()),
            _ => return Err(wrong(format!("`{field}` is no option of `--allow device`"))),
        }
    }
    match alias {
        Some(alias) => devices.add_alias(alias, name),
        None => devices.add(name),
    }
    Ok(())
}

/// The folders with CDI files; those that are named must be there.
fn cdi_folders(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if given.is_empty() {
        return Ok(CDI_FOLDERS.map(PathBuf::from).to_vec());
    }
    if let Some(folder) = given.iter().find(|folder| !folder.is_dir()) {
        let message = format!("there is no folder `{}` with CDI files", folder.display());
        let near = near::folder(folder).map(|near| format!("did you mean `--cdi-spec-dir {near}`?"));
        return Err(Error::Input { message, hint: near.unwrap_or_default() });
    }
    Ok(given.to_vec())
}

fn secret(given: &str, environment: &Environment) -> Result<(String, Secret)> {
    let mut options: BTreeMap<&str, String> = BTreeMap::new();
    for field in fields(given) {
        let (key, value) = field.split_once('=').ok_or_else(|| {
            Error::usage(format!("`--secret` has the option `{field}`, which has no value"), SECRET_FORM)
        })?;
        let key = match key.to_ascii_lowercase().as_str() {
            "type" if value == "file" || value == "env" => "type",
            "type" => {
                let message = format!("`{value}` is not a type of secret");
                return Err(Error::usage(message, "it may be `file` or `env`"));
            }
            "id" => "id",
            "src" | "source" => "src",
            "env" => "env",
            other => return Err(Error::usage(format!("`--secret` has no option `{other}`"), SECRET_FORM)),
        };
        options.insert(key, value.to_owned());
    }
    let take = |key: &str| options.get(key).filter(|value| !value.is_empty()).cloned();
    let id = take("id").ok_or_else(|| Error::usage("a secret has no id", SECRET_FORM))?;
    let is_env = take("type").is_some_and(|kind| kind == "env");
    let (mut env, mut src) = (take("env"), take("src"));
    if is_env && env.is_none() {
        env = src.take();
    }
    if env.is_none() && src.is_none() {
        // As docker does: a variable of that name, else a file.
        match environment.bytes(&id) {
            Some(_) => env = Some(id.clone()),
            None => src = Some(id.clone()),
        }
    }
    if let Some(path) = &src {
        check_secret_file(&id, path)?;
    }
    match (env, src) {
        (Some(name), _) => Ok((id, Secret::Value(environment.bytes(&name).unwrap_or_default()))),
        (None, path) => Ok((id, Secret::File(path.map(PathBuf::from).unwrap_or_default()))),
    }
}

/// Fails if a secret cannot be read.
pub(super) fn check_secret_file(id: &str, path: &str) -> Result<()> {
    let input = |message: String| Error::Input { message, hint: SECRET_FORM.to_owned() };
    let found = std::fs::metadata(path);
    let found = found.map_err(|error| input(format!("cannot read the secret `{id}` from `{path}`: {error}")))?;
    if found.is_dir() {
        return Err(input(format!("the secret `{id}` is the folder `{path}`, not a file")));
    }
    if found.len() > MAX_SECRET {
        return Err(input(format!("the secret `{id}` is longer than {MAX_SECRET} bytes")));
    }
    Ok(())
}

/// The fields of a value with commas; a field in double quotes may hold commas.
fn fields(given: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = given.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is one from the start");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

/// The agent of one `--ssh`.
pub(super) fn agent(given: &str, environment: &Environment) -> Result<(String, Agent)> {
    let (id, paths) = given.split_once('=').map_or((given, ""), |(id, paths)| (id, paths));
    if id.is_empty() {
        return Err(Error::usage("an ssh agent has no id", SSH_FORM));
    }
    if paths.is_empty() {
        let socket = environment.variable("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
        let socket = socket.map(PathBuf::from).ok_or_else(|| Error::Input {
            message: format!("there is no ssh agent for `--ssh {given}`: SSH_AUTH_SOCK is not set"),
            hint: "start one with `eval $(ssh-agent)` and `ssh-add`, or name a key: `--ssh ID=KEYFILE`".to_owned(),
        })?;
        check_socket(&socket)?;
        return Ok((id.to_owned(), Agent::Socket(socket)));
    }
    let paths: Vec<&Path> = paths.split(',').map(Path::new).collect();
    if let [path] = paths[..]
        && std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
    {
        return Ok((id.to_owned(), Agent::Socket(path.to_path_buf())));
    }
    let keys = paths.into_iter().map(key).collect::<Result<Vec<Key>>>()?;
    Ok((id.to_owned(), Agent::Keys(Arc::new(Keys::new(keys)))))
}

fn key(path: &Path) -> Result<Key> {
    let shown = path.display();
    let bytes = fsx::read_at_most(path, MAX_KEY).map_err(|error| Error::Input {
        message: format!("cannot read the ssh key: {error}"),
        hint: SSH_FORM.to_owned(),
    })?;
    Key::parse(&bytes).map_err(|error| Error::Input {
        message: format!("cannot use `{shown}` as an ssh key: {error}"),
        hint: match error {
            ssh::Error::Protected => {
                format!(
                    "add it to an agent, `eval $(ssh-agent) && ssh-add {shown}`, and pass that with `--ssh default`"
                )
            }
            ssh::Error::Unsupported { .. } => {
                format!("`ssh-keygen -p -f {shown}` writes old forms anew; an agent, `--ssh default`, takes every key")
            }
            ssh::Error::NoKey | ssh::Error::Damaged => SSH_FORM.to_owned(),
        },
    })
}

fn check_socket(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err(Error::Input {
            message: format!("`{}`, which SSH_AUTH_SOCK names, is not the socket of an ssh agent", path.display()),
            hint: SSH_FORM.to_owned(),
        }),
        Err(error) => Err(Error::Input {
            message: format!("cannot find the ssh agent's socket `{}`: {error}", path.display()),
            hint: String::new(),
        }),
    }
}

/// A line of `/etc/hosts`: `name:address` or `name=address`, an IPv6 address perhaps in brackets.
fn host(given: &str) -> Result<(IpAddr, String)> {
    let wrong = || {
        let message = format!("`{given}` is not a host with its address");
        Error::usage(message, "write for example `--add-host my.host:10.0.0.1`")
    };
    let (name, address) = given.split_once('=').or_else(|| given.split_once(':')).ok_or_else(wrong)?;
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains(char::is_control) {
        return Err(wrong());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        // Steps are on the host's network.
        "host-gateway" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.parse().map_err(|_not_an_address: std::net::AddrParseError| wrong())?,
    };
    Ok((address, name.to_owned()))
}

/// One `--ulimit`.
pub(super) fn limit(given: &str) -> Result<Limit> {
    let hint = "write for example `--ulimit nofile=1024:4096`";
    given.parse().map_err(|error: sandbox::Error| Error::usage(error.to_string(), hint))
}

fn shm_size(given: &str) -> Result<u64> {
    let size = parse_size(given).filter(|size| *size > 0);
    size.ok_or_else(|| Error::usage(format!("`{given}` is not a size"), "write for example `--shm-size 128m`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_may_hold_commas() {
        assert_eq!(fields("id=a,src=b"), ["id=a", "src=b"]);
        assert_eq!(fields("id=a,\"src=b,c\"\"d\",x"), ["id=a", "src=b,c\"d", "x"]);
        assert_eq!(fields("a\"b,c"), ["a\"b", "c"]);
        assert_eq!(fields(""), [""]);
    }

    #[test]
    fn a_host_has_a_name_and_an_address() {
        let shown =
            |given: &str| host(given).map(|(address, name)| format!("{address} {name}")).map_err(|e| e.to_string());
        assert_eq!(shown("a:10.0.0.1").as_deref(), Ok("10.0.0.1 a"));
        assert_eq!(shown("a=::1").as_deref(), Ok("::1 a"));
        assert_eq!(shown("a:[::1]").as_deref(), Ok("::1 a"));
        assert_eq!(shown("a:host-gateway").as_deref(), Ok("127.0.0.1 a"));
        for wrong in ["a", "a:", ":10.0.0.1", "a:b", "a b:10.0.0.1", "a\nb:10.0.0.1"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_entitlements_are_checked() {
        assert_eq!(shm_size("16m").ok(), Some(16 << 20));
        assert!(shm_size("0").is_err() && shm_size("much").is_err());
        assert_eq!(insecure(&["network.host".to_owned()]).ok(), Some(Insecure::Refused));
        assert_eq!(insecure(&["security.insecure".to_owned()]).ok(), Some(Insecure::Allowed));
        assert!(insecure(&["everything".to_owned()]).is_err());
        let devices = |given: &str| entitlements(&[given.to_owned()]).map(|(_, devices)| devices).ok();
        let (mut all, mut one, mut alias) = (Grants::default(), Grants::default(), Grants::default());
        all.add_all();
        one.add("v.com/c=d".to_owned());
        alias.add_alias("gpu".to_owned(), "v.com/c=d".to_owned());
        assert_eq!([devices("device"), devices("device=v.com/c=d")], [Some(all), Some(one)]);
        assert_eq!(devices("device=v.com/c=d,alias=gpu"), Some(alias));
        for wrong in ["device=,alias=x", "device=a,b", "device=a,alias=", "device=a,alais=b", "devices"] {
            assert_eq!(devices(wrong), None, "{wrong}");
        }
    }
}
