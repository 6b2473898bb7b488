//! What a mistyped name on the command line most likely means.

use std::fs::Metadata;
use std::path::Path;

use crate::dockerfile::nearest;

/// The folder beside one that is not there whose name is nearest to its own.
pub fn folder(missing: &Path) -> Option<String> {
    beside(missing, Metadata::is_dir)
}

/// The same for a file of any kind that can be read.
pub fn file(missing: &Path) -> Option<String> {
    beside(missing, |found| !found.is_dir())
}

fn beside(missing: &Path, is_wanted: fn(&Metadata) -> bool) -> Option<String> {
    let wanted = missing.file_name()?.to_str()?;
    let folder = missing.parent().unwrap_or(Path::new(""));
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A folder that cannot be listed gives no advice.
    let entries = std::fs::read_dir(listed).ok()?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| name != wanted).collect();
    names.retain(|name| listed.join(name).metadata().is_ok_and(|found| is_wanted(&found)));
    names.sort();
    let near = nearest(wanted, names.iter().map(String::as_str))?;
    Some(folder.join(near).display().to_string())
}
