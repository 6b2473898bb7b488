//! Output to a terminal from another group than that in its foreground.

use std::io;

use super::sys;

/// Lets this process, and all that it starts but steps, write to a terminal from the background.
///
/// `stty tostop` would stop it there, with nobody to let it go on.
pub fn write_in_background() -> io::Result<()> {
    Ok(sys::ignore_background_writes()?)
}
