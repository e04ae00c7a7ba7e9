//! Builders of conditions that keep transition times.
//!
//! A writer says what holds now; `merge` takes the time over from what was there unless `status` changed, so that an
//! unchanged condition is equal to the stored one and need not be written.
use crate::common::Condition;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// The spec is sound (and a rule's tests pass).
pub const ACCEPTED: &str = "Accepted";
/// Every live agent runs this rule.
pub const ARMED: &str = "Armed";
/// The object does what it says: kstatus, Flux and `kubectl wait` look here.
pub const READY: &str = "Ready";
/// A person must change something before it goes on (kstatus: Failed).
pub const STALLED: &str = "Stalled";
/// A live trigger fired the rule.
pub const VERIFIED: &str = "Verified";
/// The exception's time is over.
pub const EXPIRED: &str = "Expired";
/// A name is already taken by an older object.
pub const CONFLICT: &str = "Conflict";
/// The node loses events.
pub const DROPPING: &str = "Dropping";
/// The agent sheds events of low priority to keep to its budget.
pub const SHEDDING: &str = "Shedding";

/// Longest message that we write. The schema allows more; `etcd` and people prefer less.
const MAX_MESSAGE: usize = 8 * 1024;

/// What holds now, without a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

/// `type` is True.
#[must_use]
pub fn yes(type_: &'static str, reason: &str, message: impl Into<String>) -> Now {
    Now::new(type_, "True", reason, message.into())
}

/// `type` is False.
#[must_use]
pub fn no(type_: &'static str, reason: &str, message: impl Into<String>) -> Now {
    Now::new(type_, "False", reason, message.into())
}

/// Not known yet.
#[must_use]
pub fn unknown(type_: &'static str, reason: &str, message: impl Into<String>) -> Now {
    Now::new(type_, "Unknown", reason, message.into())
}

/// `yes` or `no` by a truth.
#[must_use]
pub fn truth(type_: &'static str, holds: bool, reason: &str, message: impl Into<String>) -> Now {
    if holds { yes(type_, reason, message) } else { no(type_, reason, message) }
}

impl Now {
    fn new(type_: &'static str, status: &'static str, reason: &str, mut message: String) -> Self {
        debug_assert!(is_pascal_case(reason), "{reason:?} is no reason: PascalCase only");
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
            message.truncate(end);
            message.push_str(" ...(cut)");
        }
        Self { type_, status, reason: reason.to_owned(), message }
    }
}

/// The pattern of `metav1.Condition.reason`, without its punctuation.
fn is_pascal_case(reason: &str) -> bool {
    reason.starts_with(|c: char| c.is_ascii_uppercase()) && reason.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Conditions to write: each of `now`, with the transition time of the same condition in `old` if its status is the same.
/// Conditions in `old` that `now` does not name are left out: they belong to another writer, or are over.
#[must_use]
pub fn merge(old: &[Condition], now: Vec<Now>, generation: Option<i64>, at: Timestamp) -> Vec<Condition> {
    // Kubernetes stores whole seconds: a time written with a fraction would come back different from what was written.
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    now.into_iter()
        .map(|now| {
            let before = old.iter().find(|c| c.type_ == now.type_ && c.status == now.status);
            Condition {
                type_: now.type_.to_owned(),
                status: now.status.to_owned(),
                reason: now.reason,
                message: now.message,
                last_transition_time: before.map_or_else(|| Time(at), |c| c.last_transition_time.clone()),
                observed_generation: generation,
            }
        })
        .collect()
}

/// The condition of that type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of that type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_only_with_the_status() {
        let first = merge(&[], vec![no(READY, "Compiling", "wait")], Some(1), at(10));
        let same = merge(&first, vec![no(READY, "NotArmed", "0 of 1")], Some(2), at(20));
        assert_eq!(same[0].last_transition_time.0, at(10));
        assert_eq!((same[0].reason.as_str(), same[0].observed_generation), ("NotArmed", Some(2)));
        let turned = merge(&same, vec![yes(READY, "Armed", "1 of 1")], Some(2), at(30));
        assert_eq!(turned[0].last_transition_time.0, at(30));
    }

    #[test]
    fn fractions_of_a_second_do_not_survive_the_api_and_are_not_written() {
        let t = Timestamp::new(10, 5_000).unwrap();
        assert_eq!(merge(&[], vec![yes(READY, "Armed", "")], None, t)[0].last_transition_time.0, at(10));
    }

    #[test]
    fn long_messages_are_cut_with_a_mark() {
        let c = &merge(&[], vec![no(READY, "Bad", "ä".repeat(9000))], None, at(1))[0];
        assert!(c.message.len() < MAX_MESSAGE + 16 && c.message.ends_with("(cut)"));
    }
}
