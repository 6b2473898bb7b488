//! The command line.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::compose::ComposeArgs;
use super::progress::Choice;

/// Builds OCI images from Dockerfiles, natively: no daemon, no BuildKit, no runc.
#[derive(Debug, Parser)]
#[command(
    name = "rbuild",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    override_usage = "rbuild [build] [OPTIONS] PATH\n       rbuild <COMMAND>",
    after_help = "Exit status: 0 built; 1 the Dockerfile or context is wrong; 2 the command line is wrong; 3 a registry \
                  failed; 4 the store failed; 5 the output could not be written; 6 this machine cannot run steps; \
                  a failed RUN gives its own status; 130 interrupted."
)]
pub struct CommandLine {
    /// What to do; without a command, build.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of a build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Where images, layers and the cache are kept.
    #[arg(long, global = true, value_name = "DIR", env = "RBUILD_STORE")]
    pub store: Option<PathBuf>,
}

/// Everything but a plain build.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile.
    Build(Box<BuildArgs>),
    /// Work with the services of a compose file.
    Compose(Box<ComposeArgs>),
    /// List the images in the store.
    Images,
    /// Show an image's config, layers and history as JSON.
    Inspect {
        /// A name, or the start of an image id.
        name: String,
    },
    /// Write an image from the store to an archive.
    Save {
        /// A name, or the start of an image id.
        name: String,
        /// The file to write; `-` is standard output.
        #[arg(short, long, value_name = "FILE")]
        output: String,
    },
    /// Remove names, and images that have none left.
    Rm {
        /// Names, or starts of image ids.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Remove what no image and no running build uses.
    Prune {
        /// Also remove the build cache and pulled base images that no image stands on.
        #[arg(short, long)]
        all: bool,
    },
    /// Show how much room the store takes, by kind.
    Du,
}

/// The flags of a build: those of `docker buildx build`, with the same meaning.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// The folder that COPY copies from; or `-` for an archive or a Dockerfile on standard input, a URL, a git repository.
    pub path: Option<String>,
    /// Name of the image, `name[:tag]`; repeatable.
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// The Dockerfile [default: PATH/Dockerfile]; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Set a build argument; without a value it is taken from the environment.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Build this stage instead of the last one.
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Files or an image in the place of a stage or image: a folder, a URL, `docker-image://NAME`, `oci-layout://FOLDER[:TAG]`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Set a label on the image.
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The platform of the image; only this machine's can be built for now.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// Do not use results of earlier builds.
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for base images even if they are stored.
    #[arg(long)]
    pub pull: bool,
    /// The network that RUN sees.
    #[arg(long, value_name = "default|host|none", default_value = "default")]
    pub network: String,
    /// A secret for `RUN --mount=type=secret`: `id=ID,src=FILE` or `id=ID,env=VARIABLE`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// An ssh agent for `RUN --mount=type=ssh`: `default`, `ID` or `ID=SOCKET`; repeatable.
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
    /// A line of `/etc/hosts` that RUN sees: `NAME:ADDRESS`; repeatable.
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// The size of `/dev/shm` in RUN, such as `64m`.
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// A limit for RUN, such as `nofile=1024:4096`; repeatable.
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Allow what is refused otherwise: `security.insecure`; repeatable.
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// The most stages that are worked on at the same time [default: all of them].
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Print nothing but the image id.
    #[arg(short, long)]
    pub quiet: bool,
    /// How to show what happens.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub progress: Choice,
    /// Write the image id to this file.
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write digests and names to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Where the image goes: `type=docker,dest=FILE`, `type=oci,dest=FILE[,tar=false]`, `type=image`, `type=cacheonly`, or FILE.tar.
    #[arg(short, long, value_name = "SPEC")]
    pub output: Vec<String>,
    /// Push the image to its registry.
    #[arg(long)]
    pub push: bool,
    /// Load the image into the running Docker.
    #[arg(long)]
    pub load: bool,
    /// Times in the layers: one fixed time, or those of the files.
    #[arg(long, value_enum, default_value_t = TimestampsArg::Fixed)]
    pub timestamps: TimestampsArg,
    /// Read every context file again, even if it looks unchanged.
    #[arg(long)]
    pub no_stat_cache: bool,
}

/// `--timestamps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimestampsArg {
    /// 1980-01-01 at the latest: the same inputs give the same digest.
    Fixed,
    /// The files' own times, as Docker has them.
    Preserve,
}
