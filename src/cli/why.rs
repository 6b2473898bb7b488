//! `rbuild why`.

use std::io::{self, Write as _};
use std::path::Path;

use super::args::BuildArgs;
use super::environment::Environment;
use super::error::Result;
use super::inputs;
use super::means::Means;
use super::outputs::left_out;
use super::progress::escape;
use crate::build::{self, Detail, Forecast, Interrupt, Outlook};

/// Says which steps would run.
pub fn run(
    args: &BuildArgs,
    environment: &Environment,
    store: &Path,
    interrupt: &Interrupt,
    as_json: bool,
) -> Result<()> {
    let means = Means::open(args, environment, store)?;
    let _lease = means.store.lease()?;
    let request = inputs::request(args, environment, means.tools(interrupt), left_out(&means.store, args)?)?;
    let forecasts = build::why(&means.engine(args, &|_| {}, interrupt), &request)?;
    let text = match as_json {
        true => json(&forecasts)?,
        false => text(&forecasts, request.detail),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn text(forecasts: &[Forecast], detail: Detail) -> String {
    let mut text = String::new();
    let (mut cached, mut runs, mut open) = (0, 0, 0);
    for forecast in forecasts {
        let Forecast { step, position, text: instruction, key: _, outlook, differences } = forecast;
        let end = match outlook {
            Outlook::Cached => {
                cached += 1;
                "cached".to_owned()
            }
            Outlook::Runs { because } => {
                runs += 1;
                format!("runs because {}", escape(because))
            }
            Outlook::Depends { on } => {
                open += 1;
                format!("cached if #{} makes the same as before", on.0)
            }
            Outlook::Likely { after } => {
                open += 1;
                format!("cached if #{} leaves alone where it goes to", after.0)
            }
        };
        text.push_str(&format!("#{} {} {}: {end}\n", step.0, escape(position), escape(instruction)));
        if detail == Detail::Everything {
            differences.iter().for_each(|line| text.push_str(&format!("#{}   {}\n", step.0, escape(line))));
        }
    }
    text.push_str(&format!("{cached} cached, {runs} would run"));
    if open > 0 {
        text.push_str(&format!(", {open} depend on what these make"));
    }
    text.push('\n');
    text
}

fn json(forecasts: &[Forecast]) -> Result<String> {
    let steps = forecasts.iter().map(|forecast| {
        let Forecast { step, position, text, key, outlook, differences } = forecast;
        let (outlook, because, on) = match outlook {
            Outlook::Cached => ("cached", None, None),
            Outlook::Runs { because } => ("runs", Some(because), None),
            Outlook::Depends { on } => ("depends", None, Some(on.0)),
            Outlook::Likely { after } => ("likely", None, Some(after.0)),
        };
        serde_json::json!({
            "step": step.0,
            "position": position,
            "instruction": text,
            "key": key,
            "outlook": outlook,
            "because": because,
            "on": on,
            "differences": differences,
        })
    });
    let steps: Vec<serde_json::Value> = steps.collect();
    let text = serde_json::to_string_pretty(&serde_json::json!({ "steps": steps })).map_err(io::Error::other)?;
    Ok(format!("{text}\n"))
}
