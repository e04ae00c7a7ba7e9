//! Loading: object, offsets, settings, verifier. Nothing is attached here.
use super::{Options, ProbeError, Sides, programs::Program, symbols::Kernel, trial};
use agent_abi::{
    Wire,
    map::{
        CAST_PLACEHOLDER, CanaryState, FilterSlot, HookCounters, KeptAddress, KeptPaths, LiteralKey, LostCounters,
        Settings, feature,
    },
    offsets::{MISSING, Offsets},
};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray},
    programs::ProgramError,
};
use engine::event::EventType;
use std::{io, thread};

/// The programs, built by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent-ebpf"));

/// `call` of a helper, its number left out (include/uapi/linux/bpf.h).
const CALL_HELPER: u32 = 0x85;

/// Smallest ring: one page.
const MIN_RING: usize = 4096;
/// Largest: the kernel keeps positions of a ring in pages of 32 bits; far beyond what is useful.
const MAX_RING: usize = 1 << 30;
/// Waiting bytes at which the reader is woken: beyond, wake-ups cost less than the records.
const WAKE_AT: usize = 128 << 10;

/// How full the ring is, in percent, when what only rules of priority Debug want is shed; then Informational; then Notice.
const SHED_AT: [usize; 3] = [75, 80, 85];
/// Percent of the ring from which on a control group that is over its share is shed what is under Warning; from which on it is
/// dropped everything beyond a small share.
const SHARE_AT: [usize; 2] = [50, 70];
/// A control group's share: an event for so many bytes of the ring in each window.
const SHARE: usize = 2048;

/// A wire type as aya wants map values.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Value<T: Wire>(pub(super) T);
// SAFETY: Wire promises what Pod asks for: a plain value without padding or pointers.
unsafe impl<T: Wire> aya::Pod for Value<T> {}

/// The maps that user space works with.
pub(super) struct Maps {
    pub(super) filters: FilterMaps,
    pub(super) sides: Sides,
    pub(super) canaries: Array<MapData, Value<CanaryState>>,
    pub(super) counters: PerCpuArray<MapData, Value<HookCounters>>,
    pub(super) ring: MapData,
    /// Bytes that the ring holds.
    pub(super) ring_size: usize,
    pub(super) kept: Kept,
}

/// What is kept of calls that are under way.
pub(super) struct Kept {
    pub(super) paths: HashMap<MapData, u32, Value<KeptPaths>>,
    pub(super) addresses: HashMap<MapData, u32, Value<KeptAddress>>,
}

/// The maps that hold filters, and what was lost to them.
pub(super) struct FilterMaps {
    pub(super) slots: Array<MapData, Value<FilterSlot>>,
    pub(super) active: Array<MapData, u64>,
    /// By slot.
    pub(super) literals: [LpmTrie<MapData, [u8; size_of::<LiteralKey>() - 4], u64>; 2],
    pub(super) lost: PerCpuArray<MapData, Value<LostCounters>>,
    pub(super) shed: Array<MapData, u64>,
}

/// What loading yields.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    /// Why a program could not be loaded, by program.
    pub(super) refused: Vec<(Program, String)>,
    /// Why kernel memory is read by calls of a helper and not directly.
    pub(super) slow_reads: Option<String>,
    /// Event types that an io_uring can be asked for, and that this kernel does not describe the requests of.
    pub(super) untold: Vec<EventType>,
}

/// Loads all programs.
///
/// # Errors
/// No type information, no permission, or an object that does not load. A single program that the verifier refuses is no
/// error here.
pub(super) fn load(options: &Options) -> Result<Loaded, ProbeError> {
    // All parse the same megabytes, for different things; the new loader for itself, also when it is then told to do without.
    let (kernel, btf, loader) = thread::scope(|scope| {
        let own = scope.spawn(|| Kernel::running(options.baseline_only));
        let loader = scope.spawn(EbpfLoader::new);
        let btf = Btf::from_sys_fs();
        (own.join(), btf, loader.join())
    });
    let mut loader = loader.map_err(|_| ProbeError::BadBtf("aya's reader failed".to_owned()))?;
    let kernel = kernel.map_err(|_| ProbeError::BadBtf("the reader failed".to_owned()))??;
    let btf = btf.map_err(|e| ProbeError::BadBtf(e.to_string()))?;
    let ring_size = options.ring_size.clamp(MIN_RING, MAX_RING).next_power_of_two();
    let settings = settings(&kernel, ring_size, options.exclude_self);
    let mut ebpf = loader
        .btf(None)
        .override_global("OFFSETS", kernel.offsets.as_bytes(), true)
        .override_global("SETTINGS", settings.as_bytes(), true)
        .map_max_entries("EVENTS", ring_size as u32)
        .load(&object(kernel.cast.as_ref().ok().copied()))
        .map_err(|e| not_allowed(&e).unwrap_or_else(|| ProbeError::Object(chain(&e))))?;
    let refused = verify(&mut ebpf, &btf, &kernel)?;
    drop(btf);
    give_memory_back();
    let untold = untold(&kernel.offsets);
    Ok(Loaded { maps: maps(&mut ebpf, ring_size)?, ebpf, refused, slow_reads: kernel.cast.err(), untold })
}

