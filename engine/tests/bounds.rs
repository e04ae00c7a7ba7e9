//! Input made to hurt: a clear error or a result, in memory that an operator's or agent's pod of 128 MB has.
//!
//! What is measured is the most that was held at once. The bounds are about one and a half times what was seen.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use engine::{
    compile::{check_condition, compile},
    plan::Plan,
    priority::Priority,
    ruleset,
    source::{Definitions, LibrarySource, Meta, ObjectRef, RuleSource, RuleState, Sources},
    syntax::parse_condition,
};
use peak_alloc::PeakAlloc;
use std::sync::{Arc, Mutex};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One at a time: what is held is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it; the most megabytes that it held at once, beyond what was held before.
fn megabytes<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = run();
    let held = ALLOCATOR.peak_usage().saturating_sub(before) >> 20;
    println!("{held} MB");
    (result, held)
}

fn library(macros: Vec<(String, String)>, lists: Vec<(String, Vec<String>)>) -> Sources {
    let id = ObjectRef { namespace: "eyas-system".into(), name: "library".into() };
    let library = LibrarySource { meta: Meta { id, ..Meta::default() }, definitions: Definitions { macros, lists } };
    Sources { system_namespace: "eyas-system".into(), libraries: vec![library], ..Sources::default() }
}

/// With a rule of this condition, too.
fn with_rule(condition: &str, mut sources: Sources) -> Sources {
    let id = ObjectRef { namespace: "eyas-system".into(), name: "rule".into() };
    sources.rules.push(RuleSource {
        meta: Meta { id, ..Meta::default() },
        title: "Rule".into(),
        description: String::new(),
        condition: condition.into(),
        output: "it happened".into(),
        priority: Priority::Warning,
        tags: Vec::new(),
        state: RuleState::Active,
        definitions: Definitions::default(),
        exceptions: Vec::new(),
        tenant_exceptions: None,
        tests: Vec::new(),
    });
    sources
}

/// Compiles, writes, reads and plans it; the megabytes that each held, beside what those before had made.
fn pipeline(sources: &Sources) -> [usize; 4] {
    let (compiled, compiling) = megabytes(|| compile(sources, None));
    assert!(compiled.outcomes.iter().all(|o| o.accepted), "{:?}", compiled.outcomes[0].diagnostics);
    let (bytes, writing) = megabytes(|| ruleset::encode(&compiled.ruleset));
    drop(compiled);
    let (read, reading) = megabytes(|| Arc::new(ruleset::decode(&bytes).unwrap()));
    let (plan, planning) = megabytes(|| Plan::new(read).unwrap());
    assert_eq!(plan.ruleset().rules.len(), 1);
    [compiling, writing, reading, planning]
}

fn within(held: [usize; 4], most: [usize; 4]) {
    assert!(held.iter().zip(most).all(|(held, most)| *held <= most), "{held:?} MB, more than {most:?}");
}

fn refused(text: &str, sources: &Sources) -> String {
    check_condition(text, sources).unwrap_err()[0].message.clone()
}

#[test]
fn a_hundred_thousand_brackets() {
    let _alone = ALONE.lock();
    for (open, close) in [("(", ")"), ("not (", ")"), ("not(", ")"), ("(proc.pid = 1 and ", ")"), ("(a or (", "))")] {
        let text =
            format!("{}proc.name = a{}", open.repeat(100_000 / open.matches('(').count()), close.repeat(100_000));
        let text = &text[..text.len().min(1 << 20)];
        let (error, held) = megabytes(|| parse_condition(text).unwrap_err());
        assert!(error.message.contains("nested deeper than 1000 levels"), "{open}: {}", error.message);
        assert!(held < 4, "{open}: {held} MB");
    }
    let text = format!("proc.name = {}proc.pname{}", "tolower(".repeat(100_000), ")".repeat(100_000));
    assert!(parse_condition(&text).unwrap_err().message.contains("transformers nested deeper than"));
    for text in [
        "[".repeat(100_000),
        format!("proc.aname{}", "[".repeat(100_000)),
        "proc.name in ".to_owned() + &"(".repeat(100_000),
    ] {
        parse_condition(&text).unwrap_err();
    }
}

