use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::super::policy::{self, Origin, RealmTrust};
use super::super::registries::Place;
use super::super::{Error, Registries, challenge, credentials, http, manifest};
use super::{linux, reference, registries};
use crate::digest::BlobDigest;

fn shown(header: &str) -> String {
    let challenges = challenge::parse(header).into_iter().map(|c| {
        let parameters: Vec<String> = c.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}({})", c.scheme, parameters.join(" "))
    });
    challenges.collect::<Vec<_>>().join(" + ")
}

#[test]
fn challenges_are_read_as_rfc_9110_says() {
    for (header, expected) in [
        (
            r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#,
            "bearer(realm=https://auth.example/token scope=repository:a/b:pull,push service=reg)",
        ),
        (r#"BEARER Realm = "x" , service=y"#, "bearer(realm=x service=y)"),
        (r#"Basic realm="a \"quoted\" \\ one""#, r#"basic(realm=a "quoted" \ one)"#),
        (r#"Basic realm="x", Bearer realm="y",service="z""#, "basic(realm=x) + bearer(realm=y service=z)"),
        ("Negotiate", "negotiate()"),
        (r#"Negotiate YII=, Basic realm="x""#, "negotiate() + basic(realm=x)"),
        (r#", , Basic realm="x",,"#, "basic(realm=x)"),
        (r#"Basic realm="a, b=c", charset="UTF-8""#, "basic(charset=UTF-8 realm=a, b=c)"),
        (r#"Bearer realm="one",realm="two""#, "bearer(realm=one)"),
        (r#"Bearer realm="open"#, "bearer()"),
        (r#"realm="x""#, ""),
        ("", ""),
        ("\"", ""),
    ] {
        assert_eq!(shown(header), expected, "{header}");
    }
}

proptest::proptest! {
    #[test]
    fn no_challenge_is_a_panic(header in ".{0,200}") {
        challenge::parse(&header);
    }

    #[test]
    fn no_registries_file_is_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        drop(Registries::parse(&[(PathBuf::from("x"), bytes)]));
    }
}

fn auths(pairs: &[(&str, &str)]) -> String {
    let entries =
        pairs.iter().map(|(key, user)| (key.to_string(), serde_json::json!({"username": user, "password": "p"})));
    serde_json::json!({"auths": entries.collect::<serde_json::Map<_, _>>()}).to_string()
}

#[test]
fn a_key_serves_its_host_and_namespace_and_nothing_else() {
    let hub = "https://index.docker.io/v1/";
    for (key, registry, repository, serves) in [
        (hub, "docker.io", "library/python", true),
        ("index.docker.io", "docker.io", "library/python", true),
        ("docker.io", "docker.io", "me/app", true),
        ("registry-1.docker.io", "docker.io", "me/app", true),
        ("https://docker.io", "docker.io", "me/app", true),
        (hub, "registry-1.docker.io", "me/app", true),
        (hub, "docker.io.evil", "me/app", false),
        (hub, "hub.docker.com", "me/app", false),
        ("docker.io/me", "docker.io", "me/app", true),
        ("docker.io/me", "docker.io", "mean/app", false),
        ("quay.io", "quay.io", "a/b", true),
        ("https://quay.io", "quay.io", "a/b", true),
        ("https://quay.io/", "quay.io", "a/b", true),
        ("https://quay.io/v1/", "quay.io", "a/b", true),
        ("https://quay.io/v2", "quay.io", "a/b", true),
        ("http://quay.io", "quay.io", "a/b", true),
        ("QUAY.io", "quay.io", "a/b", true),
        ("quay.io.", "quay.io", "a/b", false),
        ("quay.io", "quay.io.evil", "a/b", false),
        ("quay.io", "evilquay.io", "a/b", false),
        ("quay.io", "sub.quay.io", "a/b", false),
        ("sub.quay.io", "quay.io", "a/b", false),
        ("*.quay.io", "sub.quay.io", "a/b", false),
        ("quay.io", "quay.io:443", "a/b", false),
        ("quay.io:443", "quay.io", "a/b", false),
        ("quay.io:5000", "quay.io:5000", "a/b", true),
        ("quay.io:5000", "quay.io:5001", "a/b", false),
        ("user@quay.io", "quay.io", "a/b", false),
        ("quay.io?x", "quay.io", "a/b", false),
        ("quay.io#x", "quay.io", "a/b", false),
        (" quay.io", "quay.io", "a/b", false),
        ("ftp://quay.io", "quay.io", "a/b", false),
        ("quay.io/a", "quay.io", "a/b", true),
        ("quay.io/a/", "quay.io", "a/b", true),
        ("quay.io/a/b", "quay.io", "a/b", true),
        ("quay.io/a/b/c", "quay.io", "a/b", false),
        ("quay.io/ab", "quay.io", "a/b", false),
        ("quay.io/a", "quay.io", "ab/c", false),
        ("quay.io/../a", "quay.io", "a/b", false),
        ("https://quay.io/a", "quay.io", "b/c", false),
        ("", "quay.io", "a/b", false),
        ("/", "quay.io", "a/b", false),
        ("localhost:5000", "127.0.0.1:5000", "a/b", false),
        ("[::1]:5000", "[::1]:5000", "a/b", true),
    ] {
        let found = credentials::testing::look_up(&auths(&[(key, "u")]), registry, repository);
        assert_eq!(found.is_some(), serves, "{key} for {registry}/{repository}");
    }
}

#[test]
fn the_longest_key_counts_and_docker_s_own_spelling_before_others() {
    let text =
        auths(&[("quay.io", "all"), ("quay.io/a", "team"), ("quay.io/a/b", "one"), ("https://quay.io/v1/", "old")]);
    let look_up = |repository| credentials::testing::look_up(&text, "quay.io", repository);
    assert_eq!(look_up("a/b").as_deref(), Some("one:p"));
    assert_eq!(look_up("a/c").as_deref(), Some("team:p"));
    assert_eq!(look_up("x/y").as_deref(), Some("all:p"));
}

#[test]
fn every_form_of_an_entry_is_read() {
    let look_up = |entry: &str| {
        let text = format!(r#"{{"auths":{{"r.io":{entry}}},"HttpHeaders":{{"a":"b"}},"other":1}}"#);
        credentials::testing::look_up(&text, "r.io", "a")
    };
    assert_eq!(look_up(r#"{"auth":"dTpwOnE="}"#).as_deref(), Some("u:p:q"));
    assert_eq!(look_up(r#"{"auth":"dTpwOnE"}"#).as_deref(), Some("u:p:q"), "without padding");
    assert_eq!(look_up(r#"{"auth":"dTpwAAA="}"#).as_deref(), Some("u:p"), "with NULs");
    assert_eq!(look_up(r#"{"username":"u","password":"p"}"#).as_deref(), Some("u:p"));
    assert_eq!(look_up(r#"{"auth":"dTpw","identitytoken":"t"}"#).as_deref(), Some("identity t"));
    assert_eq!(look_up(r#"{"registrytoken":"t"}"#).as_deref(), Some("bearer t"));
    assert_eq!(look_up("{}"), None);
    assert_eq!(look_up("null"), None);
    assert_eq!(look_up(r#"{"auth":"!!"}"#), None);
}

#[test]
fn a_host_s_own_helper_comes_before_the_one_for_all() {
    let text = r#"{"credsStore":"all","credHelpers":{"gcr.io":"one","docker.io":"hub"}}"#;
    assert_eq!(credentials::testing::helper(text, "gcr.io").as_deref(), Some("one"));
    assert_eq!(credentials::testing::helper(text, "eu.gcr.io").as_deref(), Some("all"));
    assert_eq!(credentials::testing::helper(text, "docker.io").as_deref(), Some("hub"));
    assert_eq!(credentials::testing::helper("{}", "gcr.io"), None);
}

fn places(file: &Registries, name: &str) -> Vec<String> {
    let mark = |place: Place| match place.insecure {
        Some(true) => format!("{} insecure", place.reference),
        _ => place.reference.to_string(),
    };
    file.places(&reference(name)).expect("places").into_iter().map(mark).collect()
}

#[test]
fn the_longest_prefix_decides_and_mirrors_come_first() {
    let file = registries(
        r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.local:5000/hub"
        insecure = true
        [[registry.mirror]]
        location = "tags.local"
        pull-from-mirror = "tag-only"
        [[registry]]
        prefix = "docker.io/library/python"
        location = "python.local/py"
        [[registry]]
        prefix = "*.example.com"
        [[registry.mirror]]
        location = "mirror.local/ex"
        "#,
    );
    let pinned = format!("me/app@sha256:{}", "a".repeat(64));
    for (name, expected) in [
        (
            "me/app",
            vec!["mirror.local:5000/hub/me/app:latest insecure", "tags.local/me/app:latest", "docker.io/me/app:latest"],
        ),
        ("python:3.8", vec!["python.local/py:3.8"]),
        (
            "library/pythonic",
            vec![
                "mirror.local:5000/hub/library/pythonic:latest insecure",
                "tags.local/library/pythonic:latest",
                "docker.io/library/pythonic:latest",
            ],
        ),
        ("a.b.example.com/x/y:t", vec!["mirror.local/ex/x/y:t", "a.b.example.com/x/y:t"]),
        ("example.com/x", vec!["example.com/x:latest"]),
        ("notexample.com/x", vec!["notexample.com/x:latest"]),
        ("docker.io.evil/x", vec!["docker.io.evil/x:latest"]),
        ("quay.io/x", vec!["quay.io/x:latest"]),
    ] {
        assert_eq!(places(&file, name), expected, "{name}");
    }
    assert_eq!(places(&file, &pinned).len(), 2, "a mirror for tags is not asked for a digest");
    assert_eq!(file.notes(), ["`unqualified-search-registries` in `registries.conf` has no effect here"]);
}

#[test]
fn a_blocked_registry_is_refused_by_name() {
    let file = registries("[[registry]]\nprefix = \"evil.io/x\"\nblocked = true\n");
    assert!(matches!(file.places(&reference("evil.io/x/y")), Err(Error::Blocked { .. })));
    assert!(file.places(&reference("evil.io/y")).is_ok());
}

#[test]
fn a_later_file_replaces_entries_of_the_same_prefix() {
    let one = b"[[registry]]\nlocation = \"a.io\"\nblocked = true\n".to_vec();
    let two = b"[[registry]]\nprefix = \"a.io\"\nlocation = \"b.io\"\n".to_vec();
    let file = Registries::parse(&[("one".into(), one), ("two".into(), two)]).expect("both");
    assert_eq!(places(&file, "a.io/x"), ["b.io/x:latest"]);
}

#[test]
fn errors_in_registries_files_name_file_and_line() {
    for (text, line, part) in [
        ("[[registry]]\nlocation = \"a.io\"\ninsecur = true\n", 3, "insecur"),
        ("\n\n[[registry]]\nblocked = true\n", 3, "needs a `prefix`"),
        ("[[registry]]\nlocation = \"https://a.io\"\n", 1, "without `https://`"),
        ("[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"\"\n", 3, "mirror"),
        ("[[registry]]\nprefix = \"a*.io\"\n", 1, "subdomains"),
        ("[registries.search]\nregistries = [\"a\"]\n", 1, "version 1"),
        ("x = = 1\n", 1, ""),
    ] {
        match Registries::parse(&[("conf".into(), text.as_bytes().to_vec())]) {
            Err(error @ Error::RegistriesFile { line: found, .. }) => {
                assert_eq!(found, line, "{text}");
                let shown = error.to_string();
                assert!(shown.starts_with("`conf`, line ") && shown.contains(part), "{shown}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

fn origin(url: &str) -> Origin {
    Origin::of(&Url::parse(url).expect("a URL")).expect("an origin")
}

#[test]
fn token_servers_are_trusted_only_where_they_belong_to_the_registry() {
    let same = Some(RealmTrust::Same);
    let foreign = Some(RealmTrust::Foreign);
    for (registry, realm, expected) in [
        ("https://registry-1.docker.io", "https://auth.docker.io/token", &same),
        ("https://quay.io", "https://quay.io/v2/auth", &same),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", &same),
        ("https://r.example.co.uk", "https://auth.example.co.uk/t", &same),
        ("https://nvcr.io", "https://authn.nvidia.com/token", &same),
        ("https://r.example.co.uk", "https://auth.evil.co.uk/t", &foreign),
        ("https://one.azurecr.io", "https://two.azurecr.io/t", &foreign),
        ("https://quay.io", "https://quay.io.evil/t", &foreign),
        ("https://quay.io", "https://evilquay.io/t", &foreign),
        ("https://8.8.4.4", "https://8.8.8.8/t", &foreign),
        ("https://quay.io", "http://quay.io/t", &None),
        ("https://quay.io", "https://user@quay.io/t", &None),
        ("https://quay.io", "https://169.254.169.254/t", &None),
        ("https://quay.io", "https://2852039166/t", &None),
        ("https://quay.io", "https://10.0.0.1/t", &None),
        ("https://quay.io", "https://[::1]/t", &None),
        ("https://quay.io", "https://[::ffff:10.0.0.1]/t", &None),
        ("https://quay.io", "https://localhost/t", &None),
        ("https://quay.io", "file:///etc/passwd", &None),
        ("https://quay.io", "/relative", &None),
        ("https://10.0.0.1", "https://10.0.0.1:5001/t", &same),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/t", &same),
        ("http://127.0.0.1:5000", "http://127.0.0.2:5001/t", &None),
        ("http://127.0.0.1:5000", "http://evil.io/t", &None),
        ("http://127.0.0.1:5000", "https://auth.example.com/t", &foreign),
    ] {
        let found = policy::realm(&origin(registry), realm).ok().map(|(_, trust)| trust);
        assert_eq!(&found, expected, "{registry} → {realm}");
    }
}

#[test]
fn redirects_never_lose_tls_and_never_carry_a_name() {
    let target = |from: &str, to: &str| policy::target(&Url::parse(from).expect("a URL"), to).map(|u| u.to_string());
    assert_eq!(target("https://a.io/v2/x", "/y?z").ok().as_deref(), Some("https://a.io/y?z"));
    assert!(target("https://a.io/", "https://b.io/signed").is_ok());
    assert!(target("http://127.0.0.1:1/", "http://127.0.0.1:2/").is_ok());
    assert!(target("http://a.io/", "https://b.io/").is_ok());
    for (from, to) in [
        ("https://a.io/", "http://a.io/"),
        ("https://a.io/", "http://127.0.0.1/"),
        ("http://127.0.0.1/", "http://169.254.169.254/latest"),
        ("https://a.io/", "https://u:p@b.io/"),
        ("https://a.io/", "file:///etc/passwd"),
        ("https://a.io/", "http://"),
    ] {
        let refused = target(from, to).expect_err(to).to_string();
        assert!(refused.contains("refused") && !refused.contains("u:p"), "{refused}");
    }
}

#[test]
fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
    let asked = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
        http::asked_pause(&headers)
    };
    assert_eq!(asked("7"), Some(Duration::from_secs(7)));
    assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    assert!(asked("Wed, 21 Oct 2099 07:28:00 GMT").is_some_and(|d| d > Duration::from_secs(1 << 30)));
    assert_eq!(asked("soon"), None);
    assert_eq!(asked("-1"), None);
}

#[test]
fn the_best_platform_of_an_index_is_chosen_and_the_first_of_equals() {
    let digest = |n: u8| BlobDigest::of(&[n]).to_string();
    let entry = |n: u8, platform: &str| {
        let kind = r#""mediaType":"application/vnd.oci.image.manifest.v1+json","size":2"#;
        format!(r#"{{{kind},"digest":"{}","platform":{platform}}}"#, digest(n))
    };
    let arm = |variant: &str| format!(r#"{{"os":"linux","architecture":"arm","variant":"{variant}"}}"#);
    let entries = [
        entry(1, r#"{"os":"unknown","architecture":"unknown"}"#),
        entry(2, &arm("v6")),
        entry(3, &arm("v7")),
        entry(4, &arm("v7")),
        entry(5, r#"{"os":"linux","architecture":"amd64"}"#),
    ];
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    let choose =
        |platform: &str| manifest::testing::judge(index.as_bytes(), None, &platform.parse().expect("a platform"));
    assert_eq!(choose("linux/amd64").ok(), Some(digest(5)));
    assert_eq!(choose("linux/arm/v7").ok(), Some(digest(3)));
    assert_eq!(choose("linux/arm/v6").ok(), Some(digest(2)));
    let refused = choose("linux/s390x").expect_err("nothing for it").to_string();
    assert!(
        refused.contains("linux/s390x") && refused.contains("linux/amd64, linux/arm/v6, linux/arm/v7"),
        "{refused}"
    );
}

#[test]
fn a_document_is_what_it_says_and_what_it_was_sent_as() {
    let judge = |text: &str, sent| manifest::testing::judge(text.as_bytes(), sent, &linux());
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let descriptor = format!(r#"{{"mediaType":"{oci}","digest":"{}","size":1}}"#, BlobDigest::of(b"x"));
    let body =
        |media: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{media}","config":{descriptor},"layers":[]}}"#);
    assert!(judge(&body(oci), Some(oci)).is_ok());
    assert!(judge(&body(oci), Some("application/json; charset=utf-8")).is_ok());
    assert!(matches!(judge(&body(oci), Some(docker)), Err(Error::Ambiguous { .. })));
    assert!(matches!(judge(&body("application/x"), None), Err(Error::NotAnImage { .. })));
    assert!(matches!(judge(r#"{"schemaVersion":1,"fsLayers":[]}"#, None), Err(Error::Schema1 { .. })));
    let both = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[],"manifests":[]}}"#);
    assert!(matches!(judge(&both, None), Err(Error::Document { .. })));
    assert!(matches!(judge("<html>", Some("text/html")), Err(Error::Document { .. })));
    assert!(judge("null", None).is_err());
}
