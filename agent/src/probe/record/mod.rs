//! Records of the kernel side, borrowed from the ring. `decode` makes them of bytes.
mod decode;

pub use decode::{RecordError, decode};

use agent_abi::record;
use engine::event::{EventType, Hook};
use std::net::IpAddr;

/// One event of the kernel, borrowed from the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What all events have.
    pub header: Header,
    /// What this one has.
    pub body: Body<'a>,
}

/// What all events have: who did it, when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The hook.
    pub hook: Hook,
    /// The system call.
    pub event_type: EventType,
    /// Generation of the filter that let it through, whose rules it is for.
    pub generation: u32,
    /// Classes of that filter that admitted it, bit by class: no rule of others can match.
    pub classes: u64,
    /// Something was longer than its bound.
    pub truncated: bool,
    /// Set off by the agent itself.
    pub canary: bool,
    /// Asked for through an io_uring: told when it was submitted, so that there is no result (results in the body are 0, of a
    /// connect `-EINPROGRESS`).
    pub io_uring: bool,
    /// Names, addresses and the opened file are those that the kernel used, whatever the caller's memory says by now.
    pub used: bool,
    /// Of a canary: what it was armed with.
    pub nonce: u32,
    /// CLOCK_BOOTTIME, nanoseconds.
    pub time: u64,
    /// Processor.
    pub cpu: u16,
    /// Process id (thread group id) in the initial namespace.
    pub pid: u32,
    /// Thread id in the initial namespace.
    pub tid: u32,
    /// Group leader's `start_boottime`, nanoseconds; with `pid` the process' key. /proc/PID/stat has it in clock ticks.
    pub start_time: u64,
    /// Number of the cgroup: its id (inode number) in the unified hierarchy, or where that is the root, its id in the hierarchy of
    /// the memory controller, with the top bit set.
    pub cgroup: u64,
    /// Real user id in the initial namespace.
    pub uid: u32,
    /// Real group id in the initial namespace.
    pub gid: u32,
}

/// What the event's hook tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A program was started.
    Exec(Exec<'a>),
    /// A program was to be started and was not.
    FailedExec(FailedExec<'a>),
    /// A process or thread was made.
    Fork(Fork<'a>),
    /// A process has ended.
    Exit(Exit),
    /// A file was opened, or not.
    Open(Open<'a>),
    /// A socket was connected, or not.
    Connect(Connect<'a>),
    /// Any other system call has ended.
    Call(Call<'a>),
}

/// On which layer of an overlay a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// It lies on no overlay.
    None,
    /// As in the image.
    Lower,
    /// Written since the container started.
    Upper,
}

impl Layer {
    fn from_wire(n: u8) -> Self {
        match n {
            record::LAYER_LOWER => Self::Lower,
            record::LAYER_UPPER => Self::Upper,
            _ => Self::None,
        }
    }
}

/// A program was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the shorter names are the kernel's")]
pub struct Exec<'a> {
    /// The executable's path in its mount namespace; of a script: its interpreter's. Without a leading `/`: cut in front.
    pub path: &'a [u8],
    /// The path as it was given to execve; of a script: the script's.
    pub file: &'a [u8],
    /// The arguments, each ended by NUL (the last one not when cut off).
    pub args: &'a [u8],
    /// Bytes of the arguments before they were cut.
    pub args_total: u32,
    /// Working directory.
    pub cwd: &'a [u8],
    /// Innermost components of the cgroup's path; a leading `/` when it is whole. Of the unified hierarchy, or of the memory
    /// controller's where that one is empty.
    pub cgroup_path: &'a [u8],
    /// Name of the thread, without NULs.
    pub comm: &'a [u8],
    pub ppid: u32,
    /// With `ppid` the parent's key.
    pub ppid_start: u64,
    pub uid: u32,
    pub gid: u32,
    pub euid: u32,
    pub egid: u32,
    /// None: nobody logged in.
    pub loginuid: Option<u32>,
    pub cap_permitted: u64,
    pub cap_inheritable: u64,
    pub cap_effective: u64,
    pub sid: u32,
    pub pgid: u32,
    pub vpid: u32,
    pub vtid: u32,
    pub vpgid: u32,
    pub vsid: u32,
    /// 0: the parent is outside of the process' pid namespace.
    pub pvpid: u32,
    /// Controlling terminal, as /proc/PID/stat encodes it; 0: none.
    pub tty: u32,
    /// Layer of the executable.
    pub layer: Layer,
    /// The executable is a memfd.
    pub memfd: bool,
    /// The executable's file has been unlinked.
    pub deleted: bool,
    pub exe_ino: u64,
    /// Nanoseconds since 1970.
    pub exe_mtime: u64,
    /// Nanoseconds since 1970.
    pub exe_ctime: u64,
    /// As `stat` encodes it.
    pub exe_dev: u32,
    /// Inode number of the mount namespace.
    pub mnt_ns: u32,
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Standard input, output and error.
    pub streams: Box<[Stream<'a>; 3]>,
}

/// What descriptor 0, 1 or 2 of a program is when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stream<'a> {
    /// It is closed.
    #[default]
    Closed,
    /// A file, a pipe, a terminal and so on: no socket. Device and layer are not told.
    File(CallFile<'a>),
    /// A socket, with its peer.
    Socket {
        /// Its ends; the descriptor and the result are not set.
        ends: Connect<'a>,
        /// It has a peer.
        connected: bool,
    },
}

/// A program was to be started and was not: the header's process goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedExec<'a> {
    /// Minus the error number.
    pub ret: i64,
    /// The directory descriptor as given; AT_FDCWD (-100) for execve.
    pub dirfd: i32,
    /// The path as it was given.
    pub file: &'a [u8],
    /// The first arguments, each ended by NUL (the last one not when cut off).
    pub args: &'a [u8],
}

/// The header's process made a process (or a thread: `child_tid != child_pid`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork<'a> {
    /// The child's process id.
    pub child_pid: u32,
    /// The child's thread id.
    pub child_tid: u32,
    /// With `child_pid` the child's key.
    pub child_start: u64,
    /// The child's process id inside its own pid namespace.
    pub child_vpid: u32,
    /// Inode number of that namespace.
    pub child_pid_ns: u32,
    /// The child's cgroup id.
    pub child_cgroup: u64,
    /// The child's user id.
    pub child_uid: u32,
    /// The child's parent: the header's process, or its parent under CLONE_PARENT.
    pub ppid: u32,
    /// With `ppid` that parent's key.
    pub ppid_start: u64,
    /// Flags of clone; 0 when not known.
    pub flags: u64,
    /// The child's name, without NULs.
    pub comm: &'a [u8],
}

/// The header's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// As `wait` reports it: exit code << 8 | signal.
    pub code: u32,
}

/// A file was opened, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// `resolved`: the file's absolute path in its mount namespace, symlinks followed. Else the argument.
    pub path: &'a [u8],
    /// Whether `path` is the opened file's.
    pub resolved: bool,
    /// The argument as given; empty when it could not be read.
    pub given: &'a [u8],
    /// Not resolved and relative: the directory that `path` starts from; empty when it is not known.
    pub base: &'a [u8],
    /// The directory descriptor as given; AT_FDCWD (-100) for open and creat.
    pub dirfd: i32,
    /// `O_*` as given.
    pub flags: u32,
    /// Permission bits as given.
    pub mode: u32,
    /// File descriptor, or minus the error number.
    pub ret: i64,
    /// This call made the file.
    pub created: bool,
    /// As `stat` encodes it; 0 when not resolved.
    pub dev: u32,
    /// Inode number; 0 when not resolved.
    pub ino: u64,
    /// Layer of the file.
    pub layer: Layer,
}

