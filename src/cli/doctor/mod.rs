//! `rbuild doctor`: what this machine supports, and what to do about what it lacks.

mod machine;
mod report;
mod surroundings;

pub use report::run;
