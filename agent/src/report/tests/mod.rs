//! Alerts in, reports out, with a clock of our own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod survival;

use super::{render::Report, *};
use crds::policy_report::PolicyReport;
use engine::{priority::Priority, source::ObjectRef};
use router::alert::{Alert, Container, Pod};
use std::time::Duration;

const NODE: &str = "node-a";
const JOURNAL: uuid::Uuid = uuid::Uuid::from_u128(1);
/// 2026-11-24 in nanoseconds.
const DAY: i64 = 1_795_000_000_000_000_000;

fn limits() -> Limits {
    Limits { results: 4, all_results: 20, reports: 8, ..Limits::default() }
}

fn empty() -> Reports {
    let mut reports = Reports::new(limits(), NODE, JOURNAL, 0, vec![], vec![]);
    reports.read_back(vec![], 0);
    reports
}

/// An alert of rule `rule-<n>` in pod `pod`, `None`: on the host.
fn alert(rule: u8, pod: Option<u8>, count: u64) -> Alert {
    Alert {
        id: uuid::Uuid::nil(),
        node: NODE.into(),
        time: DAY + i64::from(rule),
        rule: format!("Rule {rule}"),
        policy: ObjectRef { namespace: "eyas-system".into(), name: format!("rule-{rule}") },
        priority: Priority::ALL[usize::from(rule) % 8],
        tags: vec!["container".into(), "mitre_credential_access".into(), "T1555".into()],
        source: "syscall".into(),
        output: format!("something happened by rule {rule}"),
        output_fields: serde_json::from_str(r#"{"proc.name": "cat", "fd.name": null, "proc.pid": 7}"#).unwrap(),
        fingerprint: "00112233445566ff".into(),
        count,
        last_time: DAY + 2_000_000_000,
        revision: "r1".into(),
        container: pod.map(|_| Container { id: "c0".into(), name: "app".into(), image: "localhost/web:1".into() }),
        pod: pod.map(|n| Pod {
            namespace: "shop".into(),
            name: format!("web-{n}"),
            uid: format!("{n:08x}-1111-2222-3333-444444444444"),
            service_account: "cart".into(),
        }),
        metadata_missing: false,
    }
}

fn scope(pod: u8) -> Scope {
    Scope::of(&alert(0, Some(pod), 1))
}

fn pod_report(write: &Write) -> &PolicyReport {
    match &write.action {
        WriteAction::Apply(Report::Pod(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_says_what_happened_where_and_how_often() {
    let mut reports = empty();
    reports.set_node_uid("node-uid".into());
    reports.record(&alert(3, Some(1), 2), 0);
    reports.record(&alert(3, Some(1), 5), 1);
    reports.record(&alert(4, Some(1), 1), 2);
    insta::assert_yaml_snapshot!(pod_report(&reports.due(3, 9)[0]));
}

#[test]
fn host_events_are_in_the_report_of_the_node() {
    let mut reports = empty();
    reports.record(&alert(0, None, 1), 0);
    let write = &reports.due(0, 9)[0];
    let WriteAction::Apply(Report::Node(report)) = &write.action else { panic!("{write:?}") };
    assert_eq!(write.name, "eyas-node-node-a");
    assert_eq!(report.spec.scope.as_ref().unwrap().kind.as_deref(), Some("Node"));
    assert_eq!(report.metadata.namespace, None);
}

#[test]
fn the_first_match_is_written_at_once_and_then_every_five_seconds() {
    let mut reports = empty();
    reports.record(&alert(1, Some(1), 1), 1000);
    let write = reports.due(1000, 9).remove(0);
    reports.record(&alert(1, Some(1), 1), 1100);
    assert_eq!(reports.due(1100, 9), [], "one at a time");
    reports.written(&write);
    assert_eq!(reports.next_due(), Some(6000));
    assert_eq!(reports.due(5999, 9), []);
    let write = reports.due(6000, 9).remove(0);
    assert_eq!(pod_report(&write).spec.results[0].properties["count"], "2");
    reports.written(&write);
    assert!(reports.is_clean());
    assert_eq!(reports.next_due(), None);
    reports.record(&alert(1, Some(1), 1), 60_000);
    assert_eq!(reports.due(60_000, 9).len(), 1, "after a quiet time at once again");
}

#[test]
fn a_new_result_is_written_within_a_second_a_few_times() {
    let mut reports = empty();
    reports.record(&alert(7, Some(1), 1), 0);
    let mut now = 0;
    let mut times = vec![];
    for rule in [3, 2, 1, 0, 4, 5] {
        let write = reports.due(now, 9).remove(0);
        reports.written(&write);
        times.push(now);
        let mut one = alert(rule, Some(1), 1);
        one.priority = Priority::Critical;
        one.fingerprint = format!("{rule}");
        reports.record(&one, now);
        if rule == 3 {
            reports.record(&one, now + 1);
        }
        now = reports.next_due().unwrap();
    }
    assert_eq!(times, [0, 500, 1000, 1500, 6500, 11_500]);
    // A credit is back.
    let write = reports.due(now, 9).remove(0);
    reports.written(&write);
    let mut one = alert(1, Some(1), 1);
    one.fingerprint = "one more".into();
    reports.record(&one, 31_000);
    assert_eq!(reports.due(31_000, 9).len(), 1);
    one.fingerprint = "two more".into();
    reports.record(&one, 31_100);
    assert_eq!(reports.next_due(), None, "one is under way");
}

#[test]
fn a_clock_set_back_holds_nothing_back_for_longer_than_the_spacing() {
    let mut reports = empty();
    reports.record(&alert(1, Some(1), 1), 10_000_000);
    let write = reports.due(10_000_000, 9).remove(0);
    reports.written(&write);
    reports.record(&alert(1, Some(1), 1), 1000);
    assert_eq!(reports.due(1000, 9), []);
    assert_eq!(reports.due(6000, 9).len(), 1);
}

#[test]
fn while_the_api_is_away_all_wait_and_nothing_is_lost() {
    let mut reports = empty();
    for pod in 0..3 {
        reports.record(&alert(1, Some(pod), 1), 0);
    }
    let writes = reports.due(0, 9);
    assert_eq!(writes.len(), 3);
    for write in &writes {
        reports.failed(write, Failure::Away, 100);
    }
    let resume = reports.next_due().unwrap();
    assert!((475..=600).contains(&resume), "{resume}");
    assert_eq!(reports.due(resume - 1, 9), []);
    reports.record(&alert(1, Some(0), 41), resume);
    let again = reports.due(resume, 9);
    assert_eq!(again.len(), 3);
    assert_eq!(pod_report(&again[0]).spec.results[0].properties["count"], "42");
    // Failure upon failure waits longer, and never longer than the limit.
    let (mut now, mut last) = (resume, 0);
    let mut writes = again;
    for _ in 0..20 {
        for write in &writes {
            reports.failed(write, Failure::Away, now);
        }
        last = reports.next_due().unwrap() - now;
        now += last;
        writes = reports.due(now, 9);
    }
    assert!((22_500..=30_000).contains(&last), "{last}");
}

#[test]
fn a_refused_report_waits_alone() {
    let mut reports = empty();
    reports.record(&alert(1, Some(1), 1), 0);
    let refused = reports.due(0, 9).remove(0);
    reports.failed(&refused, Failure::Refused, 0);
    reports.record(&alert(1, Some(2), 1), 1);
    let next = reports.due(1, 9);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].scope, scope(2));
}

#[test]
fn a_report_whose_namespace_is_gone_is_dropped_and_counted() {
    let mut reports = empty();
    reports.record(&alert(1, Some(1), 7), 0);
    let write = reports.due(0, 9).remove(0);
    reports.failed(&write, Failure::NamespaceGone, 0);
    assert_eq!(reports.counts().dropped, 7);
    assert!(reports.is_clean() && reports.book(&scope(1)).is_none());
}

#[test]
fn the_least_important_result_goes_first_and_is_counted() {
    let mut reports = empty();
    // Rules 0 to 7 are Emergency to Debug.
    for rule in (0..8).rev() {
        reports.record(&alert(rule, Some(1), 10), 0);
    }
    let write = reports.due(0, 9).remove(0);
    let report = pod_report(&write);
    let rules: Vec<&str> = report.spec.results.iter().map(|r| r.policy.as_str()).collect();
    assert_eq!(rules, ["rule-0", "rule-1", "rule-2", "rule-3"]);
    let notes = report.metadata.annotations.as_ref().unwrap();
    assert_eq!((notes["eyas.dev/evicted-results"].as_str(), notes["eyas.dev/evicted-matches"].as_str()), ("4", "40"));
    assert_eq!(report.spec.summary.unwrap().fail, 4);
}

#[test]
fn a_report_of_hostile_text_stays_within_its_bytes() {
    let mut reports = Reports::new(Limits::default(), NODE, JOURNAL, 0, vec![], vec![]);
    reports.read_back(vec![], 0);
    for n in 0..300_u32 {
        let mut one = alert(1, Some(1), 1);
        one.fingerprint = n.to_string();
        one.output = "\"\\\u{1}".repeat(2000);
        for field in 0..40 {
            one.output_fields.insert(format!("proc.aname[{field}]"), "\"".repeat(5000).into());
        }
        reports.record(&one, 0);
    }
    let write = reports.due(0, 9).remove(0);
    let report = pod_report(&write);
    let bytes = serde_json::to_vec(report).unwrap().len();
    assert!((100_000..512 * 1024).contains(&bytes), "{bytes}");
    for result in &report.spec.results {
        assert!(result.message.as_ref().unwrap().len() <= 1024);
        assert!(result.properties.values().all(|value| value.len() <= 256));
    }
    let kept: u64 = report.spec.results.iter().map(|r| r.properties["count"].parse::<u64>().unwrap()).sum();
    let evicted: u64 = report.metadata.annotations.as_ref().unwrap()["eyas.dev/evicted-matches"].parse().unwrap();
    assert_eq!(kept + evicted, 300);
}

#[test]
fn names_fit_and_tell_pods_of_one_name_apart() {
    let long = Scope::Pod { namespace: "a".into(), name: "x".repeat(253), uid: "ABCDEF01-2345".into() };
    let name = long.report_name(NODE);
    assert!(name.len() <= 253 && name.ends_with("-abcdef01"), "{name}");
    assert_eq!(scope(1).report_name(NODE), "eyas-web-1-00000001");
}

#[test]
fn a_report_is_deleted_a_day_after_its_pod_is_gone() {
    let mut reports = empty();
    let uid = scope(1).uid().to_owned();
    reports.pods_listed([uid.clone()].into(), 0);
    reports.record(&alert(1, Some(1), 1), 0);
    let write = reports.due(0, 9).remove(0);
    reports.written(&write);
    reports.pod_gone(&uid, 10_000);
    let write = reports.due(10_000, 9).remove(0);
    assert!(pod_report(&write).metadata.annotations.as_ref().unwrap().contains_key("eyas.dev/pod-gone-since"));
    reports.written(&write);
    let day = 24 * 3600 * 1000;
    assert_eq!(reports.next_due(), Some(10_000 + day));
    assert_eq!(reports.due(9_999 + day, 9), []);
    let write = reports.due(10_000 + day, 9).remove(0);
    assert_eq!(write.action, WriteAction::Delete);
    reports.written(&write);
    assert!(reports.book(&scope(1)).is_none());
}

#[test]
fn nothing_is_written_before_what_is_there_was_read() {
    let mut before = empty();
    before.record(&alert(1, Some(1), 10), 0);
    let write = before.due(0, 9).remove(0);
    let stored = Existing::of_pod(pod_report(&write), NODE).unwrap();
    assert_eq!(Existing::of_pod(pod_report(&write), "node-b"), None, "of another node");

    let mut after = Reports::new(limits(), NODE, uuid::Uuid::from_u128(2), 0, vec![], vec![]);
    after.record(&alert(1, Some(1), 3), 0);
    assert_eq!((after.due(0, 9), after.next_due()), (vec![], None));
    after.read_back(vec![stored], 0);
    let write = after.due(0, 9).remove(0);
    let result = &pod_report(&write).spec.results[0];
    assert_eq!(result.properties["count"], "13");
}

#[test]
fn what_was_read_back_and_not_added_to_is_not_written_again() {
    let mut before = empty();
    before.record(&alert(1, Some(1), 10), 0);
    let write = before.due(0, 9).remove(0);
    let stored = Existing::of_pod(pod_report(&write), NODE).unwrap();
    let book = before.book(&scope(1)).unwrap();
    assert_eq!(&stored.book, book, "reading loses nothing");
    let mut after = Reports::new(limits(), NODE, JOURNAL, 1, vec![], vec![]);
    after.pods_listed([scope(1).uid().to_owned()].into(), 0);
    after.read_back(vec![stored], 0);
    assert!(after.is_clean());
}

#[test]
fn a_match_that_comes_before_its_pod_does_not_leave_the_report_marked_as_gone() {
    let mut reports = empty();
    reports.pods_listed(Default::default(), 0);
    reports.record(&alert(1, Some(1), 1), 0);
    reports.pod_gone("another", 1);
    assert!(reports.book(&scope(1)).unwrap().gone_at.is_some());
    reports.pod_seen(scope(1).uid(), 2);
    assert_eq!(reports.book(&scope(1)).unwrap().gone_at, None);
}

#[test]
fn results_that_others_added_do_not_break_the_bounds() {
    let mut before = Reports::new(Limits::default(), NODE, JOURNAL, 0, vec![], vec![]);
    before.read_back(vec![], 0);
    for n in 0..50 {
        let mut one = alert(n % 8, Some(1), 1);
        one.fingerprint = n.to_string();
        before.record(&one, 0);
    }
    let write = before.due(0, 9).remove(0);
    let mut report = pod_report(&write).clone();
    report.spec.results[0].properties.clear();
    report.spec.results[1].properties.insert("count".into(), "many".into());
    report.spec.results[2].properties.insert("count".into(), u64::MAX.to_string());
    let stored = Existing::of_pod(&report, NODE).unwrap();
    assert_eq!(stored.book.findings.len(), 48, "what is none of ours is left out");
    let mut after = Reports::new(limits(), NODE, JOURNAL, 0, vec![], vec![]);
    after.read_back(vec![stored], 0);
    after.record(&alert(0, Some(1), u64::MAX), 0);
    assert_eq!(after.book(&scope(1)).unwrap().findings.len(), limits().results);
    assert_eq!(after.book(&scope(1)).unwrap().matches(), u64::MAX, "full, not wrapped");
}

#[test]
fn bounds_hold_over_all_reports() {
    let mut reports = empty();
    for n in 0..100_u8 {
        let mut one = alert(n % 8, Some(n % 10), 1);
        one.fingerprint = n.to_string();
        reports.record(&one, 0);
    }
    let counts = reports.counts();
    assert_eq!(counts.recorded, 80, "eight reports fit");
    assert_eq!(counts.refused, 20);
    let books: Vec<&Book> = (0..8).map(|pod| reports.book(&scope(pod)).unwrap()).collect();
    assert_eq!(books.iter().map(|book| book.matches()).sum::<u64>(), 80);
    assert!(books.iter().map(|book| book.findings.len()).sum::<usize>() <= 20);
}

#[test]
fn spacing_is_five_seconds_and_reports_stay_a_day() {
    let limits = Limits::default();
    assert_eq!((limits.spacing, limits.keep), (Duration::from_secs(5), Duration::from_secs(86_400)));
    assert!(limits.bytes < 512 * 1024 && limits.results == 200);
}
