//! Files from other places than the context's folder: named contexts, archives, URLs, repositories.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::image::Image;
use crate::support::run::{Project, Ran};
use crate::support::{layout, leaks, web};

/// Builds into an archive; the paths of the image's files with their modes, owners and sizes.
#[track_caller]
fn check_files(project: &Project, args: &[&str], expected: &[&str]) {
    build(project, args, Vec::new()).success();
    assert_eq!(files(project), expected, "{args:?}");
}

fn build(project: &Project, args: &[&str], stdin: Vec<u8>) -> Ran {
    let archive = project.root().join("out.tar").display().to_string();
    project.rbuild(args.iter().copied().chain(["-o", &archive])).stdin(stdin).run()
}

fn files(project: &Project) -> Vec<String> {
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    let dump = image.rootfs().unwrap().dump();
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {} {} {}", words[1], words[2], words[3], words[6..].join(" "))
    };
    dump.lines().filter(|line| !line.starts_with('d')).map(line).collect()
}

/// A tar with these files, each with its content as given.
fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o640);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn named_folders_take_the_place_of_stages_and_images_with_ignore_files_of_their_own() {
    let project = Project::with(
        "
        //- Dockerfile
        FROM missing.example/stage AS one
        RUN exit 1
        FROM missing.example/base
        COPY --from=one . /one/
        COPY --from=missing.example/files:latest a /two/
        //- ctx/1/kept
        k
        //- ctx/1/left
        l
        //- ctx/1/.dockerignore
        left
        .dockerignore
        //- ctx/2/base
        b
        //- ctx/3/a
        a
        ",
    );
    let args = [
        "--build-context=one=ctx/1",
        "--build-context=missing.example/base=ctx/2",
        "--build-context=missing.example/files=ctx/3",
        ".",
    ];
    check_files(&project, &args, &["0644 0:0 2 /base", "0644 0:0 2 /one/kept", "0644 0:0 2 /two/a"]);
    let again = build(&project, &args, Vec::new()).success();
    assert!(!again.stderr.contains("because"), "{}", again.stderr);
    fs::write(project.context().join("ctx/2/base"), "changed\n").unwrap();
    check_files(&project, &args, &["0644 0:0 8 /base", "0644 0:0 2 /one/kept", "0644 0:0 2 /two/a"]);
    leaks::assert_none(&project);
}

#[test]
fn a_context_for_one_platform_counts_before_one_for_all() {
    let project = Project::with("//- Dockerfile\nFROM x\n//- a/f\n1\n//- b/f\nlong\n");
    let host = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let own = format!("--build-context=x::linux/{host}=b");
    check_files(&project, &["--build-context=x=a", &own, "."], &["0644 0:0 5 /f"]);
    check_files(&project, &["--build-context=x=a", "--build-context=x::linux/s390x=b", "."], &["0644 0:0 2 /f"]);
}

#[test]
fn images_in_a_layout_are_found_by_tag_and_digest_and_a_damaged_one_is_refused() {
    let project = Project::with("//- Dockerfile\nFROM base\nCOPY Dockerfile /d\n");
    let folder = project.root().join("layout");
    layout::write(&folder, &tar_of(&[("f", "base")]), &json!({"Env": ["A=1"]}));
    let index: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let expected = ["0644 0:0 29 /d", "0640 7:8 4 /f"];
    for place in ["", ":latest", &format!("@{digest}"), &format!(":other@{digest}")] {
        let named = format!("--build-context=base=oci-layout://{}{place}", folder.display());
        check_files(&project, &[&named, "."], &expected);
    }
    let config = Image::open(&project.root().join("out.tar")).unwrap().config;
    assert_eq!(config["config"]["Env"][0], "A=1");
    let named = format!("--build-context=base=oci-layout://{}:none", folder.display());
    let ran = build(&project, &[&named, "."], Vec::new()).failure(1);
    assert!(ran.stderr.contains("has no image `none`; it has latest"), "{}", ran.stderr);
    let blob = folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::write(blob, "{}").unwrap();
    let named = format!("--build-context=base=oci-layout://{}", folder.display());
    let ran = build(&project, &[&named, "."], Vec::new()).failure(1);
    assert!(ran.stderr.contains("is damaged"), "{}", ran.stderr);
}

