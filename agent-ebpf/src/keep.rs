//! Programs on the kernel's own functions, which keep what the kernel uses while a call runs; `used` tells it when the call ends.
//!
//! Each is a shell around one of four ways to keep: an address, a file, whole names that the function is given, or one part of a call
//! that passes several such functions. Where there is no room nothing is kept, which is counted when the call ends. A part is known by where it lay in the caller's memory, which the kernel notes beside its copy:
//! so what the kernel looks up on its own while it serves the call is not mistaken for an argument.
use crate::{
    arch,
    emit::{self, InForce},
    kernel::{self, Ptr},
    open,
    other::RECIPES,
    path::{self, Path},
    used::{ADDRESSES, FILES, FIRST_ERROR, NO_PATHS, PATHS},
};
use agent_abi::{
    call::{self, AS_IS, TYPES},
    map::{KEPT_FILES, KeptAddress, KeptFile, KeptPaths, kept},
    record::{event, hook},
};
use aya_ebpf::{
    helpers::generated,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

static HOOKS: [u8; TYPES] = call::hooks();

/// Longest name with its NUL (PATH_MAX of include/uapi/linux/limits.h), and longest other text.
const TEXT: u32 = 4096;
const OTHER: u32 = 1024;
/// In front of the name of a memfd (`MFD_NAME_PREFIX` of mm/memfd.c): "memfd:".
const MEMFD: usize = 6;

/// Programs by the function that they are on, and what they keep of its arguments. Of a function's end (fexit) the argument after the last
/// is its result.
macro_rules! keepers {
    ($( $(#[$doc:meta])* $name:ident: $place:ident $context:ident $function:tt, |$ctx:ident| $keep:expr; )*) => {$(
        $(#[$doc])*
        #[$place(function = $function)]
        pub fn $name($ctx: $context) -> i32 {
            let _ = $keep;
            0
        }
    )*};
}

keepers! {
    /// `(struct socket *sock, struct sockaddr *address, int addrlen)`.
    on_used_connect: fentry FEntryContext "security_socket_connect",
        |ctx| keep_address(hook::CONNECT, ctx.arg(1), ctx.arg(2));
    /// The same.
    on_used_bind: fentry FEntryContext "security_socket_bind", |ctx| keep_address(hook::BIND, ctx.arg(1), ctx.arg(2));
    /// `(void __user *uaddr, int ulen, struct sockaddr_storage *kaddr)`, with 0 or an error. Only what is sent with an address comes by; and
    /// connect and bind, which are kept where they do not depend on what a compiler makes of a function of the same file.
    on_used_send: fexit FExitContext "move_addr_to_kernel", |ctx| keep_destination(ctx.arg(2), ctx.arg(1), ctx.arg(3));
    /// `(int dfd, struct filename *name)`.
    on_used_unlink: fentry FEntryContext "do_unlinkat", |ctx| keep_names(hook::UNLINK, ctx.arg(1), core::ptr::null());
    /// `(int dfd, struct filename *name)`.
    on_used_rmdir: fentry FEntryContext "do_rmdir", |ctx| keep_names(hook::UNLINK, ctx.arg(1), core::ptr::null());
    /// `(int olddfd, struct filename *from, int newdfd, struct filename *to, unsigned int flags)`.
    on_used_rename: fentry FEntryContext "do_renameat2", |ctx| keep_names(hook::RENAME, ctx.arg(1), ctx.arg(3));
    /// `(int dfd, struct filename *name, umode_t mode)`.
    on_used_mkdir: fentry FEntryContext "do_mkdirat", |ctx| keep_names(hook::MKDIR, ctx.arg(1), core::ptr::null());
    /// `(int olddfd, struct filename *old, int newdfd, struct filename *new, int flags)`.
    on_used_link: fentry FEntryContext "do_linkat", |ctx| keep_names(hook::LINK, ctx.arg(1), ctx.arg(3));
    /// `(struct filename *from, int newdfd, struct filename *to)`.
    on_used_symlink: fentry FEntryContext "do_symlinkat", |ctx| keep_names(hook::LINK, ctx.arg(0), ctx.arg(2));
    /// `(int dfd, struct filename *name, unsigned flags, struct path *path, struct path *root)`: where chmod, chown, mount, umount2,
    /// move_mount, chroot and pivot_root look up their paths. So do stat and access, which leave first.
    on_used_lookup: fentry FEntryContext "filename_lookup", |ctx| keep_looked_up(ctx.arg(1));
    /// `(const char __user *s, long n)`, with the copy: a mount's type and source, a module's parameters.
    on_used_text: fexit FExitContext "strndup_user", |ctx| keep_copied(ctx.arg(0), ctx.arg(2));
    /// `(const char *name)`: the module that delete_module is about.
    on_used_module: fentry FEntryContext "find_module",
        |ctx| keep_text(hook::MODULE, event::DELETE_MODULE, ctx.arg(0), 0);
    /// `(const char *name, loff_t size, unsigned long flags)`: the file of a memfd, but of one of huge pages.
    on_used_memfd: fentry FEntryContext "shmem_file_setup",
        |ctx| keep_text(hook::MEMFD, event::MEMFD_CREATE, ctx.arg(0), MEMFD);
    /// `(int dfd, struct filename *pathname, const struct open_flags *op)`, with the file.
    on_used_open: fexit FExitContext "do_filp_open", |ctx| keep_open(ctx.arg(1), ctx.arg(2), ctx.arg(3));
}

/// A call that somebody wants to be told of.
struct Wanted {
    tid: u32,
    event_type: u8,
    force: InForce,
    regs: Ptr,
    compat: bool,
}

/// The bit of a hook.
const fn bit(hook: u8) -> u64 {
    1 << hook
}

/// The system call that the current task is in, if it is one of those hooks (bit by number) and somebody wants its kind. A thread that
/// works for an io_uring is in none.
#[inline(always)]
fn wanted(hooks: u64) -> Option<Wanted> {
    let task = kernel::current();
    let regs = kernel::task_regs(task);
    if regs.is_null() {
        return None;
    }
    let (event_type, compat) = arch::served(task, regs, load!(u64, regs, regs_nr))?;
    // Volatile: as in `syscalls`.
    // SAFETY: masked, so inside of the table.
    let hook = unsafe { (&raw const HOOKS).cast::<u8>().add(event_type as usize & (TYPES - 1)).read_volatile() };
    if hook >= hook::COUNT as u8 || hooks >> (hook & 63) & 1 == 0 {
        return None;
    }
    let force = emit::filter()?;
    let pid_tgid = kernel::pid_tgid(task);
    // The call that proves a hook need not be of a type that somebody wants.
    if !emit::wants_type(force.filter, event_type) && !emit::is_canary(pid_tgid) {
        return None;
    }
    emit::origin(pid_tgid)?;
    Some(Wanted { tid: pid_tgid as u32, event_type, force, regs, compat })
}

#[inline(always)]
fn keep_address(hook: u8, address: Ptr, len: u32) {
    if let Some(wanted) = wanted(bit(hook)) {
        keep_bytes(&wanted, address, len);
    }
}

/// The destination of what is sent: of several messages the first one's.
#[inline(always)]
fn keep_destination(address: Ptr, len: u32, ret: i32) -> Option<()> {
    let wanted = wanted(bit(hook::SEND))?;
    if ret >= 0 && (wanted.event_type != event::SENDMMSG || ADDRESSES.get_ptr(wanted.tid).is_none()) {
        keep_bytes(&wanted, address, len);
    }
    Some(())
}

#[inline(always)]
fn keep_bytes(wanted: &Wanted, address: Ptr, len: u32) {
    let bytes = kernel::read::<[u64; 16]>(address, 0);
    let kept = KeptAddress { generation: wanted.force.filter.generation, len, bytes };
    let _ = ADDRESSES.insert(wanted.tid, kept, 0);
}

#[inline(always)]
fn keep_names(hook: u8, first: Ptr, second: Ptr) -> Option<()> {
    keep(&wanted(bit(hook))?, first, second)
}

/// A row for a call of which nothing is kept yet.
#[inline(always)]
fn begin(wanted: &Wanted) -> Option<*mut KeptPaths> {
    PATHS.insert(wanted.tid, NO_PATHS.get(0)?, 0).ok()?;
    let row = PATHS.get_ptr_mut(wanted.tid)?;
    // SAFETY: this thread's row, which nobody else writes while it is in this call.
    unsafe {
        (*row).generation = wanted.force.filter.generation;
        (*row).event_type = wanted.event_type as u32;
    }
    Some(row)
}

/// The row of a call, begun anew where it is not this call's, or has one of those parts already: then it is left from one whose end was not
/// seen.
#[inline(always)]
fn row(wanted: &Wanted, part: u64) -> Option<*mut KeptPaths> {
    let Some(row) = PATHS.get_ptr_mut(wanted.tid) else { return begin(wanted) };
    // SAFETY: as begin().
    let is_it = unsafe {
        (*row).generation == wanted.force.filter.generation
            && (*row).event_type == wanted.event_type as u32
            && (*row).known & part == 0
    };
    if is_it { Some(row) } else { begin(wanted) }
}

/// Keeps the texts of one or two `struct filename`.
#[inline(always)]
fn keep(wanted: &Wanted, first: Ptr, second: Ptr) -> Option<()> {
    let row = begin(wanted)?;
    put(row, kept::PATH, member!(Ptr, first, filename_name));
    if !second.is_null() {
        put(row, kept::PATH2, member!(Ptr, second, filename_name));
    }
    Some(())
}

/// Copies a part, which lies in the kernel, to a row.
#[inline(always)]
fn put(row: *mut KeptPaths, part: u64, from: Ptr) {
    // SAFETY: as begin(); each text has room for what is copied.
    unsafe {
        let texts = (&raw mut (*row).texts).cast::<u8>();
        let (to, most) = match part {
            kept::PATH => (texts, TEXT),
            kept::PATH2 => (texts.add(TEXT as usize), TEXT),
            _ => ((&raw mut (*row).other).cast::<u8>(), OTHER),
        };
        generated::bpf_probe_read_kernel_str(to.cast(), most, from.cast());
        (*row).known |= part;
    }
}

/// The hooks whose paths are kept where they are looked up, and those of texts that are kept where they are copied.
const LOOK_UP: u64 = bit(hook::CHMOD) | bit(hook::CHOWN) | bit(hook::MOUNT) | bit(hook::ROOT);
const COPY: u64 = bit(hook::MOUNT) | bit(hook::MODULE);

/// A path that is looked up. One that could not be copied is an error here: then the call does nothing.
#[inline(always)]
fn keep_looked_up(name: Ptr) -> Option<()> {
    let wanted = wanted(LOOK_UP)?;
    if name as u64 >= FIRST_ERROR {
        return None;
    }
    let recipe = &RECIPES[wanted.event_type as usize & (TYPES - 1)];
    let second = if recipe.dir2 == AS_IS { call::NONE } else { recipe.path2 };
    let given = member!(u64, name, filename_uptr);
    let from = member!(Ptr, name, filename_name);
    keep_one(&wanted, given, from, (recipe.path, kept::PATH), (second, kept::PATH2))
}

/// A text that was copied.
#[inline(always)]
fn keep_copied(given: u64, copy: Ptr) -> Option<()> {
    let wanted = wanted(COPY)?;
    if copy as u64 >= FIRST_ERROR {
        return None;
    }
    let recipe = &RECIPES[wanted.event_type as usize & (TYPES - 1)];
    let second = if recipe.dir2 == AS_IS { recipe.path2 } else { call::NONE };
    keep_one(&wanted, given, copy, (recipe.text, kept::TEXT), (second, kept::PATH2))
}

/// Keeps one of two arguments, whichever lay at `given`; of two in the same place the first one first, as the kernel comes by them.
#[inline(always)]
fn keep_one(wanted: &Wanted, given: u64, from: Ptr, first: (u8, u64), second: (u8, u64)) -> Option<()> {
    let arguments = arch::arguments(wanted.regs, wanted.compat);
    let [is_first, is_second] = [first.0, second.0].map(|n| given != 0 && argument(&arguments, n) == given);
    if !is_first && !is_second {
        return None;
    }
    let row = row(wanted, if is_second { second.1 } else { first.1 })?;
    // SAFETY: as begin().
    let known = unsafe { (*row).known };
    // By two copies with constants, as the verifier wants them.
    if is_first && (!is_second || known & first.1 == 0) {
        put(row, first.1, from);
    } else {
        put(row, second.1, from);
    }
    Some(())
}

/// The n-th of the first four arguments; 0 for what is none.
#[inline(always)]
fn argument(arguments: &[u64; 4], n: u8) -> u64 {
    match n {
        0 => arguments[0],
        1 => arguments[1],
        2 => arguments[2],
        3 => arguments[3],
        _ => 0,
    }
}

/// The other text of a call of one type, from `skip` on.
#[inline(always)]
fn keep_text(hook: u8, event_type: u8, text: Ptr, skip: usize) -> Option<()> {
    let wanted = wanted(bit(hook))?;
    if wanted.event_type == event_type {
        put(begin(&wanted)?, kept::TEXT, text.wrapping_add(skip));
    }
    Some(())
}

/// The file that was opened; of an open that failed, and that somebody wants to be told of, the name.
#[inline(always)]
fn keep_open(name: Ptr, op: Ptr, file: Ptr) -> Option<()> {
    let wanted = wanted(bit(hook::OPEN))?;
    let filter = wanted.force.filter;
    if file as u64 >= FIRST_ERROR {
        let flags = member!(u32, op, open_flags_flag);
        if filter.classes[wanted.event_type as usize & (TYPES - 1)] & filter.opens[open::class(flags, -1)] != 0 {
            keep(&wanted, name, core::ptr::null());
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
