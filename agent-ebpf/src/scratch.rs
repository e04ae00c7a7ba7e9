//! Where a record is put together: one per processor and program.
//!
//! What is read back from here is unknown to the verifier, so its states converge after each branch: walks stay linear in
//! their bound. Hence the volatile accesses of `get!` and `set!`.
use crate::{
    given::{Given, WHOLE},
    kernel::{self, Ptr, WINDOW, Window},
};
use agent_abi::{
    map::{END, LiteralKey, TEXT, feature},
    record::{COMPONENTS_MAX, RecordHeader, TRUNCATED},
};
use aya_ebpf::{helpers::generated, macros::map, maps::PerCpuArray};

/// Where variable parts may begin (a mask), and the most that one copy takes (a mask).
const BEGIN_MASK: u64 = 0x3fff;
const PART_MASK: u64 = 0x1fff;
/// The path under construction grows down from here.
pub const PATH_END: u64 = 4096;
pub const PATH_MASK: u64 = PATH_END - 1;
/// Longest string that is appended.
pub const PATH_MAX: u64 = PATH_END - 1;
/// `sizeof(struct sockaddr_storage)`: no address is longer.
const ADDRESS: usize = 128;
/// A path component is at most this long (NAME_MAX).
pub const NAME_MASK: u64 = 0xff;

/// The building site.
#[repr(C, align(8))]
pub struct Scratch {
    /// The record.
    pub out: [u8; (BEGIN_MASK + PART_MASK + 2) as usize],
    /// A path, built from its end.
    pub path: [u8; (PATH_END + NAME_MASK + 1) as usize],
    /// One component of a cgroup's path.
    pub window: [u8; 256],
    /// Beginnings of structures: of a file, an inode, a superblock.
    pub windows: [[u8; WINDOW]; 3],
    /// Bytes of `out` in use.
    pub len: u64,
    /// Begin of the path in `path`.
    pub at: u64,
    /// Walks: where we are.
    pub dentry: Ptr,
    /// Walks: in which `struct mount`.
    pub mount: Ptr,
    /// Walks: that mount's parent, mount point and root.
    pub parent: Ptr,
    pub mountpoint: Ptr,
    pub root: Ptr,
    /// Walks: the dentries that it came by, the last component's first, and how many.
    pub dentries: [Ptr; COMPONENTS_MAX],
    pub depth: u64,
    /// Walks: how many of those are in the path already.
    pub added: u64,
    /// Walks: what for.
    pub walk: u64,
    /// Flags for the header.
    pub flags: u64,
    /// A socket address that was given to a call, with zeroes behind it.
    pub address: [u64; ADDRESS / 8],
    /// The file of the standard stream before.
    pub stream: Ptr,
    /// The names of a call, or its socket address: where they lie.
    pub names: [Ptr; 3],
    /// Length of the address.
    pub names_len: u64,
    /// Which names are known (`agent_abi::map::kept`).
    pub known: u64,
    /// Not 0: of a name or an address that the call was given it is not known what the kernel used.
    pub missing: u64,
    /// Not 0: what is [`AS_USED`] lies in the kernel.
    pub in_kernel: u64,
    /// The inode and the `f_mode` of a file that is no longer behind its descriptor, else null.
    pub inode: Ptr,
    pub mode: u64,
    /// What the last of the rounds of a loop returned.
    pub ended: u64,
    /// See [`forget`].
    pub forgotten: u64,
    /// What is looked up among the literals.
    pub key: LiteralKey,
    /// A path that a call was given, for a look: see `given`.
    pub whole: [u64; WHOLE],
    /// The paths of a call, their lengths, and which of them is next.
    pub given: [Given; 2],
    pub lengths: [u64; 2],
    pub next: u64,
    /// The classes that the paths of a call leave; literals of which slot and hook satisfy them, of which kinds there are.
    pub found: u64,
    /// Not 0: the other end is to be looked at, which may leave fewer.
    pub remote: u64,
    pub slot: u32,
    pub hook: u32,
    pub kinds: u64,
}
// SAFETY: each processor has its own, and a program is never entered twice on one processor (the kernel refuses it).
unsafe impl Sync for Scratch {}

#[map]
static EXEC_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
static SYSCALL_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
static IO_URING_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Reads a member of the scratch.
macro_rules! get {
    ($s:expr, $($f:ident).+ $([$n:literal])?) => {
        // SAFETY: the scratch is a map value that the verifier checks each access to.
        unsafe { core::ptr::read_volatile(&raw const (*$s).$($f).+ $([$n])?) }
    };
}
/// Writes a member of the scratch.
macro_rules! set {
    ($s:expr, $($f:ident).+ $([$n:literal])?, $v:expr) => {{
        let value = $v;
        // SAFETY: as get!.
        unsafe { core::ptr::write_volatile(&raw mut (*$s).$($f).+ $([$n])?, value) }
    }};
}

