//! Tests of operators.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::{
    field::Kind,
    syntax::{Op, Quantifier, Text},
};
use rstest::rstest;

fn test(kind: Kind, op: Op, quantifier: Option<Quantifier>, literals: &[&str]) -> Test {
    let literals: Vec<Text> = literals.iter().map(|l| Text::from(*l)).collect();
    Test::build(kind, op, quantifier, &literals).unwrap()
}

#[rstest]
#[case(Op::Eq, "bash", "bash", true)]
#[case(Op::Eq, "bash", "Bash", false)]
#[case(Op::Ne, "bash", "sh", true)]
#[case(Op::Contains, "as", "bash", true)]
#[case(Op::Contains, "", "bash", true)]
#[case(Op::Icontains, "AS", "bash", true)]
#[case(Op::Bcontains, "6173", "bash", true)]
#[case(Op::Startswith, "ba", "bash", true)]
#[case(Op::Bstartswith, "62", "bash", true)]
#[case(Op::Endswith, "sh", "bash", true)]
#[case(Op::Endswith, "ba", "bash", false)]
#[case(Op::Glob, "/etc/*", "/etc/a/b", true)]
#[case(Op::Glob, "/etc/?", "/etc/ab", false)]
#[case(Op::Glob, "*.s[oa]", "/lib/x.so", true)]
#[case(Op::Glob, "[!a-c]*", "dog", true)]
#[case(Op::Glob, "[!a-c]*", "bog", false)]
#[case(Op::Glob, "[[:digit:]]", "7", true)]
#[case(Op::Glob, "[]]", "]", true)]
#[case(Op::Glob, "[a", "[a", true)]
#[case(Op::Glob, "\\*", "*", true)]
#[case(Op::Glob, "\\*", "x", false)]
#[case(Op::Glob, "*a*b*c", "xxaxxbxxbxxc", true)]
#[case(Op::Glob, "*a*b*c", "xxaxxbxxbxx", false)]
#[case(Op::Glob, "**", "", true)]
#[case(Op::Iglob, "B[A]S*", "bash", true)]
#[case(Op::Regex, "b.*h", "bash", true)]
#[case(Op::Regex, "as", "bash", false)]
#[case(Op::Regex, "a|bash", "bash", true)]
#[case(Op::Regex, "a|b", "bash", false)]
#[case(Op::Regex, "\\w+", "bäsh", false)]
#[case(Op::Regex, "bä?sh", "bäsh", true)]
fn text_operators(#[case] op: Op, #[case] literal: &str, #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, op, None, &[literal]).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(&["/etc"], "/etc/passwd", true)]
#[case(&["/etc"], "/etc", true)]
#[case(&["/etc"], "/etcetera", false)]
#[case(&["/etc/"], "/etc//x", true)]
#[case(&["/var/run"], "/var", false)]
#[case(&["/"], "/anything", true)]
#[case(&["/var/*/log"], "/var/a/log/x", true)]
#[case(&["/var/*/log"], "/var/a/b/log", false)]
#[case(&["/a/b", "/a/*/c"], "/a/b", true)]
#[case(&["/a/b/d", "/a/*/c"], "/a/b/c", true)]
#[case(&[], "/a", false)]
fn pmatch(#[case] paths: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, Op::Pmatch, None, paths).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(Op::Lt, "5", 4, true)]
#[case(Op::Le, "5", 5, true)]
#[case(Op::Gt, "5", 5, false)]
#[case(Op::Ge, "0x5", 5, true)]
#[case(Op::Eq, "-1", -1, true)]
#[case(Op::Ne, "-1", -1, false)]
#[case(Op::Lt, "18446744073709551615", i64::MAX, true)]
fn numbers(#[case] op: Op, #[case] literal: &str, #[case] value: i64, #[case] expected: bool) {
    assert_eq!(test(Kind::Int, op, None, &[literal]).matches(&Value::Int(value)), expected);
}

#[rstest]
#[case(Quantifier::AnyOf, &["a", "b"], "xax", true)]
#[case(Quantifier::AnyOf, &[], "xax", false)]
#[case(Quantifier::AllOf, &["a", "b"], "xax", false)]
#[case(Quantifier::AllOf, &["a", "b"], "ba", true)]
#[case(Quantifier::OneOf, &["a", "b"], "xax", true)]
#[case(Quantifier::OneOf, &["a", "b"], "ba", false)]
fn quantifiers(#[case] quantifier: Quantifier, #[case] items: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(Kind::Text, Op::Contains, Some(quantifier), items).matches(&Value::from(value)), expected);
}

#[rstest]
#[case(Kind::Net, &["10.0.0.0/8", "192.168.1.1"], "10.255.0.1", true)]
#[case(Kind::Net, &["10.0.0.0/8", "192.168.1.1"], "192.168.1.2", false)]
#[case(Kind::Net, &["0.0.0.0/0"], "1.2.3.4", true)]
#[case(Kind::Net, &["0.0.0.0/0"], "::1", false)]
#[case(Kind::Net, &["::ffff:10.0.0.0/104"], "10.1.1.1", true)]
#[case(Kind::Net, &["10.0.0.0/8"], "::ffff:10.1.1.1", true)]
#[case(Kind::Net, &["fe80::/10"], "fe80::1", true)]
#[case(Kind::Ip, &["1.1.1.1", "::1"], "::1", true)]
#[case(Kind::Ip, &["1.1.1.1"], "::ffff:1.1.1.1", true)]
fn addresses(#[case] kind: Kind, #[case] items: &[&str], #[case] value: &str, #[case] expected: bool) {
    assert_eq!(test(kind, Op::In, None, items).matches(&Value::Ip(value.parse().unwrap())), expected);
}

#[rstest]
#[case(Kind::Text, Op::Lt, "5", "operator `<` does not fit a field of kind text")]
#[case(Kind::Bool, Op::Contains, "t", "operator `contains` does not fit a field of kind boolean")]
#[case(Kind::Bool, Op::Eq, "yes", "yes is no boolean")]
#[case(Kind::Port, Op::Eq, "70000", "70000 is no port")]
#[case(Kind::Net, Op::Eq, "10.0.0.0/40", "10.0.0.0/40 is no address block")]
#[case(Kind::Text, Op::Bcontains, "abc", "abc is no sequence of bytes in hex")]
#[case(Kind::Text, Op::Regex, "a)|(b", "\"a)|(b\" is no regular expression: unopened group")]
#[case(
    Kind::Text,
    Op::Regex,
    "(?P<n>a){500}{500}",
    "\"(?P<n>a){500}{500}\" is no regular expression: Compiled regex exceeds size limit of 1048576 bytes."
)]
fn what_does_not_fit_is_refused(#[case] kind: Kind, #[case] op: Op, #[case] literal: &str, #[case] message: &str) {
    assert_eq!(Test::build(kind, op, None, &[Text::from(literal)]).unwrap_err().message, message);
}

