#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    index::{Change, Event},
    testing::{agent, all_synced, node, object, rule},
};
use crds::{DetectionRule, DetectionRuleStatus, Exception, ExceptionSpec};
use engine::{
    compile::{FailedTest, Inert},
    priority::Priority,
    ruleset::{Rule, Ruleset, SCHEMA_VERSION},
    source::{RuleSelector, RuleState},
};

const NOW: i64 = 10_000;

/// An index, a fleet and a ruleset that tests turn as they need, and read as status.
struct Scene {
    index: Index,
    history: History,
    outcomes: Vec<Outcome>,
    ruleset: Ruleset,
    now: i64,
}

fn id(name: &str) -> ObjectRef {
    ObjectRef { namespace: "eyas-system".to_owned(), name: name.to_owned() }
}

fn accepted(kind: ObjectKind, name: &str, generation: i64) -> Outcome {
    Outcome {
        kind,
        id: id(name),
        generation,
        accepted: true,
        kept_generation: None,
        diagnostics: Vec::new(),
        failed_test: None,
        unavailable_fields: Vec::new(),
        inert: None,
    }
}

fn compiled_rule(name: &str, generation: i64) -> Rule {
    let ast = engine::syntax::Expr::And(Vec::new());
    Rule {
        id: id(name),
        uid: format!("uid-{name}"),
        generation,
        title: name.to_owned(),
        description: String::new(),
        condition: ast,
        output: "x".to_owned(),
        priority: Priority::Warning,
        tags: Vec::new(),
        state: RuleState::Active,
        unavailable_fields: Vec::new(),
    }
}

impl Scene {
    fn new() -> Self {
        let mut index = Index::new("eyas-system");
        all_synced().into_iter().for_each(|c| {
            index.apply(c);
        });
        index.apply(node("n1"));
        let ruleset = Ruleset {
            schema: SCHEMA_VERSION,
            revision: "r0".to_owned(),
            rules: Vec::new(),
            exceptions: Vec::new(),
            routes: Vec::new(),
        };
        Self { index, history: History::default(), outcomes: Vec::new(), ruleset, now: NOW }
    }

    fn with_rule(mut self, name: &str, generation: i64) -> Self {
        self.index.apply(Change::Rule(Event::Apply(object(rule(name), generation))));
        self.outcomes.push(accepted(ObjectKind::Rule, name, generation));
        self.ruleset.rules.push(compiled_rule(name, generation));
        self
    }

    fn publish(&mut self, revision: &str) {
        self.ruleset.revision = revision.to_owned();
        self.history.push(Arc::new(Contents::of(&self.ruleset)));
    }

    fn agent(&mut self, name: &str, revision: &str) {
        self.index.apply(node(name));
        self.index.apply(Change::Agent(Event::Apply(agent(name, revision, self.now))));
    }

    fn updates(&self) -> Vec<Update> {
        let compiled = Compiled { ruleset: self.ruleset.clone(), outcomes: self.outcomes.clone() };
        let compilation = Compilation { published: true, ..Compilation::new(&compiled) };
        updates(World {
            index: &self.index,
            compilation: &compilation,
            history: &self.history,
            fleet: &self.index.fleet(self.now),
            now: Timestamp::from_second(self.now).unwrap(),
        })
    }

    /// The status of the only object that has one to write.
    fn status(&self) -> DetectionRuleStatus {
        let updates = self.updates();
        let [update] = updates.as_slice() else { panic!("{updates:#?}") };
        serde_json::from_value(update.body["status"].clone()).unwrap()
    }

    /// As if that status had been written and had come back.
    fn write_back(&mut self) {
        for update in self.updates() {
            let mut body = self.index.rules.get(&update.id).unwrap().good().unwrap().clone();
            body.status = Some(serde_json::from_value(update.body["status"].clone()).unwrap());
            let generation = body.metadata.generation.unwrap();
            self.index.apply(Change::Rule(Event::Apply(object::<DetectionRule>(body, generation))));
        }
    }
}

fn reason<'a>(conditions: &'a [Condition], type_: &str) -> (&'a str, &'a str) {
    let found = conditions::find(conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
    (found.status.as_str(), found.reason.as_str())
}

#[test]
fn a_rule_goes_from_no_agent_over_arming_to_ready() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Accepted"), ("True", "Compiled"));
    assert_eq!(reason(&status.conditions, "Ready"), ("False", "NoAgents"));
    assert_eq!(status.armed.as_deref(), Some("0/0"));

    scene.agent("n1", "r0");
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Ready"), ("False", "Arming"));
    let nodes = status.nodes.unwrap();
    assert_eq!((nodes.armed, nodes.desired), (0, 1));
    assert!(nodes.failing[0].reason.contains("r1 is wanted"), "{nodes:?}");

    scene.agent("n1", "r1");
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Armed"), ("True", "Armed"));
    assert_eq!(reason(&status.conditions, "Ready"), ("True", "Armed"));
    assert_eq!((status.armed.as_deref(), status.observed_generation), (Some("1/1"), Some(1)));
}

