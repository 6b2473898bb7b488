//! The rbuild program.

use rbuild::sandbox;

fn main() {
    // First of all, while this process has one thread and nothing open.
    if sandbox::is_init_invocation(std::env::args_os().next().as_deref()) {
        sandbox::init_main();
    }
}
