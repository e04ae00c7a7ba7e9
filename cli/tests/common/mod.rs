//! Runs the built binary in a folder of its own.
#![allow(clippy::unwrap_used, dead_code, reason = "tests; not every file uses all of it")]
use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// Exit code, stdout, stderr.
pub type Said = (Option<i32>, String, String);

fn said(output: Output) -> Said {
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Runs it with something on stdin.
pub fn run_with(dir: &TempDir, args: &[&str], stdin: &[u8]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-eyas"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // From a thread of its own, so that full pipes on both sides do not wait for each other; it may end before it reads.
    let writer = std::thread::spawn(move || pipe.write_all(&bytes).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    said(output)
}

/// Runs it.
pub fn run(dir: &TempDir, args: &[&str]) -> Said {
    run_with(dir, args, b"")
}

/// A folder with files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}
