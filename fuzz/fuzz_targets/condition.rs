//! Any text: parsed or refused with a place inside it; what compiles is written in a form that reads back the same.
#![no_main]
use engine::{compile::check_condition, diagnostic::render, source::Sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let sources = Sources::default();
    match check_condition(text, &sources) {
        Ok((expr, _)) => {
            let written = expr.to_string();
            let read = check_condition(&written, &sources).expect("canonical text compiles").0;
            assert_eq!(read, expr, "{written}");
            let stored = serde_json::to_vec(&expr).expect("a condition is stored");
            let read: engine::syntax::Expr = serde_json::from_slice(&stored).expect("a stored condition is read");
            assert_eq!(read, expr, "{written}");
        }
        Err(problems) => problems.iter().for_each(|problem| {
            assert!(problem.span.end as usize <= text.len());
            let _ = render(problem, true);
        }),
    }
});
