//! Rules of the pure parts.
