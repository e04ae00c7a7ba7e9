//! The detector's part in a handover (`crate::handover`).
use super::{Detector, aside::Aside};
use crate::{
    handover::{Cut, Duty, MAX_EVENTS, mark},
    probe::record::{Record, decode},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::Ordering::Relaxed,
};

/// Longer than two times of one event are apart.
const LONG: u64 = 60_000_000_000;

/// What this agent has told, for the one after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// All that came until the end was told.
    pub is_whole: bool,
    /// Since the end was asked for: what was told, and when it happened.
    pub around: Vec<(u64, u64)>,
}

/// What the detector keeps for it.
#[derive(Debug)]
pub(super) struct OnDuty {
    duty: Duty,
    /// As of the last look.
    stands_by: bool,
    pub aside: Aside,
    cut: Option<Cut>,
    around: VecDeque<(u64, u64)>,
    pub is_whole: bool,
}

impl OnDuty {
    pub fn new(duty: Duty) -> Self {
        let stands_by = duty.stands_by();
        Self { duty, stands_by, aside: Aside::default(), cut: None, around: VecDeque::new(), is_whole: true }
    }

    pub fn stands_by(&self) -> bool {
        self.stands_by
    }

    /// Whether an event is left to the agent after this one.
    pub fn is_the_next_ones(&self, time: u64) -> bool {
        let ending = self.duty.ending();
        ending != 0 && time > ending
    }

    /// Of an event that some rule matches, or may: whether the agent before this one has told it. To be asked once for each.
    pub fn was_told(&mut self, record: &Record<'_>) -> bool {
        let time = record.header.time;
        if self.cut.as_mut().is_some_and(|cut| cut.was_told(time, || mark(record))) {
            return true;
        }
        if self.duty.ending() != 0 {
            if self.around.len() >= MAX_EVENTS {
                self.around.pop_front();
            }
            self.around.push_back((mark(record), time));
        }
        false
    }

    pub fn told(&mut self) -> Told {
        Told { is_whole: self.is_whole, around: self.around.drain(..).collect() }
    }

    /// What came around the cut has been read by now: lets go of what was told.
    pub fn forget(&mut self) {
        if let Some(Cut::At { time, .. }) = &self.cut
            && self.duty.read_until() > time.saturating_add(LONG)
        {
            self.cut = None;
        }
    }
}

impl Detector {
    /// Takes over when it is time; until then forgets what the one that watches has told.
    pub(super) fn on_duty(&mut self) {
        if !self.duty.stands_by {
            return;
        }
        if !self.duty.duty.stands_by()
            && let Some(cut) = self.duty.duty.take_cut()
        {
            self.take_over(cut);
        } else {
            self.duty.aside.expire(self.duty.duty.kept_from());
        }
        self.duty.duty.holds(self.duty.aside.len());
    }

    fn take_over(&mut self, mut cut: Cut) {
        self.duty.stands_by = false;
        let (aside, lost) = self.duty.aside.take_all(&cut);
        self.status.losses().alerts.fetch_add(lost, Relaxed);
        let waiting = self.hold.take_all();
        // In the order in which they came, and of an event that is in both once.
        let mut numbers: Vec<_> = aside.iter().map(|e| &e.held).chain(&waiting).map(|h| (h.number, &h.bytes)).collect();
        numbers.sort_by_key(|(number, _)| *number);
        numbers.dedup_by_key(|(number, _)| *number);
        let mut told = |bytes: &[u8]| decode(bytes).is_ok_and(|r| cut.was_told(r.header.time, || mark(&r)));
        let told: HashMap<u64, bool> = numbers.into_iter().map(|(number, bytes)| (number, told(bytes))).collect();
        let is_ours = |number: u64| told.get(&number) == Some(&false);
        self.duty.cut = Some(cut);
        let events = told.values().filter(|told| !**told).count();
        for event in aside.into_iter().filter(|e| is_ours(e.held.number)) {
            self.judge_again(event.held, event.last);
        }
        for held in waiting.into_iter().filter(|h| is_ours(h.number)) {
            // There were no more before.
            let _ = self.hold.push(held);
        }
        tracing::info!(events, lost, "given out what was held back");
        if lost > 0 {
            tracing::warn!(
                events = lost,
                "matches were given up while standing by: there was no room to hold them back"
            );
        }
    }

    /// All that happened until `time`, CLOCK_BOOTTIME in nanoseconds, was read from the ring.
    pub fn read_until(&self, time: u64) {
        self.duty.duty.read(time);
    }
}