/// The scratch of the exec program, with `fixed` bytes taken.
#[inline(always)]
pub fn exec(fixed: usize) -> Option<*mut Scratch> {
    EXEC_SCRATCH.get_ptr_mut(0).inspect(|s| begin(*s, fixed))
}

/// The scratch of the system call program, with `fixed` bytes taken.
#[inline(always)]
pub fn syscall(fixed: usize) -> Option<*mut Scratch> {
    SYSCALL_SCRATCH.get_ptr_mut(0).inspect(|s| begin(*s, fixed))
}

/// The scratch of the program for requests of io_uring, with `fixed` bytes taken.
#[inline(always)]
pub fn io_uring(fixed: usize) -> Option<*mut Scratch> {
    IO_URING_SCRATCH.get_ptr_mut(0).inspect(|s| begin(*s, fixed))
}

/// Zeroes a body, word by word: what does not apply stays zero. `body` points into the scratch and consists of words.
#[inline(always)]
pub fn clear<T: agent_abi::Wire>(body: *mut T) {
    const { assert!(size_of::<T>().is_multiple_of(8)) };
    for word in 0..size_of::<T>() / 8 {
        // SAFETY: as said; volatile, or it becomes a call to memset.
        unsafe { core::ptr::write_volatile(body.cast::<u64>().add(word), 0) };
    }
}

/// Bytes of the record so far.
#[inline(always)]
pub fn len(s: *mut Scratch) -> u64 {
    let len = get!(s, len);
    // Never more than that, which only the verifier does not know.
    if len > BEGIN_MASK + PART_MASK { BEGIN_MASK + PART_MASK } else { len }
}

/// The beginning of a structure, through one of the three windows.
#[inline(always)]
pub fn window<const SLOT: usize>(s: *mut Scratch, base: Ptr) -> Window {
    const { assert!(SLOT < 3) };
    // SAFETY: one of the three buffers.
    Window::of(base, unsafe { (&raw mut (*s).windows).cast::<[u8; WINDOW]>().add(SLOT).cast() })
}

/// Where the record's header and body are put together.
#[inline(always)]
pub fn parts<T>(s: *mut Scratch) -> (*mut RecordHeader, *mut T) {
    // SAFETY: `out` is longer than a header and any body and aligned to 8; the header is followed by the body.
    unsafe {
        let out = (&raw mut (*s).out).cast::<u8>();
        (out.cast(), out.add(size_of::<RecordHeader>()).cast())
    }
}

#[inline(always)]
fn begin(s: *mut Scratch, fixed: usize) {
    set!(s, len, fixed as u64);
    set!(s, flags, 0);
    set!(s, missing, 0);
}

/// Calls `$round(s)` up to `$most` times, until it returns other than 0; whether it did. What the rounds tell each other lies in the
/// scratch.
///
/// By `bpf_loop` where there is one (Linux 5.17): its verifier goes through one round, and not through all of each loop each time.
/// A round is a function of its own, so that an older one sees one way out of each, and not the product of all.
macro_rules! rounds {
    ($s:expr, $most:expr, $round:path) => {{
        #[inline(never)]
        extern "C" fn once(_: u64, context: *mut *mut $crate::scratch::Scratch) -> i64 {
            // SAFETY: the context is the variable below.
            let s = unsafe { *context };
            let ended = $round(s);
            set!(s, ended, ended);
            ended as i64
        }
        let mut s: *mut $crate::scratch::Scratch = $s;
        set!(s, ended, 0);
        if setting!(features) & agent_abi::map::feature::LOOP != 0 {
            // SAFETY: a function that takes a number and the context, which is on the stack, as the helper wants it.
            unsafe {
                aya_ebpf::helpers::generated::bpf_loop($most, once as *mut _, (&raw mut s).cast(), 0);
            }
        } else {
            for n in 0..$most {
                if once(n as u64, &raw mut s) != 0 {
                    break;
                }
            }
        }
        get!(s, ended) != 0
    }};
}

/// The value, of which the verifier no longer knows anything: ways through the program that differ in it alone are one from here on.
/// Linux 6.1 goes through each walk that follows once for each of them otherwise.
#[inline(always)]
pub fn forget(s: *mut Scratch, value: u64) -> u64 {
    set!(s, forgotten, value);
    get!(s, forgotten)
}

/// Notes a dentry that a walk comes by.
#[inline(always)]
pub fn note(s: *mut Scratch, dentry: Ptr) {
    let depth = get!(s, depth);
    // SAFETY: masked, so inside of `dentries`, whose length is a power of two.
    unsafe {
        (&raw mut (*s).dentries).cast::<Ptr>().add(depth as usize & (COMPONENTS_MAX - 1)).write_volatile(dentry);
    }
    set!(s, depth, depth + 1);
}

