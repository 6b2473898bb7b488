//! Reads manifests and indexes, and finds the image for a platform in them.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::endpoint::{Call, Endpoint};
use super::http::Fault;
use super::{Error, Result, limits};
use crate::digest::{BlobDigest, ManifestDigest};
use crate::image::{Descriptor, Index, Manifest, media_type};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;

const ACTION: &str = "reading the manifest";
const WHAT: &str = "manifest";

/// Docker's manifests of schema 1, without and with signatures.
const SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];
/// Marks the entries of an index that say something about another entry.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A verified document and its exact bytes.
pub(super) struct Document {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: ManifestDigest,
    body: Body,
}

enum Body {
    Image(Box<Manifest>),
    Index(Index),
}

/// The documents from what a reference names down to one image.
pub(super) struct Chosen {
    /// First what the reference names, last the image's manifest.
    pub(super) documents: Vec<Document>,
    pub(super) manifest: Manifest,
}

/// Follows a reference through its indexes to the image for the platform.
pub(super) async fn choose(
    endpoint: &Endpoint<'_>,
    store: Option<&Store>,
    reference: &Reference,
    platform: &Platform,
) -> Result<Chosen> {
    let mut documents = Vec::new();
    let mut wanted = endpoint.reference.digest().copied();
    let mut size = None;
    for _depth in 0..=limits::INDEX_DEPTH {
        let document = match wanted.and_then(|digest| stored(store, digest, reference)) {
            Some(document) => document,
            None => fetch(endpoint, reference, wanted, size).await?,
        };
        let next = match &document.body {
            Body::Image(manifest) => {
                let manifest = Manifest::clone(manifest);
                documents.push(document);
                return Ok(Chosen { documents, manifest });
            }
            Body::Index(index) => best(index, reference, platform)?,
        };
        wanted = Some(ManifestDigest::from_blob(next.digest));
        size = Some(next.size);
        documents.push(document);
    }
    let reference = reference.familiar();
    Err(Error::TooMany { reference, what: "index", limit: limits::INDEX_DEPTH, unit: "levels of indexes" })
}

/// A document that an earlier pull has stored; one that cannot be read is fetched again.
fn stored(store: Option<&Store>, digest: ManifestDigest, reference: &Reference) -> Option<Document> {
    let bytes = store?.read_blob(&digest.blob(), limits::INDEX).ok()?;
    let body = read(&bytes, None, reference).ok()?;
    Some(Document { bytes, digest, body })
}

async fn fetch(
    endpoint: &Endpoint<'_>,
    reference: &Reference,
    wanted: Option<ManifestDigest>,
    size: Option<u64>,
) -> Result<Document> {
    let host = endpoint.origin.to_string();
    if size.is_some_and(|size| size > limits::INDEX) {
        return Err(Error::TooLarge { host, what: WHAT, limit: limits::INDEX });
    }
    let name = match (&wanted, endpoint.reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_owned(),
        (None, None) => return Err(Error::NoTag { reference: reference.familiar() }),
    };
    let mut call = Call::get(endpoint.url(&format!("manifests/{name}")), ACTION);
    let types = [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_LIST];
    call.headers.push((ACCEPT, types.join(", ")));
    let answer = endpoint.ask(&call, async |response| {
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let sent = header(CONTENT_TYPE.as_str());
        let claimed = header("docker-content-digest");
        let bytes = endpoint.wire.body(response, limits::INDEX, WHAT, ACTION).await?;
        Ok::<_, Fault>((bytes, sent, claimed))
    });
    let (bytes, sent, claimed) = answer.await.map_err(|error| missing(error, endpoint, reference))?;
    let digest = ManifestDigest::of(&bytes);
    check_digest(&host, digest, wanted, claimed.as_deref())?;
    if let Some(expected) = size.filter(|size| *size != bytes.len() as u64) {
        return Err(Error::WrongSize { host, what: WHAT, digest: digest.blob(), expected, found: bytes.len() as u64 });
    }
    let body = read(&bytes, sent.as_deref(), reference)?;
    if matches!(body, Body::Image(_)) && bytes.len() as u64 > limits::MANIFEST {
        return Err(Error::TooLarge { host, what: WHAT, limit: limits::MANIFEST });
    }
    Ok(Document { bytes, digest, body })
}

/// The bytes must be what was asked for, and what the registry says they are.
fn check_digest(
    host: &str,
    found: ManifestDigest,
    wanted: Option<ManifestDigest>,
    claimed: Option<&str>,
) -> Result<()> {
    // A digest of another algorithm cannot be compared; it claims nothing that we rely on.
    let claimed = claimed.and_then(|text| text.trim().parse::<BlobDigest>().ok());
    for expected in wanted.map(|d| d.blob()).into_iter().chain(claimed) {
        if expected != found.blob() {
            return Err(Error::WrongDigest { host: host.to_owned(), what: WHAT, expected, found: found.blob() });
        }
    }
    Ok(())
}

