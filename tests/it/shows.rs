//! Compilers that keep what they made in a cache mount: the program that comes out is that of the sources of this build.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::image::Image;
use crate::support::run::Project;
use crate::support::toolbox::toolbox;

const CARGO: &str = "
//- Cargo.toml
[package]
name = \"hello\"
version = \"0.1.0\"
edition = \"2021\"
//- cargo.copy
FROM toolbox AS build
WORKDIR /src
COPY Cargo.toml .
COPY src src
ARG NUMBER
RUN --mount=type=cache,target=/target CARGO_TARGET_DIR=/target cargo build --offline && /target/debug/hello >/said
FROM scratch
COPY --from=build /said /
//- cargo.bind
FROM toolbox AS build
ARG NUMBER
RUN --mount=type=cache,target=/target --mount=target=/src,rw \\
    cd /src && CARGO_TARGET_DIR=/target cargo build --offline && /target/debug/hello >/said
FROM scratch
COPY --from=build /said /
";

const NINJA: &str = "
//- build.ninja
builddir = /out
rule cc
  command = cc -nostdinc -o $out $in
build /out/hello: cc src/main.c src/part.c
//- src/part.c
int part(void) { return 0; }
//- ninja.copy
FROM toolbox AS build
WORKDIR /src
COPY build.ninja .
COPY src src
ARG NUMBER
RUN --mount=type=cache,target=/out ninja && /out/hello >/said
FROM scratch
COPY --from=build /said /
//- ninja.bind
FROM toolbox AS build
ARG NUMBER
RUN --mount=type=cache,target=/out --mount=target=/src cd /src && ninja && /out/hello >/said
FROM scratch
COPY --from=build /said /
";

/// Builds edit after edit of `file`, whose times do not tell what is newer, and looks what the program says.
#[track_caller]
fn check_says(project: &Project, dockerfile: &str, file: &str, program: &dyn Fn(&str) -> String) {
    let archive = project.root().join("out.tar");
    let named = format!("--build-context=toolbox=oci-layout://{}", toolbox().display());
    // Edited, old content with a new time, content with the time it had, new content with a time before all others.
    for (number, (text, seconds)) in
        [("one", 4000), ("two", 2000), ("one", 1000), ("two", 2000), ("three", 9000)].into_iter().enumerate()
    {
        let path = project.context().join(file);
        fs::write(&path, program(text)).unwrap();
        let time = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let number = format!("--build-arg=NUMBER={number}");
        let output = archive.display().to_string();
        project.rbuild([&named, "-f", dockerfile, &number, "-o", &output, "."]).run().success();
        Image::open(&archive).unwrap().assert_holds("said", &format!("{text}\n"));
    }
}

#[test]
fn cargo_and_ninja_build_what_is_there_whatever_the_times_are() {
    let project = Project::with(CARGO);
    project.write(NINJA);
    project.write("//- .dockerignore\n*.copy\n*.bind\n");
    let rust = |text: &str| format!("fn main() {{ println!(\"{text}\"); }}\n");
    let c = |text: &str| {
        format!("int puts(const char *); int part(void); int main() {{ puts(\"{text}\"); return part(); }}\n")
    };
    for how in ["copy", "bind"] {
        check_says(&project, &format!("cargo.{how}"), "src/main.rs", &rust);
        check_says(&project, &format!("ninja.{how}"), "src/main.c", &c);
    }
}
