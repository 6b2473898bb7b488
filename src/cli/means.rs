//! What a build works with, opened once.

use std::path::Path;

use super::args::BuildArgs;
use super::commands;
use super::contexts::Tools;
use super::environment::Environment;
use super::error::Result;
use crate::build::{BuildEvent, Engine, Interrupt};
use crate::fetch::Fetcher;
use crate::registry;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// The store, and the ways to servers and to commands.
pub struct Means {
    pub store: Store,
    pub fetcher: Fetcher,
    pub registry: registry::Client,
    pub sandbox: Sandbox,
}

impl Means {
    /// Opens the store, and makes clients that have the credentials of the environment and the flags. Asks no server yet.
    pub fn open(args: &BuildArgs, environment: &Environment, store: &Path) -> Result<Self> {
        Ok(Self {
            store: Store::open(store)?,
            fetcher: commands::fetcher(args, environment)?,
            registry: registry::Client::new(environment.registry_options()?),
            sandbox: Sandbox::new(),
        })
    }

    /// What finds contexts.
    pub fn tools<'a>(&'a self, interrupt: &'a Interrupt) -> Tools<'a> {
        Tools { store: &self.store, fetcher: &self.fetcher, interrupt }
    }

    /// What builds, with as many jobs as the flags allow.
    pub fn engine<'a>(
        &'a self,
        args: &BuildArgs,
        events: &'a (dyn Fn(BuildEvent) + Sync),
        interrupt: &'a Interrupt,
    ) -> Engine<'a> {
        let Self { store, fetcher, registry, sandbox } = self;
        Engine { store, registry, fetcher, sandbox, events, interrupt, jobs: args.jobs }
    }
}
