//! Programs started.
use crate::{
    classes,
    emit::{self, Event},
    file,
    kernel::{self, PidType, Ptr},
    path,
    scratch::{self, KERNEL, PATH_MAX, Scratch, USER},
    socket,
};
use agent_abi::record::{
    ARGS_MAX, EXE_DELETED, EXE_MEMFD, ExecBody, LOGINUID_UNSET, RecordHeader, STREAM_CONNECTED, STREAM_OPEN,
    STREAM_SAME, STREAM_SOCKET, Stream, event, hook,
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

const FIXED: usize = size_of::<RecordHeader>() + size_of::<ExecBody>();
/// What a memfd's dentry is called (mm/memfd.c).
const MEMFD: [u8; 6] = *b"memfd:";

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`: after the point of no return, when
/// credentials, memory and name are the new ones.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn on_exec(ctx: BtfTracePointContext) -> i32 {
    let _ = try_exec(&ctx);
    0
}

#[inline(always)]
fn try_exec(ctx: &BtfTracePointContext) -> Option<()> {
    let task: Ptr = ctx.arg(0);
    let bprm: Ptr = ctx.arg(2);
    let pid_tgid = kernel::pid_tgid(task);
    let origin = emit::origin_of_child(task, pid_tgid)?;
    let force = emit::filter()?;
    if !emit::wants(force.filter, hook::EXEC) {
        return None;
    }
    let mut this = Event::seen(hook::EXEC, event_type(bprm), force, origin, task)?;
    let files = kernel::files(task);
    let Some(s) = scratch::exec(FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<ExecBody>(s);
    process(body, task);
    credentials(body, task);
    executable(s, body, member!(Ptr, bprm, bprm_file));
    classes::by_side(&mut this);
    this.classes = scratch::forget(s, this.classes);
    variable(&mut this, s, body, task, files, bprm);
    let flags = get!(s, flags) as u16;
    this.header(header, task, pid_tgid, event_type(bprm), flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// execveat with a descriptor leaves the name that it made of it in `fdpath`. With AT_FDCWD, or with an absolute path, it
/// cannot be told from execve: by now the registers say execve for all (set_personality_64bit in
/// arch/x86/kernel/process_64.c).
#[inline(always)]
fn event_type(bprm: Ptr) -> u8 {
    if has!(bprm_fdpath) && !member!(Ptr, bprm, bprm_fdpath).is_null() { event::EXECVEAT } else { event::EXECVE }
}

/// Ids, also inside the pid namespace, terminal, namespaces.
#[inline(always)]
fn process(body: *mut ExecBody, task: Ptr) {
    let signal = member!(Ptr, task, task_signal);
    let own = member!(Ptr, task, task_thread_pid);
    let level = kernel::pid_level(own);
    let (group, session) = (kernel::signal_pid(signal, PidType::Pgid), kernel::signal_pid(signal, PidType::Sid));
    let parent = member!(Ptr, task, task_real_parent);
    let parent_pid = kernel::signal_pid(member!(Ptr, parent, task_signal), PidType::Tgid);
    let (ppid, parent_start) = kernel::process_key(parent);
    let tty = member!(Ptr, signal, signal_tty);
    let nsproxy = member!(Ptr, task, task_nsproxy);
    // A parent in another branch of namespaces may be as deep: its number counts only in the same namespace.
    let related = kernel::pid_ns_at(parent_pid, level) == kernel::pid_ns_at(own, level);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ppid = ppid;
        (*body).parent_start = parent_start;
        (*body).pgid = kernel::pid_nr(group, 0);
        (*body).sid = kernel::pid_nr(session, 0);
        (*body).vpid = kernel::pid_nr(kernel::signal_pid(signal, PidType::Tgid), level);
        (*body).vtid = kernel::pid_nr(own, level);
        (*body).vpgid = kernel::pid_nr(group, level);
        (*body).vsid = kernel::pid_nr(session, level);
        (*body).pvpid = if related { kernel::pid_nr(parent_pid, level) } else { 0 };
        (*body).tty = if tty.is_null() { 0 } else { terminal(tty) };
        (*body).mnt_ns = member!(u32, member!(Ptr, nsproxy, nsproxy_mnt_ns), mnt_ns_inum);
        (*body).pid_ns = kernel::pid_ns_inum(own);
        (*body).comm = kernel::sixteen(task, off!(task_comm));
    }
}

/// The device number of a terminal.
#[inline(always)]
fn terminal(tty: Ptr) -> u32 {
    let driver = member!(Ptr, tty, tty_driver);
    kernel::encode_major_minor(
        member!(u32, driver, tty_driver_major),
        member!(u32, driver, tty_driver_minor) + member!(u32, tty, tty_index),
    )
}

/// Users, groups, capabilities.
#[inline(always)]
fn credentials(body: *mut ExecBody, task: Ptr) {
    let cred = member!(Ptr, task, task_cred);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).euid = member!(u32, cred, cred_euid);
        (*body).egid = member!(u32, cred, cred_egid);
        (*body).loginuid = if has!(task_loginuid) { member!(u32, task, task_loginuid) } else { LOGINUID_UNSET };
        (*body).cap_permitted = member!(u64, cred, cred_cap_permitted);
        (*body).cap_inheritable = member!(u64, cred, cred_cap_inheritable);
        (*body).cap_effective = member!(u64, cred, cred_cap_effective);
    }
}

/// Facts about the executable's file.
#[inline(always)]
fn executable(s: *mut Scratch, body: *mut ExecBody, exe: Ptr) {
    let path = exe.wrapping_add(off!(file_path));
    let dentry = member!(Ptr, path, path_dentry);
    let inode = member!(Ptr, exe, file_inode);
    let place = file::place(s, inode);
    let pseudo = member!(Ptr, dentry, dentry_parent) == dentry;
    let memfd = pseudo && kernel::read::<[u8; 6]>(member!(Ptr, dentry, dentry_name), 0) == MEMFD;
    let unhashed = member!(u64, dentry, dentry_hash_pprev) == 0;
    let deleted = !pseudo && (unhashed || member!(u32, inode, inode_nlink) == 0);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).exe_ino = place.ino;
        (*body).exe_mtime = nanoseconds(member!(u64, inode, inode_mtime_sec), member!(u32, inode, inode_mtime_nsec));
        (*body).exe_ctime = nanoseconds(member!(u64, inode, inode_ctime_sec), member!(u32, inode, inode_ctime_nsec));
        (*body).exe_dev = place.dev;
        (*body).layer = place.layer;
        (*body).exe_flags = if memfd { EXE_MEMFD } else { 0 } | if deleted { EXE_DELETED } else { 0 };
        (*body).reserved = 0;
    }
}

/// Since 6.13 the top bit of `i_ctime_nsec` says that the time was asked for (I_CTIME_QUERIED, include/linux/fs.h).
#[inline(always)]
fn nanoseconds(seconds: u64, rest: u32) -> u64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add((rest & !(1 << 31)) as u64)
}

/// Notes a length. At once, and volatile: kept in registers, each way to come by one would be another state of all that follows.
macro_rules! note {
    ($body:expr, $f:ident, $v:expr) => {{
        let value = $v;
        // SAFETY: `body` points into the scratch.
        unsafe { (&raw mut (*$body).$f).write_volatile(value) }
    }};
}

/// The variable parts, in their order.
#[inline(always)]
fn variable(this: &mut Event, s: *mut Scratch, body: *mut ExecBody, task: Ptr, files: Ptr, bprm: Ptr) {
    path::walk_cgroup(s, task);
    note!(body, cgroup_len, scratch::append_path(s));
    path::walk(s, path::of_file(member!(Ptr, bprm, bprm_file)));
    note!(body, path_len, scratch::append_path(s));
    classes::by_path(this, s, hook::EXEC);
    classes::by_name(this, s, hook::EXEC, member!([u64; 2], task, task_comm));
    this.classes = scratch::forget(s, this.classes);
    arguments(s, body, task);
    path::walk(s, path::of_cwd(task));
    note!(body, cwd_len, scratch::append_path(s));
    note!(body, file_len, scratch::append_str(s, KERNEL, member!(Ptr, bprm, bprm_filename), PATH_MAX));
    set!(s, stream, core::ptr::null());
    stream::<0>(s, body, files);
    stream::<1>(s, body, files);
    stream::<2>(s, body, files);
}

/// Descriptor 0, 1 or 2 (those that close at an exec are gone by now); appends its path unless it is a socket. A function of its own, as
/// `path::step`; which file the one before is stands in the scratch.
#[inline(never)]
fn stream<const N: usize>(s: *mut Scratch, body: *mut ExecBody, files: Ptr) -> u64 {
    // SAFETY: `body` points into the scratch, here and below; there are three.
    let stream = unsafe { (&raw mut (*body).streams).cast::<Stream>().add(N) };
    scratch::clear(stream);
    let file = file::by_fd(files, N as u32);
    let before = get!(s, stream);
    set!(s, stream, file);
    if file.is_null() {
        return 0;
    }
    if file == before {
        unsafe { (*stream).info = STREAM_OPEN | STREAM_SAME };
        return 0;
    }
    let inode = member!(Ptr, file, file_inode);
    unsafe {
        (*stream).info = STREAM_OPEN;
        (*stream).ino = member!(u64, inode, inode_ino);
        (*stream).mode = member!(u16, inode, inode_mode);
    }
    let sk = file::sock(file);
    if sk.is_null() {
        path::walk(s, path::of_file(file));
        note!(stream, path_len, scratch::append_path(s));
        return 0;
    }
    let ends = unsafe { &raw mut (*stream).ends };
    socket::own(ends, sk);
    let family = unsafe { (*ends).sock_family };
    let connected = socket::is_ip(family) && socket::peer_port(sk) != 0;
    if connected {
        socket::peer(ends, sk, family);
    }
    unsafe { (*stream).info = STREAM_OPEN | STREAM_SOCKET | if connected { STREAM_CONNECTED } else { 0 } };
    0
}

/// The argument block of the new memory: written just now by the kernel, so that its pages are there.
#[inline(always)]
fn arguments(s: *mut Scratch, body: *mut ExecBody, task: Ptr) {
    let mm = member!(Ptr, task, task_mm);
    let begin = member!(u64, mm, mm_arg_start);
    let total = member!(u64, mm, mm_arg_end).wrapping_sub(begin);
    let len = if total > ARGS_MAX as u64 {
        scratch::truncated(s);
        ARGS_MAX as u64
    } else {
        total
    };
    note!(body, args_total, total as u32);
    note!(body, args_len, scratch::append(s, USER, begin as Ptr, len));
}
