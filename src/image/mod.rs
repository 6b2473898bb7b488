//! Turns what a build decided about an image into the exact bytes of its config and manifest.
