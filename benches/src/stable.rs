//! Falco's published stable rules, where their file is: read just well enough to be measured (`kubectl eyas import` is the
//! real reader).
use crate::variety::{meta, rule};
use engine::source::{Definitions, LibrarySource, Sources};
use serde_json::Value;
use std::{env, fs, path::PathBuf};

/// The rules, their macros and lists.
///
/// # Errors
/// Why there are none: to be told after `skipped:`.
pub fn rules() -> Result<Sources, String> {
    let folder = env::var_os("EYAS_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = folder.join("falco/falco_rules.yaml");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let items: Vec<Value> = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    Ok(sources(&items))
}

fn sources(items: &[Value]) -> Sources {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let (mut definitions, mut rules) = (Definitions::default(), Vec::new());
    for item in items {
        if let Some(name) = item.get("list") {
            definitions.lists.push((text(name), texts(&item["items"])));
        } else if let Some(name) = item.get("macro") {
            definitions.macros.push((text(name), text(&item["condition"])));
        } else if let Some(name) = item.get("rule") {
            rules.push(rule(&text(name), text(&item["condition"])));
        }
    }
    let libraries = vec![LibrarySource { meta: meta("stable"), definitions }];
    Sources { system_namespace: "eyas-system".to_owned(), rules, libraries, ..Sources::default() }
}
