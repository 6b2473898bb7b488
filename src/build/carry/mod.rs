//! Caches that travel from store to store: `--cache-to` and `--cache-from`.
//!
//! A cache lists records, and names the layers that they made. In a folder it is an OCI image layout with one manifest more,
//! under the tag `rbuild-cache`: its config is the list, its layers are those that the records name. *Inline* it is a field of
//! an image's config, beside the standard ones; its records are those whose layers the image has.
//!
//! # Trust
//! A cache is believed in what a step makes: whoever may write to the folder, or push the image, decides what is built, as with
//! any cache. It is not believed in anything else: in a folder every document and layer is read below it only, through no
//! link; from a registry it comes as images do. All is read up to a limit and must hash to its name; a layer must hash to
//! the diff id of its record and stand by itself. What is wrong is told and left out, and the step runs. No record of it is
//! kept in the store: a build without `--cache-from` never uses what another one got by it.
//!
//! A list holds no value of an argument or variable, and no secret. A key is a hash that covers the values that are declared:
//! who can guess one can check the guess.

mod contents;
mod document;
mod import;
mod imports;
mod inline;

pub use contents::{CACHE_CONFIG, CACHE_TAG, CacheContents, Carried, cache_contents};
pub(super) use imports::Imports;
pub(super) use inline::inlined;
