//! Several images built as one: what they have in common is done once, and one that fails takes only those along that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;

use rbuild::build::{
    AllBuilt, BuildEvent, CacheUse, CommandOptions, Counters, Detail, Engine, Error, InlineCache, Interrupt,
    NamedRequest, Problem, Pull, Request, StatCacheUse, Times, build_all,
};
use rbuild::fetch::{self, Fetcher};
use rbuild::plan::{Inputs, Insecure, NamedContext, Network, Scope};
use rbuild::platform::Platform;
use rbuild::reference::Reference;
use rbuild::registry::{self, Registries};
use rbuild::sandbox::Sandbox;
use rbuild::store::Store;

use crate::support::run::Project;
use crate::support::{base, leaks};

/// A request for the Dockerfile with this text, with the project's folder as its context.
fn request(project: &Project, text: &str) -> Request {
    let host = Platform::host();
    Request {
        dockerfile_name: "Dockerfile".to_owned(),
        dockerfile: text.trim().lines().map(|line| format!("{}\n", line.trim_start())).collect::<String>().into_bytes(),
        dockerfile_path: None,
        context: Some(project.context()),
        ignore_file: None,
        context_files: None,
        named: BTreeMap::new(),
        outputs: Vec::new(),
        leaving: None,
        check: None,
        inputs: Inputs {
            scope: Scope::Target,
            unknown_bases: std::collections::BTreeSet::new(),
            build_args: BTreeMap::new(),
            target: None,
            labels: BTreeMap::new(),
            platform: host.clone(),
            build_platform: host,
            network: Network::Host,
            insecure: Insecure::Refused,
            named_contexts: BTreeMap::new(),
            secret_files: BTreeMap::new(),
        },
        cache: CacheUse::Use,
        uncached_stages: Vec::new(),
        cache_from: Vec::new(),
        inline_cache: InlineCache::Absent,
        detail: Detail::Reason,
        pull: Pull::Missing,
        times: Times::Fixed,
        created: 315_532_800,
        stat_cache: StatCacheUse::Use,
        resolv_conf: Vec::new(),
        commands: CommandOptions::default(),
    }
}

/// A request under a name. Its Dockerfile knows the images of `uses` as `image-of-NAME`.
fn named(project: &Project, name: &str, text: &str, uses: &[&str]) -> NamedRequest {
    let mut request = request(project, text);
    let mut images = BTreeMap::new();
    for other in uses {
        let reference: Reference = format!("project-{other}").parse().unwrap();
        let context = NamedContext::Image(reference.clone());
        request.inputs.named_contexts.insert(format!("image-of-{other}"), context);
        images.insert(reference, (*other).to_owned());
    }
    NamedRequest { name: name.to_owned(), request, images }
}

struct Told {
    all: AllBuilt,
    events: Vec<BuildEvent>,
    /// The threads that told of steps.
    threads: BTreeSet<String>,
}

impl Told {
    fn positions(&self) -> Vec<&str> {
        let positions = self.events.iter().filter_map(|event| match event {
            BuildEvent::StepStarted { position, .. } => Some(position.as_str()),
            _ => None,
        });
        positions.collect()
    }

    /// Panics unless all of them were built.
    #[track_caller]
    fn success(self) -> Self {
        for image in &self.all.images {
            assert!(image.is_ok(), "{image:?}");
        }
        self
    }
}

#[track_caller]
fn build(project: &Project, requests: &[NamedRequest], jobs: Option<NonZero<usize>>) -> Told {
    let store = Store::open(&project.store()).unwrap();
    let conf = base::registry().mirror_of_docker_hub().into_bytes();
    let registries = Registries::parse(&[("registries.conf".into(), conf)]).unwrap();
    let registry = registry::Client::new(registry::Options { registries, ..registry::Options::default() });
    let fetcher = Fetcher::new(fetch::Options::default());
    let sandbox = Sandbox::with_program(Path::new(env!("CARGO_BIN_EXE_rbuild")));
    let interrupt = Interrupt::new().unwrap();
    let events: Mutex<Vec<BuildEvent>> = Mutex::default();
    let threads: Mutex<BTreeSet<String>> = Mutex::default();
    let told = |event| {
        if matches!(event, BuildEvent::StepStarted { .. }) {
            threads.lock().unwrap().insert(format!("{:?}", std::thread::current().id()));
        }
        events.lock().unwrap().push(event);
    };
    let engine = Engine {
        store: &store,
        registry: &registry,
        fetcher: &fetcher,
        sandbox: &sandbox,
        events: &told,
        interrupt: &interrupt,
        jobs,
    };
    let all = build_all(&engine, requests).unwrap();
    drop(store);
    leaks::assert_none(project);
    Told { all, events: events.into_inner().unwrap(), threads: threads.into_inner().unwrap() }
}

/// Two services and what both of them stand on.
fn services(project: &Project, common: &str) -> [NamedRequest; 2] {
    let of = |name: &str| {
        let text = format!(
            "{common} AS common
             COPY shared /shared
             RUN cat /proc/sys/kernel/random/uuid >/id
             FROM common
             RUN echo {name} >/name"
        );
        named(project, name, &text, &[])
    };
    [of("api"), of("web")]
}

