//! `testdata/dockerfile/plan`: mistakes that are seen once variables are replaced and stages are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use expect_test::expect_file;
use rbuild::dockerfile::{Color, Diagnostic, parse, render};
use rbuild::image::ImageConfig;
use rbuild::plan::{Inputs, Insecure, Network, Outcome, Scope, plan};
use rbuild::platform::Platform;

fn inputs() -> Inputs {
    let platform: Platform = "linux/amd64".parse().unwrap();
    Inputs {
        build_args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        platform: platform.clone(),
        build_platform: platform,
        network: Network::Host,
        insecure: Insecure::Refused,
        named_contexts: BTreeMap::new(),
        secret_files: BTreeMap::new(),
        scope: Scope::Target,
        unknown_bases: BTreeSet::new(),
    }
}

/// What planning finds wrong if every base image is there and empty.
fn problems(text: &[u8]) -> String {
    let (dockerfile, found) = parse("Dockerfile", text);
    let errors: Vec<&Diagnostic> = found.iter().filter(|one| one.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut configs = BTreeMap::new();
    loop {
        match plan(&dockerfile, &inputs(), &configs) {
            Err(problems) => return render(&dockerfile.source, &problems, Color::Never),
            Ok(Outcome::Needs { images, .. }) => {
                configs.extend(images.into_iter().map(|need| {
                    let config = ImageConfig::scratch(&need.image.platform);
                    (need.image, config)
                }));
            }
            Ok(Outcome::Ready(..)) => return String::new(),
        }
    }
}

#[test]
fn every_plan_that_is_wrong_gives_its_report() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfile/plan");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 14, "{} cases", folders.len());
    for folder in folders {
        let found = problems(&fs::read(folder.join("Dockerfile")).unwrap());
        assert!(!found.is_empty(), "{}: nothing is wrong", folder.display());
        expect_file![folder.join("errors.txt")].assert_eq(&found);
    }
}
