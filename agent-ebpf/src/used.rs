//! What the kernel used: the names and addresses of a call as the kernel has copied them, and the file that it opened.
//!
//! ```text
//! call begins -> the kernel copies its arguments -> fentry, fexit (`keep`): kept, by thread -> call ends: told from here, and forgotten
//! ```
//! The caller's memory may say something else by the time that the call ends; what is kept here is what was done. Where there is
//! no room, or the kernel has left a program out, the event is told as the baseline does, from the caller's memory, and counted as unsure. So no event depends on these
//! programs, which the kernel may leave out where it preempts one of them (a second run on the same processor).
use crate::{
    emit::{Event, InForce},
    kernel::Ptr,
    scratch::Scratch,
    syscalls::Call,
};
use agent_abi::{
    map::{KEPT_ADDRESSES, KEPT_FILES, KEPT_PATHS, KeptAddress, KeptFile, KeptPaths, feature, kept},
    record::{USED, hook},
};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};

/// By thread: the names of the call that it is in.
#[map]
pub static PATHS: HashMap<u32, KeptPaths> = HashMap::with_max_entries(KEPT_PATHS, 0);
/// By thread: the socket address of the call that it is in.
#[map]
pub static ADDRESSES: HashMap<u32, KeptAddress> = HashMap::with_max_entries(KEPT_ADDRESSES, 0);
/// By a part of the thread's number: the file that it has opened last.
#[map]
pub static FILES: Array<KeptFile> = Array::with_max_entries(KEPT_FILES, 0);
/// What a row of [`PATHS`] begins as: too large for the stack.
#[map]
pub static NO_PATHS: Array<KeptPaths> = Array::with_max_entries(1, 0);

/// `MAX_ERRNO` (include/linux/err.h): pointers from here on are errors.
pub const FIRST_ERROR: u64 = -4095i64 as u64;

/// Whether this kernel takes such programs.
#[inline(always)]
fn is_on() -> bool {
    setting!(features) & feature::USED != 0
}

/// Looks up the names that the kernel used in a call that ends, for [`first`], [`second`] and [`text`]. They lie [`AS_USED`].
///
/// [`AS_USED`]: scratch::AS_USED
#[inline(always)]
pub fn names(s: *mut Scratch, call: &Call, force: InForce) {
    if is_on() {
        look_up_names(s, call.pid_tgid as u32, call.event_type as u32, force.filter.generation);
    }
}

/// The first path that the kernel used where it is known, else the one that the caller gave; null where there is none.
#[inline(always)]
pub fn first(s: *mut Scratch, given: Ptr) -> Ptr {
    part::<0>(s, kept::PATH, given)
}

/// The second one.
#[inline(always)]
pub fn second(s: *mut Scratch, given: Ptr) -> Ptr {
    part::<1>(s, kept::PATH2, given)
}

/// The other text.
#[inline(always)]
pub fn text(s: *mut Scratch, given: Ptr) -> Ptr {
    part::<2>(s, kept::TEXT, given)
}

/// One that is not known makes the whole record one that is not by what the kernel used.
#[inline(always)]
fn part<const N: usize>(s: *mut Scratch, bit: u64, given: Ptr) -> Ptr {
    if !is_on() || given.is_null() {
        return given;
    }
    if get!(s, known) & bit == 0 {
        set!(s, in_kernel, 0);
        set!(s, missing, 1);
        set!(s, flags, get!(s, flags) & !(USED as u64));
        return given;
    }
    set!(s, in_kernel, 1);
    // SAFETY: the scratch is a map value that the verifier checks each access to; there are three.
    unsafe { (&raw const (*s).names).cast::<Ptr>().add(N).read_volatile() }
}

/// A function of its own, so that the verifier's ways through it meet at its end.
#[inline(never)]
fn look_up_names(s: *mut Scratch, tid: u32, event_type: u32, generation: u32) -> u64 {
    set!(s, known, 0);
    let Some(row) = PATHS.get_ptr(tid) else { return 0 };
    // SAFETY: this thread's row; only addresses are computed of the texts.
    unsafe {
        if (*row).generation == generation && (*row).event_type == event_type {
            let texts = &raw const (*row).texts;
            set!(s, names[0], (&raw const (*texts)[0]).cast());
            set!(s, names[1], (&raw const (*texts)[1]).cast());
            set!(s, names[2], (&raw const (*row).other).cast());
            set!(s, known, (*row).known);
            sure(s);
        }
    }
    0
}

