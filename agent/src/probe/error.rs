//! Why the kernel side could not be set up, and what to do about it.
use engine::event::Hook;

/// Why the probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel does not describe its types.
    #[error(
        "cannot read the kernel's type information at {path}: {source}; a kernel built with CONFIG_DEBUG_INFO_BTF=y is needed (zgrep BTF /proc/config.gz)"
    )]
    NoBtf {
        /// Where it was looked for.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The type information is damaged.
    #[error("the kernel's type information is not understood: {0}")]
    BadBtf(String),
    /// Members that the programs need are not in this kernel.
    #[error("this kernel lacks what the programs read: {0}; please report it with the output of uname -r")]
    MissingMembers(String),
    /// Not allowed.
    #[error(
        "not allowed to load eBPF programs ({what}); run as root or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; missing: {missing}"
    )]
    NotAllowed {
        /// What was refused.
        what: String,
        /// Capabilities that this process lacks, or another likely cause.
        missing: String,
    },
    /// The object could not be loaded.
    #[error("cannot load the eBPF object: {0}")]
    Object(String),
    /// One hook's program was refused.
    #[error("cannot arm hook {}: {reason}", .hook.as_str())]
    Hook {
        /// The hook.
        hook: Hook,
        /// The kernel's word.
        reason: String,
    },
    /// A map could not be used.
    #[error("cannot {what}: {reason}")]
    Map {
        /// What was tried.
        what: &'static str,
        /// The kernel's word.
        reason: String,
    },
    /// A canary could not be set off.
    #[error("cannot set off the canary of hook {}: {source}", .hook.as_str())]
    Canary {
        /// The hook.
        hook: Hook,
        /// The system's word.
        source: std::io::Error,
    },
}
