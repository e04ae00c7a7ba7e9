//! Programs that were to be started and were not: execve and execveat that return an error.
//!
//! What was tried lies in the caller's memory still; the kernel may not have looked at all of it, so that a part of it can be missing.
use crate::{
    arch, classes,
    emit::Event,
    kernel::{self, Ptr},
    open::AT_FDCWD,
    scratch::{self, PATH_MAX, Scratch, USER},
    syscalls::Call,
};
use agent_abi::record::{ARGS_MAX, FAILED, FAILED_ARGS, FailedExecBody, RecordHeader, event};

const FIXED: usize = size_of::<RecordHeader>() + size_of::<FailedExecBody>();

/// One call has ended.
#[inline(always)]
pub fn failed(this: &mut Event, call: &Call) -> Option<()> {
    this.only(this.force.filter.failed_execs);
    classes::by_side(this);
    if this.is_unwanted() || this.is_shed() {
        return None;
    }
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<FailedExecBody>(s);
    let [a, b, c, _] = arch::arguments(call.regs, call.compat);
    let (dirfd, path, argv) = if call.event_type == event::EXECVEAT {
        (a as u32, b as Ptr, c as Ptr)
    } else {
        (AT_FDCWD, a as Ptr, b as Ptr)
    };
    let file_len = scratch::append_str(s, USER, path, PATH_MAX);
    let args_len = arguments(s, argv, call.compat);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ret = call.ret as u64;
        (*body).dirfd = dirfd;
        (*body).file_len = file_len;
        (*body).args_len = args_len;
    }
    let flags = get!(s, flags) as u16 | FAILED;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// Appends the arguments, each with its NUL, as far as they fit.
#[inline(always)]
fn arguments(s: *mut Scratch, argv: Ptr, compat: bool) -> u16 {
    let begin = get!(s, len);
    set!(s, at, argv as u64);
    set!(s, walk, u64::from(compat));
    set!(s, added, begin + ARGS_MAX as u64);
    if !rounds!(s, FAILED_ARGS, argument) {
        scratch::truncated(s);
    }
    (get!(s, len) - begin) as u16
}

/// The next argument; not 0 at the end.
#[inline(always)]
fn argument(s: *mut Scratch) -> u64 {
    let end = get!(s, added);
    let at = get!(s, at) as Ptr;
    let text = if get!(s, walk) != 0 {
        set!(s, at, get!(s, at) + 4);
        u64::from(kernel::read_user::<u32>(at, 0))
    } else {
        set!(s, at, get!(s, at) + 8);
        kernel::read_user::<u64>(at, 0)
    };
    if text == 0 {
        return 1;
    }
    let len = get!(s, len);
    if len + 1 >= end {
        scratch::truncated(s);
        return 1;
    }
    u64::from(!scratch::append_argument(s, text as Ptr, end - len))
}
