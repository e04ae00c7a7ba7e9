//! The plan against evaluation from left to right, over generated rules, exceptions and events.
//!
//! `EYAS_CASES=1000000 cargo test --release -p eyas-engine differential` is the long form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::{
    HitOutcome, Plan, Scratch,
    generate::{self, Naive, Rng},
};
use crate::{
    eval::{Truth, evaluate},
    event::Event,
    syntax::Expr,
};
use std::sync::Arc;

/// Events that each generated ruleset is tried with; each is a case.
const EVENTS: u64 = 64;

/// What a rule should come to; its exceptions are those of its parity.
fn expected(rule: usize, condition: &Naive, exceptions: &[Naive], event: &dyn Event) -> Option<HitOutcome> {
    match condition.evaluate(event) {
        Truth::False => None,
        Truth::Unknown => Some(HitOutcome::Pending),
        Truth::True => {
            let mut outcome = HitOutcome::Matched;
            for (at, exception) in exceptions.iter().enumerate().filter(|(at, _)| rule % 2 == at % 2) {
                match exception.evaluate(event) {
                    Truth::True => return Some(HitOutcome::Suppressed { exception: at }),
                    Truth::Unknown => outcome = HitOutcome::Pending,
                    Truth::False => {}
                }
            }
            Some(outcome)
        }
    }
}

#[test]
fn differential() {
    let (cases, first) = (generate::cases(2_000), generate::seed(1));
    let (mut scratch, mut hits) = (Scratch::default(), [0_u64; 4]);
    for seed in first..first + cases.div_ceil(EVENTS) {
        let mut rng = Rng(seed);
        // Most sets are small; in some, fields have so many literals that automata are made of them.
        let rules = if rng.one_in(24) { 80 } else { 1 + rng.below(8) };
        let pool: Vec<Expr> = (0..3).map(|_| generate::condition(&mut rng, &[], 2)).collect();
        let conditions: Vec<Expr> = (0..rules).map(|_| generate::condition(&mut rng, &pool, 3)).collect();
        let exceptions: Vec<Expr> = (0..rng.below(4)).map(|_| generate::condition(&mut rng, &pool, 2)).collect();
        let plan = Plan::new(Arc::new(generate::ruleset(&conditions, &exceptions))).unwrap();
        let naive: Vec<Naive> = conditions.iter().map(Naive::new).collect();
        let silencers: Vec<Naive> = exceptions.iter().map(Naive::new).collect();
        for n in 0..EVENTS {
            let event = generate::event(&mut rng);
            let mut found = vec![None; rules];
            plan.evaluate(&event, 0, &mut scratch, &mut |hit| {
                assert!(found[hit.rule].replace(hit.outcome).is_none(), "EYAS_SEED={seed}: rule {} twice", hit.rule);
            });
            for (rule, found) in found.into_iter().enumerate() {
                let expected = expected(rule, &naive[rule], &silencers, &event);
                hits[expected.map_or(0, |outcome| match outcome {
                    HitOutcome::Matched => 1,
                    HitOutcome::Suppressed { .. } => 2,
                    HitOutcome::Pending => 3,
                })] += 1;
                let told = || format!("EYAS_SEED={seed}: {}\n{event:?}", conditions[rule]);
                assert_eq!(found, expected, "{}", told());
                // The prepared form above is what is promised.
                if n == 0 && rule == 0 {
                    assert_eq!(
                        naive[rule].evaluate(&event),
                        evaluate(&conditions[rule], &event).unwrap(),
                        "{}",
                        told()
                    );
                }
            }
        }
    }
    println!("{cases} events: {} false, {} matched, {} silenced, {} pending", hits[0], hits[1], hits[2], hits[3]);
    // Not all of one kind: else little would have been compared.
    assert!(hits.iter().all(|n| n * 100 > hits.iter().sum::<u64>()), "{hits:?}");
}
