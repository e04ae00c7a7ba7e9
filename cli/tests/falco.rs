//! The published Falco ruleset, where it is present: it is checked, imported twice, and checked again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The file lies where EYAS_SHARED says, beside the repository, or beside its worktrees.
fn published() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let given = env::var_os("EYAS_SHARED").map(PathBuf::from);
    let beside = ["..", "../.."].iter().map(|up| root.join(up).join("shared"));
    let files = given.into_iter().chain(beside).map(|folder| folder.join("falco/falco_rules.yaml"));
    let found = files.into_iter().find(|file| file.is_file());
    found.map(|file| fs::canonicalize(file).unwrap())
}

fn run(args: &[&str], dir: &Path) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-eyas")).args(args).current_dir(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn the_published_ruleset_comes_across() {
    let Some(file) = published() else {
        println!("skipped: ../shared/falco/falco_rules.yaml is not here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = file.to_str().unwrap();
    let checked = run(&["check", file, "-o", "json"], dir.path());
    assert_eq!((&checked["rulesFiles"]["rules"], &checked["ok"]), (&25.into(), &true.into()));
    for exceptions in ["inline", "objects"] {
        let args = ["import", file, "-o", "out", "--exceptions", exceptions, "--report", "json"];
        let report = run(&args, dir.path());
        let imported = &report["imported"];
        let counts = ["rules", "macros", "lists", "libraries"].map(|what| imported[what].as_u64().unwrap());
        assert_eq!((counts, &report["refused"]), ([25, 87, 49, 1], &serde_json::json!([])));
        let first = files(&dir.path().join("out"));
        run(&args, dir.path());
        assert!(first == files(&dir.path().join("out")), "a second import wrote other bytes");
        let checked = run(&["check", "out", "-o", "json"], dir.path());
        let problems = checked["problems"].as_array().unwrap();
        assert!(problems.iter().all(|p| p["severity"] == "warning"), "{problems:#?}");
        assert_eq!(checked["objects"], 26);
    }
}
