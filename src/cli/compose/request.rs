//! Turns services into requests: each is the command line that builds it, and what a command line cannot say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::super::args::{BuildArgs, Command, CommandLine};
use super::super::commands::agent;
use super::super::contexts::{Text, Tools};
use super::super::environment::Environment;
use super::super::error::{Error, InPart, Part, Result};
use super::super::{build_args, inputs, usage};
use super::args::ComposeBuildArgs;
use super::chosen::Chosen;
use super::{parts, secrets};
use crate::build::{self, Class, NamedRequest, Request};
use crate::compose::{self, Build, Dockerfile, NamedContext, Project, Report};
use crate::dockerfile::Diagnostic;
use crate::layer::Compression;
use crate::plan::{self, SecretFile, context_name};
use crate::reference::Reference;

/// The flag of stages that leave the cache alone, in messages.
const FILTER: &str = "`--no-cache-filter`";

/// What requests are made of.
pub struct Making<'a> {
    pub project: &'a Project,
    pub chosen: &'a [Chosen<'a>],
    pub args: &'a ComposeBuildArgs,
    pub environment: &'a Environment,
    pub tools: Tools<'a>,
    /// Host files that are left out of contexts.
    pub outputs: Vec<PathBuf>,
    /// How the images' layers are compressed when they leave the store.
    pub leaving: Option<Compression>,
}

/// Why a service cannot be built.
enum Refused {
    /// Something in its compose file is wrong.
    Reports(Vec<Report>),
    /// Something else.
    Error(Error),
}

impl Making<'_> {
    /// The requests of the services that are built, in their order. Reports everything that is wrong with any of them.
    pub fn requests(&self) -> Result<Vec<NamedRequest>> {
        let (mut requests, mut reports, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        // What the command line says is no mistake of any service.
        self.args.ssh.iter().try_for_each(|given| agent(given, self.environment).map(drop))?;
        for service in self.chosen {
            let Some(build) = &service.service.build else { continue };
            let name = &service.service.name;
            match self.request(name, build) {
                Ok(request) => requests.push(request),
                Err(Refused::Reports(found)) => reports.extend(found),
                Err(Refused::Error(Error::Build(error))) if error.class() != Class::Interrupted => {
                    failed.push((name.clone(), error));
                }
                Err(Refused::Error(error)) => return Err(error),
            }
        }
        match (reports.is_empty(), failed.is_empty()) {
            (true, true) => Ok(requests),
            (true, false) => Err(Error::Services { failed, built: Vec::new() }),
            (false, _) => Err(compose::Error::Invalid(reports).into()),
        }
    }

    fn request(&self, name: &str, build: &Build) -> std::result::Result<NamedRequest, Refused> {
        let wrong = parts::check(self.project, name, build, self.environment);
        if !wrong.is_empty() {
            return Err(Refused::Reports(wrong));
        }
        let refused = |wrong: InPart| refused(self.project, build, name, wrong);
        let flags = flags(self.project, build, self.args).map_err(|error| refused(error.into()))?;
        let inline = match &build.dockerfile {
            Dockerfile::Default | Dockerfile::File(_) => None,
            Dockerfile::Inline(text) => {
                let name = format!("{name}: dockerfile_inline");
                Some(Text { name, bytes: text.clone().into_bytes(), path: None })
            }
        };
        let is_inline = inline.is_some();
        let request = inputs::request_for(&flags, self.environment, self.tools, self.outputs.clone(), inline);
        let mut request = request.map_err(refused)?;
        // What they tell is told with the build.
        let told = build_args::warnings(&request.inputs.build_args, self.args.push);
        told.map_err(|error| refused(Part::BuildArgs.is_wrong(error)))?;
        if !is_inline {
            // Most services have a `Dockerfile`: messages say which.
            request.dockerfile_name = self.shown(&request);
        }
        for secret in &build.secrets {
            let file = SecretFile { uid: secret.uid, gid: secret.gid, mode: secret.mode };
            request.inputs.secret_files.insert(secret.id.clone(), file);
            request.commands.secrets.insert(secret.id.clone(), secrets::value(self.project, secret));
        }
        request.leaving = self.leaving;
        let images = self.images(build, &mut request).map_err(|error| refused(error.into()))?;
        Ok(NamedRequest { name: name.to_owned(), request, images })
    }

    /// Puts the images of other services in the place of contexts.
    fn images(&self, build: &Build, request: &mut Request) -> Result<BTreeMap<Reference, String>> {
        let mut images = BTreeMap::new();
        for (key, context) in &build.additional_contexts {
            let Some(other) = context.service() else { continue };
            let reference = self.chosen.iter().find(|chosen| chosen.service.name == other);
            let Some(reference) = reference.and_then(|other| other.names.first()) else { continue };
            let key = context_name(key)
                .ok_or_else(|| Error::usage(format!("`{key}` cannot be the name of a context"), ""))?;
            request.inputs.named_contexts.insert(key, plan::NamedContext::Image(reference.clone()));
            images.insert(reference.clone(), other.to_owned());
        }
        Ok(images)
    }

    /// The Dockerfile's path from the project's folder, if it is in there.
    fn shown(&self, request: &Request) -> String {
        let Some(path) = &request.dockerfile_path else { return request.dockerfile_name.clone() };
        let folder = self.project.folder.canonicalize();
        let below = folder.as_ref().ok().and_then(|folder| path.strip_prefix(folder).ok());
        below.unwrap_or(path).display().to_string()
    }
}