#[test]
fn what_has_been_written_is_not_written_again() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    scene.agent("n1", "r1");
    scene.write_back();
    assert_eq!(scene.updates(), []);
    scene.now += 60;
    assert_eq!(scene.updates(), [], "time alone changes nothing");
}

#[test]
fn a_change_of_another_rule_leaves_this_one_armed() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    scene.agent("n1", "r1");
    scene.write_back();
    let mut scene = scene.with_rule("b", 1);
    scene.publish("r2");
    let updates = scene.updates();
    assert_eq!(updates.iter().map(|u| u.id.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(updates[0].urgent);
}

#[test]
fn a_rule_whose_macro_changed_is_another_rule_although_its_generation_is_the_same() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    scene.agent("n1", "r1");
    scene.write_back();
    scene.ruleset.rules[0].output = "as if a macro had changed".to_owned();
    scene.publish("r2");
    assert_eq!(reason(&scene.status().conditions, "Ready"), ("False", "Arming"));
}

#[test]
fn a_bad_edit_stalls_and_says_that_the_last_good_one_stays_armed() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    scene.agent("n1", "r1");
    scene.index.apply(Change::Rule(Event::Apply(object(rule("a"), 2))));
    assert_eq!(scene.updates(), [], "not judged yet");
    let mut bad = accepted(ObjectKind::Rule, "a", 2);
    bad.accepted = false;
    bad.kept_generation = Some(1);
    bad.diagnostics.push(crds::source::problem("condition", "proc.nam = x", "unknown field proc.nam"));
    bad.diagnostics[0].code = "LOAD_ERR_COMPILE_CONDITION".to_owned();
    scene.outcomes = vec![bad];
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Accepted"), ("False", "InvalidCondition"));
    assert_eq!(reason(&status.conditions, "Stalled"), ("True", "InvalidCondition"));
    assert_eq!(reason(&status.conditions, "Armed"), ("True", "LastGoodArmed"));
    assert_eq!(reason(&status.conditions, "Ready"), ("False", "InvalidCondition"));
    let accepted = conditions::find(&status.conditions, "Accepted").unwrap();
    assert!(accepted.message.contains("unknown field proc.nam"), "{}", accepted.message);
    assert!(accepted.message.contains("generation 1, the last good one, stays in force"), "{}", accepted.message);
}

#[test]
fn a_failed_test_tells_the_part_of_the_condition_that_decided() {
    let mut written = rule("a");
    written.spec.condition = "evt.type = open and not proc.env[A] = b and fd.name startswith /etc".to_owned();
    written.spec.output = "x".to_owned();
    written.spec.tests = serde_json::from_value(json!([{
        "name": "below etc", "expect": "Match",
        "events": [{"evt.type": "open", "fd.name": "/tmp/x"}],
    }]))
    .unwrap();
    let rules = vec![crds::source::rule(&written)];
    let sources = engine::source::Sources { system_namespace: "eyas-system".to_owned(), rules, ..Default::default() };
    let outcome = engine::compile::compile(&sources, None).outcomes.remove(0);
    assert_eq!(message::reason(&outcome), "TestFailed");
    let sentence = "test \"below etc\", event 1: expected a match, found none; `fd.name startswith /etc` was false: fd.name=/tmp/x";
    let (text, short) = (message::text(&outcome), message::short(&outcome));
    // Before the warning about proc.env, which is not what keeps the rule out.
    assert!(text.starts_with(sentence) && text.contains("proc.env[A]"), "{text}");
    assert_eq!(short, sentence);
}

#[test]
fn a_rule_that_some_field_is_missing_for_says_which_and_is_armed() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.outcomes[0].unavailable_fields = vec!["evt.buffer".to_owned(), "proc.env[A]".to_owned()];
    scene.publish("r1");
    scene.agent("n1", "r1");
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Accepted"), ("True", "SomeFieldsUnavailable"));
    let accepted = conditions::find(&status.conditions, "Accepted").unwrap();
    assert!(accepted.message.starts_with("no hook supplies these fields yet: evt.buffer, proc.env[A]"), "{accepted:?}");
    assert_eq!(reason(&status.conditions, "Ready"), ("True", "Armed"));
    assert_eq!(status.armed.as_deref(), Some("1/1"));
}

