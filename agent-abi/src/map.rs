//! Values of maps and of the read-only settings.
use crate::{
    call::TYPES,
    record::{event, hook},
};

const _: () = assert!(event::COUNT <= TYPES && hook::COUNT <= HOOKS, "FilterSlot has room for each");

/// What makes up the class of an open (0..16): index in [`FilterSlot::opens`]. The engine's `OpenFilter` says the same.
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

/// Hooks that a filter has room for: a bit each, and a power of two, so that a mask bounds an index.
pub const HOOKS: usize = 64;
/// Classes of a hook: the bits of a word.
pub const CLASSES: usize = 64;
/// How many levels of shedding there are, none included. Level n leaves out what only rules of the n lowest priorities want:
/// Debug, Informational, Notice.
pub const LEVELS: usize = 4;
/// Bytes of a literal that the kernel compares; longer beginnings and ends are cut to that much of a test.
pub const TEXT: usize = 64;
/// The same of an end.
pub const END: usize = 32;
/// Glances of one kind that a filter has room for.
pub const GLANCES: usize = 16;
/// Most literals of one generation.
pub const MAX_LITERALS: u32 = 65_536;
/// Most cgroups that the kernel is told the side of.
pub const MAX_SIDES: u32 = 16_384;

/// What a literal is compared with ([`LiteralKey::tag`], together with the hook).
pub mod literal {
    /// The front of a path. A whole path is one that a NUL follows.
    pub const FRONT: u32 = 0;
    /// The end of a path, backwards.
    pub const END: u32 = 1;
    /// The process' name, and a NUL.
    pub const NAME: u32 = 2;
    /// The remote port, big-endian.
    pub const PORT: u32 = 3;
    /// The remote address; IPv4 as `::ffff:a.b.c.d`.
    pub const ADDRESS: u32 = 4;

    /// The tag of a kind of literals of a hook.
    #[must_use]
    pub const fn tag(hook: u8, kind: u32) -> u32 {
        (hook as u32) << 8 | kind
    }
}

/// See [`Settings::share`]: 134 ms.
pub const SHARE_WINDOW: u32 = 27;
/// See [`Settings::share_at`].
pub const SMALL_SHARE: u32 = 16;
/// Most control groups whose shares are known; of more, those not heard of for longest are forgotten.
pub const MAX_SHARES: u32 = 4096;

/// Calls with names that may be under way at once while what the kernel uses of each is kept; 9 KiB each.
pub const KEPT_PATHS: u32 = 128;
/// The same of calls with socket addresses, which may wait for long.
pub const KEPT_ADDRESSES: u32 = 4096;
/// Rows of the table of files that were just opened; a power of two.
pub const KEPT_FILES: u32 = 4096;

/// What is kept of the names of a call ([`KeptPaths::known`]).
pub mod kept {
    /// The recipe's first path.
    pub const PATH: u64 = 1 << 0;
    /// Its second path.
    pub const PATH2: u64 = 1 << 1;
    /// Its other text.
    pub const TEXT: u64 = 1 << 2;
}

/// Set in a cgroup's number when it is not of the unified hierarchy.
pub const OTHER_HIERARCHY: u64 = 1 << 63;
/// Value of the map of cgroups: its processes are on the host; they are in a container.
pub const SIDE_HOST: u64 = 0;
/// See [`SIDE_HOST`].
pub const SIDE_CONTAINER: u64 = 1;

