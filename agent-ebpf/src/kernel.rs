//! All reads of kernel memory.
//!
//! `load!` reads directly through a pointer whose type the verifier knows (a tracepoint's argument, the current task, and
//! what such point to), for a nanosecond; a bad address yields zero there as well. `member!` and `read` take any address: for as
//! little where the kernel makes memory of it (`bpf_rdonly_cast` of Linux 6.17, which becomes a move), else by `bpf_probe_read_kernel`
//! for many times as much: so what lies side by side is read at once.
//!
//! What `load!` costs is paid at start: for each pointer that it loads out of a structure that is trusted (a task, an argument) the
//! verifier of Linux 6.3 and later searches all type names of the kernel, up to four times, a third of a millisecond each, and again
//! on each way by which it comes there. So such loads stand early in a program, and what is behind branches takes `member!`.
//!
//! Offsets and settings are `.rodata`: user space writes them before the load, and since the map is frozen the verifier
//! knows each as a constant. A chain of reads over a pointer that has changed under us ends in zeroes, never in a fault.
use agent_abi::{
    map::{CAST_PLACEHOLDER, OTHER_HIERARCHY, Settings, feature},
    offsets::Offsets,
};
use aya_ebpf::helpers::generated;

/// An address in the kernel (or in user space, where said so). Never dereferenced directly.
pub type Ptr = *const u8;

// SAFETY: unique symbol names; the loader finds them by name.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::UNSET;
// SAFETY: as above.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    own_tgid: 0,
    ring_size: 0,
    wake_at: 0,
    reserve_at: 0,
    shed_at: [0; 3],
    share_at: [0; 2],
    share: 0,
    host_mnt_ns: 0,
    features: 0,
    cgroup_subsys: 0,
    reserved: 0,
};

/// The offset of a member, a constant to the verifier.
macro_rules! off {
    ($f:ident) => {
        // SAFETY: a plain load from .rodata; volatile, since user space sets it after compilation.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::OFFSETS.$f) as usize }
    };
}
/// Whether the running kernel has a member.
macro_rules! has {
    ($f:ident) => {
        off!($f) != agent_abi::offsets::MISSING as usize
    };
}
/// A setting, a constant to the verifier.
macro_rules! setting {
    ($f:ident $([$n:literal])?) => {
        // SAFETY: as off!.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::SETTINGS.$f $([$n])?) }
    };
}
/// A member, read from the structure at an address.
macro_rules! member {
    ($t:ty, $base:expr, $f:ident) => {
        $crate::kernel::read::<$t>($base, off!($f))
    };
}

/// A member, loaded directly: only from a pointer that the verifier knows as that structure.
macro_rules! load {
    ($t:ty, $base:expr, $f:ident) => {
        // SAFETY: the verifier proves that the pointer has the structure's type and the offset a member of that size; the kernel
        // makes a fault on it a zero.
        unsafe { core::ptr::read_volatile($base.add(off!($f)).cast::<$t>()) }
    };
}

/// A `T` at `base + offset`; zero when that cannot be read. `T` is an integer, a pointer or an array of such.
#[inline(always)]
pub fn read<T: Copy>(base: Ptr, offset: usize) -> T {
    if casts() {
        return direct(base, offset);
    }
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes all size_of::<T>() bytes of `value`, zeroes when it fails; any bits are a valid T by contract.
    unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset).cast(),
        );
        value.assume_init()
    }
}

/// Whether the kernel makes memory of any address.
#[inline(always)]
fn casts() -> bool {
    setting!(features) & feature::CAST != 0
}

/// What [`read`] does where [`casts`].
#[inline(always)]
fn direct<T: Copy>(base: Ptr, offset: usize) -> T {
    /// `void *bpf_rdonly_cast(const void *obj, u32 btf_id)` (kernel/bpf/helpers.c); of the number 0, which is `void`, memory of any size.
    type Cast = unsafe extern "C" fn(Ptr, u32) -> Ptr;
    // SAFETY: a constant in place of a function's address is how programs call helpers; the loader has put in this one's number.
    // Loads behind it are by exception table, so that a bad address yields zero, and take any alignment; volatile, so that each
    // stays the one instruction.
    unsafe {
        let cast: Cast = core::mem::transmute::<usize, Cast>(CAST_PLACEHOLDER as usize);
        core::ptr::read_volatile(cast(base.wrapping_add(offset), 0).cast::<T>())
    }
}

