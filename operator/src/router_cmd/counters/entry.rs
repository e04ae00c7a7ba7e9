//! One object's sums, its status, and when that is due.
use super::EVERY;
use router::batch::Tally;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HOUR: u64 = 3_600_000;
/// Hours that `last24h` covers: the running one and the 23 before.
const DAY: u64 = 24;
const NANOS: i64 = 1_000_000_000;

/// The hour of a time in milliseconds.
pub(super) fn hour(now: u64) -> u64 {
    now / HOUR
}

/// What came after `known`.
pub(super) fn since(total: Tally, known: Tally) -> Tally {
    Tally {
        matches: total.matches.saturating_sub(known.matches),
        suppressed: total.suppressed.saturating_sub(known.suppressed),
        lost: total.lost.saturating_sub(known.lost),
    }
}

/// The greater of each.
pub(super) fn greater(a: Tally, b: Tally) -> Tally {
    Tally { matches: a.matches.max(b.matches), suppressed: a.suppressed.max(b.suppressed), lost: a.lost.max(b.lost) }
}

/// What an object's status said when it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Its UID.
    pub uid: String,
    /// For a rule: its counters; for an exception only `suppressed`.
    pub total: Tally,
    /// `matches.firstSeen`, seconds since 1970.
    pub first_seen: Option<i64>,
    /// `matches.lastSeen` or `lastMatched`, seconds since 1970.
    pub last_seen: Option<i64>,
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Status says so already.
    Same,
    /// Not yet.
    Later,
    /// Status was not read since the start.
    Read,
    /// For the object with this UID.
    Write(String),
}

/// When an object was written, and what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    uid: String,
    #[serde(skip)]
    read: bool,
    #[serde(skip)]
    status: Option<Value>,
    #[serde(skip)]
    at: Option<u64>,
    #[serde(skip)]
    not_before: u64,
}

impl Pace {
    pub fn due(&self, status: &Value, now: u64) -> Turn {
        if now < self.not_before {
            return Turn::Later;
        }
        if !self.read {
            return Turn::Read;
        }
        if self.status.as_ref() == Some(status) {
            return Turn::Same;
        }
        // The clock may go back: then the wait is over.
        let waited = self.at.is_none_or(|at| now.checked_sub(at).is_none_or(|age| age >= EVERY));
        if waited { Turn::Write(self.uid.clone()) } else { Turn::Later }
    }

    pub fn written(&mut self, status: Value, now: u64) {
        self.status = Some(status);
        self.at = Some(now);
    }

    pub fn failed(&mut self, replaced: bool, now: u64) {
        self.read &= !replaced;
        self.not_before = now + if replaced { 0 } else { 2_000 };
    }

    /// Whether this is another object than the one that was counted for.
    fn learn(&mut self, uid: &str) -> bool {
        let other = !self.uid.is_empty() && self.uid != uid;
        uid.clone_into(&mut self.uid);
        self.read = true;
        if other {
            self.status = None;
            self.at = None;
        }
        other
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleEntry {
    total: Tally,
    /// Of `total`, what was counted since status was last written: a new object of the same name has only these.
    since_written: Tally,
    /// `total` holds what status said when this object was first heard of.
    based: bool,
    /// Matches by hour.
    hours: BTreeMap<u64, u64>,
    /// Seconds since 1970.
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    pub pace: Pace,
}

impl RuleEntry {
    /// Adds; returns whether it was the first match.
    pub fn add(&mut self, new: Tally, first: Option<i64>, last: Option<i64>, now: u64) -> bool {
        let is_first = self.total.matches == 0 && new.matches > 0;
        for sum in [&mut self.total, &mut self.since_written] {
            sum.matches = sum.matches.saturating_add(new.matches);
            sum.suppressed = sum.suppressed.saturating_add(new.suppressed);
            sum.lost = sum.lost.saturating_add(new.lost);
        }
        if new.matches > 0 {
            *self.hours.entry(hour(now)).or_default() += new.matches;
            self.hours.retain(|h, _| *h + DAY > hour(now));
            let (first, last) = (first.map(|t| t / NANOS), last.map(|t| t / NANOS));
            // The times of an agent cover its whole life: the first counts only while none is known.
            self.first_seen = self.first_seen.or(first);
            self.last_seen = self.last_seen.max(last);
        }
        is_first
    }

    /// Takes over what status says: added once, where this was not counted on top of it yet.
    pub fn learn(&mut self, known: &Known) {
        if self.pace.learn(&known.uid) {
            self.total = self.since_written;
            self.first_seen = self.last_seen;
            self.hours = self.hours.pop_last().into_iter().map(|(h, _)| (h, self.total.matches)).collect();
        } else if self.based {
            self.total = greater(self.total, known.total);
        } else {
            self.total = Tally {
                matches: self.total.matches.saturating_add(known.total.matches),
                suppressed: self.total.suppressed.saturating_add(known.total.suppressed),
                lost: self.total.lost.saturating_add(known.total.lost),
            };
        }
        self.based = true;
        self.first_seen = match (self.first_seen, known.first_seen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_seen = self.last_seen.max(known.last_seen);
    }

    /// A write succeeded.
    pub fn written(&mut self, status: Value, now: u64) {
        self.since_written = Tally::default();
        self.pace.written(status, now);
    }

    pub fn status(&self, now: u64) -> Value {
        let mut status = json!({"suppressed": self.total.suppressed, "lostEvents": self.total.lost});
        let day: u64 = self.hours.iter().filter(|(h, _)| **h + DAY > hour(now)).map(|(_, n)| n).sum();
        let mut matches = json!({"total": self.total.matches, "last24h": day});
        for (name, time) in [("firstSeen", self.first_seen), ("lastSeen", self.last_seen)] {
            if let Some(time) = time.and_then(rfc3339) {
                matches[name] = time.into();
            }
        }
        status["matches"] = matches;
        status
    }
}

/// An exception.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ExceptionEntry {
    suppressed: u64,
    since_written: u64,
    based: bool,
    last_matched: Option<i64>,
    pub pace: Pace,
}

impl ExceptionEntry {
    /// Adds; returns whether it was the first.
    pub fn add(&mut self, new: u64, last: Option<i64>) -> bool {
        let is_first = self.suppressed == 0;
        self.suppressed = self.suppressed.saturating_add(new);
        self.since_written = self.since_written.saturating_add(new);
        self.last_matched = self.last_matched.max(last.map(|t| t / NANOS));
        is_first
    }

    /// As for a rule.
    pub fn learn(&mut self, known: &Known) {
        if self.pace.learn(&known.uid) {
            self.suppressed = self.since_written;
        } else if self.based {
            self.suppressed = self.suppressed.max(known.total.suppressed);
        } else {
            self.suppressed = self.suppressed.saturating_add(known.total.suppressed);
        }
        self.based = true;
        self.last_matched = self.last_matched.max(known.last_seen);
    }

    /// A write succeeded.
    pub fn written(&mut self, status: Value, now: u64) {
        self.since_written = 0;
        self.pace.written(status, now);
    }

    pub fn status(&self) -> Value {
        let mut status = json!({"suppressed": self.suppressed});
        if let Some(time) = self.last_matched.and_then(rfc3339) {
            status["lastMatched"] = time.into();
        }
        status
    }
}

/// Seconds since 1970 as Kubernetes writes times.
fn rfc3339(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|t| t.to_string())
}
