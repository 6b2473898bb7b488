//! Policies of gc.
