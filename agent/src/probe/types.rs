//! What the probe takes and tells.
use super::Tables;
use engine::event::{EventTypes, Hook};
use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

/// What the kernel side has to supply for one set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFilter {
    /// Stamped on the records that it lets through. Must rise with each set of rules.
    pub generation: u32,
    /// Wanted event types. Those of life-cycle hooks are always sent.
    pub types: EventTypes,
    /// Which of their events: a sound superset of what the rules want. Life-cycle events pass whatever it says.
    pub classes: Arc<Tables>,
    /// New threads as fork events, too (else only processes).
    pub threads: bool,
}

impl KernelFilter {
    /// All events of these hooks and of the life cycle, but new threads.
    #[must_use]
    pub fn everything(generation: u32, hooks: impl IntoIterator<Item = Hook>) -> Self {
        let mut hooks: BTreeSet<Hook> = hooks.into_iter().collect();
        let types = hooks.iter().flat_map(|hook| hook.event_types()).collect();
        hooks.extend(Hook::ALL.iter().filter(|hook| hook.is_life_cycle()));
        Self { generation, types, classes: Arc::new(Tables::everything(hooks)), threads: false }
    }

    /// Whether it wants events of a hook.
    #[must_use]
    pub fn wants(&self, hook: Hook) -> bool {
        hook.is_life_cycle() || self.types.iter().any(|t| t.hook() == hook)
    }

    /// Whether it wants execs that fail; those that succeed are always sent.
    #[must_use]
    pub fn wants_failed_execs(&self) -> bool {
        self.classes.want_failed_execs() && self.types.iter().any(|t| t.hook() == Hook::Exec)
    }

    /// The hooks that it wants, those of the life cycle among them.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        Hook::ALL.iter().copied().filter(|hook| self.wants(*hook))
    }
}

/// Events that were wanted and that no record tells of: shed, or dropped for lack of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of the filter that let them through.
    pub generation: u32,
    /// The hook.
    pub hook: Hook,
    /// Which class wanted them, by number. What several classes wanted is told of each.
    pub class: usize,
    /// How many.
    pub events: u64,
}

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the ring; rounded up to a power of two of at least a page.
    pub ring_size: usize,
    /// Leave this process' own events out (canaries excepted).
    pub exclude_self: bool,
    /// Do without programs on the kernel's own functions, as on a kernel that takes none.
    pub baseline_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ring_size: 8 << 20, exclude_self: true, baseline_only: false }
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
    /// Of those seen: names or addresses are from the caller's memory, though what the kernel used is kept for this hook: there was no room, the
    /// kernel left the program out, or it had not copied them when the call failed.
    pub unsure: u64,
}

/// By what means a hook is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Programs on the kernel's own functions (fentry, fexit) keep the names, addresses and files that it used; the tracepoint tells
    /// the rest.
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
    /// How often the kernel left it out, since it had preempted a run of the same program on that processor (`recursion_misses`). `None`:
    /// this kernel does not tell (before Linux 5.12).
    pub missed: Option<u64>,
    /// It runs: some hook in use needs it.
    pub attached: bool,
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
