//! The answer of `--call=outline`.

use serde_json::{Value, json};

use super::document::{data, lines, location, object, text_of};
use super::table::table;
use crate::dockerfile::Dockerfile;
use crate::plan::{Outline, OutlineNeed};

/// For people: tables of what there is.
pub(super) fn text(outline: &Outline) -> String {
    let Outline { name, description, arguments, secrets, agents, caches } = outline;
    let mut parts = Vec::new();
    if !name.is_empty() {
        let mut head = vec![vec!["TARGET:".to_owned(), name.clone()]];
        if !description.is_empty() {
            head.push(vec!["DESCRIPTION:".to_owned(), description.clone()]);
        }
        parts.push(table(&head, 1));
    }
    if !arguments.is_empty() {
        let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"].map(str::to_owned).to_vec()];
        let row = arguments.iter().map(|one| vec![one.name.clone(), one.value.clone(), one.description.clone()]);
        rows.extend(row);
        parts.push(table(&rows, 3));
    }
    for (title, needs) in [("SECRET", secrets), ("SSH", agents)].into_iter().filter(|(_, needs)| !needs.is_empty()) {
        let mut rows = vec![[title, "REQUIRED"].map(str::to_owned).to_vec()];
        let required = |need: &OutlineNeed| if need.required { "true" } else { "" }.to_owned();
        rows.extend(needs.iter().map(|need| vec![need.id.clone(), required(need)]));
        parts.push(table(&rows, 3));
    }
    if !caches.is_empty() {
        let rows = std::iter::once("CACHE".to_owned()).chain(caches.iter().map(|cache| cache.id.clone()));
        parts.push(table(&rows.map(|cell| vec![cell]).collect::<Vec<_>>(), 3));
    }
    parts.join("\n")
}

/// For programs: the document of BuildKit's subrequest `frontend.outline`.
pub(super) fn json(dockerfile: &Dockerfile, outline: &Outline) -> String {
    let Outline { name, description, arguments, secrets, agents, caches } = outline;
    let place = |span| location(lines(dockerfile, span));
    let arguments = arguments.iter().map(|one| {
        object(&[
            ("name", json!(one.name)),
            ("description", json!(one.description)),
            ("value", json!(one.value)),
            ("location", place(one.span)),
        ])
    });
    let needs = |needs: &[OutlineNeed]| -> Vec<Value> {
        let need = |need: &OutlineNeed| {
            object(&[("name", json!(need.id)), ("required", json!(need.required)), ("location", place(need.span))])
        };
        needs.iter().map(need).collect()
    };
    let caches = caches.iter().map(|cache| json!({ "ID": cache.id, "location": place(cache.span) }));
    text_of(&object(&[
        ("name", json!(name)),
        ("description", json!(description)),
        ("args", arguments.collect()),
        ("secrets", json!(needs(secrets))),
        ("ssh", json!(needs(agents))),
        ("cache", caches.collect()),
        ("sources", json!([data(dockerfile, &[])])),
    ]))
}