/// The n-th dentry noted.
#[inline(always)]
pub fn noted(s: *mut Scratch, n: u64) -> Ptr {
    const { assert!(COMPONENTS_MAX.is_power_of_two()) };
    // SAFETY: as note().
    unsafe { (&raw const (*s).dentries).cast::<Ptr>().add(n as usize & (COMPONENTS_MAX - 1)).read_volatile() }
}

/// Marks the record as truncated.
#[inline(always)]
pub fn truncated(s: *mut Scratch) {
    set!(s, flags, get!(s, flags) | TRUNCATED as u64);
}

/// Where the next part goes; None when there is no room for one.
#[inline(always)]
fn next(s: *mut Scratch) -> Option<*mut u8> {
    let len = get!(s, len);
    if len > BEGIN_MASK {
        truncated(s);
        return None;
    }
    // SAFETY: masked, so `out` has room for one whole part from there.
    Some(unsafe { (&raw mut (*s).out).cast::<u8>().add((len & BEGIN_MASK) as usize) })
}

/// Counts a part that was written; its length.
#[inline(always)]
fn took(s: *mut Scratch, n: u64) -> u16 {
    set!(s, len, get!(s, len) + n);
    n as u16
}

/// Where an address lies: in user space, in the kernel, or as the scratch's `in_kernel` says.
pub const USER: u8 = 0;
/// See [`USER`].
pub const KERNEL: u8 = 1;
/// See [`USER`].
pub const AS_USED: u8 = 2;

/// Read back from memory each time: so the verifier's ways through the program meet again after each use.
#[inline(always)]
fn is_user(s: *mut Scratch, space: u8) -> bool {
    match space {
        USER => true,
        KERNEL => false,
        _ => setting!(features) & feature::USED == 0 || get!(s, in_kernel) == 0,
    }
}

/// Copies a socket address of `len` bytes to the scratch.
#[inline(always)]
pub fn take_address(s: *mut Scratch, space: u8, from: Ptr, len: u64) {
    for word in 0..ADDRESS / 8 {
        // SAFETY: there are so many; volatile, or it becomes a call to memset.
        unsafe { (&raw mut (*s).address).cast::<u64>().add(word).write_volatile(0) };
    }
    let n = if len > ADDRESS as u64 { ADDRESS as u64 } else { len };
    // SAFETY: there is room for ADDRESS bytes.
    unsafe {
        let to = (&raw mut (*s).address).cast();
        if is_user(s, space) {
            generated::bpf_probe_read_user(to, n as u32, from.cast());
        } else {
            generated::bpf_probe_read_kernel(to, n as u32, from.cast());
        }
    }
}

/// The first byte of the part of `n` bytes that was appended last; 0: there is none.
#[inline(always)]
pub fn first_of_last(s: *mut Scratch, n: u16) -> u8 {
    let at = get!(s, len).wrapping_sub(n as u64);
    if n == 0 {
        return 0;
    }
    // SAFETY: masked, so inside of `out`; a part begins no further back.
    unsafe { (&raw const (*s).out).cast::<u8>().add((at & BEGIN_MASK) as usize).read_volatile() }
}

/// Where a part lies that begins `at`.
#[inline(always)]
pub fn part(s: *mut Scratch, at: u64) -> *const u8 {
    // SAFETY: as next().
    unsafe { (&raw const (*s).out).cast::<u8>().add((at & BEGIN_MASK) as usize) }
}

/// Appends `len` bytes of the user space of the current task, or of the kernel's; 0 when they cannot be read.
#[inline(always)]
pub fn append(s: *mut Scratch, space: u8, from: Ptr, len: u64) -> u16 {
    let Some(to) = next(s) else { return 0 };
    let n = len & PART_MASK;
    // SAFETY: `to` has room for PART_MASK bytes.
    let ret = unsafe {
        if is_user(s, space) {
            generated::bpf_probe_read_user(to.cast(), n as u32, from.cast())
        } else {
            generated::bpf_probe_read_kernel(to.cast(), n as u32, from.cast())
        }
    };
    if ret != 0 {
        truncated(s);
        return 0;
    }
    took(s, n)
}

/// Appends a string of user space or of the kernel without its NUL, at most `max` bytes (at most [`PATH_MAX`]) of it.
#[inline(always)]
pub fn append_str(s: *mut Scratch, space: u8, from: Ptr, max: u64) -> u16 {
    let Some(to) = next(s) else { return 0 };
    let size = ((max + 1) & PART_MASK) as u32;
    // SAFETY: `to` has room for PART_MASK bytes, which is more than the size given.
    string(s, unsafe {
        if is_user(s, space) {
            generated::bpf_probe_read_user_str(to.cast(), size, from.cast())
        } else {
            generated::bpf_probe_read_kernel_str(to.cast(), size, from.cast())
        }
    })
}

