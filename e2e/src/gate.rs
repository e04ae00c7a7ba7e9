//! Whether a test can run here. Each reason not to is printed once, in the form that `make test` counts.
use std::{env, path::PathBuf};

/// Folder of the release binaries: EYAS_RELEASE, else target/release.
#[must_use]
pub fn release() -> PathBuf {
    env::var_os("EYAS_RELEASE").map_or_else(|| root().join("target/release"), PathBuf::from)
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// True if tests on the live kernel are wanted and possible; else says why not.
#[must_use]
pub fn kernel(test: &str) -> bool {
    let why = if env::var_os("EYAS_E2E").is_none() {
        "EYAS_E2E is not set (make test sets it)".to_owned()
    } else if !rustix::process::geteuid().is_root() {
        "loading eBPF programs needs root".to_owned()
    } else if !PathBuf::from("/sys/kernel/btf/vmlinux").exists() {
        "this kernel has no BTF".to_owned()
    } else if !release().join("eyas-agent").exists() {
        format!("{} is missing: make build", release().join("eyas-agent").display())
    } else {
        return true;
    };
    skipped(test, &why);
    false
}

/// True if there is also a cluster.
#[must_use]
pub fn cluster(test: &str) -> bool {
    if !kernel(test) {
        return false;
    }
    if env::var_os("KUBECONFIG").is_none() {
        skipped(test, "KUBECONFIG is not set: no cluster");
        return false;
    }
    true
}

/// Says that a test did not run, and why.
pub fn skipped(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
}
