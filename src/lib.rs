//! rbuild turns a Dockerfile and a context into an OCI image, natively: no daemon, no BuildKit, no runc.
//!
//! This page is the architecture. A *room* is a module of the crate with one promise, one `Error`, and a page of docs.
//!
//! # Bird's eye
//! A command line becomes a `build::Request`. The Dockerfile becomes typed stages with spans (`dockerfile`), and these, with
//! the build arguments and the configs of base images, a list of steps (`plan`). The engine (`build`) takes the stages side by
//! side, and the steps of each one after the other; a stage waits where it needs another one, and nowhere else. What decides a
//! step's result is its key (`cache`); a known key gives the layer that was made before; otherwise files are selected
//! (`context`) or a command is run (`sandbox`), and what changed becomes a layer (`layer`) in the `store`. The image's config
//! (`image`) is sealed at the end, and a sealed image can be exported (`export`) or pushed (`registry`).
//!
//! # Rooms
//! A room uses the rooms on its row and nothing else; `tests/it/tidy.rs` asserts this table.
//!
//! | level | room | promise | may use |
//! |---|---|---|---|
//! | 0 | digest | names bytes by their hash, one type for each thing named | |
//! | 0 | path | paths in images and contexts, cleaned, as bytes | |
//! | 0 | glob | patterns → which paths match; pure | path |
//! | 0 | platform | operating system, architecture, variant | |
//! | 0 | reference | image references | digest |
//! | 0 | remote | places on a network, from text: URLs and git repositories; pure | path |
//! | 0 | fsx | file system calls that name the path in errors | |
//! | 0 | ssh | private keys of files, and the agent that signs with them; pure | |
//! | 0 | tree | a file tree as entries, and stacks of them | digest, path |
//! | 1 | dockerfile | text → typed stages with spans, or diagnostics; pure | path, platform, remote |
//! | 1 | image | config, history, manifest: draft → sealed bytes; pure | digest, platform |
//! | 1 | store | content-addressed objects, names, leases, gc | digest, fsx |
//! | 1 | sandbox | runs one command in namespaces over a root filesystem; all `unsafe` lives here | fsx, path |
//! | 2 | compose | compose files → project with places, or diagnostics; pure | platform, reference, dockerfile |
//! | 2 | context | directory + ignore rules → sorted index, digests on demand; COPY globs → selection | digest, path, glob, fsx, tree |
//! | 2 | layer | entries ↔ tar ↔ root filesystem; decides the bytes of a layer | digest, path, fsx, tree, store |
//! | 2 | fetch | remote → file or folder in the store: http and git clients | digest, path, remote, fsx, store |
//! | 2 | plan | stages + arguments + base configs → steps; pure, asks for what it lacks | digest, path, glob, platform, reference, remote, dockerfile, image |
//! | 2 | cache | step → key → hit, or miss with its reason | digest, path, tree, store |
//! | 2 | compare | two images or layers → what differs; pure | digest, path, tree, image |
//! | 2 | registry | the distribution protocol; the only async room | digest, platform, reference, fsx, store, image |
//! | 3 | cdi | CDI files → devices, and what they change in a container; pure | dockerfile, compose |
//! | 3 | export | sealed image → archive, directory, running Docker | digest, reference, fsx, store, image |
//! | 4 | build | drives a plan: key → look up → copy or run → layer → image; emits events | digest, path, platform, reference, remote, ssh, fsx, tree, dockerfile, image, store, sandbox, context, layer, fetch, plan, cache, compare, registry, cdi |
//! | 5 | cli | arguments, progress, reports, exit codes; alone prints and reads environment, home, cwd | digest, path, platform, reference, remote, ssh, fsx, tree, dockerfile, image, store, sandbox, compose, context, layer, fetch, plan, cache, compare, registry, cdi, export, build |
//!
//! # Invariants, as what is absent
//! `plan` does not know the cache. `cache` does not know Dockerfiles. `sandbox` knows neither images nor layers. `store` does
//! not know what its bytes mean. `dockerfile`, `plan` and `image` do no input or output. Only `cli` prints, reads the
//! environment, or picks an exit code. Only `registry` is async; its public functions block.
//!
//! No clock, user id, umask, locale, host path or folder order reaches a layer, config or key, unless the Dockerfile or a
//! flag says so: entries are sorted, times in layer bytes are fixed, the compressor is fixed.
//!
//! # Digests
//! Types that never convert into each other: `BlobDigest` (stored bytes), `DiffId` (a layer's plain tar), `ChainId` (a stack of
//! layers, the content of a root filesystem), `ConfigDigest` (an image's identity), `ManifestDigest`, `CacheKey`, `ContentDigest`.
//!
//! # Failure
//! Objects appear by rename. What is hashed is hashed while it is written. Records that only save time are not synced: each
//! says by its seal whether it is whole. A build names what it uses in a lease, and gc leaves that alone. Locks die with their
//! holder, mounts with their namespace: a kill leaves files in `tmp/`, nothing else.
//!
//! # Words
//! stage, step, entry, layer, blob, digest, diff id, chain id, key, record, context, rootfs, spec. One word per thing.

pub mod digest;
pub mod fsx;
pub mod glob;
pub mod path;
pub mod platform;
pub mod reference;
pub mod remote;
pub mod ssh;
pub mod tree;

pub mod dockerfile;
pub mod image;
pub mod sandbox;
pub mod store;

pub mod cache;
pub mod compare;
pub mod compose;
pub mod context;
pub mod fetch;
pub mod layer;
pub mod plan;
pub mod registry;

pub mod cdi;
pub mod export;

pub mod build;

pub mod cli;