fn missing(error: Error, endpoint: &Endpoint<'_>, reference: &Reference) -> Error {
    match error {
        Error::Status { status: 404, .. } => {
            Error::NotFound { reference: reference.familiar(), registry: endpoint.reference.registry().to_owned() }
        }
        other => other,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

/// Reads a document as what it says it is and was sent as; both must agree.
fn read(bytes: &[u8], sent: Option<&str>, reference: &Reference) -> Result<Body> {
    let document = |source| Error::Document { reference: reference.familiar(), source };
    let sent = sent.and_then(|s| s.split(';').next()).map(str::trim).unwrap_or("");
    // What is no JSON object is no manifest: the reader of manifests has the words for it.
    let Ok(peek) = serde_json::from_slice::<Peek>(bytes) else {
        return Manifest::parse(bytes).map(|manifest| Body::Image(Box::new(manifest))).map_err(document);
    };
    if SCHEMA1.contains(&sent) || peek.schema_version == Some(1) {
        return Err(Error::Schema1 { reference: reference.familiar() });
    }
    let known = |t: &str| is_manifest(t) || is_index(t);
    let inside = peek.media_type.as_deref().unwrap_or("");
    if known(sent) && !inside.is_empty() && inside != sent {
        let (inside, sent) = (inside.to_owned(), sent.to_owned());
        return Err(Error::Ambiguous { reference: reference.familiar(), inside, sent });
    }
    let media = match (inside, known(sent)) {
        ("", true) => sent,
        ("", false) if peek.manifests.is_some() && peek.config.is_none() => media_type::INDEX,
        ("", false) => media_type::MANIFEST,
        (inside, _) => inside,
    };
    if is_index(media) {
        let index = Index::parse(bytes).map_err(document)?;
        check_count(index.manifests.len(), limits::INDEX_ENTRIES, "index", "entries", reference)?;
        return Ok(Body::Index(index));
    }
    if !is_manifest(media) {
        let media_type = media.chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(Error::NotAnImage { reference: reference.familiar(), part: WHAT, media_type });
    }
    let manifest = Manifest::parse(bytes).map_err(document)?;
    check_count(manifest.layers.len(), limits::LAYERS, WHAT, "layers", reference)?;
    Ok(Body::Image(Box::new(manifest)))
}

fn check_count(
    count: usize,
    limit: usize,
    what: &'static str,
    unit: &'static str,
    reference: &Reference,
) -> Result<()> {
    if count > limit {
        return Err(Error::TooMany { reference: reference.familiar(), what, limit, unit });
    }
    Ok(())
}

fn is_manifest(media: &str) -> bool {
    matches!(media, media_type::MANIFEST | media_type::DOCKER_MANIFEST)
}

fn is_index(media: &str) -> bool {
    matches!(media, media_type::INDEX | media_type::DOCKER_LIST)
}

/// The entry that serves the platform best; of equals the first. An entry that names no platform is the last resort.
fn best<'a>(index: &'a Index, reference: &Reference, platform: &Platform) -> Result<&'a Descriptor> {
    let images = || {
        let entries = index.manifests.iter();
        entries.filter(|e| {
            (is_manifest(&e.media_type) || is_index(&e.media_type)) && !e.annotations.contains_key(REFERENCE_TYPE)
        })
    };
    let ranked = images().filter_map(|entry| Some((platform.distance(&platform_of(entry)?)?, entry)));
    if let Some((_, entry)) = ranked.min_by_key(|(distance, _)| *distance) {
        return Ok(entry);
    }
    if let Some(entry) = images().find(|entry| entry.platform.is_none()) {
        return Ok(entry);
    }
    let offered: BTreeSet<String> = images().filter_map(platform_of).map(|p| p.to_string()).collect();
    let plain = |text: &String| text.len() <= 60 && !text.contains(char::is_control);
    let shown: Vec<String> = offered.into_iter().filter(plain).take(20).collect();
    let available = if shown.is_empty() { "none at all".to_owned() } else { shown.join(", ") };
    Err(Error::NoPlatform { reference: reference.familiar(), platform: platform.to_string(), available })
}

fn platform_of(entry: &Descriptor) -> Option<Platform> {
    let platform = entry.platform.as_ref()?;
    let found = Platform::new(&platform.os, &platform.architecture, platform.variant.as_deref());
    (found.os() != "unknown").then_some(found)
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Body, Platform, Reference, best, read};
    use crate::registry::Result;

    /// What a document is, or the digest of the entry that serves the platform.
    pub(in crate::registry) fn judge(bytes: &[u8], sent: Option<&str>, platform: &Platform) -> Result<String> {
        let reference: Reference = "test.example/app".parse().expect("a reference");
        Ok(match read(bytes, sent, &reference)? {
            Body::Image(_) => "image".to_owned(),
            Body::Index(index) => best(&index, &reference, platform)?.digest.to_string(),
        })
    }
}
