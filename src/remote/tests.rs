use super::{Remote, Submodules, Times, masked};

fn shown(text: &str) -> String {
    match Remote::parse_context(text) {
        Ok(Some(Remote::Http(url))) => format!("http {} {}", url.shown(), url.file_name()),
        Ok(Some(Remote::Git(git))) => format!("git {}", git.shown()),
        Ok(None) => "path".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn urls_repositories_and_paths_are_told_apart() {
    for (text, expected) in [
        ("a/b.git", "path"),
        ("./git@h:x", "path"),
        ("ftp://host/x", "path"),
        ("http://h/a/b.txt?x=1", "http http://h/a/b.txt b.txt"),
        ("https://u:p@h/a", "http https://h/a a"),
        ("https://h/r.git", "git https://h/r.git"),
        ("https://u:p@h/r.git#main:a/b", "git https://h/r.git#main:a/b"),
        ("https://h/r.git?ref=v1&subdir=x", "git https://h/r.git#v1:x"),
        ("https://h/r.git?branch=b", "git https://h/r.git#refs/heads/b"),
        ("https://h/r.git?tag=refs/tags/t", "git https://h/r.git#refs/tags/t"),
        ("git@h:o/r.git#:sub", "git git@h:o/r.git#:sub"),
        ("ssh://git@h:22/r#v", "git ssh://git@h:22/r#v"),
        ("git://h/r", "git git://h/r"),
        ("github.com/o/r#x", "git https://github.com/o/r#x"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn the_name_of_a_download_is_the_last_part_of_its_path_if_that_can_be_a_name() {
    for (path, expected) in [
        ("", "__unnamed__"),
        ("/", "__unnamed__"),
        ("/a/", "a"),
        ("/a%2Fb", "b"),
        ("/%2e%2e%2f", "__unnamed__"),
        ("/x%2f%2e%2e", "__unnamed__"),
        ("/a%00b", "__unnamed__"),
        ("/a%20b", "a b"),
        ("/d/f.tar.gz#frag", "f.tar.gz"),
    ] {
        assert!(shown(&format!("http://h{path}")).ends_with(&format!(" {expected}")), "{path}");
    }
    assert!(shown(&format!("http://h/{}", "a".repeat(300))).ends_with(" __unnamed__"));
}

#[test]
fn what_could_be_an_option_or_lead_astray_is_refused() {
    for text in [
        "https://h/r.git#-x",
        "https://h/r.git#--upload-pack=touch",
        "https://h/r.git#a..b",
        "https://h/r.git#a:../..",
        "https://h/r.git#a:x/../../y",
        "https://h/r.git#a:-x",
        "https://h/r.git?ref=-x",
        "https://h/r.git?subdir=../x",
        "https://h/r.git?ref=a%0Ab",
        "https://h/r.git?checksum=xyz",
        "https://h/r.git?nope=1",
        "https://h/r.git?ref",
        "https://h/r.git?ref=a&ref=a",
        "https://h/r.git?ref=a#b",
        "https://h/r.git?branch=a&tag=b",
        "https://h/r.git?keep-git-dir=maybe",
        "git@-oProxyCommand=x:y",
        "ssh://-oProxyCommand=x/y",
        "git@h:-x",
        "git@h:a\nb",
        "http://",
    ] {
        let said = shown(text);
        assert!(said.starts_with("error: ") || (said == "path" && text.contains("Proxy")), "{text}: {said}");
    }
}

#[test]
fn credentials_are_kept_and_never_shown() {
    let text = "https://user:CAN%40ARY@h/r.git#main";
    let Ok(Some(Remote::Git(git))) = Remote::parse(text) else { panic!("git") };
    assert_eq!(git.credentials(), Some(&("user".to_owned(), "CAN@ARY".to_owned())));
    let Ok(Some(Remote::Http(url))) = Remote::parse("https://user:CANARY@h/x?token=CANARY") else { panic!("http") };
    assert_eq!(url.credentials(), Some(("user".to_owned(), "CANARY".to_owned())));
    let said = format!("{git:?} {} {} {url:?} {} {}", git.shown(), git.remote(), url.shown(), url.file_name());
    assert!(!said.contains("CAN") && !said.contains("user"), "{said}");
    let bad = shown("https://user:CANARY@h:bad/x");
    assert!(bad.starts_with("error") && !bad.contains("CANARY"), "{bad}");
}

#[test]
fn credentials_in_a_text_are_masked_byte_by_byte() {
    for (text, expected) in [
        ("ADD https://u:pä@h/x /y", "ADD https://xxxxx@h/x /y"),
        ("a http://token@h b http://u:p@h", "a http://xxxxx@h b http://xxx@h"),
        ("ssh://git@h/r ssh://g:p@h/r", "ssh://git@h/r ssh://xxx@h/r"),
        ("http://h/a@b http://$U@h \"https://h\" a@b", "http://h/a@b http://$U@h \"https://h\" a@b"),
        ("HTTPS://a@b@c", "HTTPS://xxx@c"),
    ] {
        assert_eq!(masked(text), expected);
        assert_eq!(masked(text).len(), text.len());
    }
}

#[test]
fn options_of_a_query_are_read() {
    let text = "https://h/r.git?keep-git-dir&submodules=false&mtime=commit&commit=ABCDEF0123&fetch-by-commit=1";
    let Ok(Some(Remote::Git(mut git))) = Remote::parse(text) else { panic!("git") };
    assert!(git.keeps_git_dir() && git.is_fetched_by_commit());
    assert_eq!((git.submodules, git.times, git.checksum()), (Submodules::LeftOut, Times::Commit, Some("abcdef0123")));
    assert!(git.require("abcdef0123").is_ok() && git.require("0000000").is_err());
    assert!(git.keep_git_dir(true).is_ok() && git.keep_git_dir(false).is_err());
}
