#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use proptest::prelude::*;
use router::batch::{Counters, ExceptionCounter, RuleCounter};

const T0: u64 = 1_795_486_053_000;

fn id(name: &str) -> ObjectRef {
    ObjectRef { namespace: "n".to_owned(), name: name.to_owned() }
}

/// A batch that tells `total` matches of rule r, of which `acknowledged` were told before.
fn batch(agent: u128, seq: u64, total: u64, acknowledged: u64) -> Batch {
    let tally = |matches| Tally { matches, ..Tally::default() };
    let rule = RuleCounter {
        id: id("r"),
        total: tally(total),
        acknowledged: tally(acknowledged),
        first_seen: Some(1_000_000_000 * 100),
        last_seen: Some(1_000_000_000 * (100 + i64::try_from(seq).unwrap())),
    };
    let counters = Counters { rules: vec![rule], exceptions: vec![] };
    Batch { node: "a".to_owned(), agent: Uuid::from_u128(agent), seq, alerts: vec![], counters }
}

fn there(uid: &str, matches: u64) -> Option<Known> {
    Some(Known { uid: uid.to_owned(), total: Tally { matches, ..Tally::default() }, ..Known::default() })
}

fn total(due: &[Due]) -> Option<u64> {
    match due {
        [Due::Write { status, .. }] => status["matches"]["total"].as_u64(),
        _ => None,
    }
}

/// Reads as status `known`, and returns the write that is due then.
fn settle(sums: &mut Sums, known: Option<Known>, now: u64) -> Vec<Due> {
    assert_eq!(sums.due(now), [Due::Read(Kind::Rule, id("r"))]);
    sums.known(Kind::Rule, &id("r"), known);
    sums.due(now)
}

fn write(sums: &mut Sums, due: &[Due], now: u64) {
    for d in due {
        if let Due::Write { kind, id, status, .. } = d {
            sums.written(*kind, id, status.clone(), now);
        }
    }
}

#[test]
fn the_first_match_is_due_at_once_then_every_thirty_seconds() {
    let mut sums = Sums::default();
    assert!(sums.apply(&batch(1, 1, 1, 0), T0));
    let due = settle(&mut sums, there("u", 0), T0);
    assert_eq!(total(&due), Some(1));
    let Due::Write { status, uid, .. } = &due[0] else { unreachable!() };
    assert_eq!(uid, "u");
    assert_eq!(status["matches"]["firstSeen"], "1970-01-01T00:01:40Z");
    assert_eq!(status["matches"]["lastSeen"], "1970-01-01T00:01:41Z");
    assert_eq!(status["lostEvents"], 0);
    write(&mut sums, &due, T0);
    assert_eq!(sums.due(T0 + 1), []);
    assert!(!sums.apply(&batch(1, 2, 5, 1), T0 + 1000));
    assert_eq!(sums.due(T0 + EVERY - 1), []);
    let due = sums.due(T0 + EVERY);
    assert_eq!(total(&due), Some(5));
    write(&mut sums, &due, T0 + EVERY);
    // Told again, nothing new: nothing to write.
    sums.apply(&batch(1, 3, 5, 5), T0 + 2 * EVERY);
    assert_eq!(sums.due(T0 + 3 * EVERY), []);
}

#[test]
fn agents_add_up_and_a_repeated_batch_does_not() {
    let mut sums = Sums::default();
    sums.apply(&batch(1, 1, 3, 0), T0);
    assert!(sums.has_seen(&batch(1, 1, 3, 0)) && !sums.has_seen(&batch(1, 2, 3, 0)));
    sums.apply(&batch(1, 1, 3, 0), T0);
    sums.apply(&batch(2, 1, 4, 0), T0);
    // A restarted agent counts from zero.
    sums.apply(&batch(3, 1, 2, 0), T0);
    assert_eq!(total(&settle(&mut sums, there("u", 0), T0)), Some(9));
}

