//! What survives: kills at any moment, damaged files, an API server that does not answer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::{
    super::{journal::Journal, *},
    NODE, alert, limits, pod_report, scope,
};
use crds::policy_report::PolicyReport;
use proptest::prelude::*;
use router::alert::Alert;

/// A process that may be killed at any moment, with a state directory and an API that keep what they were given.
struct World {
    dir: tempfile::TempDir,
    stored: std::collections::BTreeMap<String, PolicyReport>,
    reports: Reports,
    journal: Journal,
    writes_at: std::collections::BTreeMap<String, Vec<i64>>,
    now: i64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (journal, restored) = Journal::open(dir.path()).unwrap();
        let mut reports = Reports::new(limits(), NODE, restored.id, restored.seq, restored.books, restored.tail);
        reports.read_back(vec![], 0);
        Self { dir, stored: Default::default(), reports, journal, writes_at: Default::default(), now: 0 }
    }

    fn kill_and_start(&mut self, api_back: bool) {
        let (journal, restored) = Journal::open(self.dir.path()).unwrap();
        assert_eq!(restored.bad_lines, 0);
        self.journal = journal;
        self.reports = Reports::new(limits(), NODE, restored.id, restored.seq, restored.books, restored.tail);
        self.writes_at.clear();
        if api_back {
            self.read_back();
        }
    }

    fn read_back(&mut self) {
        let existing = self.stored.values().map(|report| Existing::of_pod(report, NODE).unwrap()).collect();
        self.reports.read_back(existing, self.now);
    }

    fn record(&mut self, alert: &Alert) {
        if let Some(recorded) = self.reports.record(alert, self.now) {
            self.journal.append(&recorded);
        }
        self.journal.flush().unwrap();
    }

    /// Writes what is due. `told`: whether the answer comes back; a kill may come between.
    fn write(&mut self, answer: bool, reach: bool) {
        for write in self.reports.due(self.now, 9) {
            if reach {
                self.stored.insert(write.name.clone(), pod_report(&write).clone());
                self.writes_at.entry(write.name.clone()).or_default().push(self.now);
            }
            if answer && reach {
                self.reports.written(&write);
                self.journal.tidy(&self.reports).unwrap();
            } else if answer {
                self.reports.failed(&write, Failure::Away, self.now);
            }
        }
    }

    fn total(&self) -> u64 {
        let existing = self.stored.values().map(|report| Existing::of_pod(report, NODE).unwrap());
        existing.map(|existing| existing.book.matches()).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Match(u8, u8, u64),
    Wait(i64),
    Write,
    ApiAway,
    KillAfterWrite,
    Kill,
    KillApiAway,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8_u8, 0..3_u8, 1..50_u64).prop_map(|(rule, pod, count)| Step::Match(rule, pod, count)),
        3 => (1..9000_i64).prop_map(Step::Wait),
        3 => Just(Step::Write),
        1 => Just(Step::ApiAway),
        1 => Just(Step::KillAfterWrite),
        1 => Just(Step::Kill),
        1 => Just(Step::KillApiAway),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever fails or is killed, in whatever order: in the end the API has each match exactly once, and no report was
    /// written twice within five seconds by one process.
    #[test]
    fn every_match_is_in_a_report_exactly_once(steps in proptest::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        let mut recorded = 0;
        for step in steps {
            match step {
                Step::Match(rule, pod, count) => {
                    recorded += count;
                    world.record(&alert(rule, Some(pod), count));
                }
                Step::Wait(ms) => world.now += ms,
                Step::Write => {
                    if !world.reports.is_resolved() { world.read_back(); }
                    world.write(true, true);
                }
                Step::ApiAway => world.write(true, false),
                Step::KillAfterWrite => {
                    world.write(false, true);
                    world.kill_and_start(true);
                }
                Step::Kill => world.kill_and_start(true),
                Step::KillApiAway => world.kill_and_start(false),
            }
            for (name, at) in &world.writes_at {
                for (i, from) in at.iter().enumerate() {
                    for (more, to) in at[i..].iter().enumerate() {
                        let span = to - from;
                        // One, one per spacing, and the credits that there are and come back in this time.
                        prop_assert!(more as i64 <= 1 + span / 5000 + 4 + span / 30_000, "{name} {at:?}");
                    }
                }
            }
        }
        if !world.reports.is_resolved() { world.read_back(); }
        for _ in 0..3 {
            world.now += 60_000;
            world.write(true, true);
        }
        prop_assert!(world.reports.is_clean());
        prop_assert_eq!(world.total(), recorded);
    }
}

