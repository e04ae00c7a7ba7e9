//! The system calls that are served at their end: for each its numbers, its hook, and what its arguments are.
//!
//! One table for both sides: the programs read it as `.rodata`, the agent names and tests by it. Numbers are those of x86_64
//! and its 32-bit mode (arch/x86/entry/syscalls); arm64 will have a table of its own.
use crate::record::{event, hook};

/// No such argument.
pub const NONE: u8 = 7;
/// Instead of an argument: the result. Of a directory: the text is taken as it is, it starts nowhere.
pub const RESULT: u8 = 6;
/// See [`RESULT`].
pub const AS_IS: u8 = 6;
/// No such number.
pub const NO_NUMBER: u16 = u16::MAX;
/// Numbers are below this.
pub const NUMBERS: usize = 512;
/// Size of tables by event type: a power of two, so that a mask bounds an index.
pub const TYPES: usize = 128;
/// Operations of io_uring are below this: a power of two.
pub const OPCODES: usize = 64;
/// In tables by number: no call that is served.
pub const UNSERVED: u8 = u8::MAX;

/// The address is in a `struct msghdr` that the argument points to.
pub const IN_MESSAGE: u8 = 1 << 0;
/// Without an address the call is nobody's business.
pub const NEEDS_ADDRESS: u8 = 1 << 1;
/// The first argument points to two descriptors (`pipe`).
pub const TWO_DESCRIPTORS: u8 = 1 << 2;
/// The text is one for the option PR_SET_NAME only.
pub const NAMES_ITSELF: u8 = 1 << 3;
/// The caller's capabilities are told, too.
pub const TELLS_CAPABILITIES: u8 = 1 << 4;

/// Which argument (0 to 5) is what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Recipe {
    /// A path.
    pub path: u8,
    /// The descriptor of the directory that it starts from; [`NONE`]: the working directory; or [`AS_IS`].
    pub dir: u8,
    /// A second path.
    pub path2: u8,
    /// The descriptor of its directory.
    pub dir2: u8,
    /// The descriptor that the call is about, or [`RESULT`].
    pub fd: u8,
    /// A socket address; its length is the next argument.
    pub address: u8,
    /// Another text.
    pub text: u8,
    /// `IN_MESSAGE` and so on.
    pub flags: u8,
}

impl Recipe {
    /// Only numbers.
    pub const PLAIN: Self =
        Self { path: NONE, dir: NONE, path2: NONE, dir2: NONE, fd: NONE, address: NONE, text: NONE, flags: 0 };

    const fn path(self, path: u8) -> Self {
        Self { path, ..self }
    }
    const fn at(self, dir: u8, path: u8) -> Self {
        Self { path, dir, ..self }
    }
    const fn path2(self, path2: u8) -> Self {
        Self { path2, ..self }
    }
    const fn at2(self, dir2: u8, path2: u8) -> Self {
        Self { path2, dir2, ..self }
    }
    const fn fd(self, fd: u8) -> Self {
        Self { fd, ..self }
    }
    const fn address(self, address: u8) -> Self {
        Self { address, ..self }
    }
    const fn text(self, text: u8) -> Self {
        Self { text, ..self }
    }
    const fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// One of [`event`].
    pub event_type: u8,
    /// One of [`hook`].
    pub hook: u8,
    /// Its number.
    pub number: u16,
    /// Its number in 32-bit mode, or [`NO_NUMBER`].
    pub compat: u16,
    /// What its arguments are. open and connect have programs of their own.
    pub recipe: Recipe,
}

macro_rules! calls {
    ($( $event:ident $hook:ident $number:literal $compat:expr, $($recipe:ident($($arg:expr),*))*; )*) => {
        /// All of them.
        pub const CALLS: &[Call] = &[$(Call {
            event_type: event::$event,
            hook: hook::$hook,
            number: $number,
            compat: $compat,
            recipe: Recipe::PLAIN$(.$recipe($($arg),*))*,
        }),*];
    };
}

