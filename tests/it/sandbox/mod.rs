//! Steps in real namespaces over a real overlay. These tests need root and a static busybox.

mod bench;
mod confinement;
mod hostile;
mod lifetime;
mod traces;
