//! The flags of `rbuild compose`.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::progress::Choice;

/// `rbuild compose`.
#[derive(Debug, Clone, Args)]
pub struct ComposeArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// What to do with it.
    #[command(subcommand)]
    pub command: ComposeCommand,
}

impl ComposeArgs {
    /// How to show what happens, and whether to show it.
    pub fn progress(&self) -> (Choice, bool) {
        let ComposeCommand::Build(args) = &self.command;
        (args.progress, args.quiet)
    }
}

/// What to do with a project.
#[derive(Debug, Clone, Subcommand)]
pub enum ComposeCommand {
    /// Build the images of a project's services.
    Build(Box<ComposeBuildArgs>),
}

/// The flags that say which project is meant: those of `docker compose`, with the same meaning.
#[derive(Debug, Clone, Args)]
pub struct ProjectArgs {
    /// A compose file [default: compose.yaml and its override file, here or in a folder above]; repeatable; `-` is standard input.
    #[arg(short = 'f', long = "file", global = true, value_name = "FILE")]
    pub compose_files: Vec<PathBuf>,
    /// The project's name [default: that of its files, or of its folder].
    #[arg(short, long, global = true, value_name = "NAME")]
    pub project_name: Option<String>,
    /// The folder that relative paths begin in [default: that of the first file].
    #[arg(long, global = true, value_name = "DIR")]
    pub project_directory: Option<PathBuf>,
    /// A file with variables [default: .env]; repeatable.
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// A profile to activate; repeatable.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Vec<String>,
}

/// The flags of `rbuild compose build`.
#[derive(Debug, Clone, Args)]
pub struct ComposeBuildArgs {
    /// The services to build [default: all that are active].
    pub services: Vec<String>,
    /// Build the services that these depend on, too.
    #[arg(long)]
    pub with_dependencies: bool,
    /// Set a build argument of every service; without a value it is taken from the environment.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Do not use results of earlier builds.
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for base images even if they are stored.
    #[arg(long)]
    pub pull: bool,
    /// Push the images of services that have `image`.
    #[arg(long)]
    pub push: bool,
    /// Load the images into the running Docker.
    #[arg(long)]
    pub load: bool,
    /// An ssh agent for every service: `default`, `ID` or `ID=SOCKET`; repeatable.
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
    /// Where the images go: FILE.tar, one archive of all; `DIR/`, an archive for each service; or, with attributes as
    /// those of `rbuild build -o`, type=docker|oci,dest=FILE|DIR/, type=image, type=registry, type=cacheonly, and
    /// compression=gzip|zstd|uncompressed, compression-level=N, force-compression=true; repeatable.
    #[arg(short, long, value_name = "FILE.tar|DIR/|type=TYPE[,…]")]
    pub output: Vec<String>,
    /// Bring the images of services that are not built, too.
    #[arg(long)]
    pub pull_images: bool,
    /// Give images without `image` also the names that docker-compose 1 looks for, with `_`.
    #[arg(long)]
    pub compat_names: bool,
    /// Look at the Dockerfiles of the services, tell their warnings, and build nothing.
    #[arg(long)]
    pub check: bool,
    /// Print what would be built, as JSON, and build nothing.
    #[arg(long)]
    pub print: bool,
    /// The most stages that are worked on at the same time [default: all of them].
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// When gc runs by itself after a build: `off`, or `size=SIZE,free=SIZE`, as with `rbuild build`.
    #[arg(long, env = "RBUILD_GC", value_name = "LIMITS")]
    pub gc: Option<String>,
    /// Print nothing but the image ids.
    #[arg(short, long)]
    pub quiet: bool,
    /// How to show what happens.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub progress: Choice,
}
