//! Policies, without a store.

use std::time::{Duration, SystemTime};

use super::auto::{DEFAULT_POLICY, GcPolicy, Limit};
use super::prune::until_it_fits;
use super::roots::{Reason, Root};
use crate::digest::BlobDigest;
use crate::store::{Object, Space, Stored};

fn blob(name: &str) -> Object {
    Object::Blob(BlobDigest::of(name.as_bytes()))
}

fn root(name: &str, reason: Reason, used: u64, needs: &[&str]) -> Root {
    let needs = needs.iter().chain([&name]).map(|name| blob(name)).collect();
    Root { object: blob(name), reason, last_used: SystemTime::UNIX_EPOCH + Duration::from_secs(used), needs }
}

/// Which of the roots stay below a limit, where everything takes 10 bytes.
#[track_caller]
fn check(roots: Vec<Root>, limit: u64, expected: &[&str]) {
    let mut all: Vec<Object> = roots.iter().flat_map(|root| root.needs.clone()).collect();
    all.push(blob("garbage"));
    all.sort();
    all.dedup();
    let stored = |object| Stored { object, size: 10, last_used: SystemTime::UNIX_EPOCH };
    let objects: Vec<Stored> = all.into_iter().map(stored).collect();
    let kept = until_it_fits(roots, &objects, limit, &|root| root.reason != Reason::Firm);
    let mut kept: Vec<Object> = kept.into_iter().map(|root| root.object).collect();
    kept.sort();
    let mut expected: Vec<Object> = expected.iter().map(|name| blob(name)).collect();
    expected.sort();
    assert_eq!(kept, expected);
}

fn three() -> Vec<Root> {
    vec![
        root("old", Reason::Result, 1, &["shared", "own"]),
        root("middle", Reason::Fetched, 2, &["shared"]),
        root("new", Reason::Result, 3, &[]),
    ]
}

#[test]
fn what_was_used_longest_ago_goes_until_the_rest_fits() {
    // Five objects that somebody needs; garbage counts nothing, as it goes in any case.
    check(three(), 50, &["old", "middle", "new"]);
    check(three(), 49, &["middle", "new"]);
    // What others need too is not gained.
    check(three(), 30, &["middle", "new"]);
    check(three(), 29, &["new"]);
    check(three(), 9, &[]);
}

#[test]
fn what_stays_in_any_case_counts_and_what_has_no_use_goes_in_any_case() {
    let mut roots = three();
    roots[0].reason = Reason::Firm;
    check(roots, 9, &["old"]);
    let mut roots = three();
    roots[2].reason = Reason::Lost;
    check(roots, 1000, &["old", "middle"]);
}

#[test]
fn a_share_is_of_the_disk_and_the_default_has_bounds() {
    let disk = |total| Space { total, free: 0, files: 0, free_files: 0 };
    let limit = |total| DEFAULT_POLICY.size_limit(&disk(total)) / 1_000_000_000;
    assert_eq!([limit(20_000_000_000), limit(200_000_000_000), limit(4_000_000_000_000)], [10, 40, 100]);
    let own = GcPolicy { size: Some(Limit::Percent(10)), ..DEFAULT_POLICY };
    assert_eq!(own.size_limit(&disk(1000)), 100);
    assert_eq!(Limit::Bytes(7).bytes(&disk(1000)), 7);
    assert_eq!(Limit::Percent(200).bytes(&disk(1000)), 1000);
}