/// Sixteen bytes, as [`read`], by two words: a load for each byte would be the other way.
#[inline(always)]
pub fn sixteen(base: Ptr, offset: usize) -> [u8; 16] {
    // SAFETY: both are sixteen bytes of which any bits are valid.
    unsafe { core::mem::transmute(read::<[u64; 2]>(base, offset)) }
}

/// A `T` in user space; zero when that cannot be read.
#[inline(always)]
pub fn read_user<T: Copy>(base: Ptr, offset: usize) -> T {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: as read().
    unsafe {
        generated::bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset).cast(),
        );
        value.assume_init()
    }
}

/// The current task.
#[inline(always)]
pub fn current() -> Ptr {
    // SAFETY: the helper takes nothing and always returns the running task.
    unsafe { generated::bpf_get_current_task_btf() as Ptr }
}

/// Thread group and thread id of the current task, which is `task`, as `bpf_get_current_pid_tgid` gives them; by two loads where they
/// are for less than its call.
#[inline(always)]
pub fn pid_tgid(task: Ptr) -> u64 {
    if casts() {
        return (member!(u32, task, task_tgid) as u64) << 32 | member!(u32, task, task_pid) as u64;
    }
    // SAFETY: takes nothing.
    unsafe { generated::bpf_get_current_pid_tgid() }
}

/// A register of the system call that `task` is in, 0 where the kernel does not tell.
#[inline(always)]
pub fn task_regs(task: Ptr) -> Ptr {
    if setting!(features) & feature::TASK_PT_REGS == 0 {
        return core::ptr::null();
    }
    // SAFETY: the helper takes a task that a tracepoint or bpf_get_current_task_btf gave.
    unsafe { generated::bpf_task_pt_regs(task as *mut _) as Ptr }
}

/// The identity of a task's process: process id and its group leader's start.
#[inline(always)]
pub fn process_key(task: Ptr) -> (u32, u64) {
    (member!(u32, task, task_tgid), member!(u64, member!(Ptr, task, task_group_leader), task_start_boottime))
}

/// The open files of a task that the verifier knows as one. To be asked once in a program, where few ways through it meet: see
/// [the module](self).
#[inline(always)]
pub fn files(task: Ptr) -> Ptr {
    load!(Ptr, task, task_files)
}

/// The beginning of a structure, read at once into a buffer of [`WINDOW`] bytes where each read alone is dear.
#[derive(Clone, Copy)]
pub struct Window {
    base: Ptr,
    copy: Ptr,
}

/// What is asked of files, inodes and superblocks lies in their first bytes on all kernels so far.
pub const WINDOW: usize = 128;

impl Window {
    /// Reads the first bytes of the structure at `base` to `buffer`, which has room for them.
    #[inline(always)]
    pub fn of(base: Ptr, buffer: *mut u8) -> Self {
        if !casts() {
            // SAFETY: the helper writes WINDOW bytes, or zeroes; the verifier checks the buffer.
            unsafe { generated::bpf_probe_read_kernel(buffer.cast(), WINDOW as u32, base.cast()) };
        }
        Self { base, copy: buffer }
    }

    /// A member at `offset`; read by itself when it lies further back.
    #[inline(always)]
    pub fn get<T: Copy>(&self, offset: usize) -> T {
        if !casts() && offset <= WINDOW - size_of::<T>() {
            // SAFETY: inside of the buffer, as just checked; any bits are a valid T by contract, and members are aligned.
            unsafe { core::ptr::read_volatile(self.copy.add(offset).cast::<T>()) }
        } else {
            read(self.base, offset)
        }
    }
}
/// A member out of a window.
macro_rules! of_window {
    ($t:ty, $window:expr, $f:ident) => {
        $window.get::<$t>(off!($f))
    };
}
/// `enum pid_type` (include/linux/pid_types.h, since 4.19).
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum PidType {
    Tgid = 1,
    Pgid = 2,
    Sid = 3,
}

/// `signal->pids[kind]` of a task: a `struct pid`.
#[inline(always)]
pub fn signal_pid(signal: Ptr, kind: PidType) -> Ptr {
    read(signal, off!(signal_pids) + kind as usize * 8)
}

