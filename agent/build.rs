//! Builds the eBPF object with whichever toolchain on this machine can, into `$OUT_DIR/agent-ebpf`.
//!
//! Tried in this order:
//! 1. `$EBPF_CARGO` and `$EBPF_RUSTC`, when set;
//! 2. the toolchain of this build, when it has a `core` for the bpf target (Debian: libstd-rust-web-dev-bpf);
//! 3. /usr/bin/cargo and /usr/bin/rustc, when they have one;
//! 4. rustup's `$EBPF_TOOLCHAIN` (default nightly) with rust-src: `-Z build-std=core`.
//!
//! bpf-linker is `$BPF_LINKER`, else cargo's bin folder, else the PATH. With `$AGENT_EBPF_OBJECT` nothing is built: the file
//! is taken (distribution builds).
use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const HELP: &str = "no toolchain here can build eBPF programs. Install one of:
  Debian: apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf
  rustup: rustup toolchain install nightly --component rust-src
or run `make setup`, or set AGENT_EBPF_OBJECT to a ready-made object";

struct Toolchain {
    cargo: OsString,
    rustc: OsString,
    build_std: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["EBPF_CARGO", "EBPF_RUSTC", "EBPF_TOOLCHAIN", "BPF_LINKER", "AGENT_EBPF_OBJECT"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for path in ["build.rs", "../agent-ebpf/src", "../agent-ebpf/Cargo.toml", "../agent-abi/src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(var("OUT_DIR")?);
    let object = out.join("agent-ebpf");
    // A file of its own, also where another build folder was copied here by hard links: writing would change theirs.
    if object.exists() {
        fs::remove_file(&object)?;
    }
    if let Some(ready) = env::var_os("AGENT_EBPF_OBJECT") {
        fs::copy(&ready, &object).map_err(|e| format!("AGENT_EBPF_OBJECT {}: {e}", ready.display()))?;
        return Ok(());
    }
    let endian = if env::var("CARGO_CFG_TARGET_ENDIAN")? == "big" { "eb" } else { "el" };
    let target = format!("bpf{endian}-unknown-none");
    let toolchain = pick(&target)?.ok_or(HELP)?;
    let built = build(&toolchain, &target, &out.join("ebpf-target"))?;
    fs::copy(&built, &object).map_err(|e| format!("{}: {e}", built.display()))?;
    Ok(())
}

fn var(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}

/// Runs the nested cargo; the object's path.
fn build(toolchain: &Toolchain, target: &str, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let flags = [
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        format!("-Clinker={}", linker().display()),
        "-Clink-arg=--btf".to_owned(),
    ];
    let mut cmd = Command::new(&toolchain.cargo);
    clean(&mut cmd)
        .current_dir(Path::new(&var("CARGO_MANIFEST_DIR")?).join("../agent-ebpf"))
        .args(["build", "--release", "--locked", "--package", "eyas-agent-ebpf", "--bin", "agent-ebpf"])
        .args(["--target", target, "--target-dir"])
        .arg(target_dir)
        .env("RUSTC", &toolchain.rustc)
        // bpf is a tier 3 target, and its inline assembly and build-std are unstable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // BTF is made from debug information, so it must neither be left out nor stripped.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    if toolchain.build_std {
        cmd.args(["-Z", "build-std=core"]);
    }
    let output = cmd.output().map_err(|e| format!("{}: {e}", toolchain.cargo.display()))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        let hint = if log.contains("linker") && log.contains("not found") {
            "\nbpf-linker is missing: `make setup` installs it (or set BPF_LINKER)"
        } else {
            ""
        };
        return Err(format!("building the eBPF programs failed: {cmd:?}\n{log}{hint}").into());
    }
    Ok(target_dir.join(target).join("release/agent-ebpf"))
}

fn linker() -> PathBuf {
    if let Some(set) = env::var_os("BPF_LINKER") {
        return set.into();
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    home.map(|h| h.join("bin/bpf-linker")).filter(|p| p.exists()).unwrap_or_else(|| "bpf-linker".into())
}

fn pick(target: &str) -> Result<Option<Toolchain>, Box<dyn Error>> {
    if let Some(cargo) = env::var_os("EBPF_CARGO") {
        let rustc = env::var_os("EBPF_RUSTC").unwrap_or_else(|| "rustc".into());
        let build_std = !has_core(&rustc, target);
        return Ok(Some(Toolchain { cargo, rustc, build_std }));
    }
    let system = ("/usr/bin/cargo".into(), "/usr/bin/rustc".into());
    for (cargo, rustc) in [(var("CARGO")?, var("RUSTC")?), system] {
        if has_core(&rustc, target) {
            return Ok(Some(Toolchain { cargo, rustc, build_std: false }));
        }
    }
    let name = env::var("EBPF_TOOLCHAIN").unwrap_or_else(|_| "nightly".to_owned());
    let which = |tool: &str| stdout(Command::new("rustup").args(["which", "--toolchain", &name, tool]));
    let (Some(cargo), Some(rustc)) = (which("cargo"), which("rustc")) else { return Ok(None) };
    let (cargo, rustc): (OsString, OsString) = (cargo.into(), rustc.into());
    let source = stdout(Command::new(&rustc).args(["--print", "sysroot"]))
        .map(|root| Path::new(&root).join("lib/rustlib/src/rust/library/core/Cargo.toml"));
    Ok(source.is_some_and(|s| s.exists()).then_some(Toolchain { cargo, rustc, build_std: true }))
}

/// Whether a compiler has a prebuilt `core` for the target.
fn has_core(rustc: &OsStr, target: &str) -> bool {
    stdout(Command::new(rustc).args(["--print", "target-libdir", "--target", target])).is_some_and(|dir| {
        fs::read_dir(dir).is_ok_and(|entries| {
            entries.filter_map(Result::ok).any(|e| e.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}

fn stdout(cmd: &mut Command) -> Option<String> {
    let output = clean(cmd).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Takes out what the outer cargo and rustup's proxy put into the environment: it would pick the wrong toolchain.
fn clean(cmd: &mut Command) -> &mut Command {
    for name in [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
        "RUSTDOC",
    ] {
        cmd.env_remove(name);
    }
    cmd
}
