#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::{agent, node, object, rule, unreadable};

fn synced() -> Index {
    let mut index = Index::new("eyas-system");
    for change in crate::testing::all_synced() {
        index.apply(change);
    }
    index
}

#[test]
fn nothing_is_synced_before_every_list_was_complete_once() {
    let mut index = Index::new("eyas-system");
    for change in [Change::Rule(Event::InitDone), Change::Library(Event::InitDone), Change::Exception(Event::InitDone)]
    {
        index.apply(change);
        assert!(!index.sources_synced());
    }
    index.apply(Change::Route(Event::InitDone));
    assert!(index.sources_synced() && !index.fleet_synced());
}

#[test]
fn only_a_new_spec_asks_for_a_compile() {
    let mut index = synced();
    let apply =
        |index: &mut Index, generation| index.apply(Change::Rule(Event::Apply(object(rule("a"), generation)))).sources;
    assert!(apply(&mut index, 1), "a new object");
    assert!(!apply(&mut index, 1), "its status changed");
    assert!(apply(&mut index, 2), "its spec changed");
    let mut again = object(rule("a"), 2);
    again.uid = "another".to_owned();
    assert!(index.apply(Change::Rule(Event::Apply(again))).sources, "deleted and made anew in between");
    assert!(index.apply(Change::Rule(Event::Delete(object(rule("a"), 2).id))).sources);
    assert!(!index.apply(Change::Rule(Event::Delete(object(rule("a"), 2).id))).sources);
}

#[test]
fn a_watch_that_starts_anew_exchanges_the_table_whole() {
    let mut index = synced();
    index.apply(Change::Rule(Event::Apply(object(rule("gone"), 1))));
    index.apply(Change::Rule(Event::Apply(object(rule("stays"), 1))));
    index.apply(Change::Rule(Event::Init));
    index.apply(Change::Rule(Event::InitApply(object(rule("stays"), 1))));
    assert_eq!(index.sources().rules.len(), 2, "not emptied while the list is on its way");
    assert!(index.apply(Change::Rule(Event::InitDone)).sources);
    assert_eq!(index.sources().rules.len(), 1);
    // The same list again changes nothing.
    index.apply(Change::Rule(Event::Init));
    index.apply(Change::Rule(Event::InitApply(object(rule("stays"), 1))));
    assert!(!index.apply(Change::Rule(Event::InitDone)).sources);
}

#[test]
fn an_unreadable_object_is_a_source_with_a_problem_and_stalls_no_other() {
    let mut index = synced();
    index.apply(Change::Rule(Event::Apply(unreadable("bad"))));
    index.apply(Change::Rule(Event::Apply(object(rule("good"), 1))));
    let sources = index.sources();
    assert_eq!(sources.rules.len(), 2);
    assert_eq!(sources.rules[0].meta.id.name, "bad");
    assert!(sources.rules[0].meta.problems[0].message.contains("cannot be read"));
    assert!(sources.rules[1].meta.problems.is_empty());
}

#[test]
fn an_agent_lives_while_its_node_is_there_and_its_heart_beats() {
    let mut index = synced();
    let names = |index: &Index, now| index.fleet(now).agents.into_iter().map(|a| a.node).collect::<Vec<_>>();
    for name in ["n1", "n2", "no-node"] {
        index.apply(Change::Agent(Event::Apply(agent(name, "r1", 1000))));
    }
    index.apply(node("n1"));
    index.apply(node("n2"));
    assert_eq!(names(&index, 1100), ["n1", "n2"]);
    assert_eq!(index.fleet(1100).next_expiry, Some(1660));
    assert_eq!(names(&index, 1660), Vec::<String>::new());
    index.apply(Change::Agent(Event::Apply(agent("n2", "r1", 1600))));
    assert_eq!(names(&index, 1660), ["n2"]);
}

#[test]
fn a_new_agent_is_not_waited_for_and_a_stopped_one_counts_for_a_moment() {
    let mut index = synced();
    index.apply(node("new"));
    index.apply(node("stopped"));
    let mut new = agent("new", "", 1000);
    new.created = 1000;
    index.apply(Change::Agent(Event::Apply(new)));
    let mut stopped = agent("stopped", "r1", 1000);
    if let Body::Good(body) = &mut stopped.body {
        let status = std::sync::Arc::make_mut(body).status.as_mut().unwrap();
        let at = k8s_openapi::jiff::Timestamp::from_second(1000).unwrap();
        let no = crds::conditions::no(crds::conditions::READY, "Stopped", "the agent was stopped");
        status.conditions = crds::conditions::merge(&[], vec![no], None, at);
    }
    index.apply(Change::Agent(Event::Apply(stopped)));
    let seen = |now| index.fleet(now).agents.into_iter().map(|a| (a.node, a.revision, a.error)).collect::<Vec<_>>();
    let agent = |node: &str, revision: &str, error: &str| (node.to_owned(), revision.to_owned(), error.to_owned());
    assert_eq!(seen(1010), [agent("stopped", "r1", "")]);
    assert_eq!(index.fleet(1010).next_expiry, Some(1030));
    assert_eq!(seen(1030), [agent("stopped", "", "the agent was stopped")]);
    assert_eq!(index.fleet(1030).next_expiry, Some(1060));
    assert_eq!(seen(1060), [agent("new", "", ""), agent("stopped", "", "the agent was stopped")]);
}