#[test]
fn an_archive_on_standard_input_is_a_context_without_ignore_rules() {
    let project = Project::new();
    let dockerfile = "FROM scratch\nCOPY . /c/\n";
    let tar = tar_of(&[
        ("Dockerfile", dockerfile),
        (".dockerignore", "f"),
        ("f", "1"),
        ("sub/Other", "FROM scratch\nCOPY f /o\n"),
    ]);
    build(&project, &["-"], tar.clone()).success();
    let expected =
        ["0640 7:8 1 /c/.dockerignore", "0640 7:8 24 /c/Dockerfile", "0640 7:8 1 /c/f", "0640 7:8 23 /c/sub/Other"];
    assert_eq!(files(&project), expected);
    build(&project, &["-f", "sub/Other", "-"], tar).success();
    assert_eq!(files(&project), ["0640 7:8 1 /o"]);
    leaks::assert_none(&project);
}

#[test]
fn a_dockerfile_in_an_archive_must_be_a_file_of_it() {
    let project = Project::new();
    let special = |kind: tar::EntryType, target: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_path("Dockerfile").unwrap();
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        tar.into_inner().unwrap()
    };
    for (kind, target, said) in [
        (tar::EntryType::Symlink, "/etc/passwd", "there is no `Dockerfile`"),
        (tar::EntryType::Symlink, "../../../etc/passwd", "there is no `Dockerfile`"),
        (tar::EntryType::Fifo, "", "is no regular file"),
        (tar::EntryType::Directory, "", "is no regular file"),
    ] {
        let ran = build(&project, &["-"], special(kind, target)).failure(1);
        assert!(ran.stderr.contains(said), "{kind:?} {target}: {}", ran.stderr);
    }
    let ran = build(&project, &["-"], special(tar::EntryType::Link, "/etc/passwd"));
    assert!(!ran.status.success(), "a hard link out of the archive");
}

#[test]
fn what_is_piped_and_is_no_archive_is_a_dockerfile() {
    let project = Project::with("//- f\n1\n");
    let ran = build(&project, &["-"], b"FROM scratch\nCOPY f /\n".to_vec()).failure(1);
    assert!(ran.stderr.contains("cannot find `f`"), "{}", ran.stderr);
    let ran = build(&project, &["-f", "Other", "-"], b"FROM scratch\n".to_vec()).failure(2);
    assert!(ran.stderr.contains("names another one"), "{}", ran.stderr);
}

#[test]
fn a_url_is_a_context_if_it_gives_an_archive_or_a_dockerfile() {
    let tar = tar_of(&[("Dockerfile", "FROM scratch\nCOPY f /\n"), ("f", "1")]);
    let server = web::serve(&[("/ctx", &tar), ("/Dockerfile", b"FROM scratch\nCOPY <<E /g\nx\nE\n")]);
    let project = Project::new();
    check_files(&project, &[&format!("{server}/ctx")], &["0640 7:8 1 /f"]);
    check_files(&project, &[&format!("{server}/Dockerfile")], &["0644 0:0 2 /g"]);
    project.write("//- Dockerfile\nFROM files\n");
    let named = |path: &str| format!("--build-context=files={server}{path}");
    check_files(&project, &[&named("/ctx"), "."], &["0640 7:8 22 /Dockerfile", "0640 7:8 1 /f"]);
    check_files(&project, &[&named("/Dockerfile"), "."], &["0600 0:0 29 /context"]);
    build(&project, &[&format!("{server}/missing")], Vec::new()).failure(3);
}

#[test]
fn a_dockerfile_may_come_from_a_url_for_any_context() {
    let tar = tar_of(&[("f", "in a tar")]);
    let large = vec![b'#'; (16 << 20) + 1];
    let server = web::serve(&[
        ("/d/app.git", b"FROM scratch\nCOPY f /\n"),
        ("/ctx", &tar),
        ("/text", b"FROM scratch\n"),
        ("/large", &large),
    ]);
    let project = Project::with("//- f\n1\n//- Dockerfile\nFROM nonsense nonsense\n");
    let file = format!("{server}/d/app.git?token=CANARY");
    check_files(&project, &["-f", &file, "."], &["0644 0:0 2 /f"]);
    check_files(&project, &["-f", &file, &format!("{server}/ctx")], &["0640 7:8 8 /f"]);
    build(&project, &["-f", &file, "-"], tar).success();
    assert_eq!(files(&project), ["0640 7:8 8 /f"]);
    build(&project, &["-f", &format!("{server}/none"), "."], Vec::new()).failure(3);
    let ran = build(&project, &["-f", &format!("{server}/large"), "."], Vec::new()).failure(1);
    assert!(ran.stderr.contains("too large for a Dockerfile"), "{}", ran.stderr);
    let ran = build(&project, &["-f", &file, &format!("{server}/text")], Vec::new()).failure(2);
    assert!(ran.stderr.contains("names another one"), "{}", ran.stderr);
    leaks::assert_none(&project);
}

