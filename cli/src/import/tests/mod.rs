//! What is imported means what the files mean, and is written so that it can be read.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod generate;
mod model;
mod writing;

use super::{Exceptions, ImportArgs, folder, objects};
use crate::args::Output;
use crds::files;
use engine::{
    compile::compile,
    plan::{HitOutcome, Plan, Scratch},
    rules_file::{Loaded, RulesText, load},
    source::Sources,
    testing::MapEvent,
};
use model::Facts;
use proptest::prelude::*;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

fn args(exceptions: Exceptions) -> ImportArgs {
    ImportArgs {
        files: Vec::new(),
        output: PathBuf::from("out"),
        namespace: "eyas-system".to_owned(),
        exceptions,
        library_name: "falco".to_owned(),
        force: false,
        report: Output::Text,
    }
}

fn loaded(texts: &[String]) -> Loaded {
    let names: Vec<String> = (0..texts.len()).map(|n| format!("file{n}.yaml")).collect();
    let texts: Vec<RulesText<'_>> = names.iter().zip(texts).map(|(name, text)| RulesText { name, text }).collect();
    let mut loaded = load(&texts);
    loaded.compile();
    loaded
}

/// The objects of an import as an agent reads them from a folder.
fn imported(loaded: &Loaded, exceptions: Exceptions) -> Sources {
    let objects = objects::make(loaded, &args(exceptions));
    assert!(objects.refused.is_empty(), "{:?}", objects.refused);
    let folder = tempfile::tempdir().unwrap();
    folder::write(folder.path(), &objects.files, false).unwrap();
    let read = files::load(&[folder.path()]);
    assert!(read.problems.is_empty(), "{:#?}", read.problems);
    read.sources("eyas-system")
}

fn planned(sources: &Sources) -> Plan {
    let compiled = compile(sources, None);
    for outcome in &compiled.outcomes {
        assert!(outcome.accepted, "{outcome:#?}");
    }
    Plan::new(Arc::new(compiled.ruleset)).unwrap()
}

/// Titles of the rules that match an event.
fn matches(plan: &Plan, facts: &Facts) -> BTreeSet<String> {
    let map = facts.iter().map(|(field, value)| (field.clone(), value.clone().into()));
    let map = map.chain([("evt.type".to_owned(), "open".into())]).collect();
    let event = MapEvent::from_map(&map).unwrap();
    let mut found = BTreeSet::new();
    plan.evaluate(&event, 0, &mut Scratch::default(), &mut |hit| {
        if hit.outcome == HitOutcome::Matched {
            found.insert(plan.ruleset().rules[hit.rule].title.clone());
        }
    });
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn imported_rules_match_as_the_files_do(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        more in proptest::collection::vec(any::<u8>(), 80),
    ) {
        let case = generate::case(&bytes);
        let loaded = loaded(&case.files);
        let errors: Vec<String> = loaded.problems.iter().filter(|p| p.is_error()).map(|p| p.render(false)).collect();
        prop_assert!(errors.is_empty(), "{}\n{:#?}", errors.join("\n"), case.files);
        let direct = planned(&loaded.sources("eyas-system", "falco"));
        let inline = planned(&imported(&loaded, Exceptions::Inline));
        let objects = planned(&imported(&loaded, Exceptions::Objects));
        for facts in generate::events(&more) {
            let expected: BTreeSet<String> =
                case.model.rules.keys().filter(|rule| case.model.matches(rule, &facts)).cloned().collect();
            for (how, plan) in [("direct", &direct), ("inline", &inline), ("objects", &objects)] {
                prop_assert_eq!(matches(plan, &facts), expected.clone(), "{} {:?} {:#?}", how, facts, case);
            }
        }
    }
}
