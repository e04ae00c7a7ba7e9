#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::testing::alert;
use proptest::prelude::*;

fn of(n: u64, rule: &str, fingerprint: &str) -> Alert {
    Alert { rule: rule.to_owned(), fingerprint: fingerprint.to_owned(), ..alert(n) }
}

fn by_rule(wait: u64, repeat_after: u64) -> Grouper {
    Grouper::new(Some(Grouping { by: vec![Key::Rule], wait, repeat_after }), State::default())
}

fn drain(g: &mut Grouper, now: u64) -> Vec<Message> {
    std::iter::from_fn(|| g.poll(now)).collect()
}

fn ids(m: &Message) -> Vec<u128> {
    m.alerts.iter().map(|a| a.id.as_u128()).collect()
}

#[test]
fn without_grouping_each_alert_goes_at_once_under_its_own_id() {
    let mut g = Grouper::new(None, State::default());
    g.offer(0, alert(1));
    g.offer(0, alert(1));
    let out = drain(&mut g, 0);
    assert_eq!(out.iter().map(|m| m.id).collect::<Vec<_>>(), [alert(1).id, alert(1).id]);
    assert_eq!(g.next_due(), None);
}

#[test]
fn a_group_waits_for_more_and_goes_out_once() {
    let mut g = by_rule(100, 1000);
    g.offer(0, of(1, "a", "x"));
    g.offer(50, of(2, "a", "y"));
    g.offer(60, of(3, "b", "x"));
    assert_eq!(drain(&mut g, 99), []);
    assert_eq!(g.next_due(), Some(100));
    let out = drain(&mut g, 100);
    assert_eq!(out.len(), 1);
    assert_eq!(ids(&out[0]), [1, 2]);
    assert_eq!(out[0].group["rule"], "a");
    assert_eq!(ids(&drain(&mut g, 160)[0]), [3]);
}

#[test]
fn repeats_are_folded_and_told_after_repeat_after_but_news_is_not_held() {
    let mut g = by_rule(10, 1000);
    g.offer(0, of(1, "a", "x"));
    assert_eq!(drain(&mut g, 10).len(), 1);
    for n in 2..7 {
        g.offer(20, of(n, "a", "x"));
    }
    g.offer(500, of(7, "a", "new"));
    assert_eq!(ids(&drain(&mut g, 510)[0]), [7]);
    assert_eq!(drain(&mut g, 1009), []);
    let out = drain(&mut g, 1010);
    assert_eq!(ids(&out[0]), [2]);
    assert_eq!(out[0].alerts[0].count, 5);
    assert_eq!(out[0].alerts[0].last_time, alert(6).time);
    // Quiet for long enough: forgotten, so the next is news again.
    assert_eq!(drain(&mut g, 5000), []);
    assert_eq!(g.next_due(), None);
    g.offer(5000, of(9, "a", "x"));
    assert_eq!(g.next_due(), Some(5010));
}

#[test]
fn the_same_alert_twice_before_the_group_goes_is_one_with_a_count() {
    let mut g = by_rule(10, 0);
    g.offer(0, of(1, "a", "x"));
    g.offer(1, of(2, "a", "x"));
    let out = drain(&mut g, 10);
    assert_eq!((ids(&out[0]), out[0].alerts[0].count), (vec![1], 2));
}

#[test]
fn a_full_group_goes_early_and_too_many_groups_push_the_first_out() {
    let mut g = by_rule(1000, 0);
    for n in 0..MAX_ALERTS as u64 {
        g.offer(0, of(n, "a", &n.to_string()));
    }
    assert_eq!(drain(&mut g, 0)[0].alerts.len(), MAX_ALERTS);
    let mut g = by_rule(1000, 0);
    for n in 0..=MAX_GROUPS as u64 {
        g.offer(n, of(n, &format!("rule {n}"), "x"));
    }
    assert_eq!(ids(&drain(&mut g, 999)[0]), [0]);
}

#[test]
fn words_that_nothing_can_be_grouped_by_are_refused() {
    assert!("ruel".parse::<Key>().unwrap_err().to_string().contains("proc.name"));
    assert_eq!("proc.name".parse(), Ok(Key::Field("proc.name".to_owned())));
    let a = alert(1);
    let value = |k: &str| k.parse::<Key>().unwrap().value(&a);
    assert_eq!(
        (value("pod"), value("evt.num"), value("user.name")),
        ("shop/web-0".to_owned(), "1".to_owned(), String::new())
    );
}

proptest! {
    /// No event is lost or told twice, whatever comes when; and a replay gives the same messages, also one that looks at
    /// what is due only as the next alert comes (`late`).
    #[test]
    fn every_event_is_told_once(
        offers in proptest::collection::vec((0u64..200, 0usize..4, 0usize..6, 1u64..4), 1..120),
        wait in 0u64..150, repeat in 0u64..400, restart in 0usize..120,
    ) {
        let run = |restart: Option<usize>, late: bool| {
            let mut g = by_rule(wait, repeat);
            let (mut now, mut out, mut total) = (0, Vec::new(), 0);
            for (i, (gap, rule, fp, count)) in offers.iter().enumerate() {
                let then = now + gap;
                while let Some(at) = g.next_due().filter(|at| !late && *at <= then) {
                    out.extend(drain(&mut g, at));
                }
                now = then;
                out.extend(drain(&mut g, now));
                if restart == Some(i) {
                    let bytes = serde_json::to_vec(g.state()).unwrap();
                    g = Grouper::new(g.grouping.clone(), serde_json::from_slice(&bytes).unwrap());
                }
                let mut a = of(i as u64, &format!("r{rule}"), &format!("f{fp}"));
                a.count = *count;
                total += count;
                g.offer(now, a);
            }
            while let Some(at) = g.next_due() {
                now = now.max(at);
                out.extend(drain(&mut g, now));
            }
            (out, total, g.held())
        };
        let (out, total, held) = run(None, false);
        prop_assert_eq!(held, 0);
        prop_assert_eq!(out.iter().flat_map(|m| &m.alerts).map(|a| a.count).sum::<u64>(), total);
        let mut seen: Vec<_> = out.iter().map(|m| m.id).collect();
        seen.sort();
        seen.dedup();
        prop_assert_eq!(seen.len(), out.len());
        prop_assert_eq!(&run(Some(restart), false).0, &out);
        prop_assert_eq!(&run(None, true).0, &out);
    }
}
