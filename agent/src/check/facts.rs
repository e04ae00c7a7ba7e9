//! What can be known without loading anything: architecture, release, type information, capabilities, namespaces, options.
use serde::Serialize;
use std::{fs, io::Read as _, path::Path};

/// How a fact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Missing,
    Unknown,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that the agent needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fact {
    pub what: String,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing.
    pub fix: String,
}

impl Fact {
    fn new(what: &str, well: bool, found: impl Into<String>, fix: &str) -> Self {
        let (state, fix) = if well { (State::Ok, "") } else { (State::Missing, fix) };
        Self { what: what.to_owned(), state, found: found.into(), fix: fix.to_owned() }
    }

    /// Not known to be missing.
    pub(super) fn is_well(&self) -> bool {
        self.state != State::Missing
    }
}

/// Oldest release: without it memory of maps counts against RLIMIT_MEMLOCK, and helpers that we call are not there.
const OLDEST: (u32, u32) = (5, 11);
/// Inode number of the initial pid namespace (PROC_PID_INIT_INO of include/linux/proc_ns.h).
const INITIAL_PID_NS: &str = "pid:[4026531836]";
/// By number (include/uapi/linux/capability.h); the last says what stands in for it.
const CAPABILITIES: [(&str, u32, &str); 3] = [
    ("CAP_BPF", 39, "loads programs and makes maps"),
    ("CAP_PERFMON", 38, "attaches programs to tracepoints and lets them read kernel memory"),
    ("CAP_SYS_PTRACE", 19, "reads other users' /proc/PID: processes that ran before the agent, users of containers"),
];
/// Stands in for CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;
/// Options that the programs need.
const OPTIONS: [&str; 5] = [
    "CONFIG_BPF_SYSCALL",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_BPF_EVENTS",
    "CONFIG_TRACEPOINTS",
    "CONFIG_FTRACE_SYSCALLS",
];
/// More than any kernel's options take.
const MAX_CONFIG: u64 = 4 << 20;

/// All but kernel options.
pub(super) fn before() -> Vec<Fact> {
    let uname = rustix::system::uname();
    let (release, machine) = (uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    let mut facts = vec![
        Fact::new(
            "Linux 5.11 or later",
            version(&release).is_none_or(|v| v >= OLDEST),
            release.as_ref(),
            "a newer kernel",
        ),
        Fact::new(
            "architecture x86_64",
            machine == "x86_64",
            machine.as_ref(),
            "no other architecture is supported yet",
        ),
        btf(Path::new("/sys/kernel/btf/vmlinux")),
    ];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    facts.extend(capabilities(&status));
    facts.push(pid_namespace());
    facts
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn btf(path: &Path) -> Fact {
    let found = match fs::metadata(path) {
        Ok(metadata) => format!("{} ({} KiB)", path.display(), metadata.len() >> 10),
        Err(error) => format!("{}: {error}", path.display()),
    };
    Fact::new(
        "type information (BTF)",
        path.exists(),
        found,
        "a kernel built with CONFIG_DEBUG_INFO_BTF=y, and /sys mounted",
    )
}

fn capabilities(status: &str) -> Vec<Fact> {
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:")).map(str::trim);
    let effective = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default();
    let has = |bit: u32| effective >> bit & 1 != 0;
    let fact = |(name, bit, why): &(&str, u32, &str)| {
        let by_admin = *name != "CAP_SYS_PTRACE" && has(SYS_ADMIN);
        let found = match (has(*bit), by_admin) {
            (true, _) => "held".to_owned(),
            (false, true) => "not held, but CAP_SYS_ADMIN stands in for it".to_owned(),
            (false, false) => format!("not held: it {why}"),
        };
        let fix = format!("run as root, or add {} to the container's capabilities", name.trim_start_matches("CAP_"));
        Fact::new(name, has(*bit) || by_admin, found, &fix)
    };
    CAPABILITIES.iter().map(fact).collect()
}

fn pid_namespace() -> Fact {
    let what = "initial pid namespace";
    match fs::read_link("/proc/self/ns/pid") {
        Ok(link) => {
            let link = link.to_string_lossy().into_owned();
            let fix =
                "in a pod: hostPID: true; own events are told by the process id there, and canaries do not come back";
            Fact::new(what, link == INITIAL_PID_NS, link, fix)
        }
        Err(error) => Fact {
            what: what.to_owned(),
            state: State::Unknown,
            found: format!("/proc/self/ns/pid: {error}"),
            fix: String::new(),
        },
    }
}

/// How the programs read kernel memory: nothing that is missed, but something that costs.
pub(super) fn reads(slow: Option<&str>) -> Fact {
    let found = match slow {
        None => "direct (bpf_rdonly_cast)".to_owned(),
        Some(why) => format!("by calls of a helper, so that each event costs more: {why}"),
    };
    Fact::new("reads of kernel memory", true, found, "")
}

/// Options of the running kernel, where it tells them.
pub(super) fn options() -> Vec<Fact> {
    let config = config();
    let unknown = || "its configuration is not to be found (/proc/config.gz, /boot/config-*)".to_owned();
    let fact = |option: &&str| match &config {
        None => Fact {
            what: (*option).to_owned(),
            state: State::Unknown,
            found: unknown(),
            fix: format!("look whether the kernel was built with {option}=y"),
        },
        Some(text) => option_in(text, option),
    };
    OPTIONS.iter().map(fact).collect()
}

fn option_in(config: &str, option: &str) -> Fact {
    let line = config.lines().find(|l| l.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')));
    let fix = format!("a kernel built with {option}=y");
    Fact::new(option, line.is_some_and(|l| l.ends_with("=y")), line.unwrap_or("not set"), &fix)
}

fn config() -> Option<String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let plain = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    let mut text = String::new();
    if let Ok(packed) = fs::File::open("/proc/config.gz") {
        flate2::read::GzDecoder::new(packed).take(MAX_CONFIG).read_to_string(&mut text).ok()?;
        return Some(text);
    }
    let file = plain.iter().find_map(|path| fs::File::open(path).ok())?;
    file.take(MAX_CONFIG).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let of = |eff: u64| -> Vec<(String, bool)> {
            let facts = capabilities(&format!("CapPrm:\t0\nCapEff:\t{eff:016x}\n"));
            facts.into_iter().map(|f| (f.what.clone(), f.is_well())).collect()
        };
        let names = ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"].map(str::to_owned);
        assert!(of(0).into_iter().eq(names.clone().map(|name| (name, false))));
        assert!(of(1 << 39 | 1 << 38 | 1 << 19).into_iter().all(|(_, well)| well));
        let admin: Vec<bool> = of(1 << SYS_ADMIN).into_iter().map(|(_, well)| well).collect();
        assert_eq!(admin, [true, true, false]);
        assert!(capabilities("")[0].fix.contains("add BPF"));
        assert_eq!((version("6.1.0-56-amd64"), version("5.10.3"), version("x")), (Some((6, 1)), Some((5, 10)), None));
        assert!(!btf(Path::new("/no/such")).is_well());
        let config = "CONFIG_BPF=y\nCONFIG_BPF_EVENTS=y\n# CONFIG_TRACEPOINTS is not set\n";
        assert!(option_in(config, "CONFIG_BPF_EVENTS").is_well());
        assert!(
            !option_in(config, "CONFIG_TRACEPOINTS").is_well() && !option_in(config, "CONFIG_BPF_SYSCALL").is_well()
        );
    }
}