#[test]
fn sums_go_on_over_a_restart_of_the_router_with_and_without_its_state() {
    let mut sums = Sums::default();
    sums.apply(&batch(1, 1, 10, 0), T0);
    let due = settle(&mut sums, there("u", 0), T0);
    write(&mut sums, &due, T0);
    let state = serde_json::to_vec(&sums).unwrap();

    let mut with = Sums::read(&state).unwrap();
    assert!(with.has_seen(&batch(1, 1, 10, 0)));
    with.apply(&batch(1, 2, 12, 10), T0 + 1);
    assert_eq!(total(&settle(&mut with, there("u", 10), T0 + 1)), Some(12));

    // Without: the agent says what of its 12 was acknowledged, status says how many that made.
    let mut without = Sums::default();
    without.apply(&batch(1, 2, 12, 10), T0 + 1);
    assert_eq!(total(&settle(&mut without, there("u", 10), T0 + 1)), Some(12));

    // A state older than the last write: the agent's total covers the gap.
    let mut old = Sums::read(&state).unwrap();
    old.apply(&batch(1, 9, 30, 25), T0 + 1);
    assert_eq!(total(&settle(&mut old, there("u", 25), T0 + 1)), Some(30));
    assert!(Sums::read(b"{\"agents\": 7}").is_err());
}

#[test]
fn a_rule_made_anew_starts_with_what_came_since() {
    let mut sums = Sums::default();
    sums.apply(&batch(1, 1, 10, 0), T0);
    let due = settle(&mut sums, there("old", 0), T0);
    write(&mut sums, &due, T0);
    sums.apply(&batch(1, 2, 11, 10), T0 + EVERY);
    assert_eq!(total(&sums.due(T0 + EVERY)), Some(11));
    // The write for the old UID is refused.
    sums.failed(Kind::Rule, &id("r"), true, T0 + EVERY);
    assert_eq!(total(&settle(&mut sums, there("new", 0), T0 + EVERY)), Some(1));
}

#[test]
fn an_object_that_is_gone_is_forgotten_and_a_failed_write_comes_again() {
    let mut sums = Sums::default();
    sums.apply(&batch(1, 1, 1, 0), T0);
    assert_eq!(settle(&mut sums, None, T0), []);
    sums.apply(&batch(1, 2, 2, 1), T0);
    assert_eq!(total(&settle(&mut sums, there("u", 0), T0)), Some(1));
    sums.failed(Kind::Rule, &id("r"), false, T0);
    assert_eq!(sums.due(T0 + 1), []);
    assert_eq!(total(&sums.due(T0 + 2000)), Some(1));
}

#[test]
fn the_last_day_forgets_by_the_hour() {
    let mut sums = Sums::default();
    sums.apply(&batch(1, 1, 3, 0), T0);
    let due = settle(&mut sums, there("u", 0), T0);
    write(&mut sums, &due, T0);
    let day = |due: &[Due]| match due {
        [Due::Write { status, .. }] => status["matches"]["last24h"].as_u64(),
        _ => None,
    };
    assert_eq!(day(&due), Some(3));
    assert_eq!(sums.due(T0 + 3_600_000), []);
    assert_eq!(day(&sums.due(T0 + 24 * 3_600_000)), Some(0));
}

#[test]
fn exceptions_count_too() {
    let mut sums = Sums::default();
    let mut b = batch(1, 1, 0, 0);
    let last_matched = Some(1_000_000_000 * 100);
    b.counters.exceptions = vec![ExceptionCounter { id: id("x"), suppressed: 4, acknowledged: 1, last_matched }];
    assert!(sums.apply(&b, T0));
    assert_eq!(sums.due(T0), [Due::Read(Kind::Exception, id("x"))]);
    let total = Tally { suppressed: 1, ..Tally::default() };
    sums.known(Kind::Exception, &id("x"), Some(Known { uid: "u".to_owned(), total, ..Known::default() }));
    let due = sums.due(T0);
    let Due::Write { status, .. } = &due[0] else { unreachable!() };
    assert_eq!(*status, serde_json::json!({"suppressed": 4, "lastMatched": "1970-01-01T00:01:40Z"}));
}

