//! System calls at their end.
use crate::{
    arch, connect,
    emit::{self, Event},
    failed_exec,
    kernel::{self, Ptr},
    open, other, used,
};
use agent_abi::{
    call::{self, TYPES},
    record::hook,
};
use aya_ebpf::{EbpfContext as _, macros::btf_tracepoint, programs::BtfTracePointContext};
use core::ffi::c_void;

static HOOKS: [u8; TYPES] = call::hooks();

/// `sys_exit(struct pt_regs *regs, long ret)`: every system call of the machine comes by here, so what is not ours leaves first.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: Ptr = ctx.arg(0);
    if arch::may_be_served(load!(u64, regs, regs_nr)) {
        return exit(ctx.as_ptr());
    }
    0
}

/// A function of its own: what leaves first pays for no frame of the stack and no saved registers.
#[inline(never)]
fn exit(ctx: *mut c_void) -> i32 {
    let ctx = BtfTracePointContext::new(ctx);
    let _ = try_exit(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn try_exit(regs: Ptr, ret: i64) -> Option<()> {
    let nr = load!(u64, regs, regs_nr);
    let task = kernel::current();
    let (event_type, compat) = arch::served(task, regs, nr)?;
    // Volatile, so that the compiler does not take the bounds of what is indexed by it from the table: the verifier cannot.
    // SAFETY: masked, so inside of the table.
    let hook = unsafe { (&raw const HOOKS).cast::<u8>().add(event_type as usize & (TYPES - 1)).read_volatile() };
    let pid_tgid = kernel::pid_tgid(task);
    let force = emit::filter()?;
    // What is started is told by a hook of its own.
    if hook == hook::EXEC && (ret >= 0 || force.filter.failed_execs == 0) {
        return None;
    }
    // The call that proves a hook need not be of a type that somebody wants.
    if !emit::wants_type(force.filter, event_type) && !(emit::wants(force.filter, hook) && emit::is_canary(pid_tgid)) {
        return None;
    }
    let origin = emit::origin(pid_tgid)?;
    let mut this = Event::seen(hook, event_type, force, origin, task)?;
    if compat {
        this.compat();
    }
    let call = Call { regs, nr, ret, task, files: kernel::files(task), pid_tgid, event_type, compat };
    let told = match hook {
        hook::CONNECT => connect::connect(&mut this, &call),
        hook::OPEN => open::open(&mut this, &call),
        hook::EXEC => failed_exec::failed(&mut this, &call),
        _ => other::call(&mut this, &call),
    };
    used::forget(hook, pid_tgid as u32, ret < 0);
    told
}

/// A system call that has ended.
pub struct Call {
    /// Its registers, as they were on entry but for the result.
    pub regs: Ptr,
    /// Its number.
    pub nr: u64,
    /// Its result.
    pub ret: i64,
    /// Who called.
    pub task: Ptr,
    /// Their open files.
    pub files: Ptr,
    /// Process and thread id.
    pub pid_tgid: u64,
    /// Which call.
    pub event_type: u8,
    /// It is a 32-bit call.
    pub compat: bool,
}