/// How deep in pid namespaces a `struct pid` lies.
#[inline(always)]
pub fn pid_level(pid: Ptr) -> u32 {
    member!(u32, pid, pid_level)
}

/// The number that `pid` has in the namespace `level` deep; 0 when it has none there.
#[inline(always)]
pub fn pid_nr(pid: Ptr, level: u32) -> u32 {
    if pid_level(pid) < level { 0 } else { member!(u32, upid(pid, level), upid_nr) }
}

/// `pid->numbers[level]`. A pid namespace nests at most 32 deep (MAX_PID_NS_LEVEL).
#[inline(always)]
fn upid(pid: Ptr, level: u32) -> Ptr {
    pid.wrapping_add(off!(pid_numbers)).wrapping_add((level & 63) as usize * off!(upid_size))
}

/// Inode number of the namespace that `pid` lives in.
#[inline(always)]
pub fn pid_ns_inum(pid: Ptr) -> u32 {
    member!(u32, member!(Ptr, upid(pid, pid_level(pid)), upid_ns), pid_ns_inum)
}

/// The namespace itself, `level` deep: to compare.
#[inline(always)]
pub fn pid_ns_at(pid: Ptr, level: u32) -> Ptr {
    member!(Ptr, upid(pid, level), upid_ns)
}

/// Kernel dev_t (major << 20 | minor) as `stat` encodes it (new_encode_dev of include/linux/kdev_t.h).
#[inline(always)]
pub fn encode_dev(dev: u32) -> u32 {
    encode_major_minor(dev >> 20, dev & 0xf_ffff)
}

/// Major and minor as `stat` encodes them.
#[inline(always)]
pub fn encode_major_minor(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The unified hierarchy's `kernfs_node` of a task.
#[inline(always)]
pub fn default_cgroup_node(css_set: Ptr) -> Ptr {
    member!(Ptr, member!(Ptr, css_set, css_set_dfl_cgrp), cgroup_kn)
}

/// Where in a `css_set` the state of `SETTINGS.cgroup_subsys` stands.
#[inline(always)]
fn subsystem_offset() -> usize {
    off!(css_set_subsys) + (setting!(cgroup_subsys) as usize) * 8
}

/// The `kernfs_node` of a task's cgroup in the hierarchy of `SETTINGS.cgroup_subsys`.
#[inline(always)]
pub fn subsystem_cgroup_node(css_set: Ptr) -> Ptr {
    let css: Ptr = read(css_set, subsystem_offset());
    member!(Ptr, member!(Ptr, css, css_cgroup), cgroup_kn)
}

/// Id of the root of a hierarchy of cgroups (kernfs numbers its root 1).
const ROOT_CGROUP: u64 = 1;

/// The number of the cgroup of the current task, which is `task`, as records have it.
#[inline(always)]
pub fn cgroup(task: Ptr) -> u64 {
    if casts() {
        return cgroup_of(task);
    }
    // SAFETY: takes nothing.
    let id = unsafe { generated::bpf_get_current_cgroup_id() };
    if id != ROOT_CGROUP {
        return id;
    }
    let css_set = load!(Ptr, task, task_cgroups);
    // SAFETY: as load!; `subsys` is an array of pointers inside of the structure.
    let css = unsafe { core::ptr::read_volatile(css_set.add(subsystem_offset()).cast::<Ptr>()) };
    let node = load!(Ptr, load!(Ptr, css, css_cgroup), cgroup_kn);
    load!(u64, node, kn_id) | OTHER_HIERARCHY
}

/// The same of another task.
#[inline(always)]
pub fn cgroup_of(task: Ptr) -> u64 {
    let css_set = member!(Ptr, task, task_cgroups);
    let id = member!(u64, default_cgroup_node(css_set), kn_id);
    if id != ROOT_CGROUP { id } else { member!(u64, subsystem_cgroup_node(css_set), kn_id) | OTHER_HIERARCHY }
}

/// Inode number of the mount namespace of a task that the verifier knows; 0 where nothing is compared with it.
#[inline(always)]
pub fn mount_namespace(task: Ptr) -> u32 {
    if setting!(host_mnt_ns) == 0 {
        return 0;
    }
    let nsproxy = load!(Ptr, task, task_nsproxy);
    load!(u32, load!(Ptr, nsproxy, nsproxy_mnt_ns), mnt_ns_inum)
}
