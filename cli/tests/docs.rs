//! The examples of docs/cli.md, run as they stand there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// The text of each block in a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```\n").next().unwrap_or(rest)).collect()
}

#[test]
fn every_example_says_what_the_page_shows() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // `kubectl eyas` as kubectl runs it.
    let bin = dir.path().join("bin");
    fs::create_dir_all(dir.path().join("rules")).unwrap();
    fs::create_dir_all(&bin).unwrap();
    let kubectl = bin.join("kubectl");
    fs::write(&kubectl, format!("#!/bin/sh\nshift\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_kubectl-eyas"))).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("rules/secret.yaml"), blocks(&page, "yaml")[0]).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());

    let mut ran = 0;
    for block in blocks(&page, "console") {
        for example in block.split("$ ").skip(1) {
            let (command, shown) = example.split_once('\n').unwrap();
            let shell = Command::new("sh")
                .args(["-c", &format!("{command} 2>&1")])
                .current_dir(&dir)
                .env("PATH", &path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8(shell.stdout).unwrap();
            assert_eq!(said.trim_end(), shown.trim_end(), "{command}");
            ran += 1;
        }
    }
    assert!(ran >= 7, "only {ran} examples were found");
}
