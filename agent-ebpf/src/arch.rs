//! What depends on the architecture: x86_64.
use crate::kernel::{self, Ptr};
use agent_abi::{
    call::{self, NUMBERS, UNSERVED},
    record::event,
};

const NR_CLONE: u64 = 56;
const NR_FORK: u64 = 57;
const NR_VFORK: u64 = 58;
const NR_CLONE3: u64 = 435;

const IA32_SOCKETCALL: u64 = 102;

/// x32 calls carry this bit and else the numbers of the calls that we decode.
const X32_BIT: u64 = 0x4000_0000;
/// `TS_COMPAT` of `thread_info.status`: the current system call is a 32-bit one (arch/x86/include/asm/thread_info.h).
const TS_COMPAT: u32 = 0x0002;

static NATIVE: [u8; NUMBERS] = call::by_number();
static COMPAT: [u8; NUMBERS] = call::by_compat_number();
static EITHER: [u8; NUMBERS] = either();
static SOCKETCALLS: [u8; 32] = socketcalls();

/// Whether a call of that number is served in one of the modes, by number.
const fn either() -> [u8; NUMBERS] {
    let (native, compat) = (call::by_number(), call::by_compat_number());
    let mut table = [0; NUMBERS];
    let mut nr = 0;
    while nr < NUMBERS {
        table[nr] = (native[nr] != UNSERVED || compat[nr] != UNSERVED || nr as u64 == IA32_SOCKETCALL) as u8;
        nr += 1;
    }
    table
}

/// Whether a call of that number can be one that is served. Asked for every system call of the machine, so all of them pay for it: one
/// look at a table.
#[inline(always)]
pub fn may_be_served(nr: u64) -> bool {
    let nr = nr & !X32_BIT;
    nr < NUMBERS as u64 && EITHER[nr as usize & (NUMBERS - 1)] != 0
}

#[inline(always)]
fn native(nr: u64) -> u8 {
    let nr = nr & !X32_BIT;
    if nr < NUMBERS as u64 { NATIVE[nr as usize & (NUMBERS - 1)] } else { UNSERVED }
}

#[inline(always)]
fn compat(nr: u64) -> u8 {
    if nr < NUMBERS as u64 { COMPAT[nr as usize & (NUMBERS - 1)] } else { UNSERVED }
}

/// The event type of the call that the current task, which is `task`, is in, and whether it is a 32-bit one.
#[inline(always)]
pub fn served(task: Ptr, regs: Ptr, nr: u64) -> Option<(u8, bool)> {
    let (native, compat) = (native(nr), compat(nr));
    if native & compat == UNSERVED && nr != IA32_SOCKETCALL {
        return None;
    }
    let is_compat = is_compat(task);
    let event_type = match (is_compat, nr) {
        (true, IA32_SOCKETCALL) => socketcall(load!(u64, regs, regs_compat_arg0)),
        (true, _) => compat,
        (false, _) => native,
    };
    (event_type != UNSERVED).then_some((event_type, is_compat))
}

/// The event type of a call by `socketcall`. Read from a table, so that the verifier goes on with one unknown type and not with each.
#[inline(always)]
fn socketcall(which: u64) -> u8 {
    // SAFETY: masked, so inside of the table; volatile, or it becomes branches.
    let found = unsafe { (&raw const SOCKETCALLS).cast::<u8>().add(which as usize & 31).read_volatile() };
    if which < 32 { found } else { UNSERVED }
}

/// Event types by the first argument of `socketcall` (include/uapi/linux/net.h).
const fn socketcalls() -> [u8; 32] {
    let mut table = [UNSERVED; 32];
    table[1] = event::SOCKET;
    table[2] = event::BIND;
    table[3] = event::CONNECT;
    table[4] = event::LISTEN;
    table[5] = event::ACCEPT;
    table[11] = event::SENDTO;
    table[16] = event::SENDMSG;
    table[18] = event::ACCEPT4;
    table[20] = event::SENDMMSG;
    table
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

/// Writes all six arguments of a call to `to`, which has room for them. 32-bit programs may call by socketcall: then they lie in
/// memory.
#[inline(always)]
pub fn all_arguments(to: *mut u64, regs: Ptr, nr: u64, compat: bool) {
    let put = |n: usize, value: u64| {
        // SAFETY: `to` has room for six.
        unsafe { core::ptr::write_volatile(to.add(n), value) }
    };
    if compat && nr == IA32_SOCKETCALL {
        let memory = load!(u64, regs, regs_compat_arg1) as Ptr;
        for n in 0..6 {
            put(n, kernel::read_user::<u32>(memory, n * 4) as u64);
        }
        return;
    }
    let [a, b, c, d] = arguments(regs, compat);
    put(0, a);
    put(1, b);
    put(2, c);
    put(3, d);
    if compat {
        put(4, load!(u64, regs, regs_compat_arg4));
        put(5, load!(u64, regs, regs_compat_arg5));
    } else {
        put(4, load!(u64, regs, regs_arg4));
        put(5, load!(u64, regs, regs_arg5));
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
