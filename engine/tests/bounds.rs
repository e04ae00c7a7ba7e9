//! Input made to hurt: a clear error or a result, in bounded memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use engine::{
    compile::{check_condition, compile},
    source::{Definitions, LibrarySource, Meta, ObjectRef, Sources},
    syntax::parse_condition,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, sync::Mutex};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One at a time: what is allocated is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it; the megabytes that it allocated in all, freed ones too: more than it ever held at once.
fn megabytes<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let region = Region::new(ALLOCATOR);
    let result = run();
    (result, region.change().bytes_allocated >> 20)
}

fn library(macros: Vec<(String, String)>, lists: Vec<(String, Vec<String>)>) -> Sources {
    let id = ObjectRef { namespace: "eyas-system".into(), name: "library".into() };
    let library = LibrarySource { meta: Meta { id, ..Meta::default() }, definitions: Definitions { macros, lists } };
    Sources { system_namespace: "eyas-system".into(), libraries: vec![library], ..Sources::default() }
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
        let (error, allocated) = megabytes(|| parse_condition(text).unwrap_err());
        assert!(error.message.contains("nested deeper than 1000 levels"), "{open}: {}", error.message);
        assert!(allocated < 16, "{open}: {allocated} MB");
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
    let (error, allocated) = megabytes(|| refused(&text, &Sources::default()));
    assert!(error.contains("unknown field a.b"), "{error}");
    assert!(allocated < 256, "{allocated} MB");
    let text = format!("proc.name = \"{}\"", "x".repeat((1 << 20) - 14));
    let (result, allocated) = megabytes(|| check_condition(&text, &Sources::default()).is_ok());
    assert!(result && allocated < 32, "{allocated} MB");
    let longer = "x".repeat((1 << 20) + 1);
    assert!(refused(&longer, &Sources::default()).contains("longer than 1048576"));
}

#[test]
fn a_list_of_ten_megabytes() {
    let _alone = ALONE.lock();
    let items: Vec<String> = (0..600_000).map(|n| format!("item-of-a-list-{n:06}")).collect();
    let sources = library(Vec::new(), vec![("big".into(), items)]);
    let (result, allocated) = megabytes(|| check_condition("proc.name in (big)", &sources).is_ok());
    assert!(result && allocated < 400, "{allocated} MB");
}

#[test]
fn a_million_items_and_one() {
    let _alone = ALONE.lock();
    let items = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    let sources = library(Vec::new(), vec![("ids".into(), items(100_000))]);
    check_condition("proc.pid in (ids)", &sources).unwrap();
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
        let (error, allocated) = megabytes(|| refused("m1999", &sources));
        assert!(error.contains("levels"), "{link}: {error}");
        assert!(allocated < 64, "{link}: {allocated} MB");
        // Judging the library itself takes each of its macros once.
        let (compiled, allocated) = megabytes(|| compile(&sources, None));
        assert!(!compiled.outcomes[0].accepted && allocated < 1024, "{link}: {allocated} MB");
    }
    // Doubled forty times: far more parts than any memory holds.
    let sources = chain(41, "@ or @");
    let (error, allocated) = megabytes(|| refused("m40", &sources));
    assert!(error.contains("more than 100000 parts"), "{error}");
    assert!(allocated < 256, "{allocated} MB");
}

#[test]
fn regular_expressions_that_would_blow_up() {
    let _alone = ALONE.lock();
    for regex in ["((a{100}){100}){100}", "(x{1000}){1000}", "\\\\pL{5000}", "a{99999999}"] {
        let text = format!("proc.name regex '{regex}'");
        let (error, allocated) = megabytes(|| refused(&text, &Sources::default()));
        assert!(error.contains("is no regular expression"), "{regex}: {error}");
        assert!(allocated < 64, "{regex}: {allocated} MB");
    }
    // Matching takes linear time whatever the expression: no engine that goes back.
    check_condition("proc.name regex '(a*)*b' or proc.name regex '(a|a)*$'", &Sources::default()).unwrap();
}