calls! {
    OPEN OPEN 2 5,;
    CREAT OPEN 85 8,;
    OPENAT OPEN 257 295,;
    OPENAT2 OPEN 437 437,;
    CONNECT CONNECT 42 362,;
    ACCEPT ACCEPT 43 NO_NUMBER, fd(RESULT);
    ACCEPT4 ACCEPT 288 364, fd(RESULT);
    BIND BIND 49 361, fd(0) address(1);
    LISTEN LISTEN 50 363, fd(0);
    SOCKET SOCKET 41 359, fd(RESULT);
    SENDTO SEND 44 369, fd(0) address(4) flags(NEEDS_ADDRESS);
    SENDMSG SEND 46 370, fd(0) address(1) flags(IN_MESSAGE | NEEDS_ADDRESS);
    SENDMMSG SEND 307 345, fd(0) address(1) flags(IN_MESSAGE | NEEDS_ADDRESS);
    DUP DUP 32 41, fd(RESULT);
    DUP2 DUP 33 63, fd(RESULT);
    DUP3 DUP 292 330, fd(RESULT);
    PIPE PIPE 22 42, flags(TWO_DESCRIPTORS);
    PIPE2 PIPE 293 331, flags(TWO_DESCRIPTORS);
    UNLINK UNLINK 87 10, path(0);
    UNLINKAT UNLINK 263 301, at(0, 1);
    RMDIR UNLINK 84 40, path(0);
    RENAME RENAME 82 38, path(0) path2(1);
    RENAMEAT RENAME 264 302, at(0, 1) at2(2, 3);
    RENAMEAT2 RENAME 316 353, at(0, 1) at2(2, 3);
    LINK LINK 86 9, path(0) path2(1);
    LINKAT LINK 265 303, at(0, 1) at2(2, 3);
    SYMLINK LINK 88 83, at(AS_IS, 0) path2(1);
    SYMLINKAT LINK 266 304, at(AS_IS, 0) at2(1, 2);
    CHMOD CHMOD 90 15, path(0);
    FCHMOD CHMOD 91 94, fd(0);
    FCHMODAT CHMOD 268 306, at(0, 1);
    FCHMODAT2 CHMOD 452 452, at(0, 1);
    CHOWN CHOWN 92 212, path(0);
    FCHOWN CHOWN 93 207, fd(0);
    LCHOWN CHOWN 94 198, path(0);
    FCHOWNAT CHOWN 260 298, at(0, 1);
    MKDIR MKDIR 83 39, path(0);
    MKDIRAT MKDIR 258 296, at(0, 1);
    MOUNT MOUNT 165 21, path(1) at2(AS_IS, 0) text(2);
    UMOUNT2 MOUNT 166 52, path(0);
    MOVE_MOUNT MOUNT 429 429, at(0, 1) at2(2, 3);
    CHROOT ROOT 161 61, path(0);
    PIVOT_ROOT ROOT 155 217, path(0) path2(1);
    SETUID SETID 105 213,;
    SETGID SETID 106 214,;
    SETREUID SETID 113 203,;
    SETREGID SETID 114 204,;
    SETRESUID SETID 117 208,;
    SETRESGID SETID 119 210,;
    CAPSET CAPSET 126 185, flags(TELLS_CAPABILITIES);
    PTRACE PTRACE 101 26,;
    PROCESS_VM_READV VM 310 347,;
    PROCESS_VM_WRITEV VM 311 348,;
    MEMFD_CREATE MEMFD 319 356, fd(RESULT) text(0);
    INIT_MODULE MODULE 175 128, text(2);
    FINIT_MODULE MODULE 313 350, fd(0) text(1);
    DELETE_MODULE MODULE 176 129, text(0);
    BPF BPF 321 357, fd(RESULT);
    SETNS NAMESPACE 308 346, fd(0);
    UNSHARE NAMESPACE 272 310,;
    KILL SIGNAL 62 37,;
    TKILL SIGNAL 200 238,;
    TGKILL SIGNAL 234 270,;
    PRCTL PRCTL 157 172, text(1) flags(NAMES_ITSELF);
    USERFAULTFD USERFAULTFD 323 374, fd(RESULT);
    IO_URING_SETUP IO_URING 425 425, fd(RESULT);
    IO_URING_REGISTER IO_URING 427 427, fd(0);
    SPLICE SPLICE 275 313, fd(2);
    SENDFILE SPLICE 40 239, fd(0);
}

