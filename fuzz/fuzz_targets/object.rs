//! Any text as a file of objects: read or refused with a place inside it, and what is read compiles or says why not.
#![no_main]
use crds::files::load_text;
use engine::compile::compile;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let loaded = load_text(Path::new("rules.yaml"), text);
    for problem in &loaded.problems {
        let _ = engine::diagnostic::render(&problem.diagnostic, false);
    }
    let compiled = compile(&loaded.sources("eyas-system"), None);
    for outcome in &compiled.outcomes {
        for problem in &outcome.diagnostics {
            let _ = problem.one_line();
        }
    }
});
