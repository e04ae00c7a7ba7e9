//! The canary that goes through an io_uring: what is asked for there comes by a program of its own, which a system call does not prove.
use super::canary::FILE;
use io_uring::{IoUring, opcode, types};
use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// What became of the last one.
#[derive(Clone, Debug, Default)]
pub(super) enum RingCanary {
    /// None was set off: no rule asks for opens.
    #[default]
    NotYet,
    /// This process may have no ring: `kernel.io_uring_disabled`, seccomp.
    Refused(String),
    /// It was set off, and is not back.
    Away,
    /// It came back.
    Back,
}

impl RingCanary {
    /// For people, behind "what goes through an io_uring is seen when it is submitted".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::NotYet => " (no canary has gone through one)".into(),
            Self::Refused(reason) => format!(" (unproven: this agent is given none: {reason})"),
            Self::Away => " (unproven: its canary has not come back)".into(),
            Self::Back => " (its canary came back)".into(),
        }
    }
}

/// Opens [`FILE`] through a ring, which is gone afterwards.
///
/// # Errors
/// No ring is to be had, or the open failed.
pub(super) fn ask() -> io::Result<()> {
    let mut ring = IoUring::new(1)?;
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), FILE.as_ptr()).flags(libc::O_CLOEXEC).build();
    // SAFETY: the path is static.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().ok_or_else(|| io::Error::other("no completion"))?.result();
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    // SAFETY: opened just now; nobody else has it.
    drop(unsafe { OwnedFd::from_raw_fd(result) });
    Ok(())
}
