//! Turns entries into a layer, and a layer back into a folder.
