//! Drives a plan: each step is looked up, run or copied, and becomes a layer of the image.
//!
//! A *request* asks for an image; several of them can be built as one. Each is planned (`prepare`), its stages are *walked*
//! (`walk`), and its image is put together (`job`). What decides a step's result becomes its ingredients; a hit gives the
//! earlier layer, a miss is executed under a lock of its key, so that equal steps of any stages, requests and processes run
//! once. What requests have in common is theirs together: base images (`bases`), contexts (`contexts`), keys under way.
//!
//! # What is at work when
//! A plan, a stage, a base image to bring are *pieces* of work (`engine`). The thread that called does one after the other as
//! long as everything is in the cache; the first step that is not, or the first layer to be pulled, calls for others
//! (`schedule`), and from then on whatever can go on does. A stage waits only before the step that needs another stage or an
//! image. Commands run all at once; what keeps a core busy takes turns.
//!
//! The first failure of a request stops its commands, and nothing of it is begun or kept after that. Other requests go on,
//! unless they need its image.
//!
//! # Invariants
//! Nothing is pulled before the Dockerfile is known to be right. Everything that a build uses stands in its lease before it is
//! looked for. A failed or interrupted step leaves no record. The clock is not asked, but for
//! how long things took, and for times of files that a command with a cache mount sees, and no layer shows. Neither an image
//! nor a key depends on what was at work when.
//!
//! # Failure
//! An error carries the place in the Dockerfile and a class, from which the exit status follows.
//!
//! A Dockerfile can also be looked at without building it (`inspect`): then no command is run, and no layer is pulled.
//!
//! # Not here
//! Where the image goes afterwards: `export`, `registry`, called by `cli`. What is shown: `cli`, from `BuildEvent`s.

mod bases;
mod bundle;
mod carry;
mod catalog;
mod check;
mod commands;
mod contexts;
mod copy;
mod engine;
mod error;
mod event;
mod files;
mod images;
mod job;
mod layouts;
mod lint;
mod look;
mod machine;
mod prepare;
mod preview;
mod ready;
mod refuse;
mod request;
mod rootfs;
mod run;
mod schedule;
mod seal;
mod step;
mod upkeep;
mod walk;
mod why;

pub use bundle::{ScratchStore, layer_listing, listings, open_layer_file};
pub use carry::{CACHE_CONFIG, CACHE_TAG, CacheContents, Carried, cache_contents};
pub use catalog::{StoredImage, image, image_ids, keep_image, name_image, named, names, remove_name};
pub use check::{Inspected, Inspector, inspect};
pub use commands::{Agent, CommandOptions, Secret};
pub use copy::PlaceError;
pub use engine::{AllBuilt, Counters, NamedRequest, build, build_all};
pub use error::{Class, Error, Problem, Result};
pub use event::{BuildEvent, ExportOutcome, StepId, StepOutcome, Stream};
pub use files::{Brought, Files, Silently, context_of_blob, fetch_context, newest, time_of};
pub use images::bring_image;
pub use layouts::LayoutError;
pub use look::{Forecast, Outlook, last_steps, share_bases, why};
pub use preview::{Preview, preview};
pub use request::{
    Built, CacheSource, CacheUse, Detail, Engine, InlineCache, Interrupt, NamedFiles, Pull, Request, StatCacheUse,
    Times,
};
pub use seal::{rewrite_times, seal};
pub use step::NotMade;
pub use upkeep::{
    Checkup, DEFAULT_POLICY, Extent, Fate, Finding, GcOutcome, GcPolicy, Limit, Pruned, Pruning, Repair, Usage,
    UsageKind, collect_if_due, fsck, prune, usage,
};
