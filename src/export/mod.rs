//! Turns a sealed image into an archive, a directory, or a running Docker’s image.
