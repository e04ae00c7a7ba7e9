//! What was told by the agent before, and what is left to this one.
use super::{AROUND, MAX_EVENTS, Note, nanos};
use std::collections::HashMap;

/// See the module. Times are nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug)]
pub enum Cut {
    /// All events up to a moment were told, and around it those named.
    At {
        /// The moment.
        time: u64,
        /// Before this the time alone decides.
        named_from: u64,
        /// Times of those told, by what they are; sorted.
        told: HashMap<u64, Vec<u64>>,
    },
    /// It is not known what was told: whatever was matched before this time has arrived.
    Since(u64),
}

impl Cut {
    /// By the note of the one that left.
    #[must_use]
    pub fn of(note: &Note) -> Self {
        let mut told: HashMap<u64, Vec<u64>> = HashMap::new();
        for (mark, time) in &note.told {
            told.entry(*mark).or_default().push(*time);
        }
        told.values_mut().for_each(|times| times.sort_unstable());
        let mut named_from = note.cut.saturating_sub(nanos(AROUND));
        if note.told.len() >= MAX_EVENTS {
            named_from = named_from.max(note.told.iter().map(|(_, time)| *time).min().unwrap_or_default());
        }
        Self::At { time: note.cut, named_from, told }
    }

    /// Whether the event of `time` was told by the other agent. Each event that was told answers for one; to be asked once for each,
    /// in the order in which they came. `mark` is asked only where the time alone does not say. Of calls of one thread that are alike
    /// the nearest is taken: which one it is makes no difference, how many they are does.
    pub fn was_told(&mut self, event: u64, mark: impl FnOnce() -> u64) -> bool {
        let Self::At { time, named_from, told } = self else { return false };
        let around = nanos(AROUND);
        if event < *named_from {
            return true;
        }
        if event > time.saturating_add(around) {
            return false;
        }
        let Some(times) = told.get_mut(&mark()) else { return false };
        let after = times.partition_point(|t| *t <= event);
        let near = [after.checked_sub(1), (after < times.len()).then_some(after)].into_iter().flatten();
        let nearest = near.map(|n| (times[n].abs_diff(event), n)).min().filter(|(apart, _)| *apart <= around / 2);
        nearest.is_some_and(|(_, n)| {
            times.remove(n);
            true
        })
    }

    /// Whether a match is this agent's to tell that was to be held back for want of room: of an event of `event`, made at `matched`.
    #[must_use]
    pub fn would_be_ours(&self, event: u64, matched: u64) -> bool {
        match self {
            Self::At { time, .. } => event > *time,
            Self::Since(from) => matched >= *from,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const MILLI: u64 = 1_000_000;
    const T: u64 = 1_000 * MILLI;

    fn cut(told: &[(u64, u64)]) -> Cut {
        Cut::of(&Note::new(T, told.to_vec()))
    }

    #[test]
    fn far_from_the_cut_the_time_decides() {
        let mut cut = cut(&[]);
        assert!(cut.was_told(T - 51 * MILLI, || 1));
        assert!(!cut.was_told(T - 49 * MILLI, || 1), "not named: told again rather than lost");
        assert!(!cut.was_told(T + 51 * MILLI, || 1));
    }

    #[test]
    fn around_the_cut_each_event_named_answers_for_one() {
        // This agent stamps each of them later than the other did, or earlier.
        for shift in [-3_000_i64, 3_000] {
            let at = |n: u64| (T - n).checked_add_signed(shift).unwrap();
            let mut cut = cut(&[(1, T - 9_000), (1, T - 4_000), (2, T - 1_000)]);
            assert!(cut.was_told(at(9_000), || 1) && cut.was_told(at(4_000), || 1));
            assert!(!cut.was_told(T + 1_000, || 1), "the same call of the same thread once more");
            assert!(cut.was_told(at(1_000), || 2));
            assert!(!cut.was_told(T + 4_000, || 2));
        }
    }

    #[test]
    fn without_a_note_nothing_is_taken_for_told() {
        let mut cut = Cut::Since(T);
        assert!(!cut.was_told(0, || 1) && cut.would_be_ours(0, T) && !cut.would_be_ours(T + 1, T - 1));
    }

    #[test]
    fn of_too_many_the_latest_are_named() {
        let told: Vec<_> = (0..MAX_EVENTS as u64).map(|n| (n, T - 10 * MILLI + n)).collect();
        let mut cut = cut(&told);
        assert!(cut.was_told(T - 11 * MILLI, || 99_999_999));
        assert!(!cut.was_told(T - 9 * MILLI, || 99_999_999));
    }

    proptest! {
        /// Calls of a few threads, many of them alike, seen by two agents that stamp each with another delay; the cut lies between the
        /// two times of one of them. Each is told by one.
        #[test]
        fn each_event_is_told_once(
            calls in prop::collection::vec((0u64..3, prop_oneof![1u64..2_000, 1u64..600_000], 0u64..900, 0u64..900), 1..600),
            (order, at, within) in (any::<bool>(), any::<prop::sample::Index>(), 0u64..1_000),
        ) {
            let mut now = [0; 3];
            let mut events = Vec::new();
            for (thread, pause, first, second) in calls {
                // A thread makes one call at a time: both agents stamp it before the next one.
                let at = now[thread as usize] + pause + 1_000;
                now[thread as usize] = at + 2_000;
                let (a, b) = if order { (at + first, at + 1_000 + second) } else { (at + 1_000 + second, at + first) };
                events.push((thread, a, b));
            }
            let (_, a, b) = *at.get(&events);
            let cut_at = a.min(b) + a.abs_diff(b) * within / 1_000;
            events.iter_mut().for_each(|(_, a, b)| (*a, *b) = (T + *a - cut_at, T + *b - cut_at));
            events.sort_by_key(|e| e.1);
            let told: Vec<_> = events.iter().filter(|e| e.1 <= T).map(|(mark, a, _)| (*mark, *a)).collect();
            let named: Vec<_> = told.iter().copied().filter(|(_, a)| *a >= T - 100 * MILLI).collect();
            let mut cut = cut(&named);
            events.sort_by_key(|e| e.2);
            let ours = events.iter().filter(|(mark, _, b)| !cut.was_told(*b, || *mark)).count();
            prop_assert_eq!(ours + told.len(), events.len());
        }
    }
}
