//! Documents, what names stand for, and grants.

use std::path::PathBuf;

use super::*;

const TOUCHING: &str = "containerEdits: {env: [A=1]}";

/// A document of `kind` with these devices.
fn document(kind: &str, devices: &[&str]) -> Result<Document> {
    let devices: Vec<String> = devices.iter().map(|name| format!("- {{name: {name}, {TOUCHING}}}\n")).collect();
    Document::parse("a.yaml", format!("cdiVersion: 0.6.0\nkind: {kind}\ndevices:\n{}", devices.concat()))
}

fn catalog(documents: Vec<(usize, Result<Document>)>) -> Catalog {
    let mut catalog = Catalog::new(&[PathBuf::from("/etc/cdi")]);
    for (folder, document) in documents {
        catalog.add(folder, document);
    }
    catalog
}

#[track_caller]
fn problem(text: &str) -> String {
    match Document::parse("a.yaml", text.to_owned()) {
        Ok(document) => panic!("nothing is wrong with {document:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_document_is_yaml_or_json_and_says_what_its_devices_change() {
    let yaml = "cdiVersion: \"0.6.0\"\nkind: v.com/c\ndevices:\n- name: 0\n  containerEdits:\n    env: [A=1=2]\n    deviceNodes:\n    \
                - {path: /dev/x, hostPath: /dev/y, type: c, major: 1, minor: 5, fileMode: 0640, permissions: rwm, uid: 7}\n    \
                mounts:\n    - {hostPath: /lib/a, containerPath: /lib/b, options: [ro, nosuid, noexec, rbind]}\n    \
                additionalGids: [0, 44]\n";
    let json = r#"{"cdiVersion": "0.6.0", "kind": "v.com/c", "devices": [{"name": "0", "containerEdits": {
        "env": ["A=1=2"], "additionalGids": [0, 44],
        "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y", "type": "c", "major": 1, "minor": 5, "fileMode": 416,
                         "permissions": "rwm", "uid": 7}],
        "mounts": [{"hostPath": "/lib/a", "containerPath": "/lib/b", "options": ["ro", "nosuid", "noexec", "rbind"]}]}}]}"#;
    let expected = Edits {
        env: vec![("A".to_owned(), "1=2".to_owned())],
        nodes: vec![Node {
            path: "/dev/x".to_owned(),
            host_path: Some("/dev/y".to_owned()),
            kind: Some(NodeKind::Character),
            numbers: (1, 5),
            mode: Some(0o640),
            uid: Some(7),
            gid: None,
        }],
        mounts: vec![Mount {
            host_path: "/lib/a".to_owned(),
            path: "/lib/b".to_owned(),
            read_only: true,
            programs: Programs::Refused,
        }],
        groups: vec![44],
        unsupported: Vec::new(),
    };
    for text in [yaml, json] {
        let catalog = catalog(vec![(0, Document::parse("a", text.to_owned()))]);
        assert_eq!(catalog.edits(&["v.com/c=0".to_owned()]).expect("everything is supported"), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_document_is_told_with_its_line() {
    let head = "cdiVersion: 0.6.0\nkind: v.com/c\n";
    for (text, expected) in [
        (String::new(), "`a.yaml:1`: a CDI file has one document, and here are 0"),
        ("- a\n".to_owned(), "`a.yaml:1`: a CDI file must be a mapping, and is a list"),
        ("a: [\n".to_owned(), "`a.yaml:"),
        (head.to_owned(), "`a.yaml:1`: a CDI file must have devices"),
        (format!("{head}devices:\n- {{name: a}}\n"), "`a.yaml:4`: the device `a` changes nothing"),
        (format!("{head}devices:\n- {{nmae: a, {TOUCHING}}}\n"), "a device has no key `nmae`; did you mean `name`?"),
        (format!("{head}devices:\n- {{name: -a, {TOUCHING}}}\n"), "`-a` is no name of a device: it must begin with"),
        (
            format!("{head}devices:\n- {{name: a, {TOUCHING}}}\n- {{name: a, {TOUCHING}}}\n"),
            "`a.yaml:5`: there are two devices `a`",
        ),
        (
            format!("kind: v.com\ncdiVersion: 9.0.0\ndevices: [{{name: a, {TOUCHING}}}]\n"),
            "`9.0.0` is no known version",
        ),
        (format!("kind: v.com\ncdiVersion: 1.0.0\ndevices: [{{name: a, {TOUCHING}}}]\n"), "write `vendor/class`"),
        (format!("{head}containerEdits: {{env: [=x]}}\n"), "`a.yaml:3`: a variable must be `NAME=VALUE`"),
        (format!("{head}containerEdits: {{deviceNodes: [{{path: dev}}]}}\n"), "`path` must be an absolute path"),
        (
            format!("{head}containerEdits: {{deviceNodes: [{{path: /x, type: q}}]}}\n"),
            "`q` is no type of a device node",
        ),
        (format!("{head}containerEdits: {{deviceNodes: [{{path: /x, permissions: x}}]}}\n"), "`x` are no permissions"),
        (format!("{head}containerEdits: {{deviceNodes: [{{path: /x, major: -1}}]}}\n"), "`major` must be a number"),
        (format!("{head}containerEdits: {{mounts: [{{hostPath: /x}}]}}\n"), "the key `containerPath` is missing"),
    ] {
        let problem = problem(&text);
        assert!(problem.contains(expected), "{text}\n{problem}");
    }
}

#[test]
fn what_cannot_be_given_is_refused_with_its_device_and_place() {
    for (edit, expected) in [
        ("hooks: [{hookName: prestart, path: /bin/h}]", "a hook `prestart` that runs `/bin/h` on the host"),
        ("netDevices: [{hostInterfaceName: a, name: b}]", "a network interface"),
        ("intelRdt: {closID: x}", "`intelRdt`"),
        ("deviceNodes: [{path: /x, type: p}]", "a pipe as a device node"),
        ("deviceNodes: [{path: /x, permissions: r}]", "a device node with the permissions `r`, without `r` or `w`"),
        ("mounts: [{hostPath: /x, containerPath: /y, type: tmpfs}]", "a mount of type `tmpfs`"),
        ("mounts: [{hostPath: /x, containerPath: /y, options: [shared]}]", "the mount option `shared`"),
    ] {
        let text = format!(
            "cdiVersion: 1.1.0\nkind: v.com/c\ndevices:\n- {{name: fine, {TOUCHING}}}\n- name: a\n  containerEdits: {{{edit}}}\n"
        );
        let catalog = catalog(vec![(0, Document::parse("a.yaml", text))]);
        let refused = catalog.edits(&["v.com/c=a".to_owned()]).expect_err(edit).to_string();
        assert_eq!(
            refused,
            format!("the device `v.com/c=a` asks for {expected}, which rbuild cannot give: `a.yaml:6`")
        );
        assert!(catalog.edits(&["v.com/c=fine".to_owned()]).is_ok());
    }
}

/// The cases of BuildKit's own test of its manager.
#[test]
fn a_name_is_a_device_the_first_or_all_of_a_kind_or_a_class() {
    let class = "annotations: {org.mobyproject.buildkit.device.class: class1}";
    let annotated = format!(
        "cdiVersion: 0.6.0\nkind: vendor1.com/deviceclass\n{class}\ndevices: [{{name: foo, {TOUCHING}}}, {{name: bar, {TOUCHING}}}]\n"
    );
    let catalog = catalog(vec![
        (0, document("vendor1.com/device", &["foo"])),
        (0, document("vendor1.com/devicemulti", &["foo", "bar", "baz", "qux"])),
        (0, Document::parse("class.yaml", annotated)),
    ]);
    for (name, expected) in [
        ("vendor1.com/device=foo", &["vendor1.com/device=foo"][..]),
        ("vendor1.com/devicemulti", &["vendor1.com/devicemulti=bar"]),
        (
            "vendor1.com/devicemulti=*",
            &[
                "vendor1.com/devicemulti=bar",
                "vendor1.com/devicemulti=baz",
                "vendor1.com/devicemulti=foo",
                "vendor1.com/devicemulti=qux",
            ],
        ),
        ("class1", &["vendor1.com/deviceclass=bar", "vendor1.com/deviceclass=foo"]),
        ("vendor1.com/device=unknown", &[]),
        ("vendor1.com/devic", &[]),
        ("=foo", &[]),
        ("*", &[]),
    ] {
        assert_eq!(catalog.find(name), expected, "{name}");
    }
}

#[test]
fn the_later_folder_counts_and_two_documents_of_one_folder_hide_a_device() {
    let named = |name: &str, value: &str| {
        let text = format!(
            "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: [{{name: {name}, containerEdits: {{env: [A={value}]}}}}]\n"
        );
        Document::parse(&format!("{value}.yaml"), text)
    };
    let value = |catalog: &Catalog, name: &str| {
        let edits = catalog.edits(&catalog.given(name, true, &all())?)?;
        Ok::<_, Error>(edits.env.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
    };
    let later = catalog(vec![(0, named("a", "1")), (1, named("a", "2"))]);
    assert_eq!(value(&later, "v.com/c=a").expect("it is there"), ["2"]);
    let twice = catalog(vec![(0, named("a", "1")), (0, named("a", "2")), (0, named("b", "3"))]);
    assert_eq!(value(&twice, "v.com/c").expect("another is there"), ["3"]);
    let missing = value(&twice, "v.com/c=a").expect_err("nobody knows which").to_string();
    assert!(missing.contains("`1.yaml` and `2.yaml` both have the device `v.com/c=a`"), "{missing}");
    let settled = catalog(vec![(0, named("a", "1")), (0, named("a", "2")), (1, named("a", "3"))]);
    assert_eq!(value(&settled, "v.com/c=a").expect("the later folder says which"), ["3"]);
}

fn all() -> Grants {
    let mut grants = Grants::default();
    grants.add_all();
    grants
}

#[test]
fn a_device_is_given_if_it_is_allowed_itself_by_its_kind_by_an_alias_or_to_everybody() {
    let free = format!(
        "cdiVersion: 0.6.0\nkind: v.com/free\nannotations: {{org.mobyproject.buildkit.device.autoallow: true}}\n\
         devices: [{{name: a, {TOUCHING}}}]\n"
    );
    let catalog = catalog(vec![
        (0, document("v.com/c", &["a", "b"])),
        (0, Document::parse("free.yaml", free)),
        (0, document("wrong", &["a"])),
    ]);
    let grants = |names: &[&str]| {
        let mut grants = Grants::default();
        names.iter().for_each(|name| grants.add((*name).to_owned()));
        grants
    };
    let told = |name: &str, required: bool, grants: &Grants| match catalog.given(name, required, grants) {
        Ok(names) => names.join(" "),
        Err(error) => error.to_string(),
    };
    let refused = |name: &str| {
        format!(
            "the device `{name}` is not allowed; hint: if you trust this Dockerfile, build with `--allow device={name}`"
        )
    };
    assert_eq!(told("v.com/c=a", true, &Grants::default()), refused("v.com/c=a"));
    assert_eq!(told("v.com/c=a", true, &all()), "v.com/c=a");
    assert_eq!(told("v.com/c=a", true, &grants(&["v.com/c=a"])), "v.com/c=a");
    // A kind alone is its first device.
    assert_eq!(told("v.com/c=a", true, &grants(&["v.com/c"])), "v.com/c=a");
    assert_eq!(told("v.com/c=*", true, &grants(&["v.com/c"])), refused("v.com/c=b"));
    assert_eq!(told("v.com/c=*", true, &grants(&["v.com/c=*"])), "v.com/c=a v.com/c=b");
    assert_eq!(told("v.com/free", true, &Grants::default()), "v.com/free=a");
    let mut alias = Grants::default();
    alias.add_alias("gpu".to_owned(), "v.com/c=b".to_owned());
    assert_eq!(told("gpu", true, &alias), "v.com/c=b");
    assert_eq!(told("v.com/c=b", true, &alias), refused("v.com/c=b"));
    assert_eq!(told("v.com/none", false, &Grants::default()), "");
    assert_eq!(
        told("v.com/c=aa", true, &all()),
        "there is no device `v.com/c=aa`; hint: did you mean `v.com/c=a`?\n\
         `a.yaml:2`: `wrong` is no kind of devices: write `vendor/class`"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    let text = "cdiVersion: 0.6.0\nkind: v.com/c\ncontainerEdits:\n  mounts: [{hostPath: /a, containerPath: /ü}]\ndevices:\n- name: a\n  \
                containerEdits: {hooks: [{hookName: é, path: \"\\0\"}], env: [ö=\"x\"]}\n";
    for (end, _) in text.char_indices() {
        for tail in ["", "{", "[", "\"", "&a", "*a", ": ", "\t", "\u{feff}"] {
            let read = Document::parse("a.yaml", [&text[..end], tail].concat());
            assert!(read.is_ok() || !read.expect_err("it is wrong").to_string().is_empty());
        }
    }
}
