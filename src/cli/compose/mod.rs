//! `rbuild compose`: the images of all services of a project.

mod args;
mod chosen;
mod deliver;
mod parts;
mod places;
mod project;
mod request;
mod run;
mod secrets;

pub use args::ComposeArgs;
pub use run::run;
