//! System calls at their end.
use crate::{
    arch, connect,
    emit::{self, Event},
    kernel::{self, Ptr},
    open,
};
use agent_abi::record::{event, hook};
use aya_ebpf::{helpers::generated, macros::btf_tracepoint, programs::BtfTracePointContext};

/// `sys_exit(struct pt_regs *regs, long ret)`: every system call of the machine comes by here, so what is not ours leaves first.
#[btf_tracepoint(function = "sys_exit")]
pub fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: Ptr = ctx.arg(0);
    let nr = load!(u64, regs, regs_nr);
    if arch::maybe_served(nr) {
        let _ = try_exit(regs, nr, ctx.arg(1));
    }
    0
}

#[inline(always)]
fn try_exit(regs: Ptr, nr: u64, ret: i64) -> Option<()> {
    let task = kernel::current();
    let compat = arch::is_compat(task);
    let event_type =
        if compat { arch::compat_event(nr, load!(u64, regs, regs_compat_arg0))? } else { arch::native_event(nr)? };
    // SAFETY: takes nothing.
    let pid_tgid = unsafe { generated::bpf_get_current_pid_tgid() };
    let origin = emit::origin(pid_tgid)?;
    let force = emit::filter()?;
    let hook = if event_type == event::CONNECT { hook::CONNECT } else { hook::OPEN };
    if !emit::wants(force.filter, hook) {
        return None;
    }
    let mut this = Event::seen(hook, event_type, force, origin)?;
    if compat {
        this.compat();
    }
    let call = Call { regs, nr, ret, task, pid_tgid, event_type, compat };
    if hook == hook::CONNECT { connect::connect(&mut this, &call) } else { open::open(&mut this, &call) }
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
    /// Process and thread id.
    pub pid_tgid: u64,
    /// Which call.
    pub event_type: u8,
    /// It is a 32-bit call.
    pub compat: bool,
}
