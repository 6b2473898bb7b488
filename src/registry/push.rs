//! Sends a sealed image to a registry: blobs first, then the manifest that names them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::auth::Purpose;
use super::endpoint::{Call, Endpoint, Payload};
use super::http::{Fault, Retry};
use super::pull::next;
use super::upload::Outgoing;
use super::{Error, Progress, Result, limits, policy};
use crate::digest::{BlobDigest, ManifestDigest};
use crate::image::{SealedImage, media_type};
use crate::reference::Reference;
use crate::store::Store;

/// Where an upload goes on: the blob is there already, or this is its address.
enum Begun {
    There,
    At(Url),
}

/// Pushes the image and names it as the endpoint's reference says. The manifest is sent last: a push that breaks off names nothing.
pub(super) async fn push(
    endpoint: &Endpoint<'_>,
    store: &Store,
    image: &SealedImage,
    sources: &[Reference],
    progress: &dyn Progress,
) -> Result<ManifestDigest> {
    let name = match (endpoint.reference.tag(), endpoint.reference.digest()) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(digest)) if *digest == image.digest() => digest.to_string(),
        (None, _) => return Err(Error::NoTag { reference: endpoint.reference.familiar() }),
    };
    let config = store.put_blob(image.config().bytes())?;
    let sources = mountable(endpoint, sources);
    let mut blobs: BTreeMap<BlobDigest, u64> = image.layers().iter().map(|l| (l.digest, l.size)).collect();
    blobs.insert(config, image.config().bytes().len() as u64);
    let queue = Mutex::new(blobs.into_iter().collect::<VecDeque<_>>());
    let worker = async || -> Result<()> {
        while let Some((digest, size)) = next(&queue) {
            let reported = AtomicU64::new(0);
            blob(endpoint, &Outgoing { store, digest, size, progress, reported }, &sources).await?;
        }
        Ok(())
    };
    const { assert!(limits::PARALLEL == 4, "as many workers are joined below") };
    tokio::try_join!(worker(), worker(), worker(), worker())?;
    let manifest = (media_type::MANIFEST, image.manifest(), image.manifest_digest());
    match image.index() {
        None => send(endpoint, manifest, &name).await?,
        Some(index) => {
            send(endpoint, manifest, &image.manifest_digest().to_string()).await?;
            send(endpoint, (media_type::INDEX, index, image.digest()), &name).await?;
        }
    }
    Ok(image.digest())
}

/// The other repositories at the same registry, each once.
fn mountable(endpoint: &Endpoint<'_>, sources: &[Reference]) -> Vec<String> {
    let here = &endpoint.reference;
    let mut found: Vec<String> = Vec::new();
    for source in sources.iter().filter(|s| s.registry() == here.registry() && s.repository() != here.repository()) {
        if !found.iter().any(|f| f == source.repository()) {
            found.push(source.repository().to_owned());
        }
    }
    found
}

/// Makes the registry have a blob, by the cheapest way there is.
async fn blob(endpoint: &Endpoint<'_>, outgoing: &Outgoing<'_>, sources: &[String]) -> Result<()> {
    if is_there(endpoint, outgoing).await? {
        return Ok(());
    }
    let mut begun = None;
    for source in sources {
        match mount(endpoint, outgoing, source).await {
            Ok(Begun::There) => return Ok(()),
            Ok(at) => begun = Some(at),
            // The source may be gone or closed to us; uploading needs no source.
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(_refused) => {}
        }
        if begun.is_some() {
            break;
        }
    }
    outgoing.progress.blob_started(&outgoing.digest, outgoing.size);
    let begun = Mutex::new(begun);
    let wire = endpoint.wire;
    // The whole upload is one try: an address is good for one attempt. How long it may take, `Outgoing::send` decides.
    for count in 1.. {
        let ready = begun.lock().expect("it is held only for this line").take();
        let fault = match upload(endpoint, outgoing, ready).await {
            Ok(()) => break,
            Err(fault) => fault,
        };
        match wire.pause(&fault.retry, count, endpoint.tries) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(fault.error),
        }
        // The answer may have been lost, not the blob.
        if is_there(endpoint, outgoing).await? {
            break;
        }
    }
    outgoing.progress.blob_done(&outgoing.digest);
    Ok(())
}

