//! Canaries: harmless calls of our own that prove that a hook fires, from the kernel through the ring.
//!
//! Flow: the thread that sets them off puts its id and a nonce into a map; the programs let its calls and its children's
//! through whatever the filter says, mark them and count them apart; the reader of the ring decodes them, compares nonce and
//! content, and notes the time here.
use super::{
    ProbeError,
    loader::{Value, chain},
    record::{Body, decode},
    ring_canary::{self, RingCanary},
};
use agent_abi::map::CanaryState;
use aya::maps::{Array, MapData};
use engine::event::Hook;
use parking_lot::Mutex;
use std::{
    ffi::{CStr, OsStr},
    fs::File,
    io,
    net::{Ipv4Addr, UdpSocket},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

/// `argv[0]` of the child that proves exec, fork and exit.
const CHILD: &str = "eyas-canary";
/// Opened to prove open: there wherever /proc is, and of no interest to anybody.
pub(super) const FILE: &CStr = c"/proc/sys/kernel/osrelease";
/// Connected to (UDP: nothing is sent) to prove connect: the discard service.
const PORT: u16 = 9;

/// Whether this process is the child of a canary: it should end at once. To be asked first in `main`.
#[must_use]
pub fn is_canary_child() -> bool {
    std::env::args_os().next().is_some_and(|arg| arg == OsStr::new(CHILD))
}

/// What canaries have proven, shared between who sets them off and who reads the ring.
#[derive(Debug)]
pub(super) struct Board {
    nonce: AtomicU32,
    proven: Mutex<[Option<Proof>; Hook::ALL.len()]>,
    ring: Mutex<RingCanary>,
}

/// That a canary of a hook came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// When.
    pub(super) at: SystemTime,
    /// What the kernel used was kept, and told.
    pub(super) used: bool,
    /// The kernel refused the call for lack of rights, which may be before it has copied anything.
    pub(super) refused: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self { nonce: AtomicU32::new(0), proven: Mutex::new([None; Hook::ALL.len()]), ring: Mutex::default() }
    }
}

impl Board {
    /// How a hook was last proven.
    pub(super) fn last_proof(&self, hook: Hook) -> Option<Proof> {
        self.proven.lock()[hook as usize]
    }

    /// What became of the canary that went through an io_uring.
    pub(super) fn through_ring(&self) -> RingCanary {
        self.ring.lock().clone()
    }

    /// Looks at a canary's record.
    pub(super) fn note(&self, bytes: &[u8]) {
        let record = match decode(bytes) {
            Ok(record) => record,
            Err(error) => return tracing::warn!(%error, "a canary came back damaged"),
        };
        let through_ring = record.header.io_uring;
        let expected = match &record.body {
            // Of a request the path is the argument.
            Body::Open(open) if through_ring => open.path == FILE.to_bytes(),
            Body::Exec(exec) => exec.args.starts_with(CHILD.as_bytes()),
            Body::FailedExec(_) => false,
            Body::Fork(_) | Body::Exit(_) => true,
            Body::Open(open) => open.resolved && open.path == FILE.to_bytes(),
            Body::Connect(c) => c.addr == Some(Ipv4Addr::LOCALHOST.into()) && c.port == PORT,
            // Which call it was, the nonce vouches for the rest.
            Body::Call(_) => true,
        };
        // The child opens its libraries as a canary, too: not what we look for.
        if !expected || record.header.nonce != self.nonce.load(Ordering::Acquire) {
            return;
        }
        if through_ring {
            *self.ring.lock() = RingCanary::Back;
        } else {
            let refused = matches!(&record.body, Body::Call(c) if c.ret == -i64::from(libc::EPERM));
            let proof = Proof { at: SystemTime::now(), used: record.header.used, refused };
            self.proven.lock()[record.header.hook as usize] = Some(proof);
        }
    }
}

/// The map that arms canaries.
pub(super) type CanaryMap = Mutex<Array<MapData, Value<CanaryState>>>;

/// Sets off one canary for each of `hooks` from this thread, and before them one through an io_uring where `ring` says that its program
/// is attached.
pub(super) fn fire(map: &CanaryMap, board: &Board, hooks: &[Hook], ring: bool) -> Result<(), ProbeError> {
    let failed = |e: aya::maps::MapError| ProbeError::Map { what: "arm the canaries", reason: chain(&e) };
    // One at a time; the lock is held while they fly.
    let mut map = map.lock();
    let nonce = board.nonce.load(Ordering::Acquire).wrapping_add(1).max(1);
    board.nonce.store(nonce, Ordering::Release);
    let tid = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
    map.set(0, Value(CanaryState { tid, nonce }), 0).map_err(failed)?;
    // First, so that it is back when the others are.
    if ring {
        *board.ring.lock() = RingCanary::Away;
        if let Err(error) = ring_canary::ask() {
            *board.ring.lock() = RingCanary::Refused(error.to_string());
        }
    }
    let child = hooks.iter().find(|h| h.is_life_cycle()).map(|h| (*h, child()));
    let others = hooks.iter().filter(|h| !h.is_life_cycle()).map(|h| (*h, call(*h)));
    let results: Vec<_> = child.into_iter().chain(others).collect();
    map.set(0, Value(CanaryState { tid: 0, nonce: 0 }), 0).map_err(failed)?;
    match results.into_iter().find_map(|(hook, result)| Some((hook, result.err()?))) {
        Some((hook, source)) => Err(ProbeError::Canary { hook, source }),
        None => Ok(()),
    }
}

