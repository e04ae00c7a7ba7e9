//! Conformance of the condition language, as tables: what the grammar takes, what it refuses and where, and what each
//! operator says of each type of value.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "conformance/accept.rs"]
mod accept;
#[path = "conformance/refuse.rs"]
mod refuse;

use engine::syntax::parse_condition;

#[test]
fn the_grammar_takes() {
    let mut wrong = Vec::new();
    for (group, texts) in accept::ACCEPT {
        for text in *texts {
            if let Err(error) = parse_condition(text) {
                wrong.push(format!("{group}: {text:?}: {}", error.one_line()));
            }
        }
    }
    let count: usize = accept::ACCEPT.iter().map(|(_, texts)| texts.len()).sum();
    println!("{count} conditions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_grammar_refuses_at_the_right_place() {
    let mut wrong = Vec::new();
    for (group, cases) in refuse::REFUSE {
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
    let count: usize = refuse::REFUSE.iter().map(|(_, cases)| cases.len()).sum();
    println!("{count} conditions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
