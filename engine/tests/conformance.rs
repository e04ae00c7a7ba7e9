//! Conformance of the condition language, as tables: what the grammar takes, what it refuses and where, and what each
//! operator says of each type of value.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "conformance/accept.rs"]
mod accept;
#[path = "conformance/falco.rs"]
mod falco;
#[path = "conformance/refuse.rs"]
mod refuse;
#[path = "conformance/semantics/mod.rs"]
mod semantics;

use engine::{
    compile::{check_condition, compile},
    priority::Priority,
    source::{Expect, Meta, ObjectRef, RuleSource, RuleState, RuleTest, Sources},
    syntax::parse_condition,
};

#[test]
fn the_grammar_takes() {
    let mut wrong = Vec::new();
    for (group, texts) in accept::ACCEPT.iter().chain(falco::ACCEPT) {
        for text in *texts {
            if let Err(error) = parse_condition(text) {
                wrong.push(format!("{group}: {text:?}: {}", error.one_line()));
            }
        }
    }
    let count: usize = accept::ACCEPT.iter().chain(falco::ACCEPT).map(|(_, texts)| texts.len()).sum();
    println!("{count} conditions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_grammar_refuses_at_the_right_place() {
    let mut wrong = Vec::new();
    for (group, cases) in refuse::REFUSE.iter().chain(falco::REFUSE) {
        for (text, place, message) in *cases {
            match parse_condition(text) {
                Ok(_) => wrong.push(format!("{group}: {text:?} is taken")),
                Err(error) => {
                    let told = error.one_line();
                    if !told.starts_with(&format!("condition:{place}: error LOAD_ERR_COMPILE_CONDITION: {message}")) {
                        wrong.push(format!("{group}: {text:?}: wanted {place} {message}, told {told}"));
                    }
                }
            }
        }
    }
    let count: usize = refuse::REFUSE.iter().chain(falco::REFUSE).map(|(_, cases)| cases.len()).sum();
    println!("{count} conditions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A rule of this condition whose test is the event.
fn rule(condition: &str, event: &str, holds: bool) -> RuleSource {
    let id = ObjectRef { namespace: "eyas-system".into(), name: "rule".into() };
    let event = serde_json::from_str(event).unwrap();
    let expect = if holds { Expect::Match } else { Expect::NoMatch };
    RuleSource {
        meta: Meta { id, ..Meta::default() },
        title: "Rule".into(),
        description: String::new(),
        condition: condition.into(),
        output: "it happened".into(),
        priority: Priority::Warning,
        tags: Vec::new(),
        state: RuleState::Active,
        definitions: engine::source::Definitions::default(),
        exceptions: Vec::new(),
        tenant_exceptions: None,
        tests: vec![RuleTest { name: String::new(), events: vec![event], expect }],
    }
}

#[test]
fn operators_say_of_each_type_what_they_should() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for table in semantics::TABLES.iter().copied().flatten() {
        for (condition, holds) in table.rows {
            count += 1;
            let rules = vec![rule(condition, table.event, *holds)];
            let sources = Sources { system_namespace: "eyas-system".into(), rules, ..Sources::default() };
            for outcome in compile(&sources, None).outcomes.iter().filter(|o| !o.accepted) {
                let told = outcome.diagnostics.iter().map(engine::diagnostic::Diagnostic::one_line);
                let failed = outcome.failed_test.iter().map(|t| t.message.clone());
                let told = told.chain(failed).collect::<Vec<_>>().join("; ");
                wrong.push(format!("{}: {condition}: {told}", table.name));
            }
        }
    }
    println!("{count} comparisons");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_does_not_fit_a_field_is_refused_at_its_place() {
    let mut wrong = Vec::new();
    for (condition, place, message) in semantics::UNFIT {
        match check_condition(condition, &Sources::default()) {
            Ok(_) => wrong.push(format!("{condition}: is taken")),
            Err(problems) => {
                let told: Vec<_> = problems.iter().map(engine::diagnostic::Diagnostic::one_line).collect();
                let wanted = format!("condition:{place}: error LOAD_ERR_COMPILE_CONDITION: {message}");
                if !told.iter().any(|t| t.starts_with(&wanted)) {
                    wrong.push(format!("{condition}: wanted {place} {message}, told {told:?}"));
                }
            }
        }
    }
    println!("{} conditions", semantics::UNFIT.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_conditions_in_the_documentation_are_what_it_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (mut block, mut taken, mut refused) = ("", 0, 0);
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = if block.is_empty() { kind } else { "" };
            continue;
        }
        match (block, check_condition(line, &Sources::default())) {
            ("condition", Ok(_)) => taken += 1,
            ("refused", Err(_)) => refused += 1,
            ("condition", Err(problems)) => panic!("{line}: {}", problems[0].one_line()),
            ("refused", Ok(_)) => panic!("{line}: is taken"),
            _ => {}
        }
    }
    assert!(taken >= 10 && refused >= 15, "{taken} and {refused}");
}