/// Forks, executes, exits.
fn child() -> io::Result<()> {
    // Its exit status does not matter: that it ran is what counts.
    Command::new("/proc/self/exe")
        .arg0(CHILD)
        .arg(CHILD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
}

fn call(hook: Hook) -> io::Result<()> {
    match hook {
        Hook::Open => File::open(OsStr::from_bytes(FILE.to_bytes())).map(|_| ()),
        Hook::Connect => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.connect((Ipv4Addr::LOCALHOST, PORT)),
        Hook::Bind => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(|_| ()),
        Hook::Exec | Hook::Fork | Hook::Exit => Ok(()),
        hook => {
            harmless(hook);
            Ok(())
        }
    }
}

/// A call of the hook that changes nothing: most of them fail, which their hook tells as well.
fn harmless(hook: Hook) {
    /// No descriptor, signal, command or option of that number.
    const NO: libc::c_long = -1;
    let nothing = c"".as_ptr();
    // What the kernel copies, so that it shows whether that is kept: there is no such file, file system or module.
    let (absent, name) = (c"/proc/eyas-canary".as_ptr(), c"eyas-canary".as_ptr());
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: all pointers are null, to strings, or to the family of an address; what the kernel refuses it leaves alone, and each of these it refuses
    // or does nothing for.
    unsafe {
        match hook {
            Hook::Exec | Hook::Fork | Hook::Exit | Hook::Open | Hook::Connect | Hook::Bind => 0,
            Hook::Accept => libc::syscall(libc::SYS_accept4, NO, null, null, 0),
            Hook::Listen => libc::syscall(libc::SYS_listen, NO, 0),
            Hook::Socket => libc::syscall(libc::SYS_socket, NO, 0, 0),
            Hook::Send => send_nowhere(),
            Hook::Dup => libc::syscall(libc::SYS_dup, NO),
            Hook::Pipe => libc::syscall(libc::SYS_pipe2, null, 0),
            Hook::Unlink => libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, nothing, 0),
            Hook::Rename => libc::syscall(libc::SYS_renameat, libc::AT_FDCWD, nothing, libc::AT_FDCWD, nothing),
            Hook::Link => libc::syscall(libc::SYS_linkat, libc::AT_FDCWD, nothing, libc::AT_FDCWD, nothing, 0),
            Hook::Chmod => libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, absent, 0),
            Hook::Chown => libc::syscall(libc::SYS_fchownat, libc::AT_FDCWD, absent, NO, NO, 0),
            Hook::Mkdir => libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, nothing, 0),
            Hook::Mount => libc::syscall(libc::SYS_mount, name, absent, name, 0, null),
            Hook::Root => libc::syscall(libc::SYS_chroot, absent),
            // -1 means: leave as it is.
            Hook::Setid => libc::syscall(libc::SYS_setresuid, NO, NO, NO),
            Hook::Capset => libc::syscall(libc::SYS_capset, null, null),
            Hook::Ptrace => libc::syscall(libc::SYS_ptrace, NO, 0, null, null),
            Hook::Vm => libc::syscall(libc::SYS_process_vm_writev, libc::getpid(), null, 0, null, 0, 0),
            Hook::Memfd => memfd(),
            Hook::Module => libc::syscall(libc::SYS_delete_module, name, libc::O_NONBLOCK),
            Hook::Bpf => libc::syscall(libc::SYS_bpf, NO, null, 0),
            Hook::Namespace => libc::syscall(libc::SYS_setns, NO, 0),
            Hook::Signal => libc::syscall(libc::SYS_kill, libc::getpid(), 0),
            Hook::Prctl => libc::syscall(libc::SYS_prctl, NO, 0, 0, 0, 0),
            Hook::Userfaultfd => libc::syscall(libc::SYS_userfaultfd, NO),
            Hook::IoUring => libc::syscall(libc::SYS_io_uring_setup, 0, null),
            Hook::Splice => libc::syscall(libc::SYS_splice, NO, null, NO, null, 0, 0),
        };
    }
}

/// Sends nothing to an address of no family, which the kernel refuses once it has copied it.
fn send_nowhere() -> libc::c_long {
    let family: libc::sa_family_t = libc::AF_UNSPEC as libc::sa_family_t;
    let (nothing, length) = (std::ptr::null::<libc::c_char>(), size_of_val(&family));
    // SAFETY: a socket that is closed here, no bytes to send, and an address of the length told.
    unsafe {
        let socket = libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let sent = libc::syscall(libc::SYS_sendto, socket, nothing, 0, 0, &raw const family, length);
        libc::close(socket);
        sent
    }
}

/// Makes an empty memfd and closes it.
fn memfd() -> libc::c_long {
    /// `MFD_NOEXEC_SEAL` (include/uapi/linux/memfd.h, Linux 6.3): where vm.memfd_noexec is 2, it is refused without; before, with.
    const NOEXEC_SEAL: libc::c_uint = 8;
    // SAFETY: a static string; the descriptor is closed here.
    unsafe {
        let mut fd = libc::syscall(libc::SYS_memfd_create, c"eyas-canary".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            fd = libc::syscall(libc::SYS_memfd_create, c"eyas-canary".as_ptr(), libc::MFD_CLOEXEC | NOEXEC_SEAL);
        }
        libc::close(fd as libc::c_int)
    }
    .into()
}
