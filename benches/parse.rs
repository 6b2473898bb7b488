//! How long reading, planning and showing a large Dockerfile takes, in milliseconds of this thread's processor time.
//!
//! `cargo bench --bench parse` prints one row a file: the least times of several runs, and the middle one of all three
//! together. The files have 5,000 and 50,000 lines each, so that whatever is not linear shows.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::collections::BTreeMap;
use std::hint::black_box;

use rbuild::dockerfile::{Dockerfile, parse};
use rbuild::plan::{Inputs, Insecure, Network, Outcome, Plan, plan, show};
use rbuild::platform::Platform;
use rustix::time::{ClockId, clock_gettime};

/// A kind of file, and its text with about so many lines.
type Kind = (&'static str, fn(usize) -> String);

const KINDS: [Kind; 8] = [
    ("as in practice", mixed),
    ("one stage of RUNs", |lines| numbered("FROM scratch\n", "RUN echo one two\n", lines)),
    ("one stage of everything", |lines| {
        let settings = "ARG ARG_~=value~\nENV ENV_~=value-~-$ARG_~\nLABEL org.example.label~=\"text ~\"\n";
        let runs = "RUN echo step ~ \\\n  && echo $ENV_~\n";
        numbered("FROM scratch\n", settings, lines / 10) + &numbered("", runs, lines * 7 / 20)
    }),
    ("ENV only", |lines| numbered("FROM scratch\n", "ENV NAME_~=value-$HOME\n", lines)),
    ("ENV and RUN in turn", |lines| numbered("FROM scratch\n", "ENV A=~\nRUN echo $A\n", lines / 2)),
    ("a stage every two lines", |lines| numbered("FROM scratch AS s0\n", "COPY a /\nFROM s%% AS s~\n", lines / 2)),
    ("copies from many stages", |lines| {
        let stages = numbered("", "FROM scratch AS s~\nCOPY a /\n", lines / 3);
        stages + &numbered("FROM scratch\n", "COPY --from=s~ /a /\n", lines / 3)
    }),
    ("one heredoc", |lines| numbered("FROM scratch\nRUN <<EOF\n", "echo $line\n", lines) + "EOF\n"),
];

/// The line so many times, each `~` its number from 1, each `%%` the number before.
fn numbered(head: &str, line: &str, count: usize) -> String {
    let mut text = head.to_owned();
    for number in 1..=count {
        let line = line.replace("%%", &(number - 1).to_string());
        text.push_str(&line.replace('~', &number.to_string()));
    }
    text
}

/// A part of a service: arguments, packages, sources, a build. `~` is its number, `%%` that of the part before.
const PART: &str = r#"
# syntax of a part of the service
FROM scratch AS stage~
ARG VERSION
ARG MODE=release
ENV PATH=/opt/bin:$PATH LANG=C.UTF-8
WORKDIR /src/${MODE}
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache,sharing=locked \
    apt-get update && \
    apt-get install -y --no-install-recommends \
        ca-certificates \
        curl && \
    rm -rf /var/lib/apt/lists/*
COPY --chown=1000:1000 --chmod=755 . .
RUN --mount=type=bind,source=tools,target=/tools --network=none make VERSION="${VERSION:-none}" all
RUN <<SCRIPT
set -e
./configure --prefix=/opt
make install
SCRIPT
COPY <<'CONF' /etc/service.conf
name = service
CONF
COPY --from=stage%% /opt /opt/%%
LABEL org.example.stage=~ org.example.version="$VERSION"
EXPOSE 8080/tcp
USER 1000:1000
HEALTHCHECK --interval=30s CMD curl -f http://localhost:8080/
ENTRYPOINT ["/opt/bin/service", "--stage", "~"]
CMD ["serve"]
"#;

/// Parts of which each takes files of the one before.
fn mixed(lines: usize) -> String {
    let head = "# syntax=docker/dockerfile:1\nARG VERSION=1.22\nFROM scratch AS stage0\n";
    numbered(head, PART, lines / PART.lines().count())
}

fn inputs() -> Inputs {
    Inputs {
        build_args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        platform: Platform::host(),
        build_platform: Platform::host(),
        network: Network::Host,
        insecure: Insecure::Refused,
        named_contexts: BTreeMap::new(),
        secret_files: BTreeMap::new(),
        scope: rbuild::plan::Scope::Target,
        unknown_bases: std::collections::BTreeSet::new(),
    }
}

fn planned(dockerfile: &Dockerfile) -> Plan {
    match plan(dockerfile, &inputs(), &BTreeMap::new()) {
        Ok(Outcome::Ready(plan, _)) => *plan,
        other => panic!("a plan is expected, not {other:?}"),
    }
}

/// What the thread has used so far: other programs on the machine do not count.
fn used() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The least and the middle one of the times, in milliseconds.
fn measured(runs: usize, mut work: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..runs {
        let start = used();
        work();
        times.push(used() - start);
    }
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

fn main() {
    println!("{:<26} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}", "ms", "lines", "parse", "plan", "show", "all", "middle");
    for (name, make) in KINDS {
        for lines in [5_000, 50_000] {
            let text = make(lines);
            let runs = 200_000 / lines;
            let (dockerfile, diagnostics) = parse("Dockerfile", text.as_bytes());
            assert!(!diagnostics.iter().any(|one| one.is_error()), "{diagnostics:?}");
            let ready = planned(&dockerfile);
            let (parsing, _) = measured(runs, || drop(black_box(parse("Dockerfile", text.as_bytes()))));
            let (planning, _) = measured(runs, || drop(black_box(planned(&dockerfile))));
            let (showing, _) = measured(runs, || drop(black_box(show(&ready, &dockerfile.source))));
            let (all, middle) = measured(runs, || {
                let (dockerfile, _) = parse("Dockerfile", text.as_bytes());
                drop(black_box(show(&planned(&dockerfile), &dockerfile.source)));
            });
            let lines = text.lines().count();
            println!("{name:<26} {lines:>7} {parsing:>9.2} {planning:>9.2} {showing:>9.2} {all:>9.2} {middle:>9.2}");
        }
    }
}
