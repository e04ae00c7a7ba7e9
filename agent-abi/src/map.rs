//! Values of maps and of the read-only settings.
use crate::record::{event, hook};

const _: () = assert!(event::COUNT <= 128 && hook::COUNT <= 64, "FilterSlot has a bit for each");

/// What makes up the class of an open (0..16); bit n of [`FilterSlot::open`] lets class n pass. The engine's `OpenFilter`
/// says the same.
pub mod open {
    /// Access mode O_RDONLY or O_RDWR.
    pub const READ: u32 = 1 << 0;
    /// Access mode O_WRONLY or O_RDWR.
    pub const WRITE: u32 = 1 << 1;
    /// O_CREAT, or all bits of O_TMPFILE, or the call is creat.
    pub const CREATE: u32 = 1 << 2;
    /// It failed.
    pub const FAILED: u32 = 1 << 3;
}

wire! {
    /// What passes in one generation. There are two; user space refills only the one that is not active, and only
    /// after a grace period.
    pub struct FilterSlot {
        /// Bit n: hook n sends events.
        hooks: u64,
        /// Bit n (of the first, then the second word): events of type n are wanted, of hooks other than those of the life cycle.
        types: [u64; 2],
        /// Stamped on each record.
        generation: u32,
        /// Bit n: opens of class n (see [`open`]) pass.
        open: u32,
        /// Not 0: new threads are sent as fork events, too.
        threads: u32,
        /// Zero.
        reserved: u32,
    }

    /// A canary that is about to be set off: calls of thread `tid` and of its children are canaries.
    pub struct CanaryState {
        /// Thread id in the initial namespace; 0: none.
        tid: u32,
        /// Copied to the record.
        nonce: u32,
    }

    /// One row per hook and processor. `seen = filtered + shed + dropped + submitted`, and none counts a canary.
    pub struct HookCounters {
        /// Events that happened while the hook was wanted, counted on their own.
        seen: u64,
        /// Of no rule's interest.
        filtered: u64,
        /// Left out under load, by priority. Always 0 for now.
        shed: u64,
        /// The ring had no room.
        dropped: u64,
        /// Put into the ring.
        submitted: u64,
        /// Of those submitted: marked as truncated.
        truncated: u64,
        /// Of those seen: 32-bit system calls.
        compat: u64,
        /// Canaries that were put into the ring.
        canaries: u64,
    }

    /// `.rodata`: set before the programs are loaded.
    pub struct Settings {
        /// The agent's process id in the initial namespace: whose threads may set off
        /// canaries, and whose events are left out under [`feature::EXCLUDE_OWN`].
        own_tgid: u32,
        /// Bytes of the ring.
        ring_size: u32,
        /// Waiting bytes at which the reader is woken.
        wake_at: u32,
        /// Waiting bytes from which on all but life-cycle events are dropped, so that these still fit.
        reserve_at: u32,
        /// Bits of [`feature`].
        features: u32,
        /// The `cgroup_subsys_id` whose path is used where the unified hierarchy is empty.
        cgroup_subsys: u32,
    }
}

/// What the running kernel has and what is wanted (`Settings::features`).
pub mod feature {
    /// The helper `bpf_task_pt_regs` (Linux 5.15).
    pub const TASK_PT_REGS: u32 = 1 << 0;
    /// The agent's own events are left out.
    pub const EXCLUDE_OWN: u32 = 1 << 1;
}