/// The object with that number for `bpf_rdonly_cast`; with none, in its place what does nothing, which is never come by.
fn object(cast: Option<u32>) -> Vec<u8> {
    let call = |code: u32, number: u32| u64::from(number) << 32 | u64::from(code);
    let [placeholder, real] =
        [call(CALL_HELPER, CAST_PLACEHOLDER), cast.map_or(trial::NOTHING[0], |id| call(trial::CALL_FUNCTION, id))]
            .map(u64::to_le_bytes);
    let mut object = OBJECT.to_vec();
    // Instructions are of eight bytes, and aligned.
    for instruction in object.chunks_exact_mut(8).filter(|i| *i == placeholder) {
        instruction.copy_from_slice(&real);
    }
    object
}

/// Gives the megabytes that the kernel's type information took back to the system: glibc would keep them.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches only the allocator's free memory, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What `agent-ebpf/src/io_uring.rs` leaves out on this kernel.
fn untold(offsets: &Offsets) -> Vec<EventType> {
    let o = offsets;
    [
        (o.io_unlink_filename, EventType::Unlinkat),
        (o.io_rename_old, EventType::Renameat2),
        (o.io_mkdir_filename, EventType::Mkdirat),
        (o.io_link_old, EventType::Linkat),
        (o.io_link_old, EventType::Symlinkat),
        (o.io_accept_flags, EventType::Accept4),
        (o.io_socket_domain, EventType::Socket),
        (o.io_splice_in, EventType::Splice),
        (o.io_send_len, EventType::Sendto),
        (o.io_send_len, EventType::Sendmsg),
    ]
    .into_iter()
    .filter_map(|(offset, event_type)| (offset == MISSING).then_some(event_type))
    .collect()
}

fn settings(kernel: &Kernel, ring_size: usize, exclude_self: bool) -> Settings {
    let own = if exclude_self { feature::EXCLUDE_OWN } else { 0 };
    Settings {
        own_tgid: std::process::id(),
        ring_size: ring_size as u32,
        wake_at: WAKE_AT.min(ring_size / 4) as u32,
        reserve_at: (ring_size - ring_size / 8) as u32,
        shed_at: SHED_AT.map(|percent| (ring_size / 100 * percent) as u32),
        share_at: SHARE_AT.map(|percent| (ring_size / 100 * percent) as u32),
        share: (ring_size / SHARE) as u32,
        host_mnt_ns: host_mount_namespace(),
        features: kernel.features | own | if kernel.keeps.is_ok() { feature::USED } else { 0 },
        cgroup_subsys: kernel.cgroup_subsys,
        reserved: 0,
    }
}

/// The mount namespace of process 1; 0: not to be read.
fn host_mount_namespace() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/1/ns/mnt").ok().and_then(|m| u32::try_from(m.ino()).ok()).unwrap_or_default()
}

/// Passes every program to the verifier, at the same time; those refused and why.
fn verify(ebpf: &mut Ebpf, btf: &Btf, kernel: &Kernel) -> Result<Vec<(Program, String)>, ProbeError> {
    let mut results = Vec::new();
    let mut refused = Vec::new();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (symbol, program) in ebpf.programs_mut() {
            let Some(which) = Program::ALL.into_iter().find(|p| p.symbol() == symbol) else { continue };
            if which.keeps()
                && let Err(reason) = &kernel.keeps
            {
                refused.push((which, reason.clone()));
                continue;
            }
            let lacks = which.lacks(&kernel.offsets);
            if !lacks.is_empty() {
                refused.push((which, format!("this kernel does not describe {}", lacks.join(", "))));
                continue;
            }
            threads.push((which, scope.spawn(move || which.load(program, btf))));
        }
        for (which, thread) in threads {
            results.push((which, thread.join()));
        }
    });
    for (which, result) in results {
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if !which.keeps()
                    && let Some(denied) = not_allowed(&error)
                {
                    return Err(denied);
                }
                refused.push((which, refusal(&error)));
            }
            Err(_) => refused.push((which, "the loader failed".to_owned())),
        }
    }
    Ok(refused)
}

