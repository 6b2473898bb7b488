//! What is built: scenarios, and the cases that are measured in each.

use std::path::Path;

use crate::content::{self, Scale};

/// What a scenario's Dockerfile starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    Busybox,
    Debian,
}

/// What happens before a build is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing is stored, not even the base.
    Nothing,
    /// The base is stored and unpacked, nothing else.
    Cold,
    /// The last build is stored, and nothing changed since.
    Unchanged,
    /// The last build is stored, and one file changed since.
    Edited,
}

/// Where the image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Into the builder's store.
    Store,
    /// To a tarball that is not there yet.
    Tarball,
    /// The same, gzip at level 1.
    TarballFast,
    /// To the tarball that the case before has written.
    SameTarball,
}

impl Output {
    pub fn is_tarball(self) -> bool {
        self != Self::Store
    }
}

/// One build that is timed.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub before: Before,
    pub output: Output,
    /// Seconds, at full size.
    pub target: f64,
}

/// A context with a Dockerfile and the cases that are measured with it, in this order.
pub struct Scenario {
    pub name: &'static str,
    pub base: Base,
    /// The Dockerfile, with `BASE` where the base's reference goes.
    pub dockerfile: fn(Scale) -> String,
    pub context: fn(&Path, Scale),
    /// The file that is edited.
    pub edited: &'static str,
    pub cases: &'static [Case],
}

const fn case(name: &'static str, before: Before, output: Output, target: f64) -> Case {
    Case { name, before, output, target }
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "app",
        base: Base::Busybox,
        dockerfile: |_| {
            "FROM BASE\nWORKDIR /app\nCOPY packages.txt .\nRUN sort packages.txt > installed.txt\nCOPY src src\n\
             RUN cat src/*.c > program\nCMD [\"/app/program\"]\n"
                .to_owned()
        },
        context: |context, _| content::app(context),
        edited: "src/07.c",
        cases: &[
            case("app-cold-tarball", Before::Cold, Output::Tarball, 0.25),
            case("app-unchanged", Before::Unchanged, Output::Store, 0.012),
            case("app-unchanged-same-tarball", Before::Unchanged, Output::SameTarball, 0.015),
            case("app-unchanged-new-tarball", Before::Unchanged, Output::Tarball, 0.12),
            case("app-edited", Before::Edited, Output::Store, 0.06),
        ],
    },
    Scenario {
        name: "runs",
        base: Base::Busybox,
        dockerfile: |scale| {
            let runs: String = (0..scale.runs).map(|number| format!("RUN echo {number} > /f{number}\n")).collect();
            format!("FROM BASE\n{runs}")
        },
        context: |_, _| {},
        edited: "",
        cases: &[
            case("runs-cold", Before::Cold, Output::Store, 0.5),
            case("runs-unchanged", Before::Unchanged, Output::Store, 0.015),
        ],
    },
    Scenario {
        name: "files",
        base: Base::Busybox,
        dockerfile: |_| "FROM BASE\nCOPY src /src\n".to_owned(),
        context: |context, scale| content::many_files(context, scale.files),
        edited: "src/d003/f00301.js",
        cases: &[
            case("files-cold", Before::Cold, Output::Store, 0.7),
            case("files-unchanged", Before::Unchanged, Output::Store, 0.10),
            case("files-edited", Before::Edited, Output::Store, 0.6),
        ],
    },
    LARGE,
    Scenario {
        name: "large-fast",
        cases: &[case("large-tarball-level-1", Before::Cold, Output::TarballFast, 3.0)],
        ..LARGE
    },
    Scenario {
        name: "stages",
        base: Base::Busybox,
        dockerfile: |_| {
            let stages: String = (1..8).map(|n| format!("FROM base AS s{n}\nRUN sleep 1; echo {n} > /{n}\n")).collect();
            let copies: String = (0..8).map(|n| format!("COPY --from=s{n} /{n} /\n")).collect();
            format!("FROM BASE AS base\nFROM base AS s0\nRUN sleep 1; echo 0 > /0\n{stages}FROM base\n{copies}")
        },
        context: |_, _| {},
        edited: "",
        cases: &[case("stages-cold", Before::Cold, Output::Store, 1.15)],
    },
    Scenario {
        name: "usr",
        base: Base::Debian,
        dockerfile: |scale| {
            let copies = scale.copies;
            format!(
                "FROM BASE\nRUN for i in $(seq {copies}); do mkdir -p /o/$i; cp -a /usr/share /usr/lib /o/$i/; done\n"
            )
        },
        context: |_, _| {},
        edited: "",
        cases: &[case("usr-tarball", Before::Cold, Output::Tarball, 12.0)],
    },
    Scenario {
        name: "pull",
        base: Base::Debian,
        dockerfile: |_| "FROM BASE\nRUN true\n".to_owned(),
        context: |_, _| {},
        edited: "",
        cases: &[case("pull-and-unpack", Before::Nothing, Output::Store, 2.5)],
    },
];

const LARGE: Scenario = Scenario {
    name: "large",
    base: Base::Busybox,
    dockerfile: |_| "FROM BASE\nCOPY data.bin /\n".to_owned(),
    context: |context, scale| content::large_file(&context.join("data.bin"), scale.mebibytes),
    edited: "",
    cases: &[case("large-tarball", Before::Cold, Output::Tarball, 5.0)],
};
