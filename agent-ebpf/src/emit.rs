//! The maps that user space shares, who caused an event, what passes, and the way into the ring.
use crate::kernel::{self, Ptr};
use agent_abi::{
    call::TYPES,
    map::{
        CanaryState, FilterSlot, HOOKS, HookCounters, HookFilter, LEVELS, LostCounters, MAX_SHARES, SHARE_WINDOW,
        SMALL_SHARE, feature,
    },
    record::{CANARY, FAILED, RecordHeader, TRUNCATED, hook},
};
use aya_ebpf::{
    helpers::generated,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};

/// `bpf_ringbuf_output`: wake nobody; wake surely. `bpf_ringbuf_query`: bytes that wait.
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;
const AVAILABLE: u64 = 0;

/// Records. The loader sets the size.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
/// Loss accounting by hook.
#[map]
static COUNTERS: PerCpuArray<HookCounters> = PerCpuArray::with_max_entries(hook::COUNT as u32, 0);
/// What was lost, by class: rows of the first slot's hooks, then of the second's.
#[map]
static LOST: PerCpuArray<LostCounters> = PerCpuArray::with_max_entries(2 * hook::COUNT as u32, 0);
/// The filters of two generations.
#[map]
static SLOTS: Array<FilterSlot> = Array::with_max_entries(2, 0);
/// Which of the two is active.
#[map]
static ACTIVE: Array<u64> = Array::with_max_entries(1, 0);
/// The least level of shedding.
#[map]
static SHED: Array<u64> = Array::with_max_entries(1, 0);
/// By control group: the window, and how many events came from it in that while the ring was half full.
#[map]
static SHARES: LruHashMap<u64, u64> = LruHashMap::with_max_entries(MAX_SHARES, 0);
/// The canary that is armed.
#[map]
static CANARIES: Array<CanaryState> = Array::with_max_entries(1, 0);

/// Who caused an event.
#[derive(Clone, Copy)]
pub struct Origin {
    /// Of a canary, else 0.
    pub nonce: u32,
}

/// Who the current task is to us: None when its events are left out.
#[inline(always)]
pub fn origin(pid_tgid: u64) -> Option<Origin> {
    if (pid_tgid >> 32) as u32 != setting!(own_tgid) {
        return Some(Origin { nonce: 0 });
    }
    if let Some(c) = canary()
        && c.tid == pid_tgid as u32
    {
        return Some(Origin { nonce: c.nonce });
    }
    (setting!(features) & feature::EXCLUDE_OWN == 0).then_some(Origin { nonce: 0 })
}

/// Whether the current thread sets off canaries.
#[inline(always)]
pub fn is_canary(pid_tgid: u64) -> bool {
    (pid_tgid >> 32) as u32 == setting!(own_tgid) && canary().is_some_and(|c| c.tid == pid_tgid as u32)
}

/// [`origin`] for a process' exec and exit: a child of the thread that sets off canaries is one.
#[inline(always)]
pub fn origin_of_child(task: Ptr, pid_tgid: u64) -> Option<Origin> {
    let parent = member!(Ptr, task, task_real_parent);
    if let Some(c) = canary()
        && c.tid == member!(u32, parent, task_pid)
    {
        return Some(Origin { nonce: c.nonce });
    }
    origin(pid_tgid)
}

#[inline(always)]
fn canary() -> Option<CanaryState> {
    CANARIES.get(0).copied().filter(|c| c.tid != 0)
}

/// A filter and the slot that it is in.
#[derive(Clone, Copy)]
pub struct InForce {
    /// Which slot.
    pub slot: u32,
    /// What is in it.
    pub filter: &'static FilterSlot,
}

/// The filter in force, read once per event.
#[inline(always)]
pub fn filter() -> Option<InForce> {
    let slot = *ACTIVE.get(0)? as u32 & 1;
    // SAFETY: a map lives as long as the programs.
    let filter = unsafe { SLOTS.get_ptr(slot)?.as_ref() }?;
    Some(InForce { slot, filter })
}

/// Whether the filter wants a hook at all.
#[inline(always)]
pub fn wants(filter: &FilterSlot, hook: u8) -> bool {
    filter.hooks & (1 << hook) != 0
}

