//! Reads the project that the command line means.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::super::environment::Environment;
use super::super::error::{Error, Result};
use super::args::{ComposeBuildArgs, ProjectArgs};
use crate::compose::{self, Files, Options, Project, Service};
use crate::reference::Reference;

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let read = |reader: &mut dyn io::Read| {
            let mut bytes = Vec::new();
            reader.take(limit + 1).read_to_end(&mut bytes)?;
            match bytes.len() as u64 > limit {
                true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))),
                false => Ok(Some(bytes)),
            }
        };
        if path == Path::new("-") {
            return read(&mut io::stdin().lock());
        }
        let mut file = match File::open(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other?,
        };
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        read(&mut file)
    }
}

/// Reads it.
pub fn read(args: &ProjectArgs, services: &[String], environment: &Environment) -> Result<Project> {
    let options = Options {
        folder: std::env::current_dir()?,
        files: args.compose_files.clone(),
        project_directory: args.project_directory.clone(),
        project_name: args.project_name.clone(),
        env_files: args.env_file.clone(),
        profiles: args.profile.clone(),
        services: services.to_vec(),
        variables: variables(environment),
    };
    Ok(compose::read(&options, &Disk)?)
}

/// The environment, without what is not text.
fn variables(environment: &Environment) -> BTreeMap<String, String> {
    environment.variables()
}

/// The names that the image of a service gets, the one that compose runs first.
pub fn names(project: &Project, service: &Service, args: &ComposeBuildArgs) -> Result<Vec<Reference>> {
    let parse = |name: String| -> Result<Reference> {
        name.parse().map_err(|error: crate::reference::ParseError| Error::Input {
            message: format!("the service `{}` cannot have its default name: {error}", service.name),
            hint: "give it an `image`".to_owned(),
        })
    };
    let mut names = match &service.image {
        Some(image) => vec![image.clone()],
        None => {
            let mut names = vec![parse(project.default_name(service))?];
            if args.compat_names {
                names.push(parse(project.compatible_name(service))?);
            }
            names
        }
    };
    for tag in service.build.iter().flat_map(|build| &build.tags) {
        if !names.contains(tag) {
            names.push(tag.clone());
        }
    }
    Ok(names)
}
