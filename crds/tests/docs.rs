//! Every object that README.md and docs/ show is one that Eyas accepts, tests and all.
#![allow(clippy::unwrap_used, reason = "tests")]
use crds::files::{Loaded, load_text};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The YAML blocks of a Markdown text that hold our objects, with their line.
fn examples(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (n, line) in text.lines().enumerate() {
        match (&mut block, line.trim_start()) {
            (None, "```yaml") => block = Some((n + 2, String::new())),
            (Some(_), "```") => found.extend(block.take()),
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    found.retain(|(_, text)| text.contains("apiVersion: eyas.dev/"));
    found
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

#[test]
fn every_example_is_accepted() {
    let mut seen = 0;
    for page in pages() {
        for (line, text) in examples(&fs::read_to_string(&page).unwrap()) {
            let place = format!("{}:{line}", page.display());
            let loaded: Loaded = load_text(&page, &text);
            assert!(loaded.problems.is_empty(), "{place}: {:#?}", loaded.problems);
            assert!(!loaded.is_empty(), "{place}: no object in it");
            // As in a cluster that has the default library.
            let mut sources = loaded.sources("eyas-system");
            let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/rules/library.yaml");
            let defaults = load_text(&library, &fs::read_to_string(&library).unwrap());
            sources.libraries.extend(defaults.sources("eyas-system").libraries);
            for outcome in engine::compile::compile(&sources, None).outcomes {
                assert!(outcome.accepted, "{place}: {outcome:#?}");
            }
            seen += loaded.len();
        }
    }
    assert!(seen >= 3, "only {seen} examples found: has the README lost its examples?");
}

#[test]
fn blocks_are_found_with_their_lines() {
    let found = examples("a\n```yaml\napiVersion: eyas.dev/v1alpha1\n```\n```yaml\nother: 1\n```\n");
    assert_eq!(found, [(3, "apiVersion: eyas.dev/v1alpha1\n".to_owned())]);
}
