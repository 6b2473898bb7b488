//! `rbuild plan`.

use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::path::Path;

use super::args::BuildArgs;
use super::contexts::Tools;
use super::environment::Environment;
use super::error::Result;
use super::outputs::left_out;
use super::{commands, inputs, report};
use crate::build::{self, Interrupt, Preview};
use crate::plan;
use crate::store::Store;

/// Shows what a build would do.
pub fn run(
    args: &BuildArgs,
    environment: &Environment,
    store: &Path,
    interrupt: &Interrupt,
    as_json: bool,
) -> Result<()> {
    let store = Store::open(store)?;
    let _lease = store.lease()?;
    let fetcher = commands::fetcher(args, environment)?;
    let tools = Tools { store: &store, fetcher: &fetcher, interrupt };
    let request = inputs::request(args, environment, tools, left_out(&store, args)?)?;
    // The process ends soon: taking a large plan apart would only cost time.
    let preview = ManuallyDrop::new(build::preview(&store, &request)?);
    let Preview { source, plan, warnings, unknown } = &*preview;
    if !args.quiet {
        io::stderr().write_all(report::diagnostics(source, warnings).as_bytes())?;
        for name in unknown {
            let what = "is not in the store: what it sets and its ONBUILD instructions are not in this plan";
            io::stderr().write_all(report::note(&format!("`{name}` {what}")).as_bytes())?;
        }
    }
    let text = match as_json {
        true => serde_json::to_string_pretty(&plan::described(plan, source)).map_err(io::Error::other)? + "\n",
        false => plan::show(plan, source),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