#[test]
fn add_fetches_and_the_key_is_the_content() {
    let tar = tar_of(&[("t", "in a tar")]);
    let server = web::serve(&[("/d/a%20b", b"hello"), ("/same", b"hello"), ("/x.tar", &tar)]);
    let project = Project::with(
        "
        //- Dockerfile
        FROM scratch
        ARG U
        ADD --chown=1:2 --chmod=640 $U/d/a%20b?token=CANARY /to/
        ADD $U/same local $U/x.tar /mixed/
        ADD --unpack $U/x.tar /out
        //- local
        l
        ",
    );
    let args = ["--build-arg".to_owned(), format!("U={server}"), ".".to_owned()];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let size = format!("0600 0:0 {} /mixed/x.tar", tar.len());
    let expected =
        ["0644 0:0 2 /mixed/local", "0600 0:0 5 /mixed/same", &size, "0640 7:8 8 /out/t", "0640 1:2 5 /to/a b"];
    check_files(&project, &args, &expected);
    let first = fs::read(project.root().join("out.tar")).unwrap();
    let again = build(&project, &args, Vec::new()).success();
    assert!(again.stderr.contains("CACHED") && !again.stderr.contains("because"), "{}", again.stderr);
    assert_eq!(fs::read(project.root().join("out.tar")).unwrap(), first);
}

#[test]
fn credentials_of_a_url_are_nowhere_afterwards() {
    let server = web::serve(&[("/f", b"x")]);
    let url = server.replace("http://", "http://user:CANARY@");
    let project = Project::with(&format!("//- Dockerfile\nFROM scratch\nADD {url}/f /\nADD {url}/none /\n"));
    let ran = build(&project, &["--progress=plain", "."], Vec::new()).failure(3);
    assert!(ran.stderr.contains("ADD http://xxxxxxxxxxx@"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("CANARY") && !ran.stdout.contains("CANARY"), "{}", ran.stderr);
    fs::write(project.context().join("Dockerfile"), format!("FROM scratch\nADD {url}/f /\n")).unwrap();
    build(&project, &["."], Vec::new()).success();
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    assert!(!String::from_utf8_lossy(&image.config_bytes).contains("CANARY"));
    for path in leaks::files_below(&project.store()) {
        let holds = path.is_file() && fs::read(&path).unwrap().windows(6).any(|bytes| bytes == b"CANARY");
        assert!(!holds, "{}", path.display());
    }
}

#[test]
fn repositories_are_contexts_named_contexts_and_sources() {
    let project = Project::new();
    let repositories = project.root().join("git");
    fs::create_dir_all(repositories.join("r/sub")).unwrap();
    write(
        &repositories.join("r"),
        &[("Dockerfile", "FROM scratch\nCOPY . /c/\n"), ("sub/f", "1"), (".dockerignore", "sub")],
    );
    let commit = web::commit(&repositories.join("r"));
    let server = web::serve_git(&repositories);
    let all = ["0644 0:0 3 /c/.dockerignore", "0644 0:0 24 /c/Dockerfile", "0644 0:0 1 /c/sub/f"];
    check_files(&project, &[&format!("{server}/r#main")], &all);
    project.write(
        "//- Dockerfile\nFROM scratch\nARG S\nADD --exclude=g --checksum=$S --chown=3:4 $U /c\nCOPY --from=n f /n\n",
    );
    let dockerfile = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    let dockerfile = dockerfile.replace("$U", &format!("{server}/r#:sub"));
    fs::write(project.context().join("Dockerfile"), dockerfile).unwrap();
    let named = format!("--build-context=n={server}/r#main:sub");
    let checksum = format!("--build-arg=S={}", &commit[..12]);
    check_files(&project, &[&named, &checksum, "."], &["0644 3:4 1 /c/f", "0644 0:0 1 /n"]);
    let ran = build(&project, &[&named, &checksum, "."], Vec::new()).success();
    assert!(!ran.stderr.contains("because"), "{}", ran.stderr);
    let ran = build(&project, &[&named, "--build-arg=S=0123456789", "."], Vec::new()).failure(1);
    assert!(ran.stderr.contains(&commit), "{}", ran.stderr);
    leaks::assert_none(&project);
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn warnings_are_errors_where_the_file_says_so() {
    let project = Project::with("//- Dockerfile\n# check=error=true\nFROM scratch\nENV a 1\n");
    let ran = build(&project, &["."], Vec::new()).failure(1);
    assert!(ran.stderr.contains("error[LegacyKeyValueFormat]"), "{}", ran.stderr);
    assert!(ran.stderr.contains("check=error=true"), "{}", ran.stderr);
    // An argument that nothing takes is told, but it is no check.
    project.write("//- Dockerfile\n# check=error=true\nFROM scratch\nENV a=1\n");
    build(&project, &["--build-arg=x=1", "."], Vec::new()).success();
}