/// A stage that the service names and that is none is reported there.
pub fn placed(project: &Project, service: &Chosen<'_>, error: build::Error) -> build::Error {
    let (Some(build), build::Error::Dockerfile { file, problems }) = (&service.service.build, &error) else {
        return error;
    };
    let (service, dockerfile) = (&service.service.name, file.name());
    let stage = |name: &str| format!("the service `{service}`: `{name}` is no stage of `{dockerfile}`");
    let told = |problem: &Diagnostic| match problem.code {
        "unknown-target" => Some(("target", stage(build.target.as_deref()?), problem.clone())),
        "unknown-stage" if problem.message.contains(FILTER) => {
            let name = build.no_cache_filter.iter().find(|name| problem.message.contains(&format!("`{name}`")))?;
            Some(("no_cache_filter", stage(name), problem.clone()))
        }
        _ => None,
    };
    let Some((key, message, unknown)) = problems.iter().find_map(told) else { return error };
    let place = build.place(key);
    let mut problem = Diagnostic::error(unknown.code, place.span, message);
    for help in &unknown.help {
        problem = problem.with_help(help.message.clone());
    }
    let compose::Report { file, problems } = project.report(place, problem);
    build::Error::Dockerfile { file, problems }
}

/// What is left to be wrong once every part was looked at.
fn refused(project: &Project, build: &Build, service: &str, wrong: InPart) -> Refused {
    let key = match wrong.part {
        Part::Dockerfile => "dockerfile",
        Part::BuildArgs => "args",
        Part::Context => "context",
    };
    match parts::report(project, build, service, key, wrong.error) {
        Ok(report) => Refused::Reports(vec![report]),
        Err(error) => Refused::Error(error),
    }
}

/// The flags of `rbuild build` that say the same.
fn flags(project: &Project, build: &Build, args: &ComposeBuildArgs) -> Result<BuildArgs> {
    let mut line = vec!["rbuild".to_owned(), "build".to_owned()];
    let mut flag = |name: &str, value: &str| line.push(format!("--{name}={value}"));
    for (name, value) in all_args(project, build, args) {
        flag("build-arg", &format!("{name}={value}"));
    }
    for (name, value) in &build.labels {
        flag("label", &format!("{name}={value}"));
    }
    for (name, context) in &build.additional_contexts {
        if let NamedContext::Value(value) = context {
            flag("build-context", &format!("{name}={value}"));
        }
    }
    let texts = [
        ("target", build.target.clone()),
        ("platform", build.platform.as_ref().map(ToString::to_string)),
        ("network", build.network.clone()),
        ("shm-size", build.shm_size.map(|size| size.to_string())),
        ("file", dockerfile(build)),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            flag(name, &value);
        }
    }
    let agents: Vec<String> = build.ssh.iter().chain(&args.ssh).cloned().collect();
    let lists = [
        ("add-host", &build.extra_hosts),
        ("ulimit", &build.ulimits),
        ("no-cache-filter", &build.no_cache_filter),
        ("cache-from", &build.cache_from),
        ("cache-to", &build.cache_to),
        ("allow", &build.entitlements),
        ("ssh", &agents),
    ];
    for (name, values) in lists {
        for value in values {
            flag(name, value);
        }
    }
    if build.no_cache || args.no_cache {
        line.push("--no-cache".to_owned());
    }
    if build.pull || args.pull {
        line.push("--pull".to_owned());
    }
    line.extend(["--".to_owned(), build.context.clone()]);
    match CommandLine::try_parse_from(line).map(|line| line.command) {
        Ok(Some(Command::Build(args))) => Ok(*args),
        Ok(_) => Err(Error::usage("a service cannot be built", "")),
        Err(error) => Err(usage::error_of(&error).unwrap_or_else(|| Error::usage(error.to_string(), ""))),
    }
}

/// Those of the file, and over them those of the command line.
fn all_args(project: &Project, build: &Build, args: &ComposeBuildArgs) -> BTreeMap<String, String> {
    let mut all = build.args.clone();
    for given in &args.build_arg {
        match given.split_once('=') {
            Some((name, value)) => all.insert(name.to_owned(), value.to_owned()),
            None => project.variable(given).and_then(|value| all.insert(given.clone(), value.to_owned())),
        };
    }
    all
}

/// A path in a folder, or in a context from elsewhere.
fn dockerfile(build: &Build) -> Option<String> {
    let Dockerfile::File(file) = &build.dockerfile else { return None };
    match build.context.starts_with('/') {
        true => Some(Path::new(&build.context).join(file).display().to_string()),
        false => Some(file.clone()),
    }
}
