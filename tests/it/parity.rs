//! The same Dockerfile by rbuild and by Docker's BuildKit: the same config and the same file tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::base;
use crate::support::docker::docker;
use crate::support::fixture;
use crate::support::image::Image;
use crate::support::leaks;
use crate::support::run::Project;
use crate::support::service::{self, service};
use crate::support::validate::{Rules, validate};

/// The image that Docker's BuildKit makes of a context. `bases` are names that it does not know and where to pull them.
fn built_by_docker(context: &Path, name: &str, flags: &[&str]) -> Image {
    for base in ["busybox:latest", "python:3.8"] {
        let served = base::registry().name(&format!("library/{base}"));
        docker().success(["pull", "--quiet", &served]);
        docker().success(["tag", &served, base]);
    }
    docker().build(context, &[&["--tag", name], flags].concat());
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.tar");
    docker().save(name, &saved);
    Image::open(&saved).unwrap()
}

/// The file tree without times, and without what Python compiled: by default those hold the times of their sources.
fn tree(image: &Image) -> BTreeMap<String, String> {
    let dump = image.rootfs().unwrap().dump();
    let mut tree = BTreeMap::new();
    for line in dump.lines() {
        let mut words: Vec<&str> = line.splitn(7, ' ').collect();
        let path = words.pop().unwrap();
        words.remove(4);
        if !path.ends_with(".pyc") {
            tree.insert(path.to_owned(), words.join(" "));
        }
    }
    tree
}

/// Panics with every path that only one has, or that differs.
#[track_caller]
fn assert_same_tree(ours: &Image, theirs: &Image) {
    let (ours, theirs) = (tree(ours), tree(theirs));
    let mut found = Vec::new();
    for path in ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path))) {
        let (our, their) = (ours.get(path), theirs.get(path));
        if our != their {
            found.push(format!("{path}\n    rbuild {our:?}\n    docker {their:?}"));
        }
    }
    assert!(found.is_empty(), "{} paths differ:\n{}", found.len(), found.join("\n"));
}

/// What a config says, one fact a line, apart from times, layers and who made it.
fn facts(image: &Image) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for (key, value) in image.config.as_object().unwrap() {
        match key.as_str() {
            "created" | "rootfs" | "moby.buildkit.buildinfo.v1" => {}
            "config" => facts.extend(settings(value)),
            "history" => facts.extend(value.as_array().unwrap().iter().enumerate().map(history)),
            _ => drop(facts.insert(format!("{key}: {value}"))),
        }
    }
    facts
}

/// What is null is as good as not there.
fn settings(config: &Value) -> Vec<String> {
    let told = config.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    told.map(|(key, value)| format!("config.{key}: {value}")).collect()
}

/// One step. rbuild tells what BuildKit tells today; of what Debian's one tells in other words, only the start counts:
/// EXPOSE as a Go map, ARG without an inherited value, COPY without its flags, HEALTHCHECK as a Go pointer.
fn history((number, step): (usize, &Value)) -> String {
    let text = step["created_by"].as_str().unwrap_or_default();
    let mut words: Vec<&str> = text.split(' ').filter(|word| !word.starts_with("--ch")).collect();
    match words[0] {
        "ARG" | "HEALTHCHECK" => words.truncate(1),
        _ => {}
    }
    let text = words.join(" ").replace("EXPOSE map[", "EXPOSE [").replace(":{}", "");
    format!("history {number:02}: {text} (empty: {})", step["empty_layer"] == true)
}

#[track_caller]
fn assert_same_facts(ours: &Image, theirs: &Image) {
    let (ours, theirs) = (facts(ours), facts(theirs));
    let our = ours.difference(&theirs).map(|fact| format!("rbuild {fact}"));
    let their = theirs.difference(&ours).map(|fact| format!("docker {fact}"));
    let found: Vec<String> = our.chain(their).collect();
    assert!(found.is_empty(), "the configs differ:\n{}", found.join("\n"));
}

#[test]
fn the_tutorials_service_is_what_docker_makes_of_it() {
    let folder = TempDir::new().unwrap();
    fixture::write(folder.path(), service::CONTEXT);
    let theirs = built_by_docker(folder.path(), "parity-service:1", &[]);
    assert_same_facts(&service().image, &theirs);
    assert_same_tree(&service().image, &theirs);
}

