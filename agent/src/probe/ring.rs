//! The reader's end of the ring.
//!
//! Programs wake nobody per record, only when the waiting bytes cross a threshold; so the reader also looks by itself: every
//! 10 ms while records come, more and more rarely while none do.
use super::{ProbeError, canary::Board, mapped::Mapped};
use agent_abi::{
    Wire,
    record::{CANARY, RecordHeader},
};
use aya::maps::MapData;
use rustix::event::epoll;
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

/// How long records may wait while others come.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// The reader's end of the ring. Canaries are noted and not passed on.
pub struct Ring {
    /// Keeps the descriptor open.
    _map: MapData,
    mapped: Mapped,
    epoll: OwnedFd,
    board: Arc<Board>,
    wait: Duration,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(map: MapData, size: usize, board: Arc<Board>) -> Result<Self, ProbeError> {
        let failed = |e: std::io::Error| ProbeError::Map { what: "read the ring", reason: e.to_string() };
        let fd = map.fd().as_fd();
        let mapped = Mapped::new(fd, size).map_err(failed)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        // Edge-triggered: a ring that holds unread records must not count as ready before the threshold.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, fd, epoll::EventData::new_u64(0), flags).map_err(|e| failed(e.into()))?;
        Ok(Self { _map: map, mapped, epoll, board, wait: BUSY_WAIT })
    }

    /// Passes at most `max` waiting records on, oldest first; how many.
    pub fn drain(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        let mut passed = 0;
        let board = &self.board;
        while passed < max
            && self.mapped.next(|bytes| {
                if is_canary(bytes) {
                    board.note(bytes);
                } else {
                    each(bytes);
                    passed += 1;
                }
            })
        {}
        self.mapped.give_back();
        if passed > 0 {
            self.wait = BUSY_WAIT;
        }
        passed
    }

    /// Waits until the ring fills past its threshold, but at most 10 ms after records were drained, and up to `most` when there
    /// were none for long. True: the threshold was passed.
    pub fn wait(&mut self, most: Duration) -> bool {
        let now = self.wait.min(most);
        self.wait = (self.wait * 2).min(most.max(BUSY_WAIT));
        let timeout =
            rustix::event::Timespec { tv_sec: now.as_secs().cast_signed(), tv_nsec: i64::from(now.subsec_nanos()) };
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        // An interrupted wait is a short one.
        epoll::wait(&self.epoll, &mut events, Some(&timeout)).is_ok_and(|n| n > 0)
    }
}

fn is_canary(bytes: &[u8]) -> bool {
    RecordHeader::read(bytes).is_some_and(|(h, _)| h.flags & CANARY != 0)
}
