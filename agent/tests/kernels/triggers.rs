//! For each event type the call that should bring it, and how its record is known.
use agent::probe::record::Body;
use engine::event::EventType;
use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    process::Command,
};

/// How one event type is set off.
pub struct Trigger {
    /// What should come.
    pub event_type: EventType,
    /// Makes the call; the process that it should be reported of.
    pub call: fn() -> io::Result<u32>,
    /// Whether the record is this call's.
    pub is_it: fn(&Body<'_>) -> bool,
}

/// Not there.
const ABSENT: &std::ffi::CStr = c"/absent-eyas-kernels";
/// The discard port: a datagram socket connects to it without a word on the wire.
const PORT: u16 = 9;

/// In the order of `EventType`.
pub const TRIGGERS: &[Trigger] = &[
    Trigger { event_type: EventType::Execve, call: run_true, is_it: |b| matches!(b, Body::Exec(_)) },
    Trigger {
        event_type: EventType::Execve,
        call: || raw(libc::SYS_execve, [ABSENT.as_ptr() as i64, 0, 0]),
        is_it: |b| matches!(b, Body::FailedExec(e) if e.file == ABSENT.to_bytes()),
    },
    Trigger { event_type: EventType::Execveat, call: execveat, is_it: |b| matches!(b, Body::Exec(_)) },
    Trigger { event_type: EventType::Clone, call: || fork_by(libc::SYS_clone), is_it: is_fork },
    Trigger { event_type: EventType::Clone3, call: clone3, is_it: is_fork },
    Trigger { event_type: EventType::Fork, call: || fork_by(libc::SYS_fork), is_it: is_fork },
    Trigger { event_type: EventType::Vfork, call: run_by_vfork, is_it: is_fork },
    Trigger { event_type: EventType::Procexit, call: run_true, is_it: |b| matches!(b, Body::Exit(_)) },
    Trigger {
        event_type: EventType::Open,
        call: || raw(libc::SYS_open, [ABSENT.as_ptr() as i64, 0, 0]),
        is_it: is_absent,
    },
    Trigger {
        event_type: EventType::Openat,
        call: || raw(libc::SYS_openat, [i64::from(libc::AT_FDCWD), ABSENT.as_ptr() as i64, 0]),
        is_it: is_absent,
    },
    Trigger { event_type: EventType::Openat2, call: openat2, is_it: is_absent },
    Trigger {
        event_type: EventType::Creat,
        call: || raw(libc::SYS_creat, [c"/proc/absent-eyas-kernels".as_ptr() as i64, 0o600, 0]),
        is_it: |b| matches!(b, Body::Open(o) if o.ret < 0 && o.path.ends_with(b"absent-eyas-kernels")),
    },
    Trigger {
        event_type: EventType::Connect,
        call: connect,
        is_it: |b| matches!(b, Body::Connect(c) if c.port == PORT && c.addr == Some(Ipv4Addr::LOCALHOST.into())),
    },
    other(EventType::Accept, || refused(libc::SYS_accept, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Accept4, || refused(libc::SYS_accept4, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Bind, || refused(libc::SYS_bind, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Listen, || refused(libc::SYS_listen, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Socket, || refused(libc::SYS_socket, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Sendto, send_to),
    other(EventType::Sendmsg, || send_message(libc::SYS_sendmsg)),
    other(EventType::Sendmmsg, || send_message(libc::SYS_sendmmsg)),
    other(EventType::Dup, || refused(libc::SYS_dup, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Dup2, || refused(libc::SYS_dup2, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Dup3, || refused(libc::SYS_dup3, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Pipe, || refused(libc::SYS_pipe, [0, 0, 0, 0, 0, 0])),
    other(EventType::Pipe2, || refused(libc::SYS_pipe2, [0, 0, 0, 0, 0, 0])),
    other(EventType::Unlink, || refused(libc::SYS_unlink, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::Unlinkat, || refused(libc::SYS_unlinkat, [HERE, nothing(), 0, 0, 0, 0])),
    other(EventType::Rmdir, || refused(libc::SYS_rmdir, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::Rename, || refused(libc::SYS_rename, [nothing(), nothing(), 0, 0, 0, 0])),
    other(EventType::Renameat, || refused(libc::SYS_renameat, [HERE, nothing(), HERE, nothing(), 0, 0])),
    other(EventType::Renameat2, || refused(libc::SYS_renameat2, [HERE, nothing(), HERE, nothing(), 0, 0])),
    other(EventType::Link, || refused(libc::SYS_link, [nothing(), nothing(), 0, 0, 0, 0])),
    other(EventType::Linkat, || refused(libc::SYS_linkat, [HERE, nothing(), HERE, nothing(), 0, 0])),
    other(EventType::Symlink, || refused(libc::SYS_symlink, [nothing(), nothing(), 0, 0, 0, 0])),
    other(EventType::Symlinkat, || refused(libc::SYS_symlinkat, [nothing(), HERE, nothing(), 0, 0, 0])),
    other(EventType::Chmod, || refused(libc::SYS_chmod, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::Fchmod, || refused(libc::SYS_fchmod, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Fchmodat, || refused(libc::SYS_fchmodat, [HERE, nothing(), 0, 0, 0, 0])),
    // Since Linux 6.6; its number has no name in libc yet.
    other(EventType::Fchmodat2, || refused(452, [HERE, nothing(), 0, 0, 0, 0])),
    other(EventType::Chown, || refused(libc::SYS_chown, [nothing(), NO, NO, 0, 0, 0])),
    other(EventType::Fchown, || refused(libc::SYS_fchown, [NO, NO, NO, 0, 0, 0])),
    other(EventType::Lchown, || refused(libc::SYS_lchown, [nothing(), NO, NO, 0, 0, 0])),
    other(EventType::Fchownat, || refused(libc::SYS_fchownat, [HERE, nothing(), NO, NO, 0, 0])),
    other(EventType::Mkdir, || refused(libc::SYS_mkdir, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::Mkdirat, || refused(libc::SYS_mkdirat, [HERE, nothing(), 0, 0, 0, 0])),
    other(EventType::Mount, || refused(libc::SYS_mount, [nothing(), nothing(), nothing(), 0, 0, 0])),
    other(EventType::Umount2, || refused(libc::SYS_umount2, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::MoveMount, || refused(libc::SYS_move_mount, [HERE, nothing(), HERE, nothing(), 0, 0])),
    other(EventType::Chroot, || refused(libc::SYS_chroot, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::PivotRoot, || refused(libc::SYS_pivot_root, [nothing(), nothing(), 0, 0, 0, 0])),
    // To the ids that it has: root's.
    other(EventType::Setuid, || refused(libc::SYS_setuid, [0, 0, 0, 0, 0, 0])),
    other(EventType::Setgid, || refused(libc::SYS_setgid, [0, 0, 0, 0, 0, 0])),
    other(EventType::Setreuid, || refused(libc::SYS_setreuid, [NO, NO, 0, 0, 0, 0])),
    other(EventType::Setregid, || refused(libc::SYS_setregid, [NO, NO, 0, 0, 0, 0])),
    other(EventType::Setresuid, || refused(libc::SYS_setresuid, [NO, NO, NO, 0, 0, 0])),
    other(EventType::Setresgid, || refused(libc::SYS_setresgid, [NO, NO, NO, 0, 0, 0])),
    other(EventType::Capset, || refused(libc::SYS_capset, [0, 0, 0, 0, 0, 0])),
    other(EventType::Ptrace, || refused(libc::SYS_ptrace, [NO, 0, 0, 0, 0, 0])),
    other(EventType::ProcessVmReadv, || refused(libc::SYS_process_vm_readv, [NO, 0, 0, 0, 0, 0])),
    other(EventType::ProcessVmWritev, || refused(libc::SYS_process_vm_writev, [NO, 0, 0, 0, 0, 0])),
    other(EventType::MemfdCreate, || refused(libc::SYS_memfd_create, [0, 0, 0, 0, 0, 0])),
    other(EventType::InitModule, || refused(libc::SYS_init_module, [0, 0, nothing(), 0, 0, 0])),
    other(EventType::FinitModule, || refused(libc::SYS_finit_module, [NO, nothing(), 0, 0, 0, 0])),
    other(EventType::DeleteModule, || refused(libc::SYS_delete_module, [nothing(), 0, 0, 0, 0, 0])),
    other(EventType::Bpf, || refused(libc::SYS_bpf, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Setns, || refused(libc::SYS_setns, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Unshare, || refused(libc::SYS_unshare, [0, 0, 0, 0, 0, 0])),
    other(EventType::Kill, || refused(libc::SYS_kill, [i64::from(std::process::id()), 0, 0, 0, 0, 0])),
    other(EventType::Tkill, || refused(libc::SYS_tkill, [i64::from(std::process::id()), 0, 0, 0, 0, 0])),
    other(EventType::Tgkill, || {
        let pid = i64::from(std::process::id());
        refused(libc::SYS_tgkill, [pid, pid, 0, 0, 0, 0])
    }),
    other(EventType::Prctl, || refused(libc::SYS_prctl, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Userfaultfd, || refused(libc::SYS_userfaultfd, [NO, 0, 0, 0, 0, 0])),
    other(EventType::IoUringSetup, || refused(libc::SYS_io_uring_setup, [0, 0, 0, 0, 0, 0])),
    other(EventType::IoUringRegister, || refused(libc::SYS_io_uring_register, [NO, 0, 0, 0, 0, 0])),
    other(EventType::Splice, || refused(libc::SYS_splice, [NO, 0, NO, 0, 0, 0])),
    other(EventType::Sendfile, || refused(libc::SYS_sendfile, [NO, NO, 0, 0, 0, 0])),
];

/// No descriptor, signal, command or option of that number; of an id: leave it as it is.
const NO: i64 = -1;
const HERE: i64 = libc::AT_FDCWD as i64;

fn nothing() -> i64 {
    c"".as_ptr() as i64
}

/// A call that is told by a recipe: which one it was says all.
const fn other(event_type: EventType, call: fn() -> io::Result<u32>) -> Trigger {
    Trigger { event_type, call, is_it: |b| matches!(b, Body::Call(_)) }
}

/// A call that the kernel refuses or that changes nothing; an error if there is no such call.
fn refused(nr: i64, arguments: [i64; 6]) -> io::Result<u32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: all pointers are null or to an empty string; what the kernel refuses it leaves alone.
    let ret = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    let error = io::Error::last_os_error();
    if ret == -1 && error.raw_os_error() == Some(libc::ENOSYS) { Err(error) } else { Ok(std::process::id()) }
}

/// The address of the discard service.
fn discard() -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: PORT.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets()) },
        sin_zero: [0; 8],
    }
}

fn send_to() -> io::Result<u32> {
    let to = discard();
    refused(libc::SYS_sendto, [NO, 0, 0, 0, &raw const to as i64, size_of_val(&to) as i64])
}

/// With a header that names a destination, through no socket.
fn send_message(nr: i64) -> io::Result<u32> {
    let mut to = discard();
    // SAFETY: a structure of numbers and pointers, for which zeroes are valid; as long as struct mmsghdr.
    let mut messages: [libc::mmsghdr; 1] = unsafe { std::mem::zeroed() };
    messages[0].msg_hdr.msg_name = (&raw mut to).cast();
    messages[0].msg_hdr.msg_namelen = size_of_val(&to) as u32;
    let message = messages.as_mut_ptr() as i64;
    let arguments = if nr == libc::SYS_sendmmsg { [NO, message, 1, 0, 0, 0] } else { [NO, message, 0, 0, 0, 0] };
    refused(nr, arguments)
}

fn is_fork(body: &Body<'_>) -> bool {
    matches!(body, Body::Fork(f) if f.child_pid == f.child_tid)
}

fn is_absent(body: &Body<'_>) -> bool {
    matches!(body, Body::Open(o) if o.ret < 0 && o.path == ABSENT.to_bytes())
}

/// A call whose outcome does not matter.
fn raw(nr: i64, arguments: [i64; 3]) -> io::Result<u32> {
    let [a, b, c] = arguments;
    // SAFETY: the callers pass numbers and pointers to static strings, as those calls take them.
    unsafe { libc::syscall(nr, a, b, c) };
    Ok(std::process::id())
}

fn run_true() -> io::Result<u32> {
    let mut child = Command::new("/bin/true").spawn()?;
    let pid = child.id();
    child.wait()?;
    Ok(pid)
}

/// posix_spawn of glibc says clone with CLONE_VFORK: the call itself is made by hand in a child, which then may not return.
fn run_by_vfork() -> io::Result<u32> {
    in_child(|| {
        // SAFETY: the child of vfork calls nothing but _exit; the stack frame stays, since nothing returns in between.
        unsafe {
            std::arch::asm!(
                "syscall", "test rax, rax", "jnz 2f", "mov eax, 60", "xor edi, edi", "syscall", "2:",
                inout("rax") libc::SYS_vfork => _, out("rcx") _, out("r11") _, out("rdi") _,
            );
        }
    })
}

/// Runs `what` in a forked child; the child's process id.
fn in_child(what: fn()) -> io::Result<u32> {
    // SAFETY: the child does only what `what` does (system calls) and ends.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            what();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        pid => {
            // SAFETY: our child; no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Ok(pid.cast_unsigned())
        }
    }
}

fn execveat() -> io::Result<u32> {
    in_child(|| {
        // SAFETY: static strings, arrays that end with a null pointer, as execveat takes them.
        unsafe {
            let fd = libc::open(c"/bin/true".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            let args = [c"true".as_ptr(), std::ptr::null()];
            libc::syscall(
                libc::SYS_execveat,
                fd,
                c"".as_ptr(),
                args.as_ptr(),
                args.as_ptr().add(1),
                libc::AT_EMPTY_PATH,
            );
        }
    })
}

/// A child made by that call.
fn fork_by(nr: i64) -> io::Result<u32> {
    // SAFETY: without CLONE_VM the child has memory of its own, and ends at once.
    let pid = unsafe { libc::syscall(nr, i64::from(libc::SIGCHLD), 0, 0, 0, 0) };
    reap(pid)
}

fn clone3() -> io::Result<u32> {
    // struct clone_args (include/uapi/linux/sched.h), its first version: flags, pidfd, child_tid, parent_tid, exit_signal, ...
    let mut args = [0u64; 8];
    args[4] = libc::SIGCHLD as u64;
    // SAFETY: as fork_by; the structure is as long as told.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    reap(pid)
}

fn reap(pid: i64) -> io::Result<u32> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the child ends without running anything of the parent's.
        0 => unsafe { libc::_exit(0) },
        pid => {
            // SAFETY: our child; no status is asked for.
            unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) };
            Ok(std::process::id())
        }
    }
}

fn openat2() -> io::Result<u32> {
    let how = [0u64; 3];
    // SAFETY: a static string and a struct open_how of the length told.
    unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, ABSENT.as_ptr(), how.as_ptr(), size_of_val(&how)) };
    Ok(std::process::id())
}

fn connect() -> io::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, PORT))?;
    Ok(std::process::id())
}