/// Whether the filter wants events of a type (of hooks that are not of the life cycle).
#[inline(always)]
pub fn wants_type(filter: &FilterSlot, event_type: u8) -> bool {
    let bits = if event_type & 64 == 0 { filter.types[0] } else { filter.types[1] };
    bits >> (event_type & 63) & 1 != 0
}

/// One event of a hook, counted as seen.
pub struct Event {
    counters: *mut HookCounters,
    origin: Origin,
    /// The filter that it is judged by.
    pub force: InForce,
    pub hook: u8,
    /// The current task's, as records have it.
    pub cgroup: u64,
    /// The current task's mount namespace, where it is looked at.
    pub mount_namespace: u32,
    /// Classes that may want it, as far as it has been looked at.
    pub classes: u64,
}

/// Adds one to a counter of this processor.
macro_rules! count {
    ($counters:expr, $f:ident) => {
        // SAFETY: a map value of this processor; the programs of one hook do not nest.
        unsafe { (*$counters).$f += 1 }
    };
}

impl Event {
    /// Counts an event of the current task, which is `task`, as seen (canaries are not). All classes that are about its type may want it.
    #[inline(always)]
    pub fn seen(hook: u8, event_type: u8, force: InForce, origin: Origin, task: Ptr) -> Option<Self> {
        let counters = COUNTERS.get_ptr_mut(hook as u32)?;
        let classes = if origin.nonce == 0 {
            count!(counters, seen);
            force.filter.classes[event_type as usize & (TYPES - 1)]
        } else {
            u64::MAX
        };
        let (cgroup, mount_namespace) = (kernel::cgroup(task), kernel::mount_namespace(task));
        Some(Self { counters, origin, force, hook, cgroup, mount_namespace, classes })
    }