#[test]
fn many_literals_of_one_operator_are_one_test() {
    let many = ["/a", "/ab", "/abc", "/b/c", ""];
    let any = |op, literals: &[&str]| test(Kind::Text, op, Some(Quantifier::AnyOf), literals);
    assert!(matches!(any(Op::Startswith, &many), Test::Affix(_)));
    assert!(matches!(any(Op::Contains, &many), Test::ContainsAny(_)));
    assert!(matches!(any(Op::Glob, &["a*", "b*", "c*", "d*"]), Test::Any(_)));
}

#[test]
fn affixes_find_every_text_that_a_value_begins_or_ends_with() {
    let texts = ["", "/", "/a", "/a/b", "/a/bc", "/b", "a", "b", "c/b"];
    for end in [End::Front, End::Back] {
        let set = Affixes::new(end, texts.iter().map(|t| (Box::from(t.as_bytes()), *t)), |_, _| ());
        for value in ["", "/", "/a", "/a/b/c", "/a/bcd", "/aa", "b", "x/c/b", "/c/b", "ca", "zz"] {
            let mut expected: Vec<_> = texts
                .iter()
                .copied()
                .filter(|t| if end == End::Front { value.starts_with(t) } else { value.ends_with(t) })
                .collect();
            expected.sort_by_key(|t| std::cmp::Reverse(t.len()));
            assert_eq!(set.find(value.as_bytes()).copied().collect::<Vec<_>>(), expected, "{value}");
        }
    }
}

