//! What the kernel used: the names and addresses of a call as the kernel has copied them, and the file that it opened.
//!
//! ```text
//! call begins -> the kernel copies its arguments -> fentry, fexit: kept here, by thread -> call ends: told from here, and forgotten
//! ```
//! The caller's memory may say something else by the time that the call ends; what is kept here is what was done. Where there is
//! no room the event is told as the baseline does, from the caller's memory, and counted as unsure. So no event depends on these
//! programs, which the kernel may leave out where it preempts one of them (a second run on the same processor).
use crate::{
    arch,
    emit::{self, InForce},
    kernel::{self, Ptr},
    open,
    path::{self, Path},
    scratch::{self, KERNEL, Scratch, USER},
};
use agent_abi::{
    call::{self, TYPES},
    map::{KEPT_ADDRESSES, KEPT_FILES, KEPT_PATHS, KeptAddress, KeptFile, KeptPaths, feature},
    record::{USED, hook},
};
use aya_ebpf::{
    helpers::generated,
    macros::{fentry, fexit, map},
    maps::{Array, HashMap},
    programs::{FEntryContext, FExitContext},
};

static HOOKS: [u8; TYPES] = call::hooks();

/// By thread: the names of the call that it is in.
#[map]
static PATHS: HashMap<u32, KeptPaths> = HashMap::with_max_entries(KEPT_PATHS, 0);
/// By thread: the socket address of the call that it is in.
#[map]
static ADDRESSES: HashMap<u32, KeptAddress> = HashMap::with_max_entries(KEPT_ADDRESSES, 0);
/// By a part of the thread's number: the file that it has opened last.
#[map]
static FILES: Array<KeptFile> = Array::with_max_entries(KEPT_FILES, 0);
/// What a row of [`PATHS`] begins as: too large for the stack.
#[map]
static NO_PATHS: Array<KeptPaths> = Array::with_max_entries(1, 0);

/// Longest name with its NUL (PATH_MAX of include/uapi/linux/limits.h).
const TEXT: u32 = 4096;
/// `MAX_ERRNO` (include/linux/err.h): pointers from here on are errors.
const FIRST_ERROR: u64 = -4095i64 as u64;

/// `security_socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`.
#[fentry(function = "security_socket_connect")]
pub fn on_used_connect(ctx: FEntryContext) -> i32 {
    keep_address(hook::CONNECT, ctx.arg(1), ctx.arg(2));
    0
}

/// `security_socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`.
#[fentry(function = "security_socket_bind")]
pub fn on_used_bind(ctx: FEntryContext) -> i32 {
    keep_address(hook::BIND, ctx.arg(1), ctx.arg(2));
    0
}

/// `do_unlinkat(int dfd, struct filename *name)`.
#[fentry(function = "do_unlinkat")]
pub fn on_used_unlink(ctx: FEntryContext) -> i32 {
    keep_names(hook::UNLINK, ctx.arg(1), core::ptr::null());
    0
}

/// `do_rmdir(int dfd, struct filename *name)`.
#[fentry(function = "do_rmdir")]
pub fn on_used_rmdir(ctx: FEntryContext) -> i32 {
    keep_names(hook::UNLINK, ctx.arg(1), core::ptr::null());
    0
}

/// `do_renameat2(int olddfd, struct filename *from, int newdfd, struct filename *to, unsigned int flags)`.
#[fentry(function = "do_renameat2")]
pub fn on_used_rename(ctx: FEntryContext) -> i32 {
    keep_names(hook::RENAME, ctx.arg(1), ctx.arg(3));
    0
}

/// `do_mkdirat(int dfd, struct filename *name, umode_t mode)`.
#[fentry(function = "do_mkdirat")]
pub fn on_used_mkdir(ctx: FEntryContext) -> i32 {
    keep_names(hook::MKDIR, ctx.arg(1), core::ptr::null());
    0
}

/// `do_linkat(int olddfd, struct filename *old, int newdfd, struct filename *new, int flags)`.
#[fentry(function = "do_linkat")]
pub fn on_used_link(ctx: FEntryContext) -> i32 {
    keep_names(hook::LINK, ctx.arg(1), ctx.arg(3));
    0
}

/// `do_symlinkat(struct filename *from, int newdfd, struct filename *to)`.
#[fentry(function = "do_symlinkat")]
pub fn on_used_symlink(ctx: FEntryContext) -> i32 {
    keep_names(hook::LINK, ctx.arg(0), ctx.arg(2));
    0
}

