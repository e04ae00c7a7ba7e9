//! Events with a match that an agent which stands by holds back, until it is known whether the one that watches has told them.
use super::hold::Held;
use crate::handover::Cut;
use std::collections::VecDeque;

/// Most events held back.
const MAX_EVENTS: usize = 65_536;
/// Most bytes of their records, with what is kept beside each.
const MAX_BYTES: usize = 24 << 20;
/// Kept beside each.
const BESIDE: usize = 160;
/// Most that are remembered of those given up for want of room.
const MAX_GONE: usize = 1 << 20;

/// One that is held back.
#[derive(Debug)]
pub(super) struct Matched {
    pub held: Held,
    /// Its event's time and when it was matched, CLOCK_BOOTTIME in nanoseconds.
    pub time: u64,
    pub at: u64,
    /// It had waited for its pod's metadata as long as is waited.
    pub last: bool,
}

/// Oldest match first.
#[derive(Debug, Default)]
pub(super) struct Aside {
    events: VecDeque<Matched>,
    bytes: usize,
    /// Times of those given up for want of room: whether they are a loss is known only at the end.
    gone: VecDeque<(u64, u64)>,
}

impl Aside {
    /// Holds one more back; the oldest goes when there is no room.
    pub fn push(&mut self, matched: Matched) {
        self.bytes += matched.held.bytes.len() + BESIDE;
        self.events.push_back(matched);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.pop() else { break };
            if self.gone.len() >= MAX_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back((oldest.time, oldest.at));
        }
    }

    fn pop(&mut self) -> Option<Matched> {
        let oldest = self.events.pop_front()?;
        self.bytes -= oldest.held.bytes.len() + BESIDE;
        Some(oldest)
    }

    /// What was matched before this time the other agent has told.
    pub fn expire(&mut self, keep_from: u64) {
        while self.events.front().is_some_and(|e| e.at < keep_from) {
            self.pop();
        }
        while self.gone.front().is_some_and(|(_, at)| *at < keep_from) {
            self.gone.pop_front();
        }
    }

    /// Takes out all; how many are lost, as nobody tells them.
    pub fn take_all(&mut self, cut: &Cut) -> (Vec<Matched>, u64) {
        self.bytes = 0;
        let lost = self.gone.drain(..).filter(|(time, at)| cut.would_be_ours(*time, *at)).count();
        (
            self.events
                .drain(..)
                .filter(|e| matches!(cut, Cut::At { .. }) || cut.would_be_ours(e.time, e.at))
                .collect(),
            lost as u64,
        )
    }

    /// How many are held back.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}
