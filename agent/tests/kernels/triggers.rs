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
];

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
