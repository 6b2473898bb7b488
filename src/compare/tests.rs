use std::sync::Arc;

use super::*;
use crate::digest::ContentDigest;
use crate::image::{History, ImageConfig};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::{Attributes, Entry, Kind, Listing, Stack, Timestamp};

fn file(path: &str, content: &str) -> Entry {
    let kind = Kind::File { size: content.len() as u64, digest: ContentDigest::of(content.as_bytes()) };
    Entry { path: ImagePath::new(path), kind, attributes: Attributes::of_root(0o644) }
}

fn folder(path: &str) -> Entry {
    Entry::directory(ImagePath::new(path), Attributes::of_root(0o755))
}

fn stack(layers: &[Vec<Entry>]) -> Stack {
    Stack::new(layers.iter().map(|entries| Arc::new(Listing::new(entries.clone()))).collect())
}

fn told(changes: &[FileChange]) -> Vec<String> {
    let told = changes.iter().map(|change| match &change.fate {
        Fate::Added => format!("+ {}", change.path),
        Fate::Removed => format!("- {}", change.path),
        Fate::Changed(aspects) => {
            let aspects: Vec<String> = aspects.iter().map(ToString::to_string).collect();
            format!("~ {}: {}", change.path, aspects.join(", "))
        }
    });
    told.collect()
}

#[test]
fn the_same_files_in_other_layers_are_no_difference() {
    let one = stack(&[vec![folder("a"), file("a/x", "1"), file("a/y", "2")]]);
    let two = stack(&[
        vec![folder("a"), file("a/x", "0"), file("a/z", "3")],
        vec![file("a/x", "1"), file("a/y", "2"), Entry::whiteout(ImagePath::new("a/z"))],
    ]);
    assert_eq!(file_changes(&one, &two), []);
    assert_eq!(file_changes(&one, &one), []);
}

#[test]
fn every_aspect_of_a_path_is_told() {
    let left = [file("a", "1"), file("b", "1"), file("c", "1"), folder("d"), file("gone", "1")];
    let mut right = [file("a", "2"), file("b", "12"), file("c", "1"), file("d", "1"), file("new", "1")];
    right[2].attributes =
        Attributes { mode: 0o4755, uid: 1, gid: 2, mtime: Timestamp::from_secs(60), ..Attributes::of_root(0) };
    right[2].attributes.xattrs.insert(b"user.x".to_vec(), b"1".to_vec());
    let changes = layer_changes(&Listing::new(left), &Listing::new(right));
    let expected = [
        "~ /a: content 6b86b273ff34 → d4735e3a265e",
        "~ /b: size 1 → 2",
        "~ /c: mode 644 → 4755, owner 0:0 → 1:2, time 1970-01-01T00:00:00Z → 1970-01-01T00:01:00Z, extended attribute user.x",
        "~ /d: folder → file, mode 755 → 644",
        "- /gone",
        "+ /new",
    ];
    assert_eq!(told(&changes), expected);
}

#[test]
fn keys_of_a_config_are_told_with_both_values() {
    let mut left = ImageConfig::scratch(&Platform::host());
    let mut right = left.clone();
    left.config.env = vec!["A=1".into(), "B=2".into()];
    right.config.env = vec!["B=2".into(), "A=3".into(), "C=".into()];
    right.config.cmd = Some(vec!["sh".into(), "-c".into()]);
    left.config.user = "daemon".into();
    let told: Vec<String> = config_changes(&left, &right)
        .into_iter()
        .map(|change| format!("{} {:?} {:?}", change.key, change.left, change.right))
        .collect();
    let expected = [
        "config.Cmd None Some(\"[\\\"sh\\\",\\\"-c\\\"]\")",
        "config.Env.A Some(\"1\") Some(\"3\")",
        "config.Env.C None Some(\"\")",
        "config.User Some(\"daemon\") None",
    ];
    assert_eq!(told, expected);
}

#[test]
fn lines_of_the_history_are_paired_by_what_they_say() {
    let line = |text: &str, created: &str| History {
        created: Some(created.to_owned()),
        created_by: text.to_owned(),
        ..History::default()
    };
    let mut left = ImageConfig::scratch(&Platform::host());
    let mut right = left.clone();
    left.history = vec![line("COPY a", "1"), line("RUN b", "1"), line("CMD", "1")];
    right.history = vec![line("ENV x", "1"), line("COPY a", "2"), line("CMD", "1")];
    let told: Vec<String> = config_changes(&left, &right)
        .into_iter()
        .map(|change| format!("{} {:?} {:?}", change.key, change.left, change.right))
        .collect();
    let expected = [
        "history None Some(\"ENV x\")",
        "history.created of COPY a Some(\"1\") Some(\"2\")",
        "history Some(\"RUN b\") None",
    ];
    assert_eq!(told, expected);
}