wire! {
    /// What passes in one generation. There are two; user space refills only the one that is not active, and only
    /// after a grace period.
    ///
    /// The candidate bits of an event are `classes[type] & opens[class]` (opens only), then what its hook's [`HookFilter`] leaves of
    /// them: bit n stands for class n of its hook. None: no rule can match it.
    pub struct FilterSlot {
        /// Bit n: hook n sends events.
        hooks: u64,
        /// Bit n: all that keep what the kernel used in calls of hook n are attached.
        kept: u64,
        /// Bit n (of the first, then the second word): events of type n are wanted, of hooks other than those of the life cycle.
        types: [u64; 2],
        /// Stamped on each record.
        generation: u32,
        /// Not 0: new threads are sent as fork events, too.
        threads: u32,
        /// Classes that want execs that failed.
        failed_execs: u64,
        /// By event type: classes that are about it.
        classes: [u64; TYPES],
        /// By class of open (see [`open`]): classes that want such.
        opens: [u64; 16],
        /// By hook.
        tests: [HookFilter; HOOKS],
        /// Of opens: how the literals of [`literal::FRONT`] begin. A path that none of them fits has no such literal.
        fronts: [Glance; GLANCES],
        /// The same of [`literal::END`]: how they begin, which is how the path ends, backwards.
        ends: [Glance; GLANCES],
        /// Classes with such literals of either kind: others need no look.
        glanced: [u64; 2],
    }

    /// The first eight bytes of literals, to look at before a path is put together.
    pub struct Glance {
        /// The bytes as they lie in memory.
        value: u64,
        /// All bits of those that count.
        mask: u64,
        /// Classes of the literals; 0: not in use.
        classes: u64,
    }

    /// What a hook's classes test.
    pub struct HookFilter {
        /// Classes that admit processes of a side: on the host, in a container.
        sides: [u64; 2],
        /// Of hooks whose programs look at it: classes that want calls that succeeded, that failed.
        results: [u64; 2],
        /// Classes that test no path. The others want one of the literals.
        any_path: u64,
        /// Classes that test no name.
        any_name: u64,
        /// Classes that test no port.
        any_port: u64,
        /// Classes that test no address.
        any_address: u64,
        /// By level of shedding: classes that are still sent.
        keep: [u64; LEVELS],
        /// Bit by kind of literal: there are such.
        kinds: u64,
    }

    /// A literal: key of a trie whose values are the classes that the literal, or a shorter one in front of it, satisfies.
    pub struct LiteralKey {
        /// Bits that count of the rest of the key: 32 and those of the text.
        prefix_len: u32,
        /// [`literal::tag`].
        tag: u32,
        /// The text, as it lies in memory.
        text: [u64; TEXT / 8],
    }

    /// Events lost (shed or dropped) of one generation's slot and hook, by class. An event that several classes wanted counts in
    /// each.
    pub struct LostCounters {
        /// By class.
        classes: [u64; CLASSES],
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
        /// Left out under load, by priority.
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
        /// Of those seen: names or addresses are from the caller's memory, though what the kernel used is kept for this hook: there was no
        /// room, the kernel left the program out, or it had not copied them when the call failed.
        unsure: u64,
    }

    /// The names that the kernel uses in a call that is under way.
    pub struct KeptPaths {
        /// Of the filter in force when they were kept.
        generation: u32,
        /// The call's event type.
        event_type: u32,
        /// Bits of [`kept`]: those that are known so far.
        known: u64,
        /// The first and the second path, each ended by a NUL.
        texts: [[u8; 4096]; 2],
        /// The other text, ended by a NUL.
        other: [u8; 1024],
    }

    /// The socket address that the kernel uses in a call that is under way.
    pub struct KeptAddress {
        /// See [`KeptPaths::generation`].
        generation: u32,
        /// Bytes of the address that count.
        len: u32,
        /// A `struct sockaddr_storage`.
        bytes: [u64; 16],
    }

    /// The file that a thread has opened last.
    pub struct KeptFile {
        /// The thread; 0: none, or it has been told.
        tid: u32,
        /// See [`KeptPaths::generation`].
        generation: u32,
        /// Its `struct file`, to compare: another thread may have freed it.
        file: u64,
        /// Its path: mount and dentry.
        mnt: u64,
        /// See `mnt`.
        dentry: u64,
        /// Its `struct inode`.
        inode: u64,
        /// Its `f_mode`.
        mode: u32,
        /// Always 0.
        reserved: u32,
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
        /// Waiting bytes from which on all but life-cycle events are dropped, so that those still fit.
        reserve_at: u32,
        /// Waiting bytes from which on a level of shedding (1, 2, 3) is in force.
        shed_at: [u32; LEVELS - 1],
        /// Waiting bytes from which on a control group that is over its share is shed what is under Warning; from which on it is
        /// dropped everything beyond a [`SMALL_SHARE`]th of the share.
        share_at: [u32; 2],
        /// Events that a control group may add while so much waits, in each window of 2^[`SHARE_WINDOW`] nanoseconds.
        share: u32,
        /// Inode number of the host's mount namespace; 0: not known.
        host_mnt_ns: u32,
        /// Bits of [`feature`].
        features: u32,
        /// The `cgroup_subsys_id` whose path is used where the unified hierarchy is empty.
        cgroup_subsys: u32,
        /// Always 0.
        reserved: u32,
    }
}

/// What the running kernel has and what is wanted (`Settings::features`).
pub mod feature {
    /// The helper `bpf_task_pt_regs` (Linux 5.15).
    pub const TASK_PT_REGS: u32 = 1 << 0;
    /// The agent's own events are left out.
    pub const EXCLUDE_OWN: u32 = 1 << 1;
    /// fentry and fexit programs are there that keep what the kernel used.
    pub const USED: u32 = 1 << 2;
    /// The helper `bpf_loop` (Linux 5.17).
    pub const LOOP: u32 = 1 << 3;
    /// The kernel function `bpf_rdonly_cast` makes memory of any address (Linux 6.17).
    pub const CAST: u32 = 1 << 4;
}

/// Called as a helper of this number stands `bpf_rdonly_cast` in the object: the loader puts in the number that it has in the running
/// kernel. Far beyond all helpers.
pub const CAST_PLACEHOLDER: u32 = 0x5ca5_7000;
