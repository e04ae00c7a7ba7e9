//! Processes made and ended.
use crate::{
    arch,
    emit::{self, Event},
    kernel::{self, PidType, Ptr},
};
use core::mem::MaybeUninit;

use agent_abi::{
    call::TYPES,
    record::{ExitBody, ForkBody, RecordHeader, event, hook},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// `PF_KTHREAD` (include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

#[repr(C)]
struct Fork {
    header: RecordHeader,
    body: ForkBody,
}

#[repr(C)]
struct Exit {
    header: RecordHeader,
    body: ExitBody,
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`: the parent runs, the child does not yet.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn on_fork(ctx: BtfTracePointContext) -> i32 {
    let _ = try_fork(&ctx);
    0
}

#[inline(always)]
fn try_fork(ctx: &BtfTracePointContext) -> Option<()> {
    let parent: Ptr = ctx.arg(0);
    let child: Ptr = ctx.arg(1);
    let pid_tgid = kernel::pid_tgid(parent);
    let origin = emit::origin(pid_tgid)?;
    let force = emit::filter()?;
    if !emit::wants(force.filter, hook::FORK) || member!(u32, parent, task_flags) & PF_KTHREAD != 0 {
        return None;
    }
    // Which call it was is told by registers, for those that pass.
    let mut this = Event::seen(hook::FORK, event::CLONE, force, origin, parent)?;
    let (tgid, tid) = (member!(u32, child, task_tgid), member!(u32, child, task_pid));
    if tgid != tid && force.filter.threads == 0 && !this.is_canary() {
        this.filtered();
        return None;
    }
    let regs = kernel::task_regs(parent);
    let (mut event_type, mut flags) = (event::CLONE, 0);
    if !regs.is_null() && !arch::is_compat(parent) {
        let nr = member!(u64, regs, regs_nr);
        let first = member!(u64, regs, regs_arg0);
        event_type = arch::fork_event(nr);
        if event_type == event::CLONE3 {
            // The first member of struct clone_args.
            flags = kernel::read_user::<u64>(first as Ptr, 0);
        } else if arch::is_clone(nr) {
            flags = first;
        }
    }
    if !this.is_canary() {
        this.classes = force.filter.classes[event_type as usize & (TYPES - 1)];
    }
    let thread_pid = member!(Ptr, child, task_thread_pid);
    let (ppid, parent_start) = kernel::process_key(member!(Ptr, child, task_real_parent));
    let signal_pid = kernel::signal_pid(member!(Ptr, child, task_signal), PidType::Tgid);
    let mut record = MaybeUninit::<Fork>::uninit();
    let record = record.as_mut_ptr();
    // SAFETY: on our stack; every member is written, here and by header().
    unsafe {
        let body = &raw mut (*record).body;
        (*body).child_start = kernel::process_key(child).1;
        (*body).child_cgroup = kernel::cgroup_of(child);
        (*body).flags = flags;
        (*body).child_pid = tgid;
        (*body).child_tid = tid;
        (*body).child_vpid = kernel::pid_nr(signal_pid, kernel::pid_level(thread_pid));
        (*body).child_pid_ns = kernel::pid_ns_inum(thread_pid);
        (*body).ppid = ppid;
        (*body).child_uid = member!(u32, member!(Ptr, child, task_cred), cred_uid);
        (*body).parent_start = parent_start;
        (*body).comm = kernel::sixteen(child, off!(task_comm));
        this.header(&raw mut (*record).header, parent, pid_tgid, event_type, 0);
    }
    this.submit(record.cast(), size_of::<Fork>() as u64, 0);
    Some(())
}

/// `sched_process_exit(struct task_struct *p)`, since 6.16 with `bool group_dead`: a thread ends; `signal->live` has been
/// counted down by then (kernel/exit.c do_exit).
#[btf_tracepoint(function = "sched_process_exit")]
pub fn on_exit(ctx: BtfTracePointContext) -> i32 {
    let _ = try_exit(&ctx);
    0
}

#[inline(always)]
fn try_exit(ctx: &BtfTracePointContext) -> Option<()> {
    let task: Ptr = ctx.arg(0);
    let pid_tgid = kernel::pid_tgid(task);
    let origin = emit::origin_of_child(task, pid_tgid)?;
    let force = emit::filter()?;
    if !emit::wants(force.filter, hook::EXIT) || member!(u32, task, task_flags) & PF_KTHREAD != 0 {
        return None;
    }
    let this = Event::seen(hook::EXIT, event::PROCEXIT, force, origin, task)?;
    if member!(u32, member!(Ptr, task, task_signal), signal_live) != 0 {
        this.filtered();
        return None;
    }
    let mut record = MaybeUninit::<Exit>::uninit();
    let record = record.as_mut_ptr();
    // SAFETY: on our stack; every member is written, here and by header().
    unsafe {
        (*record).body.code = member!(u32, task, task_exit_code);
        (*record).body.reserved = 0;
        this.header(&raw mut (*record).header, task, pid_tgid, event::PROCEXIT, 0);
    }
    this.submit(record.cast(), size_of::<Exit>() as u64, 0);
    Some(())
}