#[test]
fn a_condition_of_a_megabyte() {
    let _alone = ALONE.lock();
    // As wide as it gets: every part counts, and one too many is refused.
    let part = "proc.pid=1 or ";
    let text = part.repeat((1 << 20) / part.len() - 1) + "a.b exists";
    let (error, held) = megabytes(|| refused(&text, &Sources::default()));
    assert!(error.contains("unknown field a.b"), "{error}");
    assert!(held < 50, "{held} MB");
    let text = part.repeat((1 << 20) / part.len() - 1) + "proc.pid=2";
    within(pipeline(&with_rule(&text, Sources::default())), [64, 24, 32, 40]);
    let text = format!("proc.name = \"{}\"", "x".repeat((1 << 20) - 14));
    let (result, held) = megabytes(|| check_condition(&text, &Sources::default()).is_ok());
    assert!(result && held < 8, "{held} MB");
    let longer = "x".repeat((1 << 20) + 1);
    assert!(refused(&longer, &Sources::default()).contains("longer than 1048576"));
}

#[test]
fn a_list_of_ten_megabytes() {
    let _alone = ALONE.lock();
    let items: Vec<String> = (0..600_000).map(|n| format!("item-of-a-list-{n:06}")).collect();
    let sources = library(Vec::new(), vec![("big".into(), items)]);
    let (result, held) = megabytes(|| check_condition("proc.name in (big)", &sources).is_ok());
    assert!(result && held < 50, "{held} MB");
    within(pipeline(&with_rule("evt.type = execve and proc.name in (big)", sources)), [50, 36, 56, 44]);
}

#[test]
fn a_million_items_and_one() {
    let _alone = ALONE.lock();
    let items = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    let sources = library(Vec::new(), vec![("ids".into(), items(1_000_000))]);
    within(pipeline(&with_rule("evt.type = execve and proc.pid in (ids)", sources)), [64, 36, 56, 76]);
    let sources = library(Vec::new(), vec![("ids".into(), items(1_000_001))]);
    assert!(refused("proc.pid in (ids)", &sources).contains("more than 1000000 items"));
    // Doubled ten times by name: it is the sum that counts.
    let mut lists = vec![("l0".to_owned(), items(2_000))];
    lists.extend((1..=10).map(|n| (format!("l{n}"), vec![format!("l{}", n - 1), format!("l{}", n - 1)])));
    assert!(refused("proc.pid in (l10)", &library(Vec::new(), lists)).contains("more than 1000000 items"));
}

#[test]
fn macros_and_lists_that_name_themselves() {
    let _alone = ALONE.lock();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
    let sources = library(pairs(&[("a", "a")]), Vec::new());
    assert!(refused("a", &sources).contains("macro a refers to itself: a -> a"));
    let sources = library(pairs(&[("a", "b and proc.pid = 1"), ("b", "not c"), ("c", "(a or b)")]), Vec::new());
    assert!(
        refused("b", &sources).contains("macro b refers to itself: b -> c -> a -> b"),
        "{}",
        refused("b", &sources)
    );
    let lists = vec![("l".to_owned(), vec!["m".to_owned()]), ("m".to_owned(), vec!["l".to_owned()])];
    assert!(refused("proc.name in (l)", &library(Vec::new(), lists)).contains("contains itself"));
}

#[test]
fn two_thousand_nested_macros() {
    let _alone = ALONE.lock();
    let chain = |n: usize, link: &str| {
        let mut macros = vec![("m0".to_owned(), "proc.name = a".to_owned())];
        macros.extend((1..n).map(|n| (format!("m{n}"), link.replace('@', &format!("m{}", n - 1)))));
        library(macros, Vec::new())
    };
    for link in ["@", "not @", "(@ and proc.pid = 1)"] {
        let sources = chain(2_000, link);
        let (error, held) = megabytes(|| refused("m1999", &sources));
        assert!(error.contains("levels"), "{link}: {error}");
        assert!(held < 8, "{link}: {held} MB");
        // Judging the library itself takes each of its macros once.
        let (compiled, held) = megabytes(|| compile(&sources, None));
        assert!(!compiled.outcomes[0].accepted && held < 8, "{link}: {held} MB");
    }
    // Doubled forty times: far more parts than any memory holds.
    let sources = chain(41, "@ or @");
    let (error, held) = megabytes(|| refused("m40", &sources));
    assert!(error.contains("more than 100000 parts"), "{error}");
    assert!(held < 12, "{held} MB");
}

#[test]
fn regular_expressions_that_would_blow_up() {
    let _alone = ALONE.lock();
    for regex in ["((a{100}){100}){100}", "(x{1000}){1000}", "\\\\pL{5000}", "a{99999999}"] {
        let text = format!("proc.name regex '{regex}'");
        let (error, held) = megabytes(|| refused(&text, &Sources::default()));
        assert!(error.contains("is no regular expression"), "{regex}: {error}");
        assert!(held < 8, "{regex}: {held} MB");
    }
    // Matching takes linear time whatever the expression: no engine that goes back.
    check_condition("proc.name regex '(a*)*b' or proc.name regex '(a|a)*$'", &Sources::default()).unwrap();
}
