//! The answer of `--call=subrequests.describe`.

use serde_json::{Value, json};

use super::document::text_of;
use super::table::table;

/// The versions of the documents that are answered.
const VERSION: &str = "1.0.0";

/// Something that can be asked for: its name, what it tells, and its options with what each is.
struct Request {
    name: &'static str,
    description: &'static str,
    options: Option<&'static [(&'static str, &'static str)]>,
}

/// What BuildKit's front end lists, in its order; that it can check is not in it there either.
const REQUESTS: [Request; 3] = [
    Request {
        name: "frontend.outline",
        description: "What the target takes from outside",
        options: Some(&[("target", "The stage to build")]),
    },
    Request { name: "frontend.targets", description: "The stages that can be built", options: Some(&[]) },
    Request { name: "frontend.subrequests.describe", description: "What can be asked for", options: None },
];

/// For people: a table.
pub(super) fn text() -> String {
    let mut rows = vec![["NAME", "VERSION", "DESCRIPTION"].map(str::to_owned).to_vec()];
    for Request { name, description, .. } in &REQUESTS {
        let name = name.strip_prefix("frontend.").unwrap_or(name);
        rows.push([name, VERSION, description].map(str::to_owned).to_vec());
    }
    table(&rows, 1)
}

/// For programs: the document of BuildKit's subrequest, in which a list that nobody made is null.
pub(super) fn json() -> String {
    let named = |(name, description): (&str, &str)| json!({ "name": name, "description": description });
    let requests = REQUESTS.iter().map(|Request { name, description, options }| {
        json!({
            "name": name,
            "version": VERSION,
            "type": "rpc",
            "description": description,
            "opts": options.map(|options| options.iter().copied().map(named).collect::<Vec<Value>>()),
            "inputs": null,
            "metadata": [named(("result.json", "")), named(("result.txt", ""))],
            "refs": null,
        })
    });
    text_of(&Value::Array(requests.collect()))
}