/// What may happen on the way, from first principles: an agent counts, a batch arrives once or twice or its answer is lost,
/// the agent is restarted and tells first what is not known to be kept, the sums go to disk now and then and before each
/// write of status, the router is killed at any moment and goes on from its disk.
#[derive(Clone, Debug)]
enum Step {
    Count(u8, u8),
    Send(u8),
    LoseAnswer(u8),
    RestartAgent(u8),
    Save,
    WriteStatus,
    KillRouter,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0u8..3;
    prop_oneof![
        4 => (agent.clone(), 1u8..9).prop_map(|(a, n)| Step::Count(a, n)),
        3 => agent.clone().prop_map(Step::Send),
        1 => agent.clone().prop_map(Step::LoseAnswer),
        1 => agent.prop_map(Step::RestartAgent),
        1 => Just(Step::Save),
        1 => Just(Step::WriteStatus),
        1 => Just(Step::KillRouter),
    ]
}

/// One life of an agent: what it counted, what its batches told, what it knows to be on the router's disk.
#[derive(Clone, Debug, Default)]
struct Life {
    id: u128,
    seq: u64,
    total: u64,
    told: Vec<(u64, u64)>,
    kept: u64,
}

/// The router, its disk and the rule's status in the API server.
#[derive(Default)]
struct World {
    sums: Sums,
    disk: Vec<u8>,
    status: u64,
}

impl World {
    fn send(&mut self, life: &mut Life, answered: bool) {
        life.seq += 1;
        let sent = batch(life.id, life.seq, life.total, life.kept);
        self.sums.apply(&sent, T0);
        life.told.push((life.seq, life.total));
        if answered {
            let kept = self.sums.kept(sent.agent);
            life.kept = life.told.iter().filter(|(seq, _)| *seq <= kept).map(|(_, n)| *n).max().unwrap_or(0);
        }
    }

    fn save(&mut self) {
        self.disk = self.sums.snapshot();
        self.sums.saved();
    }

    fn write_status(&mut self) {
        for _ in 0..2 {
            // Far apart, so that nothing is held back.
            let due = self.sums.due(T0 + self.sums.version() * EVERY);
            self.save();
            for d in due {
                match d {
                    Due::Read(kind, id) => self.sums.known(kind, &id, there("u", self.status)),
                    Due::Write { kind, id, status, .. } => {
                        self.status = status["matches"]["total"].as_u64().unwrap();
                        self.sums.written(kind, &id, status, T0);
                    }
                }
            }
        }
    }

    fn kill(&mut self) {
        self.sums = if self.disk.is_empty() { Sums::default() } else { Sums::read(&self.disk).unwrap() };
    }
}

proptest! {
    #[test]
    fn no_match_is_counted_twice_or_forgotten(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::default();
        let (mut all, mut ids) = (0u64, 3u128);
        let mut agents = [1, 2, 3].map(|id| Life { id, ..Life::default() });
        let mut ended: Vec<Life> = Vec::new();
        for step in steps {
            match step {
                Step::Count(a, n) => {
                    agents[usize::from(a)].total += u64::from(n);
                    all += u64::from(n);
                }
                Step::Send(a) => world.send(&mut agents[usize::from(a)], true),
                Step::LoseAnswer(a) => world.send(&mut agents[usize::from(a)], false),
                Step::RestartAgent(a) => {
                    ids += 1;
                    let next = Life { id: ids, ..Life::default() };
                    ended.push(std::mem::replace(&mut agents[usize::from(a)], next));
                }
                Step::Save => world.save(),
                Step::WriteStatus => world.write_status(),
                Step::KillRouter => world.kill(),
            }
        }
        // In the end all is told again that is not known to be kept.
        for life in ended.iter_mut().chain(&mut agents) {
            if life.kept < life.total {
                world.send(life, true);
            }
        }
        world.write_status();
        prop_assert_eq!(world.status, all);
    }
}