/// Operations of io_uring (`enum io_uring_op` of include/uapi/linux/io_uring.h) that do what a call does, and which call.
pub const OPERATIONS: &[(u8, u8)] = &[
    (9, event::SENDMSG),
    (13, event::ACCEPT4),
    (16, event::CONNECT),
    (18, event::OPENAT),
    (26, event::SENDTO),
    (28, event::OPENAT2),
    (30, event::SPLICE),
    (35, event::RENAMEAT2),
    (36, event::UNLINKAT),
    (37, event::MKDIRAT),
    (38, event::SYMLINKAT),
    (39, event::LINKAT),
    (45, event::SOCKET),
    (47, event::SENDTO),
    (48, event::SENDMSG),
    (56, event::BIND),
    (57, event::LISTEN),
];

/// Event types by operation of io_uring.
#[must_use]
pub const fn by_operation() -> [u8; OPCODES] {
    let mut table = [UNSERVED; OPCODES];
    let mut n = 0;
    while n < OPERATIONS.len() {
        table[OPERATIONS[n].0 as usize] = OPERATIONS[n].1;
        n += 1;
    }
    table
}

/// Whether an io_uring can be asked for what a hook tells of.
#[must_use]
pub const fn is_in_rings(hook: u8) -> bool {
    let hooks = hooks();
    let mut n = 0;
    while n < OPERATIONS.len() {
        if hooks[OPERATIONS[n].1 as usize] == hook {
            return true;
        }
        n += 1;
    }
    false
}

/// execve and execveat with their numbers, in 64-bit and in 32-bit mode. The hook of what is started tells of those that succeed;
/// at their end only those that fail are told.
pub const EXECS: [(u8, u16, u16); 2] = [(event::EXECVE, 59, 11), (event::EXECVEAT, 322, 358)];

/// Event types by number.
#[must_use]
pub const fn by_number() -> [u8; NUMBERS] {
    let mut table = [UNSERVED; NUMBERS];
    table[EXECS[0].1 as usize] = EXECS[0].0;
    table[EXECS[1].1 as usize] = EXECS[1].0;
    let mut n = 0;
    while n < CALLS.len() {
        table[CALLS[n].number as usize] = CALLS[n].event_type;
        n += 1;
    }
    table
}

/// Event types by number in 32-bit mode; further ones are `socketcall`'s.
#[must_use]
pub const fn by_compat_number() -> [u8; NUMBERS] {
    let mut table = [UNSERVED; NUMBERS];
    table[EXECS[0].2 as usize] = EXECS[0].0;
    table[EXECS[1].2 as usize] = EXECS[1].0;
    let mut n = 0;
    while n < CALLS.len() {
        if CALLS[n].compat != NO_NUMBER {
            table[CALLS[n].compat as usize] = CALLS[n].event_type;
        }
        n += 1;
    }
    table
}

/// The hooks of event types; [`UNSERVED`] for those that are no calls served here.
#[must_use]
pub const fn hooks() -> [u8; TYPES] {
    let mut table = [UNSERVED; TYPES];
    table[event::EXECVE as usize] = hook::EXEC;
    table[event::EXECVEAT as usize] = hook::EXEC;
    let mut n = 0;
    while n < CALLS.len() {
        table[CALLS[n].event_type as usize] = CALLS[n].hook;
        n += 1;
    }
    table
}

/// The recipes of event types.
#[must_use]
pub const fn recipes() -> [Recipe; TYPES] {
    let mut table = [Recipe::PLAIN; TYPES];
    let mut n = 0;
    while n < CALLS.len() {
        table[CALLS[n].event_type as usize] = CALLS[n].recipe;
        n += 1;
    }
    table
}