/// Appends a string of user space with its NUL, at most `most` bytes of both; false when it cannot be read.
#[inline(always)]
pub fn append_argument(s: *mut Scratch, from: Ptr, most: u64) -> bool {
    let Some(to) = next(s) else { return false };
    // SAFETY: as append_str.
    let ret = unsafe { generated::bpf_probe_read_user_str(to.cast(), (most & PART_MASK) as u32, from.cast()) };
    if ret < 0 || ret > PART_MASK as i64 {
        truncated(s);
        return false;
    }
    // Linux 6.1 says 0 of an empty string: its NUL is not counted.
    let n = if ret == 0 { 1 } else { ret as u64 };
    if n >= most {
        // It may go on.
        truncated(s);
    }
    took(s, n);
    true
}

/// What a string helper returned: length with NUL, or an error.
#[inline(always)]
fn string(s: *mut Scratch, ret: i64) -> u16 {
    if ret <= 0 || ret > PATH_END as i64 {
        return 0;
    }
    // A string of exactly the bound may go on (PATH_MAX of the kernel is the same, so that it cannot for paths).
    took(s, ret as u64 - 1)
}

/// Appends the path that a walk has left.
#[inline(always)]
pub fn append_path(s: *mut Scratch) -> u16 {
    let at = get!(s, at);
    if at >= PATH_END {
        return 0;
    }
    let Some(to) = next(s) else { return 0 };
    let n = (PATH_END - at) & PART_MASK;
    // SAFETY: both lie in the scratch: `to` has room for PART_MASK bytes; the source is masked.
    unsafe {
        let from = (&raw const (*s).path).cast::<u8>().add((at & PATH_MASK) as usize);
        generated::bpf_probe_read_kernel(to.cast(), n as u32, from.cast());
    }
    took(s, n)
}

/// Puts `/` and a name of `len` bytes in front of the path; false when there is no room.
#[inline(always)]
pub fn prepend(s: *mut Scratch, name: Ptr, len: u64) -> bool {
    let at = get!(s, at);
    if len > NAME_MASK || at < len + 1 {
        truncated(s);
        return false;
    }
    set!(s, at, at - len - 1);
    let at = get!(s, at) & PATH_MASK;
    // SAFETY: masked; behind PATH_END the buffer has room for one more name.
    unsafe {
        let to = (&raw mut (*s).path).cast::<u8>().add(at as usize);
        *to = b'/';
        generated::bpf_probe_read_kernel(to.add(1).cast(), (len & NAME_MASK) as u32, name.cast());
    }
    true
}

/// Words of a path's end that are compared.
const END_WORDS: usize = END / 8;

/// Forgets the end of the path of before: to be called before a walk that [`end`] follows.
#[inline(always)]
pub fn no_end(s: *mut Scratch) {
    for n in 0..END_WORDS {
        // SAFETY: inside of `path`, which is aligned to 8 as all before it has a multiple of 8 bytes.
        unsafe { word_before_end(s, n).write_volatile(0) };
    }
}

/// The word `n` before the path's end.
#[inline(always)]
fn word_before_end(s: *mut Scratch, n: usize) -> *mut u64 {
    // SAFETY: callers give an `n` under END_WORDS, so that it lies in `path`.
    unsafe { (&raw mut (*s).path).cast::<u8>().add(PATH_END as usize - 8 * (n + 1)).cast() }
}

/// Puts the front of the path that a walk has left, and NULs behind a short one, into the key; false when there is none.
#[inline(always)]
pub fn front(s: *mut Scratch) -> bool {
    let at = get!(s, at);
    if at >= PATH_END {
        return false;
    }
    // SAFETY: both lie in the scratch: the source is masked, and behind PATH_END there are more than TEXT bytes, never written.
    unsafe {
        let from = (&raw const (*s).path).cast::<u8>().add((at & PATH_MASK) as usize);
        generated::bpf_probe_read_kernel((&raw mut (*s).key.text).cast(), TEXT as u32, from.cast());
    }
    true
}

/// Puts the path's end into the key, backwards.
#[inline(always)]
pub fn end(s: *mut Scratch) {
    for n in 0..END_WORDS {
        // SAFETY: as no_end(); `text` is longer.
        unsafe {
            let word = word_before_end(s, n).read_volatile();
            (&raw mut (*s).key.text).cast::<u64>().add(n).write_volatile(word.swap_bytes());
        }
    }
}
