//! Shows what is going to be built, as JSON.

use serde::Serialize;
use std::collections::BTreeMap;

use super::model::{Build, Dockerfile, NamedContext, Project, Secret, SecretSource, Service};
use crate::reference::Reference;

#[derive(Serialize)]
struct ShownProject<'a> {
    name: &'a str,
    services: BTreeMap<&'a str, ShownService<'a>>,
}

#[derive(Serialize)]
struct ShownService<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    depends_on: &'a [String],
    names: Vec<String>,
}

/// The chosen services of a project with every value that decides their images, in one order; names as `names` gives them.
/// Of a secret only the place is shown.
pub fn plan(project: &Project, chosen: &[&Service], names: &dyn Fn(&Service) -> Vec<Reference>) -> serde_json::Value {
    let service = |service: &&'_ Service| ShownService {
        build: service.build.as_ref().map(build),
        depends_on: &[],
        names: names(service).iter().map(Reference::familiar).collect(),
    };
    let mut services = BTreeMap::new();
    for chosen in chosen {
        let shown = ShownService { depends_on: &chosen.depends_on, ..service(chosen) };
        services.insert(chosen.name.as_str(), shown);
    }
    serde_json::json!(ShownProject { name: &project.name, services })
}

/// Only what is given: a default is not shown.
fn build(build: &Build) -> serde_json::Value {
    let mut shown = serde_json::Map::new();
    let mut add = |key: &str, value: serde_json::Value| {
        let is_empty = match &value {
            serde_json::Value::Null | serde_json::Value::Bool(false) => true,
            serde_json::Value::Array(list) => list.is_empty(),
            serde_json::Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            shown.insert(key.to_owned(), value);
        }
    };
    let Build {
        context,
        dockerfile,
        args,
        target,
        labels,
        tags: _,
        platform,
        network,
        shm_size,
        extra_hosts,
        ulimits,
        pull,
        no_cache,
        no_cache_filter,
        cache_from,
        cache_to,
        secrets,
        ssh,
        entitlements,
        additional_contexts,
        places: _,
        place: _,
        refused: _,
    } = build;
    add("context", context.as_str().into());
    match dockerfile {
        Dockerfile::Default => {}
        Dockerfile::File(path) => add("dockerfile", path.as_str().into()),
        Dockerfile::Inline(text) => add("dockerfile_inline", text.as_str().into()),
    }
    add("args", serde_json::json!(args));
    add("target", serde_json::json!(target));
    add("labels", serde_json::json!(labels));
    add("platform", serde_json::json!(platform.as_ref().map(ToString::to_string)));
    add("network", serde_json::json!(network));
    add("shm_size", serde_json::json!(shm_size));
    add("extra_hosts", serde_json::json!(extra_hosts));
    add("ulimits", serde_json::json!(ulimits));
    add("pull", (*pull).into());
    add("no_cache", (*no_cache).into());
    add("no_cache_filter", serde_json::json!(no_cache_filter));
    add("cache_from", serde_json::json!(cache_from));
    add("cache_to", serde_json::json!(cache_to));
    add("secrets", secrets.iter().map(secret).collect());
    add("ssh", serde_json::json!(ssh));
    add("entitlements", serde_json::json!(entitlements));
    let context = |context: &NamedContext| match context {
        NamedContext::Value(value) => value.clone(),
        NamedContext::Service(name) => format!("service:{name}"),
    };
    let contexts: BTreeMap<&str, String> =
        additional_contexts.iter().map(|(name, value)| (name.as_str(), context(value))).collect();
    add("additional_contexts", serde_json::json!(contexts));
    serde_json::Value::Object(shown)
}

fn secret(secret: &Secret) -> serde_json::Value {
    let mut shown = serde_json::Map::new();
    shown.insert("id".to_owned(), secret.id.as_str().into());
    match &secret.source {
        SecretSource::File(path) => shown.insert("file".to_owned(), path.display().to_string().into()),
        SecretSource::Variable(name) => shown.insert("environment".to_owned(), name.as_str().into()),
    };
    let numbers = [("uid", secret.uid.map(|id| id.to_string())), ("gid", secret.gid.map(|id| id.to_string()))];
    let mode = ("mode", secret.mode.map(|mode| format!("{mode:04o}")));
    for (key, value) in numbers.into_iter().chain([mode]) {
        shown.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    serde_json::Value::Object(shown)
}