/// The address that the kernel used in the call that thread `tid` ends, where it is known, else that which the caller gave; and its
/// length. It lies [`AS_USED`].
///
/// [`AS_USED`]: scratch::AS_USED
#[inline(always)]
pub fn address(s: *mut Scratch, tid: u32, force: InForce, given: (Ptr, u64)) -> (Ptr, u64) {
    if !is_on() {
        return given;
    }
    set!(s, names[0], given.0);
    set!(s, names_len, given.1);
    look_up_address(s, tid, force.filter.generation);
    (get!(s, names[0]), get!(s, names_len))
}

/// As [`look_up_names`].
#[inline(never)]
fn look_up_address(s: *mut Scratch, tid: u32, generation: u32) -> u64 {
    set!(s, in_kernel, 0);
    set!(s, missing, 1);
    let Some(kept) = ADDRESSES.get_ptr(tid) else { return 0 };
    // SAFETY: this thread's row.
    let (bytes, len, of) = unsafe { (&raw const (*kept).bytes, (*kept).len, (*kept).generation) };
    if of == generation {
        set!(s, names[0], bytes.cast());
        set!(s, names_len, len as u64 & 0xff);
        set!(s, missing, 0);
        sure(s);
    }
    0
}

/// Whether the kernel was given an address with the call that thread `tid` ends, whatever the caller's memory says by now.
#[inline(always)]
pub fn has_address(tid: u32, force: InForce) -> bool {
    // SAFETY: this thread's row.
    is_on() && ADDRESSES.get_ptr(tid).is_some_and(|row| unsafe { (*row).generation } == force.filter.generation)
}

/// Counts an event that is not told by what the kernel used.
#[inline(always)]
pub fn count(this: &Event, s: *mut Scratch) {
    if is_on() && get!(s, missing) != 0 {
        this.unsure();
    }
}

/// Notes that what is told is what the kernel used, which lies in its memory.
#[inline(always)]
pub fn sure(s: *mut Scratch) {
    set!(s, in_kernel, 1);
    set!(s, flags, get!(s, flags) | USED as u64);
}

/// The file that thread `tid` has just opened, where it is known.
#[inline(always)]
pub fn file(tid: u32, force: InForce) -> Option<KeptFile> {
    if !is_on() {
        return None;
    }
    let kept = FILES.get_ptr_mut(tid & (KEPT_FILES - 1))?;
    // SAFETY: a map value. A thread whose number ends alike may write there meanwhile: it takes the number away first (keep_open()).
    let file = unsafe {
        let owner = &raw mut (*kept).tid;
        if owner.read_volatile() != tid {
            return None;
        }
        let file = kept.read_volatile();
        if owner.read_volatile() != tid {
            return None;
        }
        file
    };
    // Its dentry is still that of the file: the kernel may have freed it when another thread closed the file.
    let is_it =
        file.generation == force.filter.generation && member!(u64, file.dentry as Ptr, dentry_inode) == file.inode;
    is_it.then_some(file)
}

/// Forgets what is kept for the call that thread `tid` ends.
#[inline(always)]
pub fn forget(hook: u8, tid: u32, failed: bool) {
    if !is_on() {
        return;
    }
    match hook {
        hook::CONNECT | hook::BIND => {
            let _ = ADDRESSES.remove(tid);
        }
        // Most have none: looking is for less than the lock that removing takes.
        hook::SEND => {
            if ADDRESSES.get_ptr(tid).is_some() {
                let _ = ADDRESSES.remove(tid);
            }
        }
        hook::UNLINK
        | hook::RENAME
        | hook::MKDIR
        | hook::LINK
        | hook::CHMOD
        | hook::CHOWN
        | hook::MOUNT
        | hook::ROOT
        | hook::MEMFD
        | hook::MODULE => {
            let _ = PATHS.remove(tid);
        }
        hook::OPEN if failed => {
            let _ = PATHS.remove(tid);
        }
        // Also of an open that was filtered before anybody asked: else the next one, should the kernel leave out its program, would be
        // told as this file.
        hook::OPEN => {
            if let Some(kept) = FILES.get_ptr_mut(tid & (KEPT_FILES - 1)) {
                // SAFETY: as file().
                unsafe {
                    let owner = &raw mut (*kept).tid;
                    if owner.read_volatile() == tid {
                        owner.write_volatile(0);
                    }
                }
            }
        }
        _ => {}
    }
}

const _: () = assert!(KEPT_FILES.is_power_of_two());