/// A socket was connected, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// `AF_*` of the destination.
    pub family: u16,
    /// Destination; None unless AF_INET or AF_INET6.
    pub addr: Option<IpAddr>,
    /// Destination port.
    pub port: u16,
    /// Path of a unix socket; abstract names begin with NUL.
    pub unix_path: &'a [u8],
    /// The socket's own address, when it has one.
    pub local_addr: Option<IpAddr>,
    /// The socket's own port; 0: none yet.
    pub local_port: u16,
    /// `IPPROTO_*`; 0 for unix sockets and when not known.
    pub l4proto: u16,
    /// `SOCK_*`; 0 when not known.
    pub sock_type: u16,
    /// The descriptor.
    pub fd: i32,
    /// 0, or minus the error number (-EINPROGRESS too).
    pub ret: i64,
}

/// A system call that has ended. What its arguments are is a matter of the call (`agent_abi::call`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The result, or minus the error number.
    pub ret: i64,
    /// The arguments as given. Of capset the last three are the caller's permitted, inheritable and effective capabilities after
    /// the call; of pipe the last two are the descriptors.
    pub args: [u64; 6],
    /// The path that was given.
    pub path: Given<'a>,
    /// The second path that was given.
    pub path2: Given<'a>,
    /// Another text that was given: file system type, module parameters, name.
    pub text: &'a [u8],
    /// The descriptor that it is about.
    pub fd: Option<i32>,
    /// The file behind that descriptor.
    pub file: Option<CallFile<'a>>,
    /// The socket behind that descriptor, with the address that was given, else its peer's.
    pub socket: Option<Connect<'a>>,
    /// The address was given to the call, not the socket's peer.
    pub given: bool,
    /// The socket has a peer.
    pub connected: bool,
}

/// A path as a call gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given<'a> {
    /// The text; empty: none.
    pub path: &'a [u8],
    /// The directory that it starts from when it is relative.
    pub base: &'a [u8],
}

/// A file behind a descriptor, no socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFile<'a> {
    /// Its path; of a pipe, an anonymous inode and the like `/` and its name.
    pub path: &'a [u8],
    /// `st_mode`.
    pub mode: u16,
    /// As `stat` encodes it.
    pub dev: u32,
    /// Inode number.
    pub ino: u64,
    /// Layer of the file.
    pub layer: Layer,
}