#[test]
fn a_rule_that_no_event_can_match_yet_is_accepted_and_armed_nowhere() {
    for (inert, expected, word) in [
        (Inert::Fields, "FieldsUnavailable", "evt.buffer"),
        (Inert::EventTypes, "EventTypesUnavailable", "event types"),
        (Inert::Contradiction, "NeverMatches", "exclude each other"),
    ] {
        let mut scene = Scene::new().with_rule("a", 1);
        scene.outcomes[0].unavailable_fields = vec!["evt.buffer".to_owned()];
        scene.outcomes[0].inert = Some(inert);
        scene.publish("r1");
        scene.agent("n1", "r1");
        let status = scene.status();
        assert_eq!(reason(&status.conditions, "Accepted").0, "True");
        assert_eq!(reason(&status.conditions, "Armed"), ("False", expected));
        assert_eq!(reason(&status.conditions, "Ready"), ("False", expected));
        assert_eq!(status.armed.as_deref(), Some("0/1"));
        let armed = conditions::find(&status.conditions, "Armed").unwrap();
        assert!(armed.message.contains(word), "{armed:?}");
    }
}

#[test]
fn a_failed_test_and_a_disabled_rule() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.outcomes[0].accepted = false;
    scene.outcomes[0].failed_test =
        Some(FailedTest { index: 0, name: String::new(), event: Some(1), message: "expected a match".to_owned() });
    scene.ruleset.rules.clear();
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Accepted"), ("False", "TestFailed"));
    let accepted = conditions::find(&status.conditions, "Accepted").unwrap();
    assert_eq!(accepted.message, "tests[0], event 2: expected a match");
    assert_eq!(reason(&status.conditions, "Armed"), ("False", "NotAccepted"));

    let mut scene = Scene::new().with_rule("a", 1);
    let mut disabled = rule("a");
    disabled.spec.state = "Disabled".to_owned();
    scene.index.apply(Change::Rule(Event::Apply(object(disabled, 1))));
    scene.ruleset.rules.clear();
    scene.agent("n1", "r0");
    let status = scene.status();
    assert_eq!(reason(&status.conditions, "Ready"), ("True", "Disabled"), "so that Flux does not wait for ever");
    assert_eq!(status.armed.as_deref(), Some("-"));
}

#[test]
fn a_node_that_cannot_arm_it_is_named_with_its_reason() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    scene.agent("n1", "r1");
    let mut failing = agent("n2", "r1", NOW);
    if let crate::index::Body::Good(body) = &mut failing.body {
        let status = Arc::make_mut(body).status.as_mut().unwrap();
        status.rules = Some(crds::node_agent::AgentRules {
            armed: 0,
            failed: 1,
            failing: vec![crds::node_agent::FailingRule {
                rule: "eyas-system/a".to_owned(),
                reason: "hook open: no BTF".to_owned(),
            }],
            every_hook: vec![],
        });
    }
    scene.index.apply(node("n2"));
    scene.index.apply(Change::Agent(Event::Apply(failing)));
    let nodes = scene.status().nodes.unwrap();
    assert_eq!((nodes.armed, nodes.desired), (1, 2));
    assert_eq!((nodes.failing[0].node.as_str(), nodes.failing[0].reason.as_str()), ("n2", "hook open: no BTF"));
}

#[test]
fn progress_alone_is_not_urgent() {
    let mut scene = Scene::new().with_rule("a", 1);
    scene.publish("r1");
    for n in ["n1", "n2", "n3"] {
        scene.agent(n, "r0");
    }
    scene.write_back();
    scene.agent("n1", "r1");
    let updates = scene.updates();
    assert!(!updates[0].urgent, "1 of 3: {updates:#?}");
    scene.agent("n2", "r1");
    scene.agent("n3", "r1");
    assert!(scene.updates()[0].urgent, "3 of 3 turns conditions");
}

#[test]
fn an_exception_is_in_force_until_its_time_is_over() {
    let mut scene = Scene::new();
    let mut exception = Exception::new(
        "e",
        ExceptionSpec { reason: "known".to_owned(), rules: vec!["a".to_owned()], ..ExceptionSpec::default() },
    );
    exception.metadata.namespace = Some("eyas-system".to_owned());
    exception.spec.expires_at =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(NOW + 60).unwrap()));
    scene.index.apply(Change::Exception(Event::Apply(object(exception, 1))));
    scene.outcomes.push(accepted(ObjectKind::Exception, "e", 1));
    scene.ruleset.exceptions.push(engine::ruleset::Exception {
        id: id("e"),
        uid: String::new(),
        generation: 1,
        selector: RuleSelector::default(),
        rules: Vec::new(),
        condition: None,
        expires_at: Some(NOW + 60),
    });
    scene.publish("r1");
    scene.agent("n1", "r1");
    let conditions = scene.status().conditions;
    assert_eq!(reason(&conditions, "Ready"), ("True", "InForce"));
    assert_eq!(reason(&conditions, "Expired"), ("False", "InTime"));
    assert_eq!(next_deadline(&scene.index, &scene.index.fleet(NOW), NOW), Some(NOW + 60));
    scene.now = NOW + 60;
    let conditions = scene.status().conditions;
    assert_eq!(reason(&conditions, "Ready"), ("False", "Expired"));
    assert_eq!(reason(&conditions, "Expired"), ("True", "TimeIsOver"));
}
