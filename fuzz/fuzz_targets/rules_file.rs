//! Any text as a Falco rules file, alone and after itself: loaded with problems inside it, compiled, and never a panic.
#![no_main]
use engine::rules_file::{RulesText, is_rules_file, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = is_rules_file(text);
    let first = RulesText { name: "first.yaml", text };
    let mut loaded = load(&[first, RulesText { name: "second.yaml", text }]);
    loaded.compile();
    let lines = text.lines().count() + 1;
    for problem in &loaded.problems {
        assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1, "{problem:?}");
        let _ = problem.render(false);
    }
});
