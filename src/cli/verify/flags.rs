//! Flags of a build that could do nothing here.

use super::super::args::BuildArgs;
use super::super::caches;
use super::super::call::Call;
use super::super::error::{Error, Result};

/// Fails if a flag is given that both builds would have to leave out: a verdict must not look as if it had counted.
pub fn check(args: &BuildArgs) -> Result<()> {
    if args.path.as_deref() == Some("-") || args.file.as_deref() == Some("-") {
        let hint = "give a folder, a URL or a repository";
        return Err(Error::usage("`rbuild verify` builds twice, but standard input can be read once only", hint));
    }
    if Call::of(args)?.is_some() {
        let hint = "`rbuild --check` and `rbuild --call` tell about the Dockerfile";
        return Err(Error::usage(
            "`--check` and `--call` build nothing, and `rbuild verify` compares two builds",
            hint,
        ));
    }
    let keeps_no_image = "its images are compared and thrown away; `rbuild build` makes one that stays";
    let cold = "it builds twice from cold: what an earlier build made would not be built, and not be compared";
    let keeps_no_cache = "its builds are thrown away, and their caches with them; `rbuild build` writes one";
    // A cache in the image is a part of the image, and is compared.
    let writes_cache = !caches::targets(&args.cache_to)?.is_empty();
    let without_effect = [
        ("--cache-from", !args.cache_from.is_empty(), cold),
        ("--explain", args.explain, "its builds come after no other one that they could differ from"),
        ("--tag", !args.tag.is_empty(), keeps_no_image),
        ("--output", !args.output.is_empty(), keeps_no_image),
        ("--push", args.push, keeps_no_image),
        ("--load", args.load, keeps_no_image),
        ("--iidfile", args.iidfile.is_some(), keeps_no_image),
        ("--metadata-file", args.metadata_file.is_some(), keeps_no_image),
        ("--cache-to", writes_cache, keeps_no_cache),
    ];
    match without_effect.into_iter().find(|(_, given, _)| *given) {
        Some((flag, _, why)) => Err(Error::usage(
            format!("`{flag}` has no effect in `rbuild verify`: {why}"),
            format!("leave `{flag}` out"),
        )),
        None => Ok(()),
    }
}