    /// What the classes of its hook test.
    #[inline(always)]
    pub fn tests(&self) -> &'static HookFilter {
        &self.force.filter.tests[self.hook as usize & (HOOKS - 1)]
    }

    /// Only classes in `these` may want it.
    #[inline(always)]
    pub fn only(&mut self, these: u64) {
        if !self.is_canary() {
            self.classes &= these;
        }
    }

    /// Whether no class wants it: then it is counted as filtered.
    #[inline(always)]
    pub fn is_unwanted(&self) -> bool {
        let unwanted = self.classes == 0;
        if unwanted {
            self.filtered();
        }
        unwanted
    }

    /// Whether it is left out under load: then it is counted as shed, or as dropped. Not for what process state needs.
    ///
    /// Who fills the ring is left out first: once half of it waits, each control group has a share. So the flood of one leaves
    /// room for the others.
    #[inline(always)]
    pub fn is_shed(&self) -> bool {
        if self.is_canary() {
            return false;
        }
        let waiting = EVENTS.query(AVAILABLE);
        let mut level = SHED.get(0).map_or(0, |level| *level as usize);
        for (n, at) in [setting!(shed_at[0]), setting!(shed_at[1]), setting!(shed_at[2])].into_iter().enumerate() {
            if waiting >= u64::from(at) && level <= n {
                level = n + 1;
            }
        }
        if waiting >= u64::from(setting!(share_at[0])) {
            let (number, share) = (count_share(self.cgroup), setting!(share));
            if waiting >= u64::from(setting!(share_at[1])) && number >= u64::from(share / SMALL_SHARE) {
                self.dropped();
                return true;
            }
            if number >= u64::from(share) {
                level = LEVELS - 1;
            }
        }
        if level == 0 {
            return false;
        }
        if self.classes & self.tests().keep[level & (LEVELS - 1)] != 0 {
            return false;
        }
        count!(self.counters, shed);
        self.charge();
        true
    }

    /// Counts it as lost to the classes that may have wanted it.
    #[inline(always)]
    fn charge(&self) {
        charge(self.force.slot * hook::COUNT as u32 + self.hook as u32, self.classes);
    }

    /// Whether it is a canary, which passes every filter.
    #[inline(always)]
    pub fn is_canary(&self) -> bool {
        self.origin.nonce != 0
    }

    /// Counts it as a 32-bit call, too.
    #[inline(always)]
    pub fn compat(&self) {
        count!(self.counters, compat);
    }

    /// Counts it as filtered.
    #[inline(always)]
    pub fn filtered(&self) {
        if !self.is_canary() {
            count!(self.counters, filtered);
        }
    }

    /// Counts it as dropped without trying: for what fails before the ring.
    #[inline(always)]
    pub fn dropped(&self) {
        if !self.is_canary() {
            count!(self.counters, dropped);
            self.charge();
        }
    }

    /// Counts it as one of which names or addresses are told from the caller's memory, where its hook keeps what the kernel used.
    #[inline(always)]
    pub fn unsure(&self) {
        if !self.is_canary() && self.force.filter.kept >> (self.hook & 63) & 1 != 0 {
            count!(self.counters, unsure);
        }
    }

    /// Fills in the header for the current task.
    #[inline(always)]
    pub fn header(&self, to: *mut RecordHeader, task: Ptr, pid_tgid: u64, event_type: u8, flags: u16) {
        let canary = if self.is_canary() { CANARY } else { 0 };
        // SAFETY: `to` points to a whole header in scratch or on the stack; the helpers take nothing.
        unsafe {
            let uid_gid = generated::bpf_get_current_uid_gid();
            (*to).time = generated::bpf_ktime_get_boot_ns();
            (*to).start_time = kernel::process_key(task).1;
            (*to).cgroup = self.cgroup;
            (*to).classes = self.classes;
            (*to).pid = (pid_tgid >> 32) as u32;
            (*to).tid = pid_tgid as u32;
            (*to).uid = uid_gid as u32;
            (*to).gid = (uid_gid >> 32) as u32;
            (*to).generation = self.force.filter.generation;
            (*to).nonce = self.origin.nonce;
            (*to).cpu = generated::bpf_get_smp_processor_id() as u16;
            (*to).flags = flags | canary;
            (*to).hook = self.hook;
            (*to).event_type = event_type;
            (*to).reserved = 0;
        }
    }

    /// Puts a record into the ring and counts what became of it. What process state does not need leaves the ring's reserve alone.
    #[inline(always)]
    pub fn submit(&self, record: *const u8, len: u64, flags: u16) {
        let waiting = EVENTS.query(AVAILABLE);
        if (self.hook >= hook::OPEN || flags & FAILED != 0)
            && !self.is_canary()
            && waiting >= u64::from(setting!(reserve_at))
        {
            return self.dropped();
        }
        // A reader is woken each time that the waiting bytes cross a multiple of the threshold, not per event.
        let step = u64::from(setting!(wake_at));
        let wake = if (waiting & !(step - 1)) != ((waiting + len) & !(step - 1)) { FORCE_WAKEUP } else { NO_WAKEUP };
        // SAFETY: `record` has `len` initialised bytes, which the verifier checks.
        let done = unsafe {
            generated::bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), record.cast_mut().cast(), len, wake)
        };
        if done != 0 {
            return self.dropped();
        }
        if self.is_canary() {
            count!(self.counters, canaries);
            return;
        }
        count!(self.counters, submitted);
        if flags & TRUNCATED != 0 {
            count!(self.counters, truncated);
        }
    }
}

/// Counts an event of a control group in this window; how many it had before.
#[inline(never)]
fn count_share(cgroup: u64) -> u64 {
    // SAFETY: takes nothing.
    let window = unsafe { generated::bpf_ktime_get_ns() } >> SHARE_WINDOW << 32;
    let Some(known) = SHARES.get_ptr_mut(cgroup) else {
        // Where it finds no room the count begins with the next event.
        let _ = SHARES.insert(cgroup, window | 1, 0);
        return 0;
    };
    // SAFETY: a map value, read and written whole. Another processor may write meanwhile: then an event goes uncounted here.
    unsafe {
        let before = known.read_volatile();
        let number = if before >> 32 == window >> 32 { before as u32 } else { 0 };
        known.write_volatile(window | (u64::from(number) + 1));
        u64::from(number)
    }
}

/// Adds one to each of the classes in a row of [`LOST`].
#[inline(never)]
fn charge(row: u32, classes: u64) -> u64 {
    let Some(row) = LOST.get_ptr_mut(row) else { return 0 };
    // By bytes: most have few classes.
    for byte in 0..8 {
        if classes >> (8 * byte) & 0xff == 0 {
            continue;
        }
        for class in 8 * byte..8 * byte + 8 {
            if classes >> class & 1 != 0 {
                // SAFETY: a map value of this processor; the programs of one hook do not nest.
                unsafe { (*row).classes[class] += 1 };
            }
        }
    }
    0
}
