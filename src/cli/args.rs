//! The command line.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::compose::ComposeArgs;
use super::progress::Choice;
use super::verify::HalfArgs;

/// Builds OCI images from Dockerfiles, natively: no daemon, no BuildKit, no runc.
#[derive(Debug, Parser)]
#[command(
    name = "rbuild",
    version,
    args_conflicts_with_subcommands = true,
    // Of an option with one value the last counts, as with docker.
    args_override_self = true,
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
    /// Show the stages and steps of a build and what each takes from elsewhere; nothing is run or pulled.
    Plan {
        /// The flags of the build.
        #[command(flatten)]
        build: Box<BuildArgs>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say which steps of a build would run now, and why, without running them.
    Why {
        /// The flags of the build.
        #[command(flatten)]
        build: Box<BuildArgs>,
        /// As JSON, with the keys.
        #[arg(long)]
        json: bool,
    },
    /// Say what differs between two images: config, layers, files.
    #[command(
        after_help = "Exit status: 0 they are the same; 1 they differ; 2 there is no such image, or what is given holds none; 3 a \
                      registry failed; 4 the store failed; 5 the answer could not be written."
    )]
    Diff {
        /// A name or the start of an id in the store, an archive, or a folder with an OCI layout.
        left: String,
        /// The other one.
        right: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Build twice from cold, under different conditions, and name every file that differs.
    #[command(
        after_help = "Exit status: 0 both builds made the same image; 1 they differ; that of the build if one fails, as \
                      `rbuild --help` lists them, which is 1 too where the Dockerfile or context is wrong; 130 interrupted."
    )]
    Verify {
        /// The flags of the build.
        #[command(flatten)]
        build: Box<BuildArgs>,
        /// What the process of one of the two is told.
        #[command(flatten)]
        half: HalfArgs,
    },
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
    Prune(PruneArgs),
    /// Show how much room the store takes, by kind.
    Du {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Verify everything in the store, and remove what is damaged: the next build makes it again.
    #[command(
        after_help = "Exit status: 0 nothing is damaged; 1 what was damaged is removed; 4 something damaged is still there."
    )]
    Fsck {
        /// Remove nothing.
        #[arg(long, visible_alias = "no-repair")]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what this machine lacks for building images, and what to do about it.
    #[command(after_help = "Exit status: 0 steps can run; 1 they cannot.")]
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What is removed.
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Also remove the build cache, the folders of cache mounts, and pulled base images that no image stands on.
    #[arg(short, long)]
    pub all: bool,
    /// Remove what was not used for so long, the cache too: `30m`, `24h`, `7d`, `2w`.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// As Docker has it: `until=AGE` is `--older-than AGE`.
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Remove what was used longest ago, the cache too, until the store takes no more than this: `10GB`.
    #[arg(long, value_name = "SIZE", visible_alias = "keep-storage")]
    pub keep_bytes: Option<String>,
}

/// The flags of a build: those of `docker buildx build`, with the same meaning.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// The folder that COPY copies from; or `-` for an archive or a Dockerfile on standard input, a URL, a git repository.
    pub path: Option<String>,
    /// Name of the image, `name[:tag]`; repeatable.
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// The Dockerfile [default: PATH/Dockerfile]; `-` is standard input; or a URL.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// The ignore file [default: the Dockerfile's, such as Dockerfile.dockerignore, or PATH/.containerignore, or
    /// PATH/.dockerignore].
    #[arg(long, value_name = "FILE")]
    pub ignorefile: Option<PathBuf>,
    /// Set a build argument; without a value it is taken from the environment.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Set the build arguments that a file has, one `NAME=VALUE` a line; `--build-arg` counts more; repeatable.
    #[arg(long, value_name = "FILE")]
    pub build_arg_file: Vec<PathBuf>,
    /// Build this stage instead of the last one.
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Files or an image in the place of a stage or image: a folder, a URL, `docker-image://NAME`, `oci-layout://FOLDER[:TAG]`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Set a label on the image.
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The platform of the image; a RUN needs this machine's.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// Do not use results of earlier builds.
    #[arg(long)]
    pub no_cache: bool,
    /// Do not use results of earlier builds in these stages: names with commas between them; repeatable.
    #[arg(long, value_name = "STAGE,…")]
    pub no_cache_filter: Vec<String>,
    /// Also use the cache in an image or a folder: `IMAGE` or `type=local,src=DIR`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub cache_from: Vec<String>,
    /// Write the build's cache into the image or a folder: `type=inline` or `type=local,dest=DIR[,mode=min|max]`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub cache_to: Vec<String>,
    /// Tell everything in which a step that runs differs from the last build.
    #[arg(long)]
    pub explain: bool,
    /// Ask the registry for base images even if they are stored.
    #[arg(long)]
    pub pull: bool,
    /// The network that RUN sees.
    #[arg(long, value_name = "default|host|none", default_value = "default")]
    pub network: String,
    /// A secret for `RUN --mount=type=secret`: `id=ID,src=FILE` or `id=ID,env=VARIABLE`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// An ssh agent or keys for `RUN --mount=type=ssh`: `default`, `ID=SOCKET` or `ID=KEYFILE[,KEYFILE]`; repeatable.
    #[arg(long, value_name = "ID[=SOCKET|KEYFILE]")]
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
    /// Allow what is refused otherwise: `security.insecure`, `device`, `device=NAME[,alias=NAME]`; repeatable.
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// A folder with CDI files, which say what the devices of `RUN --device` are; repeatable, the last counts most
    /// [default: /etc/cdi, /var/run/cdi and /etc/buildkit/cdi].
    #[arg(long, value_name = "DIR")]
    pub cdi_spec_dir: Vec<PathBuf>,
    /// Tell something about the Dockerfile instead of building: `check`, `outline` or `targets`; `,format=json` for programs.
    #[arg(long, value_name = "METHOD", default_value = "build", hide_default_value = true)]
    pub call: String,
    /// Tell what BuildKit's checks and ours find, and build nothing: `--call=check`.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub check: Option<bool>,
    /// The most stages that are worked on at the same time [default: all of them].
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Print nothing but the image id.
    #[arg(short, long)]
    pub quiet: bool,
    /// How to show what happens.
    #[arg(long, value_enum, default_value_t = Choice::Auto, env = "BUILDKIT_PROGRESS", hide_env_values = true)]
    pub progress: Choice,
    /// Write the image id to this file.
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write digests and names to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Where the image goes: `type=docker,dest=FILE`, `type=oci,dest=FILE[,tar=false]`, `type=image`, `type=cacheonly`, or FILE.tar.
    /// With `compression=gzip|zstd|uncompressed`, `compression-level=N`, `force-compression=true` (layers that were pulled too),
    /// `rewrite-timestamp=true`.
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
    /// When gc runs by itself after a build: `off`, or `size=SIZE,free=SIZE`, each a number of bytes or a share of the disk
    /// [default: size=20% (at least 10GB, at most 100GB), free=5%].
    #[arg(long, value_name = "POLICY", env = "RBUILD_GC")]
    pub gc: Option<String>,
}

/// `--timestamps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimestampsArg {
    /// 1980-01-01 at the latest: the same inputs give the same digest.
    Fixed,
    /// The files' own times, as Docker has them.
    Preserve,
}
