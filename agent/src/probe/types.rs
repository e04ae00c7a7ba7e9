//! What the probe takes and tells.
use engine::{
    event::{EventTypes, Hook},
    plan::OpenFilter,
};
use std::time::SystemTime;

/// What the kernel side has to supply for one set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFilter {
    /// Stamped on records from `narrow` on. Must rise with each set of rules.
    pub generation: u32,
    /// Wanted event types. Those of life-cycle hooks are always sent.
    pub types: EventTypes,
    /// Which opens: a sound superset of what the rules want.
    pub open: OpenFilter,
    /// New threads as fork events, too (else only processes).
    pub threads: bool,
}

impl KernelFilter {
    /// Whether it wants events of a hook.
    #[must_use]
    pub fn wants(&self, hook: Hook) -> bool {
        hook.is_life_cycle() || self.types.iter().any(|t| t.hook() == hook)
    }

    /// The hooks that it wants, those of the life cycle among them.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        Hook::ALL.iter().copied().filter(|hook| self.wants(*hook))
    }

    /// Lets through what either lets through; the generation is `self`'s.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            generation: self.generation,
            types: self.types.union(other.types),
            open: self.open.union(other.open),
            threads: self.threads || other.threads,
        }
    }
}

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the ring; rounded up to a power of two of at least a page.
    pub ring_size: usize,
    /// Leave this process' own events out (canaries excepted).
    pub exclude_self: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ring_size: 8 << 20, exclude_self: true }
    }
}

/// Loss accounting of one hook since load, all processors summed:
/// `seen = filtered + shed + dropped + submitted` whenever the flow is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookCounters {
    /// The hook.
    pub hook: Hook,
    /// Events that happened while the hook was wanted. Canaries and own events are not among them.
    pub seen: u64,
    /// No rule wants them.
    pub filtered: u64,
    /// Left out under load, by priority.
    pub shed: u64,
    /// The ring had no room.
    pub dropped: u64,
    /// Put into the ring.
    pub submitted: u64,
    /// Of those submitted: something was cut off.
    pub truncated: u64,
    /// Of those seen: 32-bit system calls.
    pub compat: u64,
    /// Canaries that were put into the ring.
    pub canaries: u64,
}

/// By what means a hook is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// fentry, fexit or LSM programs on the kernel's own functions.
    Primary,
    /// Raw tracepoints with BTF.
    Baseline,
    /// This kernel cannot.
    Unavailable,
}

impl Backend {
    /// The name in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Baseline => "baseline",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A program that the kernel has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedProgram {
    /// The program's symbol.
    pub name: &'static str,
    /// Instructions that the verifier went through; at a million it gives up (BPF_COMPLEXITY_LIMIT_INSNS). `None`: this kernel
    /// does not tell (before Linux 5.16).
    pub verified: Option<u32>,
}

/// How a hook stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookStatus {
    /// The hook.
    pub hook: Hook,
    /// By what means.
    pub backend: Backend,
    /// Why this back end.
    pub reason: String,
    /// Programs are attached and the filter wants the hook.
    pub attached: bool,
    /// When a canary last came through the ring.
    pub last_proven: Option<SystemTime>,
}

/// What `eyas-agent check` says of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCheck {
    /// The hook.
    pub hook: Hook,
    /// By what means it would be served.
    pub backend: Backend,
    /// Why, or why not.
    pub reason: String,
}
