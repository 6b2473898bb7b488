//! `rbuild compose`: the images of all services of a project.

mod args;
mod project;
mod run;

pub use args::ComposeArgs;
pub use run::run;
