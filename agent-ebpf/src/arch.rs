//! What depends on the architecture: x86_64.
use crate::kernel::{self, Ptr};
use agent_abi::record::event;

const NR_OPEN: u64 = 2;
const NR_CONNECT: u64 = 42;
const NR_CLONE: u64 = 56;
const NR_FORK: u64 = 57;
const NR_VFORK: u64 = 58;
const NR_CREAT: u64 = 85;
const NR_OPENAT: u64 = 257;
const NR_CLONE3: u64 = 435;
const NR_OPENAT2: u64 = 437;

// The numbers of 32-bit calls (arch/x86/entry/syscalls/syscall_32.tbl).
const IA32_OPEN: u64 = 5;
const IA32_CREAT: u64 = 8;
const IA32_SOCKETCALL: u64 = 102;
const IA32_OPENAT: u64 = 295;
const IA32_CONNECT: u64 = 362;
const IA32_OPENAT2: u64 = 437;
/// The first argument of socketcall for connect (include/uapi/linux/net.h).
const SYS_CONNECT: u64 = 3;

/// x32 calls carry this bit and else the numbers of the calls that we decode.
const X32_BIT: u64 = 0x4000_0000;
/// `TS_COMPAT` of `thread_info.status`: the current system call is a 32-bit one (arch/x86/include/asm/thread_info.h).
const TS_COMPAT: u32 = 0x0002;

/// Whether a call may be one that a hook on `sys_exit` serves, be it a 64-bit or a 32-bit one: asked for every system call of the
/// machine.
#[inline(always)]
pub fn maybe_served(nr: u64) -> bool {
    native_event(nr).is_some()
        || matches!(nr, IA32_OPEN | IA32_CREAT | IA32_SOCKETCALL | IA32_OPENAT | IA32_CONNECT | IA32_OPENAT2)
}

/// The event type of a 64-bit call.
#[inline(always)]
pub fn native_event(nr: u64) -> Option<u8> {
    match nr & !X32_BIT {
        NR_OPENAT => Some(event::OPENAT),
        NR_OPEN => Some(event::OPEN),
        NR_CONNECT => Some(event::CONNECT),
        NR_CREAT => Some(event::CREAT),
        NR_OPENAT2 => Some(event::OPENAT2),
        _ => None,
    }
}

/// The event type of a 32-bit call with that first argument.
#[inline(always)]
pub fn compat_event(nr: u64, first: u64) -> Option<u8> {
    match nr {
        IA32_OPENAT => Some(event::OPENAT),
        IA32_OPEN => Some(event::OPEN),
        IA32_CREAT => Some(event::CREAT),
        IA32_OPENAT2 => Some(event::OPENAT2),
        IA32_CONNECT => Some(event::CONNECT),
        IA32_SOCKETCALL if first == SYS_CONNECT => Some(event::CONNECT),
        _ => None,
    }
}

/// The first four arguments of a call.
#[inline(always)]
pub fn arguments(regs: Ptr, compat: bool) -> [u64; 4] {
    if compat {
        [
            load!(u64, regs, regs_compat_arg0),
            load!(u64, regs, regs_compat_arg1),
            load!(u64, regs, regs_arg2),
            load!(u64, regs, regs_compat_arg3),
        ]
    } else {
        [
            load!(u64, regs, regs_arg0),
            load!(u64, regs, regs_arg1),
            load!(u64, regs, regs_arg2),
            load!(u64, regs, regs_arg3),
        ]
    }
}

/// The arguments of connect, which 32-bit programs may also call by socketcall: then they lie in memory.
#[inline(always)]
pub fn connect_arguments(regs: Ptr, nr: u64, compat: bool) -> [u64; 3] {
    let [a, b, c, _] = arguments(regs, compat);
    if compat && nr == IA32_SOCKETCALL {
        let [a, b, c]: [u32; 3] = kernel::read_user(b as Ptr, 0);
        [a as u64, b as u64, c as u64]
    } else {
        [a, b, c]
    }
}

/// The event type of the call that makes a process.
#[inline(always)]
pub fn fork_event(nr: u64) -> u8 {
    match nr & !X32_BIT {
        NR_FORK => event::FORK,
        NR_VFORK => event::VFORK,
        NR_CLONE3 => event::CLONE3,
        _ => event::CLONE,
    }
}

/// Whether this is clone, whose first argument are the flags.
#[inline(always)]
pub fn is_clone(nr: u64) -> bool {
    nr & !X32_BIT == NR_CLONE
}

/// Whether the system call of a task that the verifier knows is a 32-bit one, whose numbers and arguments are others.
#[inline(always)]
pub fn is_compat(task: Ptr) -> bool {
    has!(task_thread_status) && load!(u32, task, task_thread_status) & TS_COMPAT != 0
}
