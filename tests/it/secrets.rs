//! What must not come to rest anywhere: values of build arguments, and credentials of registries.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use expect_test::expect;

use crate::support::archive::{Archive, hex};
use crate::support::registry::{PASSWORD, Registry, USER};
use crate::support::run::Project;
use crate::support::{base, leaks, tools, web};

/// What nobody writes by chance.
const CANARY: &str = "canary-9f2c1b7e-token";

/// The forms in which a secret may hide.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    // The end of the text decides the last characters.
    let base64 = base64.trim_end_matches('=');
    [secret.to_owned(), base64[..base64.len() - 2].to_owned(), hex(secret.as_bytes())].map(String::into_bytes).into()
}

fn holds(bytes: &[u8], forms: &[Vec<u8>]) -> bool {
    forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_slice()))
}

/// The bytes themselves, and what they are compressed from.
fn plain_and_unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![bytes.to_vec()];
    let mut unpacked = Vec::new();
    let gzip = bytes.starts_with(&[0x1f, 0x8b]);
    if gzip && flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked).is_ok() {
        all.push(unpacked);
    }
    if let Ok(unpacked) = zstd::stream::decode_all(bytes) {
        all.push(unpacked);
    }
    all
}

/// Panics if a file below a folder, or in an archive there, holds the secret in its name, its content or unpacked.
#[track_caller]
fn check_files(folder: &Path, secret: &str) {
    let forms = forms(secret);
    let files = leaks::files_below(folder);
    assert!(!files.is_empty(), "`{}` is empty", folder.display());
    for path in files.iter().filter(|path| !path.is_symlink()) {
        let name = path.display();
        assert!(!holds(path.as_os_str().as_encoded_bytes(), &forms), "the name `{name}` holds the secret");
        let mut contents = vec![fs::read(path).unwrap()];
        if path.extension().is_some_and(|extension| extension == "tar") {
            contents.extend(Archive::open(path).unwrap().files.into_values());
        }
        for bytes in contents.iter().flat_map(|bytes| plain_and_unpacked(bytes)) {
            assert!(!holds(&bytes, &forms), "`{name}` holds the secret");
        }
    }
}

#[track_caller]
fn check_texts(texts: [&str; 2], secret: &str) {
    for text in texts {
        assert!(!holds(text.as_bytes(), &forms(secret)), "{text}");
    }
}

#[test]
fn a_build_argument_that_nobody_writes_down_is_nowhere() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox AS fetch
        ARG API_TOKEN=none
        RUN test ${#API_TOKEN} = 21 && echo fetched >/data
        FROM busybox
        ARG API_TOKEN
        COPY --from=fetch /data /
        RUN test -n \"$API_TOKEN\" && cat /data
        WORKDIR /x
        ",
    );
    let output = project.root().join("output");
    fs::create_dir(&output).unwrap();
    let archive = output.join("app.tar");
    let metadata = output.join("metadata.json");
    let args = [
        "-t".as_ref(),
        "app".as_ref(),
        "-o".as_ref(),
        archive.as_os_str(),
        "--metadata-file".as_ref(),
        metadata.as_os_str(),
        "--build-arg".as_ref(),
        "API_TOKEN".as_ref(),
        ".".as_ref(),
    ];
    for _ in 0..2 {
        let ran = project.rbuild(args).env("API_TOKEN", CANARY).run().success();
        check_texts([&ran.stdout, &ran.stderr], CANARY);
    }
    // A changed value is told by its name alone.
    let ran = project.rbuild(args).env("API_TOKEN", "another-secret-token!").run().success();
    assert!(ran.stderr.contains("because build argument API_TOKEN changed"), "{}", ran.stderr);
    for secret in [CANARY, "another-secret-token!"] {
        check_texts([&ran.stdout, &ran.stderr], secret);
        check_files(&project.store(), secret);
        check_files(&output, secret);
    }
}

#[test]
fn a_build_argument_of_a_step_that_fails_is_nowhere() {
    let project = base::project("//- Dockerfile\nFROM busybox\nARG API_TOKEN\nRUN test $API_TOKEN = other\n");
    let ran = project.rbuild(["--build-arg", &format!("API_TOKEN={CANARY}"), "."]).run().failure(1);
    check_texts([&ran.stdout, &ran.stderr], CANARY);
    check_files(&project.store(), CANARY);
}

