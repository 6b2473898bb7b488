//! Another host name for this program.

use std::io;

use rustix::thread::UnshareFlags;

use super::sys;

/// Gives this thread, and all that it starts from now on, a host name of its own; the machine keeps its name.
///
/// Fails without the right to make namespaces.
pub fn take_host_name(name: &str) -> io::Result<()> {
    sys::unshare(UnshareFlags::NEWUTS)?;
    Ok(rustix::system::sethostname(name.as_bytes())?)
}
