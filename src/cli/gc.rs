//! Gc that runs by itself: its policy from the command line, and what it says.

use std::io::{self, Write as _};

use super::error::{Error, Result};
use super::measures;
use super::progress::show_size;
use super::report;
use crate::build::{DEFAULT_POLICY, GcOutcome, GcPolicy, collect_if_due};
use crate::store::Store;

/// The policy; none if gc is switched off.
pub fn policy(given: Option<&str>) -> Result<Option<GcPolicy>> {
    let mut policy = DEFAULT_POLICY;
    match given.map(str::trim) {
        None | Some("" | "on") => return Ok(Some(policy)),
        Some("off") => return Ok(None),
        Some(given) => {
            for option in given.split(',') {
                match option.split_once('=') {
                    Some(("size", value)) => policy.size = Some(measures::limit("--gc size", value)?),
                    Some(("free", value)) => policy.free = measures::limit("--gc free", value)?,
                    _ => {
                        let message = format!("`--gc` (or RBUILD_GC) knows no `{option}`");
                        return Err(Error::usage(message, "write `off`, or for example `size=20GB,free=10%`"));
                    }
                }
            }
        }
    }
    Ok(Some(policy))
}

/// Runs gc if it is due. What keeps it from its work is told, and is no failure of the build that has just ended.
pub fn after_build(store: &Store, policy: Option<&GcPolicy>, ran: usize, quiet: bool) -> Result<()> {
    let Some(policy) = policy else { return Ok(()) };
    let text = match collect_if_due(store, policy, ran) {
        Ok(GcOutcome::NotDue) => return Ok(()),
        Ok(GcOutcome::Removed { pruned, limit }) => format!(
            "gc removed what was used longest ago, {}: the store may take {} (`--gc`, RBUILD_GC)\n",
            show_size(pruned.bytes),
            show_size(limit)
        ),
        Err(error) => {
            let error = Error::from(error);
            format!("warning: gc after the build failed: {}", report::error(&error).trim_start_matches("error: "))
        }
    };
    if quiet { Ok(()) } else { Ok(io::stderr().write_all(text.as_bytes())?) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Limit;

    #[test]
    fn a_policy_is_off_or_limits() {
        assert_eq!(policy(None).ok(), Some(Some(DEFAULT_POLICY)));
        assert_eq!(policy(Some("off")).ok(), Some(None));
        let given = GcPolicy { size: Some(Limit::Bytes(2 << 30)), free: Limit::Percent(10) };
        assert_eq!(policy(Some("size=2GB,free=10%")).ok(), Some(Some(given)));
        assert_eq!(policy(Some("size=1%")).ok().flatten().map(|policy| policy.free), Some(DEFAULT_POLICY.free));
        for wrong in ["of", "size", "size=", "size=x", "keep=3", "size=1GB,,"] {
            assert!(policy(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