/// Every instruction, and most of what COPY and ADD can do.
const EVERYTHING: &str = r#"
    //- Dockerfile
    ARG BASE=busybox
    ARG TAG=latest
    FROM ${BASE}:${TAG} AS made
    RUN mkdir -p /out/deep && echo made > /out/deep/file && ln -s deep/file /out/link && chmod 700 /out/deep
    RUN ["/bin/sh", "-c", "echo exec > /out/exec; ln /out/exec /out/hard"]

    FROM ${BASE} AS trigger
    ONBUILD COPY trigger.txt /triggered/
    ONBUILD RUN echo triggered >> /triggered/log

    FROM trigger AS consumer

    FROM $BASE
    MAINTAINER somebody <some@body>
    ARG TAG
    ARG VERSION=1.0
    ARG UNSET
    LABEL one=1 two="two words" three='$VERSION' "with space"="${VERSION}"
    ENV A=a B="b $VERSION" C=${A:-none} D=${UNSET:-fallback} E=${VERSION:+set} F='$A' G=\$A
    ENV OLD style of $A
    WORKDIR /srv
    WORKDIR app
    WORKDIR ${A}/deep
    COPY one.txt two.txt ./
    COPY one.txt /srv/renamed.txt
    COPY one.txt /new/dir/
    COPY dir /copied
    COPY dir/ /copied-too/
    COPY *.txt dir/sub/t?ree.txt /wild/
    COPY --chown=7:8 dir /owned
    COPY --chown=nobody one.txt /by-name.txt
    COPY --chown=daemon:nobody one.txt /by-names.txt
    COPY --chmod=0640 one.txt /moded.txt
    COPY --from=made /out /out
    COPY --from=made /out/link /followed
    COPY --from=consumer /triggered /triggered
    COPY --from=busybox /etc/passwd /other-image/
    ADD one.txt /added/
    ADD archive.tar /unpacked/
    ADD --chown=7:8 two.txt /added-owned/
    COPY archive.tar /kept/
    COPY ["name with space", "/spaced out/"]
    COPY links /links
    COPY . /everything/
    RUN rm -r /copied/sub /out/exec && rm /wild/one.txt && mkdir /wild/one.txt && echo x > /wild/one.txt/x
    RUN chmod 711 /owned && chown 9:9 /owned/a.txt && touch /tmp/t && echo "$A|$B|$C|$D|$E|$F|$G|$OLD|$VERSION|$TAG|$HOME|$PWD" > /env
    USER nobody
    RUN id -un > /tmp/id && id -gn >> /tmp/id && echo "$HOME" > /tmp/home && mkdir -p /tmp/own/dir
    WORKDIR /by/nobody
    USER 1:65534
    RUN id -u > /tmp/number && id -g >> /tmp/number
    USER daemon:nobody
    SHELL ["/bin/sh", "-e", "-c"]
    RUN false || echo "continued" > /tmp/shell
    VOLUME /data /more
    VOLUME ["/json", "/list"]
    EXPOSE 80 443/tcp 53/udp 8000-8002
    STOPSIGNAL SIGUSR1
    HEALTHCHECK --interval=5s --timeout=1m30s --start-period=10s --retries=4 CMD wget -q http://127.0.0.1/ || exit 1
    ENTRYPOINT ["/bin/busybox", "sh"]
    CMD echo $A
    ONBUILD ADD one.txt /
    //- one.txt
    one
    //- two.txt
    two
    //- trigger.txt
    trigger
    //- dir/a.txt
    a
    //- dir/run.sh mode=755
    #!/bin/sh
    //- dir/private mode=600
    private
    //- dir/sub/three.txt
    three
    //- dir/closed/ mode=700
    //- dir/closed/inside
    inside
    //- links/relative -> ../one.txt
    //- links/absolute -> /etc/passwd
    //- links/nowhere -> nowhere
    //- links/file
    file
    //- ignored.log
    log
    //- kept.log
    log
    //- .dockerignore
    *.log
    !kept.log
    **/private
    "#;