#[rstest]
#[case("Stratum+TCP", "-o sTRATUM+tcp://x", true)]
#[case("abc", "ab", false)]
#[case("abc", "xxABC", true)]
#[case("aab", "aaab", true)]
#[case("=a", "a==A", true)]
#[case("é", "É", false)]
fn folded_texts(#[case] text: &str, #[case] value: &str, #[case] expected: bool) {
    assert_eq!(Folded::new(text.as_bytes()).is_in(value.as_bytes()), expected);
}

#[rstest]
#[case("/etc/(shadow|gshadow)", &["/etc/shadow", "/etc/gshadow"], &["shadow", "gshadow"])]
#[case(".*(curl|wget) .*", &[], &["curl", "wget"])]
#[case("a|", &[], &[])]
#[case("[^a]bcd", &[], &["bcd"])]
#[case("x[0-9]+yz", &["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9"], &["yz"])]
fn expressions_tell_what_their_matches_have(#[case] text: &str, #[case] begins: &[&str], #[case] contains: &[&str]) {
    let Test::Regex(pattern) = test(Kind::Text, Op::Regex, None, &[text]) else { panic!("{text}") };
    let shown = |texts: &[Box<[u8]>]| texts.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect::<Vec<_>>();
    assert_eq!(shown(pattern.begins()), begins);
    assert_eq!(shown(pattern.contains()), contains);
}

#[test]
fn globs_tell_what_their_matches_have() {
    let glob = Glob::new(b"/home/*/.ssh/id_?", false);
    assert_eq!((glob.front(), glob.back(), &*glob.longest()), (&b"/home/"[..], &b""[..], &b"/.ssh/id_"[..]));
    assert_eq!(Glob::new(b"*.so", false).back(), b".so");
}

#[test]
fn numbers_and_addresses_are_text_too() {
    for (value, text) in [
        (Value::Int(i64::MIN), "-9223372036854775808"),
        (Value::Uint(u64::MAX), "18446744073709551615"),
        (Value::Ip("::ffff:1.2.3.4".parse().unwrap()), "::ffff:1.2.3.4"),
        (Value::List(vec![Value::Int(1), Value::from("a")]), "1,a"),
    ] {
        assert_eq!(String::from_utf8_lossy(&bytes(&value)), text);
    }
}

#[test]
fn what_a_buffer_cannot_hold_goes_to_the_heap() {
    let mut buffer = Buffer::<4>::default();
    for part in ["ab", "cd", "", "e"] {
        buffer.push(part.as_bytes());
    }
    assert_eq!(buffer.as_bytes(), b"abcde");
    buffer.as_bytes_mut().make_ascii_uppercase();
    assert_eq!(buffer.as_bytes(), b"ABCDE");
}

#[test]
fn paths_tell_how_they_begin() {
    let begin = |paths: &[&str]| {
        let Test::Path(set) = test(Kind::Text, Op::Pmatch, None, paths) else { panic!("pmatch") };
        set.beginnings(4).map(|mut all| {
            all.sort();
            all.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(begin(&["/etc/ssh", "/var/*/log"]), Some(vec!["/etc/ssh".to_owned(), "/var".to_owned()]));
    assert_eq!(begin(&["/*"]), None);
    assert_eq!(begin(&["/"]), None);
}
