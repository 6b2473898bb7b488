//! Edits of one thing: a token of the text, a build argument, a file.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Dice;

/// The text with one token of one instruction changed. Lines that name images stay: they would be asked for.
pub fn token(text: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_open =
        |line: &String| !line.trim().is_empty() && !line.trim_start().to_ascii_uppercase().starts_with("FROM");
    let open: Vec<usize> = (0..lines.len()).filter(|at| is_open(&lines[*at])).collect();
    let Some(at) = dice.one_of(&open).copied() else { return text.to_owned() };
    let mut tokens: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
    let token = dice.below(tokens.len());
    match dice.below(8) {
        0 => drop(tokens.remove(token)),
        1 => tokens.insert(token, tokens[token].clone()),
        2 => {
            let other = dice.below(tokens.len());
            tokens.swap(token, other);
        }
        3 => tokens[token].push_str(["1", "x", "/", ".", "\"", "$"][dice.below(6)]),
        // A token of the same file in its place: another name, path or flag that means something there.
        4 => {
            let all: Vec<&str> = text.split_whitespace().collect();
            tokens[token] = dice.one_of(&all).copied().unwrap_or_default().to_owned();
        }
        _ => tokens[token] = letter(&tokens[token], dice),
    }
    lines[at] = tokens.join(" ");
    lines.join("\n") + "\n"
}

/// The text with one character changed.
fn letter(text: &str, dice: &mut Dice) -> String {
    let place = dice.below(text.chars().count());
    let other = ['0', '7', 'a', 'z', 'A', '/', '-', '*'][dice.below(8)];
    text.chars().enumerate().map(|(index, char)| if index == place { other } else { char }).collect()
}

/// The build arguments with one of them changed, given, or not given any more; `text` declares the names.
pub fn argument(given: &[String], text: &str, dice: &mut Dice) -> Vec<String> {
    let declared = text.lines().filter_map(|line| {
        let (word, rest) = line.trim().split_once(' ')?;
        let name = rest.trim().split(['=', ' ']).next()?;
        word.eq_ignore_ascii_case("arg").then(|| name.to_owned())
    });
    let names: Vec<String> = declared.collect();
    let mut given = given.to_vec();
    let at = dice.below(given.len());
    let Some(old) = given.get(at).cloned().filter(|_| names.is_empty() || dice.below(2) == 0) else {
        if let Some(name) = dice.one_of(&names) {
            let value = ["", "1", "2", "a b", "x=y", "$HOME", "scratch", "/tmp", "'q'", "0:0"][dice.below(10)];
            given.push(format!("{name}={value}"));
        }
        return given;
    };
    match (dice.below(4), old.split_once('=')) {
        (0, _) => drop(given.remove(at)),
        (1, Some((name, _))) => given[at] = format!("{name}="),
        (2, Some((name, value))) => given[at] = format!("{name}={value}{value}x"),
        (_, Some((name, value))) => given[at] = format!("{name}={}", letter(value, dice)),
        (_, None) => given[at] = format!("{old}=1"),
    }
    given
}

/// Edits one file, folder or link below the folders, and says which; none if there is nothing there.
pub fn file(roots: &[PathBuf], dice: &mut Dice) -> Option<String> {
    let below = |root: &PathBuf| WalkDir::new(root).min_depth(1).sort_by_file_name();
    let all: Vec<PathBuf> =
        roots.iter().flat_map(below).map(|entry| entry.unwrap().into_path()).filter(|path| path.exists()).collect();
    let path = dice.one_of(&all)?;
    let meta = fs::symlink_metadata(path).unwrap();
    let what = if meta.is_symlink() {
        change_link(path, dice)
    } else if dice.below(4) == 0 {
        fs::rename(path, beside(path, dice)).unwrap();
        "another name"
    } else if meta.is_dir() {
        change_folder(path, &meta, dice)
    } else {
        change_file(path, &meta, dice)
    };
    Some(format!("{}: {what}", path.display()))
}

fn beside(path: &Path, dice: &mut Dice) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push([".x", "0", "~"][dice.below(3)]);
    path.with_file_name(name)
}

fn change_link(path: &Path, dice: &mut Dice) -> &'static str {
    let target = fs::read_link(path).unwrap();
    fs::remove_file(path).unwrap();
    match dice.below(3) {
        0 => symlink(letter(&target.display().to_string(), dice), path).unwrap(),
        1 => symlink(target.join("x"), path).unwrap(),
        _ => fs::write(path, target.display().to_string()).unwrap(),
    }
    "another target, or no link"
}

fn change_folder(path: &Path, meta: &fs::Metadata, dice: &mut Dice) -> &'static str {
    match dice.below(3) {
        0 => {
            change_mode(path, meta, dice);
            "another mode"
        }
        1 => {
            fs::write(path.join("new"), "new\n").unwrap();
            "a file more"
        }
        _ => {
            fs::create_dir(path.join("new.d")).unwrap();
            "a folder more"
        }
    }
}

fn change_file(path: &Path, meta: &fs::Metadata, dice: &mut Dice) -> &'static str {
    let mut content = fs::read(path).unwrap();
    match dice.below(5) {
        0 => {
            change_mode(path, meta, dice);
            return "another mode";
        }
        1 => {
            std::os::unix::fs::chown(path, Some(meta.uid() + 1), None).unwrap();
            return "another owner";
        }
        2 => {
            fs::remove_file(path).unwrap();
            return "gone";
        }
        3 => content.push(b'x'),
        // As hidden as can be: the size and the time stay.
        _ => {
            let at = dice.below(content.len());
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1;
            }
        }
    }
    fs::write(path, content).unwrap();
    let times = FileTimes::new().set_modified(meta.modified().unwrap());
    File::open(path).unwrap().set_times(times).unwrap();
    "other content"
}

fn change_mode(path: &Path, meta: &fs::Metadata, dice: &mut Dice) {
    let bit = [0o100, 0o200, 0o020, 0o004, 0o4000, 0o2000, 0o1000][dice.below(7)];
    fs::set_permissions(path, fs::Permissions::from_mode((meta.mode() ^ bit) & 0o7777)).unwrap();
}