/// `archive.tar` of the context: folders with and without entries of their own, owners, a symlink and a hard link.
fn write_archive(context: &Path) {
    let mut tar = tar::Builder::new(std::fs::File::create(context.join("archive.tar")).unwrap());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, owner: u64, link: &str, content: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(content.len() as u64);
        header.set_mtime(1_000_000_000);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("top/", tar::EntryType::Directory, 0o750, 5, "", "");
    add("top/file", tar::EntryType::Regular, 0o4755, 5, "", "content");
    add("top/symlink", tar::EntryType::Symlink, 0o777, 5, "file", "");
    add("top/hard", tar::EntryType::Link, 0o4755, 5, "top/file", "");
    add("no/entry/for/folder", tar::EntryType::Regular, 0o644, 6, "", "x");
    tar.finish().unwrap();
}

/// Places that are not what they seem, and files that are easily got wrong.
///
/// Not here, since Debian's Docker does not do what BuildKit does today: `--chmod` of a folder and of what it makes on
/// the way, `--chown` of an archive that ADD unpacks, `..` in WORKDIR.
const PLACES: &str = r#"
    //- Dockerfile
    FROM busybox AS src
    RUN mkdir -p /s/d/e && echo 1 > /s/f && ln /s/f /s/h && ln -s d /s/ld && ln -s /s/d /s/la && mkfifo /s/p
    RUN chown 3:4 /s/d /s/f && chmod 1777 /s/d && chmod 2755 /s/d/e && chmod 4755 /s/f && ln -s ../../out /s/d/up
    FROM busybox
    RUN mkdir -p /real/sub && ln -s real /link && ln -s /real/sub /abs && ln -s ../../real /outwards
    RUN mkdir -m 700 /exist && chown 5:6 /exist && echo old > /exist/old && echo file > /plain && chmod 600 /plain
    COPY one.txt /link/
    COPY one.txt /abs
    COPY one.txt /outwards/far.txt
    COPY dir /link/copied
    COPY dir /exist
    COPY dir/ /exist/more
    COPY --from=src /s /s
    COPY --from=src /s/ld /followed-link
    COPY --from=src /s/la/ /followed-slash
    COPY --from=src /s/* /wild/
    COPY --from=src /s/f /s/p /two/
    COPY --from=src --chown=9 /s/d /s9
    COPY --from=src --chown=9:10 /s/f /new9/f
    COPY --chmod=4750 dir/sub/c.txt /moded
    COPY one.txt /plain
    COPY one.txt relative/place
    COPY links/relative /link-copied
    COPY links/to-dir /dir-link-copied
    ADD links/to-dir /dir-link-added/
    COPY links/../one.txt ./two.txt //cleaned//./path/
    WORKDIR /link/deep
    COPY one.txt .
    COPY one.txt ../up.txt
    WORKDIR /dots/./x//y
    COPY dir/*.txt dir/su[ab] ./
    RUN rm -r /s && mkdir /s && rm /link && mkdir /link && echo x > /link/x
    RUN mv /real /moved && chmod 0 /plain && mv /exist/old /exist/new
    RUN rm -r /wild/* && mkdir /wild/gone && rmdir /wild/gone
    RUN mkdir /opaque && echo 1 > /opaque/a && mkdir /opaque/sub && echo 1 > /opaque/sub/b
    RUN rm -r /opaque && mkdir -m 750 /opaque && echo 2 > /opaque/c && mkdir /opaque/sub
    RUN mkdir /swap && echo f > /swapped && rm -r /swapped && mv /swap /swapped && rm -r /two && echo two > /two
    RUN touch "$(printf '/line\\nbreak')" "$(printf '/latin\\351')" '/ spaces ' && dd if=/dev/zero of=/sparse bs=1 count=0 seek=1000000
    RUN echo x > /dev/shm/x; echo "127.0.0.1 me" >> /etc/hosts; echo x > /tmp/x; mkdir -p /etc/new && echo x > /etc/new/file
    RUN umask > /umask && id -u > /uid && cat /proc/self/status | grep -E '^(NoNewPrivs|Seccomp):' > /status
    RUN touch -h /moved && chown -h 4:4 /abs && chmod 1755 /new9
    VOLUME /volume
    RUN mkdir -p /volume/kept && echo x > /volume/kept/x
    //- one.txt
    one
    //- two.txt
    two
    //- dir/a.txt
    a
    //- dir/b.txt mode=400
    b
    //- dir/sub/c.txt mode=4755
    c
    //- dir/empty/ mode=1777
    //- links/relative -> ../one.txt
    //- links/to-dir -> ../dir
    "#;

#[test]
fn every_place_gets_what_docker_puts_there() {
    let project = Project::with(PLACES);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    project.rbuild(["-o", "type=docker,dest=../places.tar", "."]).run().success();
    let ours = validate(&project.root().join("places.tar"), Rules { base_layers: 1, ..Rules::default() });
    leaks::assert_none(&project);
    let theirs = built_by_docker(&project.context(), "parity-places:1", &[]);
    assert_same_tree(&ours, &theirs);
    assert_same_facts(&ours, &theirs);
}

#[test]
fn every_instruction_does_what_docker_does() {
    let project = Project::with(EVERYTHING);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    write_archive(&project.context());
    std::fs::write(project.context().join("name with space"), "spaced").unwrap();
    let ran = project.rbuild(["-t", "everything", "--label", "flag=yes", "."]).run().success();
    let ours = project.context().join("everything.tar");
    let moved = project.root().join("everything.tar");
    std::fs::rename(ours, &moved).unwrap();
    let ours = validate(&moved, Rules { base_layers: 1, ..Rules::default() });
    assert!(ran.counts().1 > 30, "{}", ran.stderr);
    leaks::assert_none(&project);
    let theirs = built_by_docker(&project.context(), "parity-everything:1", &["--label", "flag=yes"]);
    assert_same_tree(&ours, &theirs);
    assert_same_facts(&ours, &theirs);
}

/// Files with several names, of every kind that may have them: made in one step, given in a later one, taken away, copied.
///
/// Not here, since Debian's Docker does not do what BuildKit does today: COPY of pipes and devices.
const NAMES: &str = r#"
    //- Dockerfile
    FROM busybox AS src
    RUN mkdir -p /s /pipes && cd /s && echo one > f1 && ln -s f1 l1 && mkfifo /pipes/p1 && mknod /pipes/n1 c 1 3
    RUN cd /s && ln f1 f2 && ln l1 l2 && cd /pipes && ln p1 p2 && ln n1 n2
    FROM busybox
    RUN mkdir /d /mnt && echo one > /f1 && ln -s f1 /l1 && mkfifo /p1 && mknod /n1 c 1 3 && echo t > /t1 && cp -p /t1 /t2
    RUN ln /f1 /f2 && ln /l1 /l2 && ln /p1 /p2 && ln /n1 /d/n2
    RUN stat -c '%h %n' /f1 /f2 /l1 /l2 /p1 /p2 /n1 /d/n2 > /seen
    RUN ln /f2 /a0 && ln /l2 /d/l3
    RUN rm /l1 && ln -s d /way && ln /way /also
    COPY one.txt /also/
    RUN ln -f /t1 /t2
    RUN cd /d && echo 1 > x && ln x y && ln -s x s && ln s u && ln u /d/0
    COPY --from=src /s /s
    COPY --from=src /s/f1 /s/f2 /s/l1 /s/l2 /two/
    ADD links.tar /unpacked/
    COPY one.txt /unpacked/sub/
    RUN --mount=type=bind,from=src,target=/mnt cd /mnt && stat -c '%h %n' s/f1 s/f2 s/l1 s/l2 pipes/p2 pipes/n1 > /mounted
    //- one.txt
    one
    "#;

#[test]
fn names_of_one_file_are_those_that_docker_makes() {
    let project = Project::with(NAMES);
    project.write_registries_conf(&base::registry().mirror_of_docker_hub());
    let mut tar = tar::Builder::new(std::fs::File::create(project.context().join("links.tar")).unwrap());
    let members =
        [("f", b'0', ""), ("s", b'2', "f"), ("a", b'1', "s"), ("p", b'6', ""), ("sub/q", b'1', "p"), ("g", b'1', "f")];
    for (path, kind, link) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(if kind == b'2' { 0o777 } else { 0o640 });
        header.set_size(0);
        header.set_mtime(1_000_000_000);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        tar.append_data(&mut header, path, std::io::empty()).unwrap();
    }
    tar.finish().unwrap();
    project.rbuild(["-o", "type=docker,dest=../names.tar", "."]).run().success();
    let ours = validate(&project.root().join("names.tar"), Rules { base_layers: 1, ..Rules::default() });
    leaks::assert_none(&project);
    let theirs = built_by_docker(&project.context(), "parity-names:1", &[]);
    assert_same_tree(&ours, &theirs);
}
