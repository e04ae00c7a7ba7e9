//! The reader's end of the ring.
//!
//! Programs wake nobody per record, only when the waiting bytes cross a threshold; so the reader also looks by itself: every
//! 10 ms while records come, more and more rarely while none do.
//!
//! A burst may bring records faster than they are evaluated. So, while the reader works, it looks how much of the ring is in
//! use: past a quarter it copies all that waits to memory of its own ([`Aside`]) and goes on from there. The programs shed and
//! drop only when that is full, too.
use super::{ProbeError, aside::Aside, canary::Board, mapped::Mapped};
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
/// How many records are passed on between two looks at how full the ring is.
const LOOK_EVERY: usize = 32;
/// What is set aside at most: so many times the ring's size.
const ASIDE: usize = 8;

/// The reader's end of the ring. Canaries are noted and not passed on.
pub struct Ring {
    /// Keeps the descriptor open.
    _map: MapData,
    mapped: Mapped,
    aside: Aside,
    /// Waiting bytes from which on they are set aside.
    aside_at: usize,
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
        let (aside, aside_at) = (Aside::new(ASIDE * size), size / 4);
        Ok(Self { _map: map, mapped, aside, aside_at, epoll, board, wait: BUSY_WAIT })
    }

    /// Passes at most `max` waiting records on, oldest first; how many. Fewer than `max`: then none waits any more.
    pub fn drain(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        let mut passed = 0;
        while passed < max {
            if passed % LOOK_EVERY == 0 && self.mapped.waiting() > self.aside_at {
                self.set_aside();
            }
            if self.aside.next(&mut *each) {
                passed += 1;
                continue;
            }
            let board = &self.board;
            let any = self.mapped.next(|bytes| {
                if is_canary(bytes) {
                    board.note(bytes);
                } else {
                    each(bytes);
                    passed += 1;
                }
            });
            if !any {
                break;
            }
        }
        self.mapped.give_back();
        if passed > 0 {
            self.wait = BUSY_WAIT;
        }
        passed
    }

    /// Empties the ring into memory of our own, as far as that has room.
    fn set_aside(&mut self) {
        let (board, aside) = (&self.board, &mut self.aside);
        while aside.has_room()
            && self.mapped.next(|bytes| {
                if is_canary(bytes) {
                    board.note(bytes);
                } else {
                    aside.push(bytes);
                }
            })
        {}
        self.mapped.give_back();
    }

    /// How many records were not passed on yet; they are let go. At most as many as fit: others may still come.
    #[must_use]
    pub fn left(&mut self) -> usize {
        let most = (1 + ASIDE) * 4 * self.aside_at / size_of::<RecordHeader>();
        self.drain(most, &mut |_| {})
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
