//! Reads the project that the command line means.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::super::environment::Environment;
use super::super::error::Result;
use super::args::ProjectArgs;
use crate::compose::{self, Files, Options, Project};

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
        variables: environment.variables(),
    };
    Ok(compose::read(&options, &Disk)?)
}
