//! The rbuild program.

use std::process::ExitCode;

use rbuild::{cli, sandbox};

fn main() -> ExitCode {
    // First of all, while this process has one thread and nothing open.
    if sandbox::is_init_invocation(std::env::args_os().next().as_deref()) {
        sandbox::init_main();
    }
    cli::main()
}