/// `struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op)`, with what it returns.
#[fexit(function = "do_filp_open")]
pub fn on_used_open(ctx: FExitContext) -> i32 {
    let _ = keep_open(ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// A call that somebody wants to be told of.
struct Wanted {
    tid: u32,
    event_type: u8,
    force: InForce,
}

/// The system call that the current task is in, if it is one of that hook and somebody wants its kind. A thread that works for an
/// io_uring is in none.
#[inline(always)]
fn wanted(hook: u8) -> Option<Wanted> {
    let task = kernel::current();
    let regs = kernel::task_regs(task);
    if regs.is_null() {
        return None;
    }
    let (event_type, _) = arch::served(task, regs, load!(u64, regs, regs_nr))?;
    // Volatile: as in `syscalls`.
    // SAFETY: masked, so inside of the table.
    let of = unsafe { (&raw const HOOKS).cast::<u8>().add(event_type as usize & (TYPES - 1)).read_volatile() };
    if of != hook {
        return None;
    }
    let force = emit::filter()?;
    let pid_tgid = kernel::pid_tgid(task);
    // The call that proves a hook need not be of a type that somebody wants.
    if !emit::wants_type(force.filter, event_type) && !emit::is_canary(pid_tgid) {
        return None;
    }
    emit::origin(pid_tgid)?;
    Some(Wanted { tid: pid_tgid as u32, event_type, force })
}

#[inline(always)]
fn keep_address(hook: u8, address: Ptr, len: u32) {
    let Some(wanted) = wanted(hook) else { return };
    let bytes = kernel::read::<[u64; 16]>(address, 0);
    let kept = KeptAddress { generation: wanted.force.filter.generation, len, bytes };
    if ADDRESSES.insert(wanted.tid, kept, 0).is_err() {
        emit::unsure(hook);
    }
}

#[inline(always)]
fn keep_names(hook: u8, first: Ptr, second: Ptr) {
    if let Some(wanted) = wanted(hook) {
        keep(hook, &wanted, first, second);
    }
}

/// Keeps the texts of one or two `struct filename`.
#[inline(always)]
fn keep(hook: u8, wanted: &Wanted, first: Ptr, second: Ptr) {
    let Some(empty) = NO_PATHS.get(0) else { return };
    if PATHS.insert(wanted.tid, empty, 0).is_err() {
        return emit::unsure(hook);
    }
    let Some(kept) = PATHS.get_ptr_mut(wanted.tid) else { return };
    // SAFETY: this thread's row, which nobody else writes while it is in this call; each text has room for TEXT bytes.
    unsafe {
        (*kept).generation = wanted.force.filter.generation;
        let texts = (&raw mut (*kept).texts).cast::<u8>();
        let name = member!(Ptr, first, filename_name);
        generated::bpf_probe_read_kernel_str(texts.cast(), TEXT, name.cast());
        if !second.is_null() {
            let name = member!(Ptr, second, filename_name);
            generated::bpf_probe_read_kernel_str(texts.add(TEXT as usize).cast(), TEXT, name.cast());
        }
    }
}

/// The file that was opened; of an open that failed, and that somebody wants to be told of, the name.
#[inline(always)]
fn keep_open(name: Ptr, op: Ptr, file: Ptr) -> Option<()> {
    let wanted = wanted(hook::OPEN)?;
    let filter = wanted.force.filter;
    if file as u64 >= FIRST_ERROR {
        let flags = member!(u32, op, open_flags_flag);
        if filter.classes[wanted.event_type as usize & (TYPES - 1)] & filter.opens[open::class(flags, -1)] != 0 {
            keep(hook::OPEN, &wanted, name, core::ptr::null());
        }
        return None;
    }
    let kept = FILES.get_ptr_mut(wanted.tid & (KEPT_FILES - 1))?;
    let Path { mnt, dentry } = path::of_file(file);
    let row = KeptFile {
        tid: 0,
        generation: filter.generation,
        file: file as u64,
        mnt: mnt as u64,
        dentry: dentry as u64,
        inode: member!(u64, file, file_inode),
        mode: member!(u32, file, file_mode),
        reserved: 0,
    };
    // SAFETY: a map value. Threads whose numbers end alike share it: so the number goes first and comes last (volatile, so that the
    // order stays), and who reads looks at it twice.
    unsafe {
        let owner = &raw mut (*kept).tid;
        owner.write_volatile(0);
        kept.write_volatile(row);
        owner.write_volatile(wanted.tid);
    }
    Some(())
}

/// Whether this kernel takes such programs.
#[inline(always)]
fn is_on() -> bool {
    setting!(features) & feature::USED != 0
}

/// Looks up the names that the kernel used in the call that thread `tid` ends, for [`first`] and [`second`]. They lie [`AS_USED`].
///
/// [`AS_USED`]: scratch::AS_USED
#[inline(always)]
pub fn names(s: *mut Scratch, tid: u32, force: InForce) {
    if is_on() {
        look_up_names(s, tid, force.filter.generation);
    }
}

/// The first name that the kernel used where it is known, else the one that the caller gave; null where there is none.
#[inline(always)]
pub fn first(s: *mut Scratch, given: Ptr) -> Ptr {
    if !is_on() || given.is_null() || get!(s, in_kernel) == 0 { given } else { get!(s, names[0]) }
}

/// The second one.
#[inline(always)]
pub fn second(s: *mut Scratch, given: Ptr) -> Ptr {
    if !is_on() || given.is_null() || get!(s, in_kernel) == 0 { given } else { get!(s, names[1]) }
}

/// A function of its own, so that the verifier's ways through it meet at its end.
#[inline(never)]
fn look_up_names(s: *mut Scratch, tid: u32, generation: u32) -> u64 {
    set!(s, in_kernel, 0);
    let Some(kept) = PATHS.get_ptr(tid) else { return 0 };
    // SAFETY: this thread's row; only addresses are computed of the texts.
    let (texts, of) = unsafe { ((&raw const (*kept).texts).cast::<u8>(), (*kept).generation) };
    if of == generation {
        set!(s, names[0], texts);
        set!(s, names[1], texts.wrapping_add(TEXT as usize));
        sure(s);
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
    let Some(kept) = ADDRESSES.get_ptr(tid) else { return 0 };
    // SAFETY: this thread's row.
    let (bytes, len, of) = unsafe { (&raw const (*kept).bytes, (*kept).len, (*kept).generation) };
    if of == generation {
        set!(s, names[0], bytes.cast());
        set!(s, names_len, len as u64 & 0xff);
        sure(s);
    }
    0
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
        hook::UNLINK | hook::RENAME | hook::MKDIR | hook::LINK => {
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
