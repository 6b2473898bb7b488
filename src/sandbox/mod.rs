//! Runs one command in namespaces over a root filesystem.