#[test]
fn bases_contexts_and_equal_steps_are_shared() {
    let name = base::registry().name("together/shared:1");
    base::push(base::busybox(), &name);
    for jobs in [None, NonZero::new(1)] {
        let pulled = || {
            let log = base::registry().log();
            log.lines().filter(|line| line.contains("GET /v2/together/shared/blobs/")).count()
        };
        let before = pulled();
        let project = Project::with("//- shared\nshared\n");
        let requests = services(&project, &format!("FROM {name}"));
        let told = build(&project, &requests, jobs).success();
        assert_eq!(told.all.counters, Counters { ran: 4, cached: 2, shared: 2, blobs: 1 });
        // The config and one layer; a registry may log a request in two lines.
        let asked = pulled() - before;
        assert!(asked == 2 || asked == 4, "{asked} requests for blobs");
        let pulls = told.events.iter().filter(|event| matches!(event, BuildEvent::PullStarted { .. })).count();
        assert_eq!(pulls, 1);
        let layers = |index: usize| &told.all.images[index].as_ref().unwrap().layers;
        assert_eq!(layers(0)[..3], layers(1)[..3]);
        assert_ne!(layers(0)[3], layers(1)[3]);
        let positions = told.positions();
        assert!(positions.contains(&"[api common 2/3]") && positions.contains(&"[web stage-1 1/1]"), "{positions:?}");
        let again = build(&project, &requests, jobs).success();
        assert_eq!(again.all.counters, Counters { ran: 0, cached: 6, shared: 0, blobs: 0 });
    }
}

#[test]
fn steps_have_different_numbers_and_all_are_counted() {
    let project = Project::with("//- shared\nshared\n");
    let told = build(&project, &services(&project, "FROM busybox"), None).success();
    let mut started = BTreeMap::new();
    let mut total = 0;
    for event in &told.events {
        match event {
            BuildEvent::StepStarted { step, position, .. } => {
                assert_eq!(started.insert(*step, position), None, "{position}");
            }
            BuildEvent::Started { total_steps } => total = total.max(*total_steps),
            _ => {}
        }
    }
    assert_eq!((started.len(), total), (6, 6));
}

#[test]
fn an_image_can_be_used_by_others_before_anybody_could_pull_it() {
    let project = Project::with("//- shared\nshared\n");
    // The user of the image stands first, and is built last.
    let requests = [
        named(
            &project,
            "top",
            "FROM image-of-base\nCOPY --from=image-of-side /side /\nRUN cat /base /side",
            &["base", "side"],
        ),
        named(&project, "side", "FROM image-of-base AS mine\nRUN cp /base /side", &["base"]),
        named(&project, "base", "FROM busybox\nENV FROM=base\nRUN echo base >/base", &[]),
    ];
    for jobs in [None, NonZero::new(1)] {
        let told = build(&project, &requests, jobs).success();
        let top = told.all.images[0].as_ref().unwrap();
        assert_eq!(top.layers.len(), 4);
        assert!(top.config.config().config.env.contains(&"FROM=base".to_owned()));
        // Nothing was pulled in its place, and nothing pushed may be mounted from there.
        assert!(top.bases.is_empty(), "{:?}", top.bases);
    }
}

#[test]
fn a_failure_takes_only_those_along_that_need_the_image() {
    let project = Project::with("//- shared\nshared\n");
    let requests = [
        named(&project, "broken", "FROM busybox\nRUN exit 9", &[]),
        named(&project, "needs-it", "FROM image-of-broken\nRUN echo never", &["broken"]),
        named(&project, "wrong", "FROM busybox\nCOPY", &[]),
        named(&project, "fine", "FROM busybox\nRUN echo fine >/fine", &[]),
    ];
    let told = build(&project, &requests, None);
    let images = &told.all.images;
    assert!(
        matches!(&images[0], Err(Error::Step { problem, .. }) if matches!(**problem, Problem::Exit { code: 9, .. }))
    );
    assert!(
        matches!(&images[1], Err(Error::Step { problem, .. })
            if matches!(&**problem, Problem::NotBuilt { name } if name == "broken")),
        "{:?}",
        images[1]
    );
    assert!(matches!(&images[2], Err(Error::Dockerfile { .. })));
    assert!(images[3].is_ok());
    assert!(!told.positions().iter().any(|position| position.contains("needs-it")), "{:?}", told.positions());
}

#[test]
fn images_that_need_each_other_are_an_error() {
    let project = Project::new();
    let requests = [
        named(&project, "hen", "FROM image-of-egg", &["egg"]),
        named(&project, "egg", "FROM image-of-hen", &["hen"]),
        named(&project, "fine", "FROM scratch\nENV A=b", &[]),
    ];
    let told = build(&project, &requests, None);
    for circle in &told.all.images[..2] {
        assert!(matches!(circle, Err(Error::General(Problem::Circle))), "{circle:?}");
    }
    assert!(told.all.images[2].is_ok());
}

#[test]
fn services_run_their_commands_at_the_same_time() {
    let project = Project::new();
    let half = |own: &str, other: &str| {
        let text = format!(
            "FROM busybox
             RUN --mount=type=cache,target=/m mkfifo /m/{own} /m/{other} 2>/dev/null; \\
             if [ {own} = a ]; then echo >/m/a; read x </m/b; else read x </m/a; echo >/m/b; fi"
        );
        named(&project, own, &text, &[])
    };
    build(&project, &[half("a", "b"), half("b", "a")], None).success();
}

#[test]
fn where_everything_is_cached_only_the_caller_works() {
    let project = Project::with("//- shared\nshared\n");
    let requests = services(&project, "FROM busybox");
    build(&project, &requests, None).success();
    let caller = format!("{:?}", std::thread::current().id());
    assert_eq!(build(&project, &requests, None).success().threads, BTreeSet::from([caller]));
}