fn maps(ebpf: &mut Ebpf, ring_size: usize) -> Result<Maps, ProbeError> {
    fn map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
        ebpf.take_map(name).ok_or_else(|| ProbeError::Object(format!("no map {name} in it")))
    }
    fn take<T: TryFrom<Map, Error = aya::maps::MapError>>(
        ebpf: &mut Ebpf,
        name: &'static str,
    ) -> Result<T, ProbeError> {
        T::try_from(map(ebpf, name)?)
            .map_err(|e| ProbeError::Map { what: "open a map", reason: format!("{name}: {}", chain(&e)) })
    }
    let Map::RingBuf(ring) = map(ebpf, "EVENTS")? else {
        return Err(ProbeError::Object("EVENTS is no ring".to_owned()));
    };
    Ok(Maps {
        filters: FilterMaps {
            slots: take(ebpf, "SLOTS")?,
            active: take(ebpf, "ACTIVE")?,
            literals: [take(ebpf, "LITERALS_0")?, take(ebpf, "LITERALS_1")?],
            lost: take(ebpf, "LOST")?,
            shed: take(ebpf, "SHED")?,
        },
        sides: Sides { sides: take(ebpf, "SIDES")?, changes: take(ebpf, "SIDES_CHANGES")? },
        canaries: take(ebpf, "CANARIES")?,
        counters: take(ebpf, "COUNTERS")?,
        ring,
        ring_size,
        kept: Kept { paths: take(ebpf, "PATHS")?, addresses: take(ebpf, "ADDRESSES")? },
    })
}

/// The kernel's word on a program, without pages of verifier log.
fn refusal(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            tracing::debug!(%log, "verifier log");
            let statistics = ["processed ", "stack depth ", "verification time "];
            let said = |l: &&str| !l.trim().is_empty() && !statistics.iter().any(|s| l.starts_with(s));
            let last = log.lines().rfind(said).unwrap_or_default();
            format!("{io_error}: {last}")
        }
        other => chain(other),
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let e_text = e.to_string();
        if !text.contains(&e_text) {
            text = format!("{text}: {e_text}");
        }
        cause = e.source();
    }
    text
}

/// The error as a lack of permission (EPERM; EACCES is the verifier's word), if that is what is behind it.
fn not_allowed(error: &(dyn std::error::Error + 'static)) -> Option<ProbeError> {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if e.downcast_ref::<io::Error>().is_some_and(|e| e.raw_os_error() == Some(libc::EPERM)) {
            return Some(ProbeError::NotAllowed { what: chain(error), missing: missing_rights() });
        }
        cause = e.source();
    }
    None
}

/// Which of the capabilities that the probe needs this process lacks; if none, what else may forbid it.
fn missing_rights() -> String {
    /// include/uapi/linux/capability.h
    const NEEDED: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_PERFMON", 38)];
    const SYS_ADMIN: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or_default();
    let has = |bit: u32| effective & (1 << bit) != 0;
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(_, bit)| !has(*bit) && !has(SYS_ADMIN)).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        return missing.join(", ");
    }
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if lockdown.contains("[confidentiality]") {
        "none, but the kernel is locked down (lockdown=confidentiality)".to_owned()
    } else {
        "none: seccomp or another security module forbids bpf()".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_becomes_the_call_or_nothing() {
        let count = |object: &[u8], instruction: u64| {
            object.chunks_exact(8).filter(|i| *i == instruction.to_le_bytes()).count()
        };
        let placeholder = u64::from(CAST_PLACEHOLDER) << 32 | u64::from(CALL_HELPER);
        let call = 0x1234_5678 << 32 | u64::from(trial::CALL_FUNCTION);
        let places = count(OBJECT, placeholder);
        assert!(places > 100, "{places}");
        let with = object(Some(0x1234_5678));
        assert_eq!((count(&with, placeholder), count(&with, call)), (0, places));
        let without = object(None);
        assert_eq!(count(&without, placeholder), 0);
        assert_eq!((with.len(), without.len()), (OBJECT.len(), OBJECT.len()));
        // Nowhere else, as at an odd place: it would be called as a helper that there is none of.
        let bytes = CAST_PLACEHOLDER.to_le_bytes();
        assert!(!with.windows(4).any(|w| w == bytes));
    }
}