#[test]
fn a_journal_made_small_keeps_what_the_api_does_not_have() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, restored) = Journal::open(dir.path()).unwrap();
    let mut reports = Reports::new(limits(), NODE, restored.id, 0, vec![], vec![]);
    reports.read_back(vec![], 0);
    let path = dir.path().join(journal::FILE);
    let size = || std::fs::metadata(&path).unwrap().len();
    let mut recorded = 0;
    let mut largest = 0;
    for n in 0..20_000 {
        let recording = reports.record(&alert(n as u8 % 4, Some(n as u8 % 3), 1), 0).unwrap();
        recorded += 1;
        journal.append(&recording);
        journal.flush().unwrap();
        journal.tidy(&reports).unwrap();
        largest = largest.max(size());
    }
    assert!((1_000_000..9_000_000).contains(&largest), "{largest}");
    let (_, restored) = Journal::open(dir.path()).unwrap();
    let mut again = Reports::new(limits(), NODE, restored.id, restored.seq, restored.books, restored.tail);
    again.read_back(vec![], 0);
    let total: u64 = (0..3).map(|pod| again.book(&scope(pod)).unwrap().matches()).sum();
    assert_eq!((restored.bad_lines, total), (0, recorded));

    for write in reports.due(0, 9) {
        reports.written(&write);
    }
    journal.tidy(&reports).unwrap();
    assert!(size() < 200, "nothing is needed any more");
    let (_, restored) = Journal::open(dir.path()).unwrap();
    assert_eq!(restored.seq, recorded, "positions go on");
}

#[test]
fn damage_in_the_journal_loses_only_the_damaged_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, restored) = Journal::open(dir.path()).unwrap();
    let mut reports = Reports::new(limits(), NODE, restored.id, 0, vec![], vec![]);
    for pod in 0..3 {
        journal.append(&reports.record(&alert(1, Some(pod), 1), 0).unwrap());
    }
    journal.flush().unwrap();
    let path = dir.path().join(journal::FILE);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.truncate(text.len() - 20);
    std::fs::write(&path, &text).unwrap();
    let (mut journal, restored) = Journal::open(dir.path()).unwrap();
    assert_eq!((restored.tail.len(), restored.bad_lines), (2, 1));
    journal.append(&reports.record(&alert(1, Some(5), 1), 0).unwrap());
    journal.flush().unwrap();
    let (_, restored) = Journal::open(dir.path()).unwrap();
    assert_eq!((restored.tail.len(), restored.bad_lines), (3, 1));

    std::fs::write(&path, b"\xff\x00 no journal\n").unwrap();
    let (_, fresh) = Journal::open(dir.path()).unwrap();
    assert_ne!(fresh.id, restored.id);
    assert!(path.with_extension("bad").exists());
}

#[test]
fn a_deleted_report_does_not_come_back_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, restored) = Journal::open(dir.path()).unwrap();
    let mut reports = Reports::new(limits(), NODE, restored.id, 0, vec![], vec![]);
    journal.append(&reports.record(&alert(1, Some(1), 1), 0).unwrap());
    journal.append(&reports.record(&alert(1, Some(2), 1), 0).unwrap());
    journal.over(&scope(1));
    journal.flush().unwrap();
    let (_, restored) = Journal::open(dir.path()).unwrap();
    assert_eq!(restored.tail.iter().map(|r| r.scope.clone()).collect::<Vec<_>>(), [scope(2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any bytes in the file: it opens, and what is recorded from then on is there at the next start.
    #[test]
    fn a_journal_of_any_bytes_opens_and_goes_on(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..200_usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(journal::FILE);
        // Some lines that are ours, cut anywhere, and then garbage.
        let (mut journal, restored) = Journal::open(dir.path()).unwrap();
        let mut reports = Reports::new(limits(), NODE, restored.id, 0, vec![], vec![]);
        journal.append(&reports.record(&alert(1, Some(1), 1), 0).unwrap());
        journal.flush().unwrap();
        let mut content = std::fs::read(&path).unwrap();
        content.truncate(content.len().saturating_sub(cut));
        content.extend_from_slice(&bytes);
        std::fs::write(&path, content).unwrap();

        let (mut journal, before) = Journal::open(dir.path()).unwrap();
        let mut reports = Reports::new(limits(), NODE, before.id, before.seq, vec![], vec![]);
        journal.append(&reports.record(&alert(2, Some(2), 5), 0).unwrap());
        journal.flush().unwrap();
        let (_, after) = Journal::open(dir.path()).unwrap();
        prop_assert_eq!(after.id, before.id);
        prop_assert_eq!(after.tail.len(), before.tail.len() + 1);
        prop_assert_eq!(after.tail.last().map(|recorded| recorded.finding.count), Some(5));
    }
}
