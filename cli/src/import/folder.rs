//! The folder: files written where they differ, files of an earlier import removed, foreign ones left alone.
use super::objects::ANNOTATION;
use anyhow::{Context as _, Result, bail};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The folders that an import fills.
const FOLDERS: [&str; 3] = ["rules", "libraries", "exceptions"];
/// A name that kustomize reads, and neither `kubectl apply -f` nor `--rules` takes for an object.
const KUSTOMIZATION: &str = "Kustomization";
/// First line of our kustomization.
const MARK: &str = "# Written by `kubectl eyas import`.";
/// Other names that kustomize reads.
const OTHERS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];

/// What happened in the folder.
#[derive(Debug, Default)]
pub struct Written {
    /// How many files are new or other than before.
    pub changed: usize,
    /// How many were as they are.
    pub same: usize,
    /// Files of an earlier import that were removed.
    pub removed: Vec<String>,
    /// Files that are not of an import and were left where they are.
    pub foreign: Vec<String>,
}

/// Writes the files.
///
/// # Errors
/// The folder cannot be read or written, or a foreign file is in the way and `force` was not said. Then nothing was
/// written.
pub fn write(folder: &Path, files: &[(String, String)], force: bool) -> Result<Written> {
    let mut written = Written::default();
    let mut all: Vec<(String, String)> = files.to_vec();
    let other = OTHERS.into_iter().find(|name| folder.join(name).exists());
    match other {
        // Two of them would be an error of kustomize.
        Some(name) => written.foreign.push(name.to_owned()),
        None => all.push((KUSTOMIZATION.to_owned(), kustomization(files))),
    }
    let in_the_way: Vec<&str> = all
        .iter()
        .filter(|(name, text)| {
            fs::read_to_string(folder.join(name))
                .map_or_else(|_| folder.join(name).exists(), |there| there != *text && !is_ours(&there))
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if !force && !in_the_way.is_empty() {
        let list = in_the_way.join(", ");
        bail!("not of an import and in the way in {}: {list}; take another folder, or --force", folder.display());
    }
    for (name, text) in &all {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            written.same += 1;
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        replace(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.changed += 1;
    }
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for (name, path) in there(folder)? {
        if names.contains(name.as_str()) {
            continue;
        }
        if fs::read_to_string(&path).is_ok_and(|text| is_ours(&text)) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            written.removed.push(name);
        } else {
            written.foreign.push(name);
        }
    }
    Ok(written)
}

/// A reader sees the old file or the new one, never a part.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

/// Files in the folders that an import fills.
fn there(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for name in FOLDERS {
        let entries = match fs::read_dir(folder.join(name)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.join(name).display())),
        };
        for entry in entries.filter_map(Result::ok) {
            let file = entry.file_name().to_string_lossy().into_owned();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !file.starts_with('.') {
                found.push((format!("{name}/{file}"), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether an import wrote a text: its annotation stands in the metadata.
fn is_ours(text: &str) -> bool {
    let metadata =
        text.lines().skip_while(|line| *line != "metadata:").skip(1).take_while(|line| line.starts_with(' '));
    let annotation = format!("    {ANNOTATION}: ");
    text.starts_with(MARK) || metadata.into_iter().any(|line| line.starts_with(&annotation))
}

fn kustomization(files: &[(String, String)]) -> String {
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!("{MARK}\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:");
    if names.is_empty() {
        text.push_str(" []");
    }
    for name in names {
        text.push_str("\n  - ");
        text.push_str(name);
    }
    text.push('\n');
    text
}