#[test]
fn credentials_of_a_registry_are_nowhere() {
    let registry = Registry::with_login();
    let name = registry.name("team/base:1");
    let layout = format!("oci:{}:latest", base::busybox().display());
    tools::skopeo_copy(&layout, &format!("docker://{name}"), &[&format!("--dest-creds={USER}:{PASSWORD}")]);
    let project = Project::with(&format!("//- Dockerfile\nFROM {name}\nRUN echo a >/a\n"));
    project.write_registries_conf(&registry.mirror_of_docker_hub());
    let login = |password: &str| {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        project.write_docker_config(&format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}}}}}", registry.host()));
    };
    let wrong = "wrong-horse-battery";
    login(wrong);
    let ran = project.rbuild(["."]).run().failure(3);
    check_texts([&ran.stdout, &ran.stderr], wrong);
    check_texts([&ran.stdout, &ran.stderr], &format!("{USER}:{wrong}"));
    login(PASSWORD);
    let pushed = registry.name("team/app:1");
    let ran = project.rbuild(["-t", &pushed, "--push", "."]).run().success();
    for secret in [PASSWORD.to_owned(), format!("{USER}:{PASSWORD}"), wrong.to_owned()] {
        check_texts([&ran.stdout, &ran.stderr], &secret);
        check_files(&project.store(), &secret);
    }
}

#[test]
fn a_secret_for_a_server_is_nowhere_but_in_its_request() {
    let address = web::serve(&[("/file", b"content")]);
    let project = Project::with(&format!("//- Dockerfile\nFROM scratch\nADD {address}/file {address}/missing /\n"));
    project.write("//- good/Dockerfile\nFROM scratch\nCOPY --from=named / /\n");
    let output = project.root().join("output");
    fs::create_dir(&output).unwrap();
    let archive = output.join("app.tar").display().to_string();
    let named = format!("--build-context=named={address}/file");
    let secrets = ["--secret=id=HTTP_AUTH_TOKEN_127.0.0.1,env=T", "--secret=id=GIT_AUTH_TOKEN,env=T", "-o", &archive];
    for (path, status) in [("good", 0), (".", 3)] {
        let args = [path, &named].into_iter().chain(secrets);
        let ran = project.rbuild(args).env("T", CANARY).run();
        let ran = if status == 0 { ran.success() } else { ran.failure(status) };
        check_texts([&ran.stdout, &ran.stderr], CANARY);
        check_files(&project.store(), CANARY);
        check_files(&output, CANARY);
    }
    let broken = format!("{CANARY}\r\nX: y");
    let ran = project.rbuild(["good", &named].into_iter().chain(secrets)).env("T", &broken).run().failure(1);
    assert!(ran.stderr.contains("the secret `HTTP_AUTH_TOKEN_127.0.0.1` cannot stand in a header"), "{}", ran.stderr);
    check_texts([&ran.stdout, &ran.stderr], CANARY);
}

#[test]
fn the_value_of_a_secret_argument_is_in_no_record_and_no_reason() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        ARG API_TOKEN
        WORKDIR /made/$API_TOKEN
        COPY --chown=5:6 a /copied/$API_TOKEN/
        RUN touch here
        //- a
        1
        ",
    );
    let [first, second] = ["API_TOKEN=first-value", "API_TOKEN=second-value"];
    project.rbuild(["-o", "type=image", "--build-arg", first, "."]).run().success();
    let ran = project.rbuild(["why", "--build-arg", second, "."]).run().success();
    expect![[r#"
        #1 [2/4] WORKDIR /made/$API_TOKEN: runs because the folder /made/$API_TOKEN has another value
        #2 [3/4] COPY --chown=5:6 a /copied/$API_TOKEN/: runs because the destination /copied/$API_TOKEN/ has another value
        #3 [4/4] RUN touch here: runs because build argument API_TOKEN changed
        0 cached, 3 would run
    "#]].assert_eq(&ran.stdout);
    let ran = project.rbuild(["why", "--explain", "--build-arg", second, "."]).run().success();
    assert!(!ran.stdout.contains("-value"), "{}", ran.stdout);
    project.rbuild(["-o", "type=image", "--build-arg", second, "."]).run().success();
    for bucket in ["steps", "builds"] {
        for path in leaks::files_below(&project.store().join("records").join(bucket)) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("-value"), "{}: {text}", path.display());
        }
    }
}