async fn is_there(endpoint: &Endpoint<'_>, outgoing: &Outgoing<'_>) -> Result<bool> {
    let url = endpoint.url(&format!("blobs/{}", outgoing.digest));
    let mut call = Call::write(Method::HEAD, url, "looking for a blob", Payload::Nothing);
    call.understood = &[StatusCode::NOT_FOUND];
    endpoint.ask(&call, async |response| Ok(response.status() == StatusCode::OK)).await
}

/// Asks the registry to take the blob from another repository. A registry that will not begins an upload instead.
async fn mount(endpoint: &Endpoint<'_>, outgoing: &Outgoing<'_>, source: &str) -> Result<Begun> {
    let mut url = endpoint.url("blobs/uploads/");
    url.query_pairs_mut().append_pair("mount", &outgoing.digest.to_string()).append_pair("from", source);
    let mut call = Call::write(Method::POST, url, "mounting a blob", Payload::Nothing);
    call.purpose = Purpose::Mount(source.to_owned());
    // Once: whatever fails here is not needed.
    let begun = async { endpoint.exchange(&call).await.and_then(|response| begun(&response)) };
    begun.await.map_err(|fault| fault.error)
}

async fn upload(endpoint: &Endpoint<'_>, outgoing: &Outgoing<'_>, ready: Option<Begun>) -> Result<(), Fault> {
    let begun = match ready {
        Some(begun) => begun,
        None => {
            let url = endpoint.url("blobs/uploads/");
            let call = Call::write(Method::POST, url, "beginning an upload", Payload::Nothing);
            begun(&endpoint.exchange(&call).await?)?
        }
    };
    let mut url = match begun {
        Begun::There => return Ok(()),
        Begun::At(url) => url,
    };
    url.query_pairs_mut().append_pair("digest", &outgoing.digest.to_string());
    let mut call = Call::write(Method::PUT, url, "uploading a blob", Payload::Blob(outgoing));
    call.headers.push((CONTENT_TYPE, "application/octet-stream".to_owned()));
    call.understood = &[StatusCode::NOT_FOUND];
    let response = endpoint.exchange(&call).await?;
    if response.status() == StatusCode::NOT_FOUND {
        // The registry has forgotten the upload: a new one may go through.
        let fault = endpoint.wire.refusal(response, call.action).await;
        return Err(Fault { retry: Retry::Few, ..fault });
    }
    Ok(())
}

/// Reads the answer to the beginning of an upload. Its address may be at another origin: then no credentials go there.
fn begun(response: &Response) -> Result<Begun, Fault> {
    let nonsense = |problem: &str| {
        let host = super::http::host_of(response.url());
        Fault::from(Error::Answer { host, action: "beginning an upload", problem: problem.to_owned() })
    };
    match response.status() {
        StatusCode::CREATED => Ok(Begun::There),
        StatusCode::ACCEPTED => {
            let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
            let location = location.ok_or_else(|| nonsense("it names no place for the upload"))?;
            Ok(Begun::At(policy::target(response.url(), location)?))
        }
        status => Err(nonsense(&format!("it answered {}", status.as_u16()))),
    }
}

/// Sends a manifest or an index: its media type, its bytes and their digest.
async fn send(endpoint: &Endpoint<'_>, document: (&str, &[u8], ManifestDigest), name: &str) -> Result<()> {
    let (media, bytes, digest) = document;
    let url = endpoint.url(&format!("manifests/{name}"));
    let mut call = Call::write(Method::PUT, url, "sending the manifest", Payload::Bytes(bytes));
    call.headers.push((CONTENT_TYPE, media.to_owned()));
    call.headers.push((CONTENT_LENGTH, bytes.len().to_string()));
    let claimed = endpoint.ask(&call, async |response| {
        let claimed = response.headers().get("docker-content-digest").and_then(|v| v.to_str().ok());
        Ok(claimed.and_then(|text| text.parse::<ManifestDigest>().ok()))
    });
    match claimed.await? {
        Some(found) if found != digest => Err(Error::WrongDigest {
            host: endpoint.origin.to_string(),
            what: "answer about the manifest",
            expected: digest.blob(),
            found: found.blob(),
        }),
        _ => Ok(()),
    }
}
